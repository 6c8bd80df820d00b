"""``bundlekit update run``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bundlekit.cli import common, options
from bundlekit.cli.update import common as shared
from bundlekit.cli.update import run_options
from bundlekit.cli.update.view import window_lines
from bundlekit.cli.verbs import CliVerb

if TYPE_CHECKING:
    import datetime as dt

    from bundlekit.report.model import Report
    from bundlekit.update.state.update_state import UpdateState

EXAMPLES = f"""\b
Examples:
  bundlekit update run update.bin --plan PLAN.toml --appliance STATE.json --trust root.pem
  bundlekit update run update.bin ... --until prepared          on Friday
  bundlekit update run update.bin ... --not-after 2026-11-29    on Saturday: the run continues, until the end of Sunday
{shared.CODES}"""


@click.command(cls=CliVerb, epilog=EXAMPLES)
@options.bundle_argument
@options.component_option
@run_options.plan_option
@run_options.state_option
@options.policy_options
@options.pair_option("Stop if the state is of another pair.", required=False)
@run_options.window_options
@run_options.take_over_option
@run_options.running_options
def command(
    bundle: Path,
    plan_path: Path | None,
    appliance: Path,
    pair: str | None,
    until: str | None,
    not_after: dt.datetime | None,
    take_over: str,
    components: dict[str, Path],
    trusted: tuple[Path, ...],
    kept_in: UpdateState,
    *,
    detach: bool,
    as_lines: bool,
    **allowed: Any,
) -> int:
    """Update a pair.

    The whole bundle is validated for this pair first. The pair then reports its state, and a difference from
    STATE.json ends the run before any change. A run of the same bundle that has begun is continued.
    """
    state = shared.state_of(appliance)
    if pair is not None and pair != state.pair:
        raise click.UsageError(f"{appliance} is the state of pair {state.pair!r}, not of {pair!r}")
    plan = shared.plan_of(plan_path)
    trust = common.load_trusted(trusted)
    window = shared.window(until, not_after)
    beyond = common.policy_arguments(allowed, trust)
    paths = shared.paths(components, bundle=bundle, plan=plan_path, state=appliance, trusted=trusted)
    if not as_lines:
        shared.show(window_lines(window), err=True)

    reports: list[Report] = []
    with shared.controller(kept_in, as_lines=as_lines, detach=detach, paths=paths, reports=reports) as controller:
        outcome = controller.run(
            bundle,
            plan,
            trust=trust,
            appliance=state,
            window=window,
            take_over=take_over,
            components=components,
            **beyond,
        )
    return shared.conclude(
        outcome, pair=state.pair, kept_in=kept_in, plan=plan, paths=paths, as_lines=as_lines, reports=reports
    )
