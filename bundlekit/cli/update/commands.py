"""The verbs of ``bundlekit update``, and the commands among the next steps, with the state folder of this call.

Commands are worded in many places, and most of these do not know the folder. So the folder is added where text is
printed: in the output of commands, and in the next step of an error.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any, Final

import click

VERBS: Final = {
    "cancel": "Ask a run to stop. Before the commit point it reverts.",
    "clear": "Release a complete pair from its hold, with a name and a reason.",
    "log": "Show what a run did, or export a support bundle for the vendor.",
    "plan": "Show what an update would do, and the outcome of each failure.",
    "repair": "Finish a degraded pair with the bundle of its run.",
    "resume": "Continue a run that has not ended.",
    "revert": "Retry the failed reverts of a run, with a name and a reason.",
    "run": "Update a pair.",
    "state": "Write STATE.json from what the pair reports.",
    "status": "Show which runs are in progress or wait, and which pairs are on hold.",
}
"""The verbs of ``bundlekit update``, and the first lines of their help."""

STATE_DIR: Final = "/var/lib/bundlekit"

WITH_FOLDER: Final = sorted(VERBS.keys() - {"state"})
"""The verbs that take --state-dir."""

_COMMAND: Final = re.compile(rf"\bbundlekit update (?:{'|'.join(WITH_FOLDER)})\b")
_FOLDER: Final = f"{__name__}.folder"


def remember(context: click.Context, _option: click.Parameter, folder: Path) -> Path:
    """Remember the folder of --state-dir for the next steps that this call prints."""
    context.meta[_FOLDER] = folder
    return folder


def pasteable(text: str) -> str:
    """``text`` with --state-dir in its commands, where this call has another folder than the default."""
    context = click.get_current_context(silent=True)
    folder: Any = context.meta.get(_FOLDER) if context else None
    if folder is None or folder == Path(STATE_DIR):
        return text
    return _COMMAND.sub(lambda command: f"{command[0]} --state-dir {shlex.quote(str(folder))}", text)
