"""``bundlekit fleet status``."""

from __future__ import annotations

import sys
from time import sleep
from typing import TYPE_CHECKING, Final

import click
from msgspec.structs import replace

from bundlekit.cli import common, options
from bundlekit.cli.fleet import fleet_options
from bundlekit.cli.verbs import CliVerb
from bundlekit.report import json as as_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bundlekit.fleet.rollout_status import FleetStatus
    from bundlekit.fleet.store import RolloutStore

LIVE_SECONDS: Final = 1.0
"""Seconds between two looks of --live."""

EXAMPLES = """\b
Examples:
  bundlekit fleet status
  bundlekit fleet status --live
  bundlekit fleet status spring-2027 --format json
  bundlekit fleet status --format prometheus
Exit codes: 0 every pair that ended has succeeded, 1 pairs did not succeed, or a criterion stopped a rollout, 2 usage,
3 no such rollout, or the database cannot be used.
"""


@click.command(cls=CliVerb, epilog=EXAMPLES)
@fleet_options.rollout_argument
@click.option("--live", is_flag=True, help="Show the status after each change, until all has ended.")
@options.format_option("prometheus")
@fleet_options.state_option
def command(name: str | None, style: str, state: str, *, live: bool) -> int:
    """Show how far rollouts are, and what each waits for. By default those that have not finished.

    As JSON, each rollout is an object on a line of its own.
    """
    with fleet_options.rollouts(state) as store:
        found = _statuses(store, name)
        if live:
            found = _follow(store, found, style)
    if not live:
        click.echo(_rendered(found, style), nl=False)
    return 1 if any(one.unsuccessful or one.phase == "aborted" for one in found) else 0


def _statuses(store: RolloutStore, name: str | None) -> list[FleetStatus]:
    from bundlekit.fleet.rollout_status import status_of_rollout

    names = store.unfinished() or store.latest() if name is None else (name,)
    return [status_of_rollout(store, one) for one in names]


def _follow(store: RolloutStore, found: list[FleetStatus], style: str) -> list[FleetStatus]:
    """Show these rollouts until they have no work, and return their last status."""
    names = [one.name for one in found]
    if style == "text" and sys.stdout.isatty():
        from bundlekit.cli.fleet.live import live_view

        with live_view() as show_in_place:
            last = _until_idle(store, names, show_in_place)
        click.echo(_rendered(last, style), nl=False)
        return last
    shown = list[str]()

    def show(now: Sequence[FleetStatus]) -> None:
        text = _rendered([replace(one, at="", overdue=0) for one in now], style)
        if text not in shown[-1:]:
            shown.append(text)
            click.echo(_rendered(now, style), nl=False)

    return _until_idle(store, names, show)


def _until_idle(
    store: RolloutStore, names: Sequence[str], show: Callable[[Sequence[FleetStatus]], None]
) -> list[FleetStatus]:
    while True:
        found = [one for name in names for one in _statuses(store, name)]
        show(found)
        if not any(one.in_flight or one.phase not in {"finished", "stopped", "aborted"} for one in found):
            return found
        sleep(LIVE_SECONDS)


def _rendered(found: Sequence[FleetStatus], style: str) -> str:
    from bundlekit.fleet.status_text import lines, prometheus

    if style == "prometheus":
        return prometheus(found)
    if style == "json":
        return "".join(as_json.render(one) + "\n" for one in found)
    coloured = common.colours(sys.stdout)
    text = [common.styled(line, coloured=coloured) + "\n" for one in found for line in lines(one)]
    return "".join(text) or "no rollout was ever started in this database\n"
