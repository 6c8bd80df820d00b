"""``bundlekit update plan``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bundlekit.cli import common, options
from bundlekit.cli.progress import progress_bar
from bundlekit.cli.update import common as shared
from bundlekit.cli.update import run_options
from bundlekit.cli.verbs import CliVerb
from bundlekit.report import json as as_json
from bundlekit.request import CheckRequest
from bundlekit.update.bundle import NotAcceptedError, verified
from bundlekit.update.engine.errors import UpdateError
from bundlekit.update.engine.executor import refusal
from bundlekit.update.engine.outcome import outcome_of
from bundlekit.update.engine.records import Outcome
from bundlekit.update.rehearsal.preview import lines, preview

if TYPE_CHECKING:
    from bundlekit.update.state.update_state import UpdateState

EXAMPLES = """\b
Example: bundlekit update plan update.bin --plan PLAN.toml --appliance STATE.json --trust root.pem
Exit codes: 0 the pair would be updated, 10 it would be rejected, 12 it is on hold, 13 busy, 2 usage,
3 incomplete.
"""


@click.command(cls=CliVerb, epilog=EXAMPLES)
@options.bundle_argument
@options.component_option
@run_options.plan_option
@run_options.state_option
@options.policy_options
@options.trust_option
@run_options.kept_in_option
@run_options.json_option
def command(
    bundle: Path,
    plan_path: Path | None,
    appliance: Path,
    components: dict[str, Path],
    trusted: tuple[Path, ...],
    kept_in: UpdateState,
    *,
    as_lines: bool,
    **allowed: Any,
) -> int:
    """Show what an update would do, and the outcome of each failure.

    The whole bundle is validated, the hooks describe the pair, and the plan is simulated. Nothing is changed, and
    no other hook is called.
    """
    state = shared.state_of(appliance)
    plan = shared.plan_of(plan_path)
    trust = common.load_trusted(trusted)
    request = CheckRequest(trust=trust, appliances=(state,), **common.policy_arguments(allowed, trust))

    paths = shared.paths(components, bundle=bundle, plan=plan_path, state=appliance, trusted=trusted)

    def refused_by() -> Outcome | None:
        """What would prevent the run; None after a preview of a run that nothing prevents."""
        last = shared.last_run(kept_in, state.pair)
        if last is not None and (refused := refusal(last)):
            return refused
        with (
            progress_bar(str(bundle), quiet=as_lines) as progress,
            verified(bundle, request, folder=Path(), components=components, progress=progress) as checked,
        ):
            seen = preview(checked.job(plan), shared.hooks_of(plan), shared.clock())
        if as_lines:
            click.echo(as_json.render(seen))
        else:
            shared.show(lines(seen))
        if not seen.rejected:
            return None
        return Outcome(kind="rejected", pair=state.pair, reason=seen.rejected, ha="as-before", recovery=seen.recovery)

    try:
        outcome = refused_by()
    except NotAcceptedError as error:
        shared.show_report(error.report, as_lines=as_lines)
        if error.report.verdict == "incomplete":  # the pair was not asked, so nothing is rejected yet
            return common.EXIT["incomplete"]
        outcome = outcome_of(error, state.pair, again="run")
    except UpdateError as error:
        outcome = outcome_of(error, state.pair, again="run")
    if outcome is None:
        return 0
    return shared.conclude(outcome, pair=state.pair, kept_in=kept_in, plan=plan, paths=paths, as_lines=as_lines)
