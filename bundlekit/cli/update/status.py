"""``bundlekit update status``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from bundlekit.cli import common
from bundlekit.cli.update import common as shared
from bundlekit.cli.verbs import Verb
from bundlekit.report import json as as_json
from bundlekit.update.engine.errors import JournalDamagedError, StateFolderError
from bundlekit.update.engine.outcome import EXIT_CODES
from bundlekit.update.state.sqlite_journal import NAME_ANOTHER, has_private_folder
from bundlekit.update.state.status import Phase, Status, status_of

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = """\b
Examples:
  bundlekit update status
  bundlekit update status --only waiting --only on-hold
  bundlekit update status --fail-on hold                        for monitoring
  bundlekit update status --pair imager-0042 --json
Exit codes: 0 printed, 1 with --fail-on hold: a pair is on hold or needs an operator, 2 usage, 3 no such pair or state
folder, 40 the journal is damaged, 75 the journal is temporarily unusable.
"""


@click.command(cls=Verb, epilog=EXAMPLES)
@shared.any_pair_option
@shared.state_dir_option
@click.option(
    "--only", type=click.Choice(get_args(Phase)), multiple=True, help="Show only pairs in this phase. Can be repeated."
)
@click.option("--fail-on", type=click.Choice(["hold"]), help="Exit with 1 if a pair is on hold or needs an operator.")
@shared.json_option
def command(pair: str | None, state_dir: Path, only: tuple[Phase, ...], fail_on: str | None, *, as_lines: bool) -> int:
    """Show which runs are in progress or wait, and which pairs are on hold. Only the journal is read."""
    if not has_private_folder(state_dir):  # where others only look, an answer about no folder would be a false comfort
        raise StateFolderError(f"No state folder exists at {state_dir}.", next_step=NAME_ANOTHER)
    with shared.journal(state_dir) as journal:
        names = [pair] if pair else journal.pairs()
    code = 0
    for name in names:
        try:
            found = status_of(name, shared.records_of(state_dir, name), state_dir, shared.clock().now())
        except JournalDamagedError as error:  # the other pairs are still worth telling
            shared.show([f"pair {name}: {error.message}", f"  next: {error.next_step}"], err=True)
            code = max(code, EXIT_CODES["needs-operator"])
            continue
        if fail_on and found.needs_operator:
            code = max(code, 1)
        if only and found.phase not in only:
            continue
        if as_lines:
            click.echo(as_json.render(found))
        else:
            shared.show(_lines(found))
    if not names and not as_lines:
        click.echo(f"no pair was ever updated with the state folder {state_dir}")
    return code


def _lines(found: Status) -> Iterator[str]:
    from bundlekit.update.engine.outcome import message, text
    from bundlekit.update.state.activity import lines

    if found.controller:
        yield f"pair {found.pair}: in progress: {found.controller}"
    if found.cancel_asked:
        yield f"pair {found.pair}: the operator requested a cancel"
    if found.rejected is not None:
        yield f"pair {found.pair}: run {found.rejected.run} of {found.rejected.path} was rejected by the check"
        yield f"  rejected     {common.local_time(found.rejected.at.wall)}"
        yield f"  because      {found.rejected.why}"
    if found.activity is None:
        return
    if found.outcome is None:
        yield from lines(found.activity)
        if found.started is not None:
            yield f"  started: {common.local_time(found.started)}"
        yield from (f"  {line}" for line in shared.told(found.window))
        if not found.controller:
            trust = found.names.quoted()["trust"]
            yield f"  no controller works on it: bundlekit update resume --pair {found.pair} {trust}"
        return
    yield f"pair {found.pair}: run {found.activity.run} to {found.activity.version} has ended"
    for name, wall in (("started", found.started), ("ended", found.ended)):
        if wall is not None:
            yield f"  {name:<12} {common.local_time(wall)}"
    yield from (f"  {line}" for line in text(message(found.outcome, found.plan, found.names)).splitlines())
    if found.cleared is not None:
        yield f"  hold cleared by {found.cleared.by}: {found.cleared.reason}"
