"""The commands that are told as next steps, with the state folder of this call: a command that is told can be pasted.

Commands are worded in many places, most of which know no folder. So the folder is put in where text leaves: in
what the verbs show, and in the next step of an error.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any, Final

import click

from bundlekit.cli.update import VERBS

STATE_DIR: Final = "/var/lib/bundlekit"

WITH_FOLDER: Final = sorted(VERBS.keys() - {"state"})
"""The verbs that take --state-dir."""

_COMMAND: Final = re.compile(rf"\bbundlekit update (?:{'|'.join(WITH_FOLDER)})\b")
_FOLDER: Final = f"{__name__}.folder"


def remember(context: click.Context, _option: click.Parameter, folder: Path) -> Path:
    """Keep the folder of --state-dir for what this call is going to tell."""
    context.meta[_FOLDER] = folder
    return folder


def pasteable(text: str) -> str:
    """``text`` with --state-dir in its commands, where this call has another folder than the default."""
    context = click.get_current_context(silent=True)
    folder: Any = context.meta.get(_FOLDER) if context else None
    if folder is None or folder == Path(STATE_DIR):
        return text
    return _COMMAND.sub(lambda command: f"{command[0]} --state-dir {shlex.quote(str(folder))}", text)
