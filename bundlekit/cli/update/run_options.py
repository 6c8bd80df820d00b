"""The options that several commands of ``bundlekit update`` have."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import click

from bundlekit.cli import options, parameters
from bundlekit.cli.naming import STATE_DIR, remember
from bundlekit.cli.parameters import path_type
from bundlekit.cli.update import common as shared
from bundlekit.update.state.update_state import FolderState, open_state

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

# Which pair, which run

pair_option: Final = options.pair_option()
any_pair_option: Final = options.pair_option("Choose one pair. The default is all of them.", required=False)
state_dir_option: Final = click.option(
    "--state-dir",
    type=path_type,
    default=STATE_DIR,
    show_default=True,
    envvar="BUNDLEKIT_STATE_DIR",
    show_envvar=True,
    callback=remember,
    help="Use this folder, which must be your own (mode 0700): for the journal, or with --state for copies and logs.",
)

Function = TypeVar("Function", bound=Callable[..., Any])


def kept_in_option(command: Function, /) -> Function:
    """The options about where runs are kept. The command gets the state as ``kept_in``, closed when it ends."""

    @wraps(command)
    def opened(*arguments: Any, state: str | None, state_dir: Path, **given: Any) -> Any:
        kept_in = open_state(state, folder=state_dir) if state else FolderState(state_dir)
        try:
            return command(*arguments, kept_in=kept_in, **given)
        finally:
            kept_in.close()

    database = options.database_option("Keep the journal in this PostgreSQL database, which hosts can share")
    return cast("Function", options.combined(database, state_dir_option)(opened))


take_over_option: Final = click.option(
    "--take-over",
    default="",
    metavar="RUN",
    help="Replace this run of another controller that is permanently gone. The message about it names the run.",
)

# Who does it, and why


def _filled(_context: click.Context, _option: click.Parameter, text: str) -> str:
    """A text that is not empty, because it is recorded permanently."""
    if not text.strip():
        raise click.BadParameter("is empty")
    return text


by_option: Final = click.option(
    "--by", required=True, metavar="NAME", callback=_filled, help="Record this name of the person responsible."
)
reason_option: Final = click.option(
    "--reason", required=True, metavar="TEXT", callback=_filled, help="Record this reason."
)

# With which files

state_option: Final = options.appliance_option("Use this state of the pair.", required=True)
plan_option: Final = click.option(
    "--plan",
    "plan_path",
    type=path_type,
    metavar="PLAN.toml",
    help="Use the steps, policy and hooks in this plan.",
)
file_option: Final = click.option(
    "--bundle", type=path_type, help="Use this bundle if it is no longer at its original path."
)

# Until when


def _still_ahead(context: click.Context, option: click.Parameter, time: dt.datetime | None) -> dt.datetime | None:
    """A window that is over is a mistake of the one who types it, also where everything would only be staged."""
    if time is not None and time.timestamp() < shared.clock().now().wall:
        spelled = parameters.local_time(time.timestamp())
        raise click.BadParameter(f"{spelled} has already passed", ctx=context, param=option)
    return time


window_options: Final = options.combined(
    click.option("--until", type=click.Choice(["prepared", "end"]), help="Stop when everything is staged."),
    click.option(
        "--not-after",
        type=parameters.Deadline(),
        metavar="TIME",
        callback=_still_ahead,
        help="Start to switch to the new version no later than this. A date means the end of that day, local time.",
    ),
)
"""The options about when to stop."""
detach_option: Final = click.option(
    "--detach", is_flag=True, help="Do not wait for gates, but exit with 75 and let a timer resume."
)

# What is printed

json_option: Final = click.option(
    "--json", "as_lines", is_flag=True, help="Print JSON for programs, one object on each line."
)

running_options: Final = options.combined(options.trust_option, kept_in_option, detach_option, json_option)
"""The options of the commands that run something: ``run``, ``resume``, ``repair``."""
