"""``bundlekit fleet pause``."""

from __future__ import annotations

import click

from bundlekit.cli.fleet import fleet_options
from bundlekit.cli.verbs import CliVerb

EXAMPLES = """\b
Examples:
  bundlekit fleet pause
  bundlekit fleet pause spring-2027
Exit codes: 0 paused, 2 usage, 3 the rollout has finished, or the database cannot be used.
"""


@click.command(cls=CliVerb, epilog=EXAMPLES)
@fleet_options.rollout_argument
@fleet_options.state_option
def command(name: str | None, state: str) -> int:
    """Start no more pairs, until the rollout is resumed.

    Pairs in flight go on to their end. A rollout that is paused already stays so.
    """
    from bundlekit.fleet.requests import ask_rollout
    from bundlekit.update.state.lock import holder
    from bundlekit.wording import command as words

    with fleet_options.rollouts(state) as store:
        found = fleet_options.one_rollout(store, name)
        ask_rollout(store, found, "pause", by=holder(), reason="")
    click.echo(f"rollout {found} is paused; pairs in flight go on to their end")
    click.echo(f"next: {words('fleet resume', found, by='NAME', reason='TEXT')}")
    return 0
