"""The digest of a whole file, for a statement about the file that was checked."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from bundlekit.errors import CancelledError, ChangedWhileReadError
from bundlekit.integrity.worker_pool import BUFFER
from bundlekit.source import file_of, pages, streams_of, will_read

if TYPE_CHECKING:
    from bundlekit.integrity.worker_pool import Cancel
    from bundlekit.source import Source


class WholeFiles:
    """The files of an open source, and the digests of their bytes after a check has read them.

    A check does not read a file in order, so the digest needs a second reading. A program that writes the file in
    between can reset its modification time, but not the change time of the inode. The two are therefore compared over
    both readings.
    """

    def __init__(self, source: Source) -> None:
        self._files: tuple[Source, ...] = (source, *streams_of(source).values())
        self._before = [_change_time(one) for one in self._files]

    def digests(self, cancel: Cancel | None = None) -> tuple[tuple[str, str], ...]:
        """The name of each file, and its SHA-256 in hex. The files of a detached head follow the head.

        Raises ChangedWhileReadError if a file was changed, moved or renamed since this object was made. Raises
        UnreadableError if it cannot be read, and CancelledError if ``cancel`` returned True.
        """
        found = tuple((one.name, _digest(one, cancel)) for one in self._files)
        for one, before in zip(self._files, self._before, strict=True):
            one.ensure_unchanged()
            if _change_time(one) != before:
                raise ChangedWhileReadError(
                    f"{one.name}: changed while it was read",
                    next_step="Wait until the file is no longer written or moved, then run again.",
                )
        return found


def _digest(source: Source, cancel: Cancel | None) -> str:
    state, buffer = hashlib.sha256(), pages(BUFFER)
    will_read(source, 0, source.size)
    for at in range(0, source.size, BUFFER):
        piece = buffer[: min(BUFFER, source.size - at)]
        source.readinto(at, piece)
        state.update(piece)
        if cancel and cancel():
            raise CancelledError("cancelled before everything was read")
    return state.hexdigest()


def _change_time(source: Source) -> int | None:
    """Nanoseconds since 1970 when the inode of the file was changed; None for bytes in memory."""
    opened = file_of(source)
    return None if opened is None else os.fstat(opened[0]).st_ctime_ns
