"""``bundlekit fleet resume``."""

from __future__ import annotations

import click

from bundlekit.cli.fleet import fleet_options
from bundlekit.cli.verbs import CliVerb

EXAMPLES = """\b
Examples:
  bundlekit fleet resume spring-2027 --by "Ada King" --reason "the wrong image is replaced"
Exit codes: 0 resumed, 2 usage, 3 the rollout has finished, or the database cannot be used.
"""


@click.command(cls=CliVerb, epilog=EXAMPLES)
@fleet_options.request_options
def command(name: str | None, by: str, reason: str, state: str) -> int:
    """Continue a rollout after a pause, a stop, or a criterion that stopped it.

    After a criterion, the pairs are counted again from now on.
    """
    from bundlekit.fleet.requests import ask_rollout

    with fleet_options.rollouts(state) as store:
        found = fleet_options.one_rollout(store, name)
        ask_rollout(store, found, "resume", by=by, reason=reason)
    click.echo(f"rollout {found} continues")
    return 0
