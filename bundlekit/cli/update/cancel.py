"""``bundlekit update cancel``."""

from __future__ import annotations

from pathlib import Path

import click

from bundlekit.cli.update import common as shared
from bundlekit.cli.update import run_options
from bundlekit.cli.update.message import resume_call
from bundlekit.cli.verbs import CliVerb
from bundlekit.errors import BundlekitError
from bundlekit.update.state.cancel import CancelRequest
from bundlekit.update.state.lock import at_work


@click.command(
    cls=CliVerb,
    epilog="Example: bundlekit update cancel --pair imager-0042\n\nExit codes: 0 requested, 3 no run to cancel.",
)
@run_options.pair_option
@run_options.state_dir_option
def command(pair: str, state_dir: Path) -> int:
    """Ask a run to stop. Before the commit point it reverts.

    The current step is finished first. After the commit point a run is not cancelled and continues to its end.
    """
    last = shared.last_run(state_dir, pair)
    if last is None or last.ended is not None:
        raise BundlekitError(f"Pair {pair} has no run in {state_dir} that could be cancelled.")
    CancelRequest(state_dir, pair).ask(last.run)
    holder = at_work(state_dir, pair)
    click.echo(f"run {last.run} of {pair} has been asked to cancel")
    if last.committed:
        click.echo("it has passed its commit point and continues to its end")
    elif holder:
        shared.show([f"controller {holder} cancels it after the current step"])
    else:
        shared.show([f"no controller works on it now: {resume_call(pair, last.paths, last.job.plan)}"])
    return 0
