"""``bundlekit update status``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bundlekit.cli.update import common as shared
from bundlekit.errors import BundlekitError
from bundlekit.report import json as as_json
from bundlekit.update.status import Status, status_of

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = """\b
Examples:
  bundlekit update status
  bundlekit update status --pair imager-0042 --json
"""


@click.command(epilog=EXAMPLES)
@shared.any_pair_option
@shared.state_dir_option
@shared.json_option
def command(pair: str | None, state_dir: Path, *, as_lines: bool) -> int:
    """Show what runs, what waits, and which pairs are on hold. Asks the journal, not the appliances."""
    journalled = shared.journals(state_dir, pair)
    if pair is not None and not journalled:
        raise BundlekitError(f"There was no run of pair {pair} in {state_dir}.")
    for name, records in journalled.items():
        found = status_of(name, records, state_dir, shared.clock().now())
        if as_lines:
            click.echo(as_json.render(found))
        else:
            shared.show(_lines(found))
    if not journalled and not as_lines:
        click.echo(f"no pair was ever updated from {state_dir}")
    return 0


def _lines(found: Status) -> Iterator[str]:
    from bundlekit.update.activity import lines
    from bundlekit.update.outcome import message, text

    if found.controller:
        yield f"{found.pair}: at work: {found.controller}"
    if found.cancel_asked:
        yield f"{found.pair}: the operator has asked to cancel"
    if found.outcome is None:
        yield from lines(found.activity)
        if not found.controller:
            yield f"  nobody works on it: bundlekit update resume --pair {found.pair}"
        return
    yield f"{found.pair}: run {found.activity.run} to {found.activity.version} has ended"
    yield from (f"  {line}" for line in text(message(found.outcome, found.plan)).splitlines())
    if found.cleared is not None:
        yield f"  off hold, by {found.cleared.by}: {found.cleared.reason}"
