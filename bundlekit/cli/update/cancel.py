"""``bundlekit update cancel``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bundlekit.cli.update import common as shared
from bundlekit.cli.update import run_options
from bundlekit.cli.update.message import resume_call
from bundlekit.cli.verbs import CliVerb
from bundlekit.errors import BundlekitError

if TYPE_CHECKING:
    from bundlekit.update.state.update_state import UpdateState


@click.command(
    cls=CliVerb,
    epilog="Example: bundlekit update cancel --pair imager-0042\n\nExit codes: 0 requested, 3 no run to cancel.",
)
@run_options.pair_option
@run_options.kept_in_option
def command(pair: str, kept_in: UpdateState) -> int:
    """Ask a run to stop. Before the commit point it reverts.

    The current step is finished first. After the commit point a run is not cancelled and continues to its end.
    """
    last = shared.last_run(kept_in, pair)
    if last is None or last.ended is not None:
        raise BundlekitError(f"Pair {pair} has no run in {kept_in.name} that could be cancelled.")
    kept_in.cancel_request(pair).ask(last.run)
    holder = kept_in.at_work(pair)
    click.echo(f"run {last.run} of {pair} has been asked to cancel")
    if last.committed:
        click.echo("it has passed its commit point and continues to its end")
    elif holder:
        shared.show([f"controller {holder} cancels it after the current step"])
    else:
        shared.show([f"no controller works on it now: {resume_call(pair, last.paths, last.job.plan)}"])
    return 0
