"""The bytes of two bundles, region by region."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bundlekit.comparison.regions import FILLING, regions_of, whole
from bundlekit.errors import CancelledError
from bundlekit.integrity.byte_difference import difference
from bundlekit.model.bundle import Span
from bundlekit.report.comparison import ByteRange, RegionChange
from bundlekit.source import read, with_decoded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bundlekit.comparison.parts import OpenedBundle
    from bundlekit.comparison.regions import Region
    from bundlekit.integrity import Cancel, ReadProgress
    from bundlekit.integrity.byte_difference import ByteDifference
    from bundlekit.source import Source

SMALL: Final = 64 * 1024
"""Bytes of filling that are read at once. No block of flash memory that a format fills is larger."""

DERIVED: Final = frozenset({"signature", "checked", "padding", "decoded"})
"""Kinds of regions that do not count if signatures are ignored.

*checked* framing and *padding* follow from what they frame, and the check of each bundle compares them with that.
"""
PINNED: Final = frozenset({"payload", "padding", "decoded"})
"""Kinds of regions that the signed description determines, so that they need not be read if it is authentic."""


def region_changes(
    old: OpenedBundle,
    new: OpenedBundle,
    *,
    payload: bool,
    ignore_signatures: bool,
    progress: ReadProgress | None = None,
    cancel: Cancel | None = None,
) -> tuple[RegionChange, ...]:
    """The regions whose bytes differ, in the order of the new file, then those that only the old file has.

    ``payload``: compare the payload too. A bundle that could not be read to the end is compared as one region then.
    """
    if old.readable and new.readable:
        before, after = regions_of(old.bundle), regions_of(new.bundle)
    else:
        before, after = (whole(one.bundle) if payload else () for one in (old, new))
    work = _Work(old, new, ignore=ignore_signatures)
    ours = {one.key: one for one in before if payload or one.kind not in PINNED}
    theirs = {one.key: one for one in after if payload or one.kind not in PINNED}
    pairs = [(ours.get(key), theirs.get(key)) for key in dict.fromkeys((*theirs, *ours))]
    reading = _Reading(sum(min(a.span.size, b.span.size) for a, b in pairs if a and b) * 2, progress, cancel)
    found = tuple(change for a, b in pairs for change in work.compared(a, b, reading))
    for one in (old, new):
        one.source.ensure_unchanged()
    return found


class _Reading:
    """Counts the bytes that were read, reports them, and stops if the caller has cancelled."""

    def __init__(self, total: int, progress: ReadProgress | None, cancel: Cancel | None) -> None:
        self._total, self._progress, self._cancel = total, progress, cancel
        self._done = 0

    def __call__(self, count: int) -> None:
        self._done += count
        if self._progress:
            self._progress(self._done, self._total)
        if self._cancel and self._cancel():
            raise CancelledError("cancelled before everything was compared")


class _Work:
    """The two files, with their decoded streams."""

    def __init__(self, old: OpenedBundle, new: OpenedBundle, *, ignore: bool) -> None:
        self._old = with_decoded(old.source, old.bundle.streams)
        self._new = with_decoded(new.source, new.bundle.streams)
        self._ignore = ignore

    def compared(self, old: Region | None, new: Region | None, reading: _Reading) -> Iterator[RegionChange]:
        """The change of one region; nothing if its bytes are the same."""
        one = new or old
        assert one is not None  # noqa: S101 - a pair has at least one side
        found: ByteDifference | None = None
        if old and new:
            found = difference(self._old, old.span, self._new, new.span, reading)
            if not found.count:
                return
        elif not one.span.size:
            return
        yield RegionChange(
            region=one.name if not one.number else f"{one.name} ({one.number + 1})",
            kind=one.kind,
            change="changed" if old and new else "added" if new else "removed",
            old=old.span if old else None,
            new=new.span if new else None,
            differing=found.count if found else one.span.size,
            ranges=tuple(_ranges(old.span, new.span, found.ranges)) if found and old and new else (),
            ignored=self._ignore and (one.kind in DERIVED or self._only_fills(old, new)),
        )

    def _only_fills(self, old: Region | None, new: Region | None) -> bool:
        """Whether a region only fills a block of flash memory, which a signature can require."""
        sides = [(self._old, old), (self._new, new)]
        return all(one is None or _is_filling(source, one) for source, one in sides)


def _is_filling(source: Source, region: Region) -> bool:
    if not FILLING.match(region.name) or region.span.size > SMALL:
        return False
    data = read(source, region.span)
    return data[:1] in (b"\x00", b"\xff") and data.count(data[0]) == len(data)


def _ranges(old: Span, new: Span, found: Iterable[tuple[int, int]]) -> Iterator[ByteRange]:
    for start, stop in found:
        yield ByteRange(old=_part(old, start, stop), new=_part(new, start, stop))


def _part(whole: Span, start: int, stop: int) -> Span:
    first = min(whole.start + start, whole.stop)
    return Span(start=first, stop=min(whole.start + stop, whole.stop), stream=whole.stream)
