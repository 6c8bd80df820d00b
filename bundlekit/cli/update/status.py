"""``bundlekit update status``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bundlekit.cli.update import common as shared
from bundlekit.cli.verbs import Verb
from bundlekit.report import json as as_json
from bundlekit.update.records import JournalDamagedError, StateFolderError
from bundlekit.update.sqlite import NAME_ANOTHER, has_private_folder
from bundlekit.update.status import Status, status_of

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = """\b
Examples:
  bundlekit update status
  bundlekit update status --pair imager-0042 --json
"""


@click.command(cls=Verb, epilog=EXAMPLES)
@shared.any_pair_option
@shared.state_dir_option
@shared.json_option
def command(pair: str | None, state_dir: Path, *, as_lines: bool) -> int:
    """Show what runs, what waits, and which pairs are on hold. Asks the journal, not the appliances."""
    if not has_private_folder(state_dir):  # where others only look, an answer about no folder would be a false comfort
        raise StateFolderError(f"There is no state folder {state_dir}.", next_step=NAME_ANOTHER)
    with shared.journal(state_dir) as journal:
        names = [pair] if pair else journal.pairs()
    code = 0
    for name in names:
        try:
            found = status_of(name, shared.records_of(state_dir, name), state_dir, shared.clock().now())
        except JournalDamagedError as error:  # the other pairs are still worth telling
            shared.show([f"{name}: {error.message}", f"  next: {error.next_step}"], err=True)
            code = 3
            continue
        if as_lines:
            click.echo(as_json.render(found))
        else:
            shared.show(_lines(found))
    if not names and not as_lines:
        click.echo(f"no pair was ever updated from {state_dir}")
    return code


def _lines(found: Status) -> Iterator[str]:
    from bundlekit.update.activity import lines
    from bundlekit.update.outcome import message, text

    if found.controller:
        yield f"{found.pair}: at work: {found.controller}"
    if found.cancel_asked:
        yield f"{found.pair}: the operator has asked to cancel"
    if found.outcome is None:
        yield from lines(found.activity)
        yield from (f"  {line}" for line in shared.told(found.window))
        if not found.controller:
            trust = found.names.quoted()["trust"]
            yield f"  nobody works on it: bundlekit update resume --pair {found.pair} {trust}"
        return
    yield f"{found.pair}: run {found.activity.run} to {found.activity.version} has ended"
    yield from (f"  {line}" for line in text(message(found.outcome, found.plan, found.names)).splitlines())
    if found.cleared is not None:
        yield f"  off hold, by {found.cleared.by}: {found.cleared.reason}"
