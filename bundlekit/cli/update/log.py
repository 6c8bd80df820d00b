"""``bundlekit update log``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bundlekit.cli import destination
from bundlekit.cli.parameters import path_type
from bundlekit.cli.update import common as shared
from bundlekit.cli.update import run_options
from bundlekit.cli.update.fold import Fold
from bundlekit.cli.update.message import in_words
from bundlekit.cli.verbs import CliVerb
from bundlekit.report.escape import escape
from bundlekit.update.engine.history import History
from bundlekit.update.state.support_bundle import export, public

if TYPE_CHECKING:
    from bundlekit.update.state.update_state import UpdateState

FOLLOW_SECONDS = 1.0
"""How often --follow looks for new records."""

EXAMPLES = """\b
Examples:
  bundlekit update log --pair imager-0042
  bundlekit update log --pair imager-0042 --follow
  bundlekit update log --pair imager-0042 --export imager-0042.zip
"""


@click.command(cls=CliVerb, epilog=EXAMPLES)
@run_options.pair_option
@click.option("--follow", is_flag=True, help="Show what is added until the run ends.")
@click.option("--export", "output", type=path_type, metavar="F.zip", help="Write a support bundle instead.")
@run_options.kept_in_option
@run_options.json_option
def command(pair: str, output: Path | None, kept_in: UpdateState, *, follow: bool, as_lines: bool) -> int:
    """Show what a run did, or export a support bundle for the vendor: journal, logs, state, report, no secrets."""
    if output is not None:
        for name in export(kept_in, pair, destination.opened(output), in_words):
            click.echo(f"added {escape(name)}", err=output == destination.STDOUT)
        return 0
    shown = 0
    fold = Fold(click.echo)
    while True:
        records = shared.records_of(kept_in, pair)
        for record in records[shown:]:
            if as_lines:
                click.echo(public(record))
            else:
                fold.add(record)
        shown = len(records)
        last = History.latest(records)
        if not follow or last is None or last.ended is not None:
            fold.flush()
            return 0
        time.sleep(FOLLOW_SECONDS)
