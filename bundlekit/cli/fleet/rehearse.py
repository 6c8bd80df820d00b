"""``bundlekit fleet rehearse``."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import click

from bundlekit import wall_clock
from bundlekit.cli import common, destination, options
from bundlekit.cli.fleet import fleet_options
from bundlekit.cli.parameters import TimeSpan, path_type
from bundlekit.cli.verbs import CliVerb

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from bundlekit.fleet.fleet_file import FailureKind
    from bundlekit.model.decision import Acceptance

EXAMPLES = """\b
Examples:
  bundlekit fleet rehearse FLEET.toml
  bundlekit fleet rehearse FLEET.toml --fail degraded=2 --fail silent=0.5 --approve-after "4 h"
Exit codes: 0 the rollout finishes, 1 it stops, waits without end, or leaves out refused pairs, 2 usage, 3 incomplete.
"""


def _rates(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[FailureKind, float]:
    """The percentages by kind. A usage error for an unknown kind, and for more than 100 percent."""
    from bundlekit.fleet.fleet_file import FailureKind

    found: dict[FailureKind, float] = {}
    for value in values:
        name, _, text = value.partition("=")
        kind: FailureKind | None = next((one for one in get_args(FailureKind) if one == name), None)
        try:
            percent = float(text)
        except ValueError:
            percent = -1
        if kind and percent > 100:
            raise click.BadParameter(f"{value!r} is more than 100 percent.", context, option)
        if kind is None or not 0 <= percent <= 100:
            known = ", ".join(get_args(FailureKind))
            raise click.BadParameter(f"{value!r} is not KIND=PERCENT, with one of {known}.", context, option)
        if kind in found:
            raise click.BadParameter(f"{name!r} is given twice.", context, option)
        found[kind] = percent
    if sum(found.values()) > 100:
        raise click.BadParameter("the percentages are more than 100 together.", context, option)
    return found


@click.command(cls=CliVerb, epilog=EXAMPLES)
@click.argument("fleet_path", type=path_type, metavar="FLEET.toml")
@click.option(
    "--fail",
    "failures",
    multiple=True,
    metavar="KIND=PERCENT",
    callback=_rates,
    help="Assume that this part of the pairs fails.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Set which pairs fail.")
@click.option(
    "--spread",
    type=click.IntRange(0, 1000),
    default=25,
    show_default=True,
    help="Assume that a pair takes up to this percentage longer than planned.",
)
@click.option(
    "--minutes",
    type=click.IntRange(1, 525600),
    default=120,
    show_default=True,
    help="Assume this duration where the matrix has none.",
)
@click.option("--approve-after", type=TimeSpan(), metavar="DURATION", help="Approve each wave after this time.")
@options.accept_risk_option
@options.at_option
@options.format_option()
@options.output_option("Write the result to this file instead. The format is that of the suffix: .txt, or .json.")
def command(
    fleet_path: Path,
    failures: dict[FailureKind, float],
    seed: int,
    spread: int,
    minutes: int,
    approve_after: int | None,
    accepted_risks: tuple[Acceptance, ...],
    at: dt.datetime | None,
    style: str,
    output: Path | None,
) -> int:
    """Simulate a rollout over its inventory: when it ends, when it stops, and how many pairs are without HA at once.

    Nothing is started. The same seed gives the same result.
    """
    from bundlekit.fleet.fleet_file import load_fleet
    from bundlekit.fleet.planning import plan_fleet
    from bundlekit.fleet.rehearsal_text import lines
    from bundlekit.fleet.simulation import FleetRates, simulate
    from bundlekit.model.decision import Policy

    common.refuse_to_overwrite(output)
    fleet = load_fleet(fleet_path)
    common.refuse_to_overwrite(output, *fleet.inputs)
    style = destination.style_for(output, style)
    moment = at or wall_clock.now()
    planned = plan_fleet(fleet, at=moment, policy=Policy(accepted_risks=accepted_risks))
    rates = FleetRates(failures=failures, spread=spread, unknown=minutes, approval=approve_after or 0)
    result = simulate(planned, at=moment, seed=seed, rates=rates)
    fleet_options.write(result, lines(result), style, output)
    return 3 if result.unreadable else 0 if result.reason == "finished" and not result.refused else 1
