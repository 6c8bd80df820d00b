"""Whether the program of a hook is safe and possible to start: checked when hooks are made, and before each start."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bundlekit.errors import ConfigError
from bundlekit.files import changeable_by_others
from bundlekit.update.engine.plan import PLACEHOLDER

PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

LINE: Final = 256
"""Bytes of a script's first line that count: BINPRM_BUF_SIZE of the kernel."""


def ensure_ours(argv: Sequence[str]) -> None:
    """ConfigError if another user could change the command, or a file that it is given to interpret."""
    if not argv or not argv[0].startswith("/"):
        raise ConfigError(
            f"The hook {' '.join(argv)!r} does not begin with an absolute path.",
            next_step="Write the whole path, so that it is clear which program runs.",
        )
    for path in (Path(word) for word in argv if word.startswith("/") and not PLACEHOLDER.search(word)):
        if not path.is_file():
            if path == Path(argv[0]):
                raise ConfigError(f"The hook {path} is not a file.", next_step="Install it, or correct the plan.")
            continue
        ensure_unchangeable(path, "hook")


def ensure_startable(path: Path) -> None:
    """ConfigError if the kernel could not start the program at ``path``. It is found when the plan is read.

    The program of a script is the one that its first line names (execve(2), "Interpreter scripts").
    """
    try:
        with path.open("rb") as file:
            first = file.readline(LINE)
    except OSError as error:
        raise ConfigError(f"The hook {path} cannot be read: {error.strerror}.") from error
    if not os.access(path, os.X_OK):
        raise ConfigError(f"The hook {path} is not executable.", next_step=f"chmod +x {shlex.quote(str(path))}")
    if not first.startswith(b"#!"):
        return
    if first.endswith(b"\r\n"):
        raise ConfigError(
            f"The hook {path} has lines that end in CR LF, so its interpreter is not found.",
            next_step=f"sed -i 's/\\r$//' {shlex.quote(str(path))}",
        )
    words = first[2:].decode(errors="replace").split()
    if not words or not os.access(words[0], os.X_OK):
        raise ConfigError(
            f"The hook {path} needs the interpreter {words[0] if words else ''!r}, which is missing or cannot be run.",
            next_step="Install it, or correct the first line of the hook.",
        )
    if Path(words[0]).name == "env" and len(words) == 2 and not shutil.which(words[1], path=PATH):
        raise ConfigError(
            f"The hook {path} needs {words[1]!r}, which is not in {PATH}.",
            next_step="Install it there, or write its whole path in the first line of the hook.",
        )


def ensure_unchangeable(path: Path, what: str) -> None:
    """ConfigError if a user other than its owner, root or us could change the file at ``path``, or if it is gone."""
    try:
        part = changeable_by_others(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    if part:
        raise ConfigError(
            f"The {what} {path} is not safe: other users can change {part}.",
            next_step=f"Only root or you must be able to change it: chmod go-w {part}.",
        )
