"""Parameters of the library as options of the command line, and commands as a shell takes them, for messages."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource

from bundlekit.wording import Wording

OTHERWISE: Final = {
    "sources": "--from",
    "advice": "--advisories",
    "advisory_serial": "--advisory-serial-at-least",
    "output": "-o",
    "bundle_formats": "--bundle-format",
}
"""The options whose names are not those of the parameters."""

STATE_DIR: Final = "/var/lib/bundlekit"
"""The folder of --state-dir if the option is not given."""

_FOLDER: Final = f"{__name__}.folder"
_DATABASE: Final = f"{__name__}.database"


def as_option(name: str, value: str = "") -> str:
    """The option for the parameter ``name``, with ``value`` if it is not empty."""
    option = OTHERWISE.get(name) or f"--{name.replace('_', '-')}"
    return f"{option} {value}" if value else option


def remember(context: click.Context, _option: click.Parameter, folder: Path) -> Path:
    """Remember the folder of --state-dir for the commands that this call prints."""
    context.meta[_FOLDER] = folder
    return folder


def remember_database(context: click.Context, option: click.Parameter, url: str | None) -> str | None:
    """Remember the URL of --state, for this call and for the commands that it prints."""
    from bundlekit.database.connection import PREFIXES

    if url and not url.startswith(PREFIXES):
        problem = "not the URL of a database (postgresql://...); for a folder, use --state-dir"
        raise click.BadParameter(problem, ctx=context, param=option)
    context.meta[_DATABASE] = url
    return url


def shell_command(verb: str, *arguments: object, **options: object) -> str:
    """A command of bundlekit that can be pasted into a shell.

    An option that is True has no value, one with several values is repeated, and one without a value is left out. The
    commands about runs have the --state and --state-dir of this call, unless it is the default. Those about rollouts
    have the --state, unless it comes from the environment. A password in the URL is left out.
    """
    about_runs = verb.startswith("update ") and verb != "update state"
    about_rollouts = verb.startswith("fleet ") and verb not in {"fleet plan", "fleet rehearse"}
    database = _database() if about_runs or (about_rollouts and _is_option("state")) else None
    words = ["bundlekit", *verb.split(), *_option("state", database)]
    words += _option("state_dir", _folder() if about_runs else None)
    words += [shlex.quote(str(argument)) for argument in arguments]
    return " ".join([*words, *(word for name, value in options.items() for word in _option(name, value))])


def _option(name: str, value: object) -> list[str]:
    values = value if isinstance(value, tuple | list) else (value,)
    given = [
        [as_option(name)] if one is True else [as_option(name), shlex.quote(str(one))]
        for one in values
        if one not in (None, "")
    ]
    return [word for each in given for word in each]


def _is_option(name: str) -> bool:
    """Whether this call has the parameter as an option, and not from the environment."""
    context = click.get_current_context(silent=True)
    return context is not None and context.get_parameter_source(name) is ParameterSource.COMMANDLINE


def _database() -> str:
    context = click.get_current_context(silent=True)
    url: str | None = context.meta.get(_DATABASE) if context else None
    if not url:
        return ""
    from bundlekit.database.connection import hidden

    return hidden(url)


def _folder() -> Path | None:
    context = click.get_current_context(silent=True)
    folder: Any = context.meta.get(_FOLDER) if context else None
    return None if folder == Path(STATE_DIR) else folder


def _quoted_command(verb: str, arguments: tuple[object, ...], parameters: Mapping[str, object]) -> str:
    return f"`{shell_command(verb, *arguments, **parameters)}`"


COMMAND_LINE: Final = Wording(as_option, _quoted_command)
"""The words for a person at a shell."""
