"""Sets of versions as bits of an integer: thousands of entries are compared with thousands of versions.

A bit stands for a place in the order of the versions. A range is an interval of places, found by bisection. Integers of
some thousand bits are combined in a few hundred nanoseconds, whatever the range contains.
"""

from __future__ import annotations

import bisect
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bundlekit.matrix.read import ReadSource, ReadStop
    from bundlekit.versions import Range, Version


def span(start: int, stop: int) -> int:
    """The bits from ``start`` up to but not including ``stop``."""
    return (1 << stop) - (1 << start) if start < stop else 0


def places(mask: int) -> Iterator[int]:
    """The places of the bits that are set, in rising order."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


class VersionLine:
    """Versions in their order, one for each text, and the sets of them that ranges and entries are about.

    ``versions`` are these by their texts (an alias is a text too). ``known`` are those that the matrix lists.
    """

    def __init__(self, versions: Mapping[str, Version], known: Iterable[Version]) -> None:
        self.texts: Sequence[str] = sorted(versions, key=versions.__getitem__)
        self.versions: Sequence[Version] = [versions[text] for text in self.texts]
        self.place = {text: place for place, text in enumerate(self.texts)}
        self.every = span(0, len(self.versions))
        self.known = 0
        for one in known:
            self.known |= self.same_as(one)
        self._begins: dict[int, dict[str, list[int]]] = {}
        self._masks: dict[str, int] = {}

    @cached_property
    def _as_releases(self) -> Sequence[Version]:
        return [one.as_release for one in self.versions]  # in the same order as the versions

    def same_as(self, version: Version) -> int:
        """The places of the versions that are equal to this one, however they are written."""
        return span(bisect.bisect_left(self.versions, version), bisect.bisect_right(self.versions, version))

    def below(self, version: Version) -> int:
        """The places of the versions before this one."""
        return span(0, bisect.bisect_left(self.versions, version))

    def within(self, versions: Range, *, by_release: bool = False) -> int:
        """The places of the versions that a range contains. ``by_release`` compares their releases instead."""
        line = self._as_releases if by_release else self.versions
        start, stop, holes = 0, len(line), 0
        for clause in versions.clauses:
            left, right = bisect.bisect_left(line, clause.bound), bisect.bisect_right(line, clause.bound)
            match clause.operator:
                case ">=":
                    start = max(start, left)
                case ">":
                    start = max(start, right)
                case "<=":
                    stop = min(stop, right)
                case "<":
                    stop = min(stop, left)
                case "!=":
                    holes |= span(left, right)
                case _:
                    start, stop = max(start, left), min(stop, right)
        return span(start, stop) & ~holes

    def covered(self, source: ReadSource, *, listed: bool = False) -> int:
        """The places of the versions that a source admits. ``listed`` treats all of them as listed by the matrix."""
        mask = self.within(source.range, by_release=source.entry.by_release)
        if not (listed or source.entry.unlisted):
            mask &= self.known
        for denied in source.denied:
            mask &= ~self.same_as(denied)
        return mask

    def sent(self, stop: ReadStop, own: Version) -> int:
        """The places of the versions that must pass a stop before the release ``own``."""
        if not stop.via < own:
            return 0
        mask = self.within(stop.range) & self.below(stop.via)
        return mask & ~self._beginning(stop.prefix) if stop.prefix is not None else mask

    def _beginning(self, prefix: tuple[int, ...]) -> int:
        """The places of the versions that have reached a release with these leading numbers."""
        length, wanted = len(prefix), _dotted(prefix)
        if length not in self._begins:
            found = self._begins[length] = {}
            for place, version in enumerate(self.versions):
                if len(version.numbers) >= length and not version.is_prerelease:
                    found.setdefault(_dotted(version.numbers[:length]), []).append(place)
        if wanted not in self._masks:
            mask = bytearray(len(self.versions) // 8 + 1)
            for place in self._begins[length].get(wanted, ()):
                mask[place // 8] |= 1 << place % 8
            self._masks[wanted] = int.from_bytes(mask, "little")
        return self._masks[wanted]


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))  # by text, as hashes of numbers can be made to collide
