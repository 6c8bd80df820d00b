"""What something is that is no regular file, and why the system does not open it."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def kind_of(mode: int) -> str:
    """The kind of a file that is not a regular file; empty for a regular file."""
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "" if stat.S_ISREG(mode) else "not a regular file")


def reason(fault: OSError | ValueError, path: str | Path = "") -> str:
    """Why ``path`` cannot be opened: its kind, or the words of the system.

    The system has no plain words for a socket, for a terminal that is gone, and for a folder that is opened to write.
    A name with a NUL character never reaches it.
    """
    if not isinstance(fault, OSError):
        return "the name contains a NUL character" if "null" in str(fault) else str(fault)
    if path and fault.errno in {errno.ENXIO, errno.EISDIR, errno.ENODEV}:
        with suppress(OSError):
            if kind := kind_of(os.stat(path).st_mode):
                return f"it is {kind}"
    return fault.strerror or str(fault)
