"""``bundlekit fleet status``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from bundlekit.cli import common, options
from bundlekit.cli.fleet import fleet_options
from bundlekit.cli.verbs import CliVerb
from bundlekit.report import json as as_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundlekit.fleet.rollout_status import FleetStatus
    from bundlekit.fleet.store import RolloutStore

EXAMPLES = """\b
Examples:
  bundlekit fleet status
  bundlekit fleet status spring-2027 --format json
  bundlekit fleet status --format prometheus
Exit codes: 0 every pair that ended has succeeded, 1 pairs did not succeed, or a criterion stopped a rollout, 2 usage,
3 no such rollout, or the database cannot be used.
"""


@click.command(cls=CliVerb, epilog=EXAMPLES)
@fleet_options.rollout_argument
@options.format_option("prometheus")
@fleet_options.state_option
def command(name: str | None, style: str, state: str) -> int:
    """Show how far rollouts are, and what each waits for. By default those that have not finished.

    As JSON, each rollout is an object on a line of its own.
    """
    with fleet_options.rollouts(state) as store:
        found = _statuses(store, name)
    click.echo(_rendered(found, style), nl=False)
    return 1 if any(one.unsuccessful or one.phase == "aborted" for one in found) else 0


def _statuses(store: RolloutStore, name: str | None) -> list[FleetStatus]:
    from bundlekit.fleet.rollout_status import status_of_rollout

    names = store.unfinished() or store.latest() if name is None else (name,)
    return [status_of_rollout(store, one) for one in names]


def _rendered(found: Sequence[FleetStatus], style: str) -> str:
    from bundlekit.fleet.status_text import lines, prometheus

    if style == "prometheus":
        return prometheus(found)
    if style == "json":
        return "".join(as_json.render(one) + "\n" for one in found)
    coloured = common.colours(sys.stdout)
    text = [common.styled(line, coloured=coloured) + "\n" for one in found for line in lines(one)]
    return "".join(text) or "no rollout was ever started in this database\n"
