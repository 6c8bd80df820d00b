"""``bundlekit update revert``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bundlekit.cli.update import common as shared
from bundlekit.cli.update import run_options
from bundlekit.cli.verbs import CliVerb
from bundlekit.update.engine.executor import Declined

if TYPE_CHECKING:
    from bundlekit.update.state.update_state import UpdateState

EXAMPLES = f"""\b
Example:
  bundlekit update revert --pair imager-0042 --by "Ada King" --reason "disk 3 replaced"
{shared.CODES}"""


@click.command(cls=CliVerb, epilog=EXAMPLES)
@run_options.pair_option
@run_options.by_option
@run_options.reason_option
@run_options.take_over_option
@run_options.kept_in_option
@run_options.detach_option
@run_options.json_option
def command(
    pair: str, by: str, reason: str, take_over: str, kept_in: UpdateState, *, detach: bool, as_lines: bool
) -> int:
    """Retry the failed reverts of a run, with a name and a reason.

    Use it if a run ended needs-operator because of a failed revert, after fixing the cause. It starts a new run that
    only reverts. The pair stays on hold until the hold is cleared.
    """
    with shared.controller(kept_in, as_lines=as_lines, detach=detach) as controller:
        done = controller.revert(pair, by=by, reason=reason, take_over=take_over)
    if isinstance(done, Declined):
        return shared.declined(pair, done, kept_in)
    return shared.conclude(done, pair=pair, kept_in=kept_in, as_lines=as_lines)
