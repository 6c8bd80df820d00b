"""``bundlekit fleet worker``."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bundlekit.cli.fleet import fleet_options
from bundlekit.cli.update import run_options
from bundlekit.cli.verbs import CliVerb
from bundlekit.report.escape import escape

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from bundlekit.update.engine.records import Record

EXAMPLES = """\b
Examples:
  bundlekit fleet worker --state postgresql://bundlekit@db.example/fleet
  bundlekit fleet worker --slots 32 --state-dir /srv/bundlekit
Exit codes: 0 stopped by a signal or with --until-finished, 2 usage, 3 it could not begin.
"""


@click.command(cls=CliVerb, epilog=EXAMPLES)
@click.option(
    "--slots",
    type=click.IntRange(1, 256),
    default=8,
    show_default=True,
    help="Run the updates of up to this number of pairs at the same time.",
)
@click.option("--until-finished", is_flag=True, help="Exit when every rollout has finished or is stopped.")
@run_options.state_dir_option
@fleet_options.state_option
def command(slots: int, state: str, state_dir: Path, *, until_finished: bool) -> int:
    """Run the rollouts in the database. Any number of workers can run, on any hosts.

    The files that a FLEET.toml names must be in the same place on the host of each worker. SIGTERM and Ctrl-C let the
    actions under way end, and other workers continue the pairs. A second Ctrl-C exits at once.
    """
    from bundlekit.fleet.worker import FleetWorker
    from bundlekit.update.engine.records import Ended, Started

    def tell(text: str) -> None:
        click.echo(escape(text), err=True)

    def watch(pair: str, records: Sequence[Record]) -> None:
        for record in records:
            if isinstance(record, Started):
                tell(f"pair {pair}: an update begins")
            elif isinstance(record, Ended):
                tell(f"pair {pair}: {record.outcome.kind}")

    worker = FleetWorker(state, state_dir, slots=slots, tell=tell, watch=watch)
    tell(f"worker with {slots} slots, process {os.getpid()}; SIGTERM or Ctrl-C stops it")
    asked = threading.Event()

    def stop(number: int, _frame: FrameType | None) -> None:
        if asked.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.set()
        worker.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        worker.run(until_finished=until_finished)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0
