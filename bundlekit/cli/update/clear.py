"""``bundlekit update clear``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bundlekit.cli.update import common as shared
from bundlekit.cli.update import run_options
from bundlekit.cli.verbs import CliVerb
from bundlekit.update.engine.executor import Declined, HoldRelease

if TYPE_CHECKING:
    from bundlekit.update.state.update_state import UpdateState

EXAMPLES = """\b
Examples:
  bundlekit update clear --pair imager-0042 --by "Ada King" --reason "disk 3 replaced" --ticket 4711
Exit codes: 0 cleared, 3 not cleared: the pair is not on hold, or not complete.
"""


@click.command(cls=CliVerb, epilog=EXAMPLES)
@run_options.pair_option
@run_options.by_option
@run_options.reason_option
@click.option("--ticket", default="", metavar="ID", help="Record the number of the support ticket.")
@click.option(
    "--without-probe", is_flag=True, help="Check neither components nor gates. This is recorded with your name."
)
@run_options.take_over_option
@run_options.kept_in_option
def command(
    pair: str, by: str, reason: str, ticket: str, take_over: str, kept_in: UpdateState, *, without_probe: bool
) -> int:
    """Release a complete pair from its hold, with a name and a reason.

    Every component is probed and every gate is polled. A partial, busy or unknown component keeps the hold.
    """
    release = HoldRelease(by=by, reason=reason, ticket=ticket, without_probe=without_probe, take_over=take_over)
    with shared.controller(kept_in) as controller:
        done = controller.clear(pair, release)
    if isinstance(done, Declined):
        return shared.declined(pair, done, kept_in)
    found = ", ".join(f"{name} {state}" for name, state in done.states.items()) or "not probed"
    click.echo(f"pair {pair} is released from its hold ({found})")
    return 0
