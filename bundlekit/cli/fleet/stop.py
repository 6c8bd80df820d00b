"""``bundlekit fleet stop``."""

from __future__ import annotations

import click

from bundlekit.cli.fleet import fleet_options
from bundlekit.cli.verbs import CliVerb

EXAMPLES = """\b
Examples:
  bundlekit fleet stop spring-2027 --by "Ada King" --reason "a newer release replaces it"
Exit codes: 0 stopped, 2 usage, 3 the rollout has finished, or the database cannot be used.
"""


@click.command(cls=CliVerb, epilog=EXAMPLES)
@fleet_options.request_options
def command(name: str | None, by: str, reason: str, state: str) -> int:
    """Stop a rollout: no more pairs start, and another rollout can have them.

    Pairs in flight go on to their end. A stopped rollout can be resumed, unless another one has its pairs by then.
    """
    from bundlekit.fleet.requests import ask_rollout

    with fleet_options.rollouts(state) as store:
        found = fleet_options.one_rollout(store, name)
        ask_rollout(store, found, "stop", by=by, reason=reason)
    click.echo(f"rollout {found} is stopped; pairs in flight go on to their end")
    return 0
