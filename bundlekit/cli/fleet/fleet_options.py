"""The options that several commands of ``bundlekit fleet`` have, and the database that they work with."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click

from bundlekit.cli import common, options
from bundlekit.cli.update import run_options
from bundlekit.errors import BundlekitError
from bundlekit.wording import command

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from bundlekit.fleet.fleet_report import FleetPlan, FleetRehearsal
    from bundlekit.fleet.store import RolloutStore
    from bundlekit.report.text import Line

state_option: Final = options.database_option(
    "Use the rollouts and the journal in this PostgreSQL database", required=True
)
rollout_argument: Final = click.argument("name", required=False, metavar="[ROLLOUT]")
request_options: Final = options.combined(
    rollout_argument, run_options.by_option, run_options.reason_option, state_option
)
"""The options of the commands that ask something of a rollout."""


@contextmanager
def rollouts(state: str) -> Iterator[RolloutStore]:
    """The rollouts in the database ``state``, whose tables are made if they are missing."""
    from bundlekit.database.connection import Database
    from bundlekit.database.schema import make_tables
    from bundlekit.fleet.store import RolloutStore

    database = Database(state)
    try:
        make_tables(database)
        yield RolloutStore(database)
    finally:
        database.close()


def end_option(text: str) -> options.Decorator:
    """How pairs ended, as the parameter ``kinds``; ``text`` is what the command does with them."""
    ends = click.Choice(["rejected", "cancelled", "reverted", "degraded", "needs-operator"])
    return click.option("--end", "kinds", type=ends, multiple=True, help=text)


def one_rollout(store: RolloutStore, name: str | None, *, finished: bool = False) -> str:
    """The rollout of that name, by default the only one that has not finished.

    With ``finished`` it is the latest one if all have finished.
    """
    if name is not None:
        return store.load(name).name
    names = store.unfinished() or (store.latest() if finished else ())
    if len(names) == 1:
        return names[0]
    raise BundlekitError(
        f"Several rollouts have not finished: {', '.join(names)}." if names else "No rollout is unfinished.",
        next_step=f"Name the rollout; {command('fleet status')} lists them.",
    )


def write(result: FleetPlan | FleetRehearsal, lines: Iterable[Line], style: str, output: Path | None) -> None:
    """Write the result as JSON, or as ``lines`` of text, in colours only on a terminal."""
    from bundlekit.report import json

    if style == "json":
        common.write(json.render(result) + "\n", output)
        return
    coloured = output is None and common.colours(sys.stdout)
    common.write("".join(common.styled(line, coloured=coloured) + "\n" for line in lines), output)
