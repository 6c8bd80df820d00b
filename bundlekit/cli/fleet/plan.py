"""``bundlekit fleet plan``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bundlekit.cli import common, destination, options
from bundlekit.cli.fleet import fleet_options
from bundlekit.cli.parameters import path_type
from bundlekit.cli.verbs import CliVerb

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from bundlekit.model.decision import Acceptance

EXAMPLES = """\b
Examples:
  bundlekit fleet plan FLEET.toml
  bundlekit fleet plan FLEET.toml --pairs -o plan.json
  bundlekit fleet plan FLEET.toml -o plan.html
Exit codes: 0 every pair is eligible or up to date, 1 pairs are refused, 2 usage, 3 incomplete.
"""


@click.command(cls=CliVerb, epilog=EXAMPLES)
@click.argument("fleet_path", type=path_type, metavar="FLEET.toml")
@click.option("--pairs", is_flag=True, help="List every pair with its wave and its route.")
@options.accept_risk_option
@options.at_option
@options.format_option("html")
@options.output_option("Write the plan to this file instead. The format is that of the suffix: .txt, .json, or .html.")
def command(
    fleet_path: Path,
    pairs: bool,
    accepted_risks: tuple[Acceptance, ...],
    at: dt.datetime | None,
    style: str,
    output: Path | None,
) -> int:
    """Show which pairs of a fleet can be updated, on which path, in which wave, and which are refused.

    Nothing is started. Each kind of installed state is decided once, whatever the number of pairs.
    """
    from bundlekit.fleet.fleet_file import load_fleet
    from bundlekit.fleet.plan_text import lines
    from bundlekit.fleet.planning import plan_fleet
    from bundlekit.model.decision import Policy

    common.refuse_to_overwrite(output)
    fleet = load_fleet(fleet_path)
    common.refuse_to_overwrite(output, *fleet.inputs)
    style = destination.style_for(output, style)
    policy = Policy(accepted_risks=accepted_risks)
    plan = plan_fleet(fleet, at=at, policy=policy, listing=pairs).plan
    if style == "html":
        from bundlekit.fleet.plan_html import plan_page

        common.write(plan_page(plan), output)
    else:
        fleet_options.write(plan, lines(plan), style, output)
    return 3 if plan.unreadable else 1 if plan.refused else 0
