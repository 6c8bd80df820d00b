"""The bytes in which two spans differ: how many, and where. Both are read once, as streams."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bundlekit.model.bundle import Span
from bundlekit.model.primitives import Frozen
from bundlekit.source import stream_of, will_read

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundlekit.source import Source

BLOCK: Final = 4 * 1024 * 1024
"""Bytes of each file in memory at once."""

MAX_RANGES: Final = 256
"""Ranges that are listed. Bytes after these are only counted."""

JOINED: Final = 8
"""Ranges less than this many bytes apart are one. A changed digest is then one range, not three."""

_RUN: Final = re.compile(rb"[^\0]++(?:\0{1,%d}[^\0]++)*+" % (JOINED - 1))


class ByteDifference(Frozen, frozen=True, kw_only=True):
    """The bytes that differ, and the first ranges of them as offsets from the start of each span.

    ``count`` also counts the bytes that only the longer span has. The last range then contains them.
    """

    count: int
    ranges: tuple[tuple[int, int], ...]


def difference(old: Source, at_old: Span, new: Source, at_new: Span, advance: Callable[[int], None]) -> ByteDifference:
    """Compare two spans. ``advance`` is called with each number of bytes read. Memory: 16 MiB at most.

    Raises UnreadableError and ChangedWhileReadError as the sources do.
    """
    common, longest = min(at_old.size, at_new.size), max(at_old.size, at_new.size)
    found = _Runs()
    one, other = bytearray(min(BLOCK, common)), bytearray(min(BLOCK, common))
    first, second = stream_of(old, at_old), stream_of(new, at_new)
    will_read(first, at_old.start, at_old.start + common)
    will_read(second, at_new.start, at_new.start + common)
    for at in range(0, common, BLOCK):
        size = min(BLOCK, common - at)
        if size < len(one):
            one, other = bytearray(size), bytearray(size)
        first.readinto(at_old.start + at, memoryview(one))
        second.readinto(at_new.start + at, memoryview(other))
        advance(2 * size)
        if one != other:
            found.add_block(at, one, other)
    if longest > common:
        found.add(common, longest, longest - common)
    return ByteDifference(count=found.count, ranges=tuple(found.ranges))


class _Runs:
    """The runs found so far, joined over the ends of blocks."""

    def __init__(self) -> None:
        self.count = 0
        self.ranges: list[tuple[int, int]] = []

    def add_block(self, at: int, one: bytearray, other: bytearray) -> None:
        both = int.from_bytes(one, "little") ^ int.from_bytes(other, "little")
        changed = both.to_bytes(len(one), "little")
        self.count += len(changed) - changed.count(0)
        for run in _RUN.finditer(changed):
            if not self._listed(at + run.start(), at + run.end()):
                return

    def add(self, start: int, stop: int, count: int) -> None:
        self.count += count
        self._listed(start, stop)

    def _listed(self, start: int, stop: int) -> bool:
        """Add a range, or extend the last one. False if no more of them are listed."""
        if self.ranges and start - self.ranges[-1][1] < JOINED:
            self.ranges[-1] = (self.ranges[-1][0], stop)
            return True
        if len(self.ranges) == MAX_RANGES:
            return False
        self.ranges.append((start, stop))
        return True
