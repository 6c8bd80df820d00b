"""``bundlekit update plan``."""

from __future__ import annotations

from pathlib import Path

import click

from bundlekit.cli import common
from bundlekit.cli.update import common as shared
from bundlekit.report import json as as_json
from bundlekit.update.bundle import verified
from bundlekit.update.outcome import EXIT_CODES
from bundlekit.update.preview import lines, preview
from bundlekit.update.records import Outcome

EXAMPLES = """\b
Example: bundlekit update plan update.bin --plan PLAN.toml --appliance STATE.json --trust root.pem
Exit codes: 0 the pair would be updated, 10 it would be rejected, 12 it is on hold, 13 another run has it.
"""


@click.command(epilog=EXAMPLES)
@shared.bundle_argument
@shared.plan_option
@click.option(
    "--appliance", type=common.path_type, required=True, metavar="STATE.json", help="The pair, as it was read."
)
@shared.trust_option
@shared.state_dir_option
@shared.json_option
def command(
    bundle: Path, plan_path: Path | None, appliance: Path, trusted: tuple[Path, ...], state_dir: Path, *, as_lines: bool
) -> int:
    """Show what an update would do, and where each failure would lead.

    The whole bundle is checked, the pair is asked to describe itself, and the plan is rehearsed for it: nothing
    is changed, no other hook is run.
    """
    state = common.load_appliance(appliance)
    assert state is not None  # noqa: S101 - the option is required
    plan = shared.plan_of(plan_path)
    trust = common.load_trusted(trusted)
    if refused := shared.refusal_of(state_dir, state.pair):
        shared.tell(refused, plan, as_lines=as_lines)
        return EXIT_CODES[refused.kind]

    def show() -> Outcome | None:
        with (
            common.progress_bar(str(bundle), quiet=as_lines) as progress,
            verified(bundle, trust=trust, appliance=state, folder=Path(), progress=progress) as checked,
        ):
            seen = preview(checked.job(plan), shared.hooks_of(plan), shared.clock())
        if as_lines:
            click.echo(as_json.render(seen))
        else:
            shared.show(lines(seen))
        return Outcome(kind="rejected", pair=state.pair) if seen.refused else None

    return shared.conclude(show, pair=state.pair, plan=plan, as_lines=as_lines)
