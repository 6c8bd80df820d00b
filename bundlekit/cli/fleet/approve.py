"""``bundlekit fleet approve``."""

from __future__ import annotations

import click

from bundlekit.cli.fleet import fleet_options
from bundlekit.cli.verbs import CliVerb

EXAMPLES = """\b
Examples:
  bundlekit fleet approve --by "Ada King" --reason "no alarm in 24 hours"
  bundlekit fleet approve spring-2027 --wave canary --by "Ada King" --reason "tested in the lab"
Exit codes: 0 approved, 2 usage, 3 no wave waits for approval, or the database cannot be used.
"""


@click.command(cls=CliVerb, epilog=EXAMPLES)
@click.option("--wave", default="", metavar="WAVE", help="Approve this wave, also before it has ended.")
@fleet_options.request_options
def command(name: str | None, wave: str, by: str, reason: str, state: str) -> int:
    """Approve a wave that has ended, so that the next one can start.

    By default that is the wave whose approval is missing.
    """
    from bundlekit.fleet.requests import ask_rollout

    with fleet_options.rollouts(state) as store:
        found = fleet_options.one_rollout(store, name)
        approved = ask_rollout(store, found, "approve", by=by, reason=reason, wave=wave)
    click.echo(f"wave {approved} of rollout {found} is approved")
    return 0
