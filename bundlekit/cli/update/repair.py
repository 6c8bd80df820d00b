"""``bundlekit update repair``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bundlekit.cli import common, options
from bundlekit.cli.update import common as shared
from bundlekit.cli.update import run_options
from bundlekit.cli.verbs import CliVerb
from bundlekit.update.engine.executor import Declined

if TYPE_CHECKING:
    from bundlekit.report.model import Report
    from bundlekit.update.state.update_state import UpdateState

EXAMPLES = f"""\b
Example: bundlekit update repair --pair imager-0042 --trust root.pem
{shared.CODES}"""


@click.command(cls=CliVerb, epilog=EXAMPLES)
@run_options.pair_option
@run_options.file_option
@options.component_option
@run_options.take_over_option
@run_options.running_options
def command(
    pair: str,
    bundle: Path | None,
    take_over: str,
    components: dict[str, Path],
    trusted: tuple[Path, ...],
    kept_in: UpdateState,
    *,
    detach: bool,
    as_lines: bool,
) -> int:
    """Finish a degraded pair with the bundle of its run.

    If a component must be re-imaged first, the outcome of the run names it: see `bundlekit update status`.
    """
    trust = common.load_trusted(trusted)
    paths = shared.paths(components, bundle=bundle, trusted=trusted)

    reports: list[Report] = []
    with shared.controller(kept_in, as_lines=as_lines, detach=detach, paths=paths, reports=reports) as controller:
        outcome = controller.repair(pair, trust=trust, file=bundle, take_over=take_over, components=components)
    if isinstance(outcome, Declined):
        return shared.declined(pair, outcome, kept_in)
    return shared.conclude(outcome, pair=pair, kept_in=kept_in, paths=paths, as_lines=as_lines, reports=reports)
