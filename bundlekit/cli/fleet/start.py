"""``bundlekit fleet start``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bundlekit.cli import options
from bundlekit.cli.fleet import fleet_options
from bundlekit.cli.parameters import path_type
from bundlekit.cli.update import run_options
from bundlekit.cli.verbs import CliVerb

if TYPE_CHECKING:
    from pathlib import Path

    from bundlekit.model.decision import Acceptance

EXAMPLES = """\b
Examples:
  bundlekit fleet start FLEET.toml --by "Ada King" --state postgresql://bundlekit@db.example/fleet
Exit codes: 0 the rollout has begun, 2 usage, 3 it could not begin.
"""


@click.command(cls=CliVerb, epilog=EXAMPLES)
@click.argument("fleet_path", type=path_type, metavar="FLEET.toml")
@run_options.by_option
@options.accept_risk_option
@fleet_options.state_option
def command(fleet_path: Path, by: str, accepted_risks: tuple[Acceptance, ...], state: str) -> int:
    """Start a rollout: its plan is kept in the database, and workers carry it out.

    The pairs that are refused, or that have the target, are left out. Pairs start when a worker runs.
    """
    from bundlekit.fleet.starting import start_rollout
    from bundlekit.model.decision import Policy
    from bundlekit.wording import command as words
    from bundlekit.wording import count

    with fleet_options.rollouts(state) as store:
        plan = start_rollout(store, fleet_path, by=by, policy=Policy(accepted_risks=accepted_risks))
    click.echo(
        f"rollout {plan.name} has begun: {count(plan.eligible, 'pair')} in {count(len(plan.waves), 'wave')}, "
        f"{plan.up_to_date:,} up to date, {plan.refused:,} refused"
    )
    click.echo(f"next: {words('fleet worker')} on any host, and {words('fleet status', plan.name)}")
    return 0
