"""The regions of a bundle: its bytes in named pieces, which can be paired with those of another bundle.

Sections and claims divide the file. A rebuild without signatures has shorter archives and other offsets. Its regions
still have the same names, so only real differences remain.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from bundlekit.integrity import coverage
from bundlekit.model.bundle import Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bundlekit.integrity import Covered
    from bundlekit.model.bundle import Bundle, Section
    from bundlekit.report.comparison import RegionKind

_KINDS: Final[dict[str, RegionKind]] = {
    "signature": "signature",
    "zero": "padding",
    "framing": "framing",
    "checked": "checked",
    "decoded": "decoded",
    "nothing": "uncovered",
}
"""The kind of region by what covers it. Everything else is payload, or a part of the head."""

FILLING: Final = re.compile(r"padding|erased flash")
"""Sections that only fill a block of flash memory, although a signature can cover them."""


class Region(NamedTuple):
    """Adjacent bytes of one name and kind. ``number`` distinguishes regions of the same name, in file order."""

    name: str
    number: int
    kind: RegionKind
    span: Span

    @property
    def key(self) -> tuple[str, int]:
        """What a region has in common with that of another bundle."""
        return self.name, self.number


def whole(bundle: Bundle) -> tuple[Region, ...]:
    """The whole file as one region, for a bundle that could not be read to the end."""
    return (Region("file", 0, "file", Span(start=0, stop=bundle.size)),)


def regions_of(bundle: Bundle) -> tuple[Region, ...]:
    """The regions of a bundle that was read to the end, and of its streams. Every byte is in exactly one."""
    pieces = [*coverage(bundle), *(one for name in bundle.streams for one in coverage(bundle, name))]
    view = _View(bundle)
    found: list[tuple[str, RegionKind, Span]] = []
    for piece in pieces:
        for span in view.cut(piece.span):
            name, kind = view.describe(piece, span)
            if kind == "padding":
                name = f"padding after {found[-1][0]}" if found and found[-1][1] != "padding" else name
            before = found[-1] if found else None
            if before and before[:2] == (name, kind) and _adjacent(before[2], span):
                found[-1] = (name, kind, Span(start=before[2].start, stop=span.stop, stream=span.stream))
            else:
                found.append((name, kind, span))
    seen: Counter[str] = Counter()
    regions = []
    for name, kind, span in found:
        regions.append(Region(name, seen[name], kind, span))
        seen[name] += 1
    return tuple(regions)


def _adjacent(before: Span, after: Span) -> bool:
    return before.stream == after.stream and before.stop == after.start


class _View:
    """The sections of a bundle by their places, and which of them contain signatures."""

    def __init__(self, bundle: Bundle) -> None:
        signatures = bundle.signatures or ()
        self._head = bundle.head
        self._enclosed = any(one.form == "cms-enclosing" for one in signatures)
        self._sections: dict[str, list[Section]] = {}
        for section in sorted(bundle.sections, key=lambda one: (one.span.start, -one.span.stop)):
            self._sections.setdefault(section.span.stream, []).append(section)
        entries = [one.entry for one in signatures] + ([bundle.area] if bundle.area else [])
        self._signing = {
            section.name for section in bundle.sections if any(_within(section.span, entry) for entry in entries)
        }
        self._area = bundle.area
        spans = [one.span for one in bundle.sections] + ([bundle.head] if bundle.head else [])
        self._places: dict[str, list[int]] = {}
        for span in spans:
            self._places.setdefault(span.stream, []).extend((span.start, span.stop))
        for places in self._places.values():
            places.sort()

    def cut(self, span: Span) -> Iterator[Span]:
        """``span`` in pieces that do not cross the ends of a section or of the head."""
        places = self._places.get(span.stream, [])
        inside = places[bisect_right(places, span.start) : bisect_left(places, span.stop)]
        for start, stop in pairwise(dict.fromkeys((span.start, *inside, span.stop))):
            yield Span(start=start, stop=stop, stream=span.stream)

    def describe(self, piece: Covered, span: Span) -> tuple[str, RegionKind]:
        """The name and kind of a piece."""
        section = _section_at(self._sections.get(span.stream, ()), span.start)
        name = section.name if section else piece.subject or "between sections"
        kind = _KINDS.get(piece.by)
        in_head = self._head is not None and _within(span, self._head)
        if kind == "signature" and in_head and self._enclosed:
            return "manifest", "head"
        if self._area is not None and _within(span, self._area):
            return name, "signature"
        if kind == "signature":
            return name if section and section.name in self._signing else "signature", kind
        if kind in ("framing", "checked"):
            signing = any(piece.subject.endswith(f" of {one}") for one in self._signing)
            return piece.subject, "signature" if signing else kind
        if kind is None:
            return name, "head" if in_head else "payload"
        return name, kind


def _section_at(sections: Sequence[Section], at: int) -> Section | None:
    """The last section that begins at or before a byte, if the byte is in it."""
    place = bisect_right(sections, at, key=lambda one: one.span.start)
    return sections[place - 1] if place and sections[place - 1].span.stop > at else None


def _within(one: Span, other: Span) -> bool:
    return one.stream == other.stream and other.start <= one.start and one.stop <= other.stop
