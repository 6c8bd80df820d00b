"""The byte map: a picture of the sections of a file, of what covers each byte, and of the damage.

A header of 96 bytes next to an image of 4 GiB would not be seen at scale. Each part therefore has a minimum width, and
the rest of the width is shared in proportion to the sizes.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from bundlekit.report import phrases
from bundlekit.report.html.markup import Markup, element, foreign, joined, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bundlekit.integrity import Covered
    from bundlekit.model.bundle import Section, Span
    from bundlekit.report.model import Report

_Placed = TypeVar("_Placed", "Section", "Covered")

WIDTH: Final = 340
"""Units of the drawing, which are pixels on the narrowest screen."""

MIN_WIDTH: Final = 9.0
MAX_PARTS: Final = 24
"""Parts of one row that are drawn one by one. Neighbours are drawn together where there are more."""

HOW: Final = {
    "signed": "signed bytes",
    "signature": "signature",
    "digest": "digest",
    "chunks": "chunk digests",
    "tree": "hash tree",
    "archive": "archive structure",
    "zero": "checked to be zero",
    "framing": "framing, not covered",
    "checked": "framing with one possible value",
    "decoded": "decoded stream",
    "nothing": "covered by nothing",
}
"""What covers the bytes, in words."""


class _Part(NamedTuple):
    """A stretch of one row: its bytes, its label, and the class of its colour."""

    start: int
    stop: int
    label: str
    kind: str


class Scale:
    """Offsets in a file as places on the picture. ``cuts`` are the offsets at which a part begins or ends."""

    def __init__(self, size: int, cuts: Sequence[int]) -> None:
        self._cuts = sorted({0, size, *(cut for cut in cuts if 0 <= cut <= size)})
        sizes = [stop - start for start, stop in zip(self._cuts, self._cuts[1:], strict=False)]
        least = min(MIN_WIDTH, WIDTH / max(len(sizes), 1))
        spare = WIDTH - least * len(sizes)
        self._places = [0.0]
        for one in sizes:
            self._places.append(self._places[-1] + least + spare * one / max(size, 1))

    def place(self, offset: int) -> float:
        """Where the byte at ``offset`` is drawn. An offset outside the file is drawn at its end."""
        index = min(max(bisect_right(self._cuts, offset) - 1, 0), len(self._places) - 1)
        here = self._places[index]
        if index + 1 >= len(self._cuts):
            return here
        start, stop = self._cuts[index], self._cuts[index + 1]
        return here + (self._places[index + 1] - here) * (max(offset, start) - start) / (stop - start)


def byte_maps(report: Report) -> Markup:
    """A picture for each file of the bundle, and the same facts as a table."""
    sizes: dict[str, int] = {}
    for covered in report.coverage.map:
        if covered.span.stop > sizes.get(covered.span.stream, 0):
            sizes[covered.span.stream] = covered.span.stop
    if not sizes:
        return element("p", text("The file has no bytes, or its layout could not be read."))
    return joined([_map(report, stream, size) for stream, size in sizes.items()] + [_legend(report), _table(report)])


def _map(report: Report, stream: str, size: int) -> Markup:
    sections = [_Part(s.span.start, min(s.span.stop, size), s.name, "") for s in _of(report.coverage.sections, stream)]
    covered = [_Part(c.span.start, c.span.stop, HOW.get(c.by, c.by), c.by) for c in _of(report.coverage.map, stream)]
    sections, covered = _few(sections), _few(covered)
    scale = Scale(size, [cut for part in (*sections, *covered) for cut in (part.start, part.stop)])
    damage = [one for one in _damage(report) if one.stream == stream]
    name = stream or report.request.file
    drawn = [
        element("title", text(f"Byte map of {name}, {size:,} bytes")),
        element("desc", text(_told(sections, covered, damage))),
        *_row(sections, scale, 16, "section"),
        *_row(covered, scale, 52, "cover"),
        *(_mark(one, scale) for one in damage[:MAX_PARTS]),
        element("text", text("0"), x=0, y=98, class_="scale"),
        element("text", text(f"{size:,} bytes"), x=WIDTH, y=98, class_="scale", text_anchor="end"),
    ]
    return element(
        "svg", *drawn, viewBox=f"0 0 {WIDTH} 104", role="img", class_="map", xmlns="http://www.w3.org/2000/svg"
    )


def _of(parts: Sequence[_Placed], stream: str) -> list[_Placed]:
    return [part for part in parts if part.span.stream == stream]


def _few(parts: list[_Part]) -> list[_Part]:
    """At most ``MAX_PARTS`` parts: the smallest gaps between large ones are closed by drawing neighbours together."""
    if len(parts) <= MAX_PARTS:
        return parts
    large = sorted(sorted(parts, key=lambda part: part.start - part.stop)[: MAX_PARTS // 2])
    found: list[_Part] = []
    for part in sorted(parts):
        if part in large or not found or found[-1].kind != "several":
            found.append(part if part in large else part._replace(label="several small parts", kind="several"))
        else:
            found[-1] = found[-1]._replace(stop=part.stop)
    return found


def _row(parts: Sequence[_Part], scale: Scale, top: int, row: str) -> Iterator[Markup]:
    for number, part in enumerate(parts, 1):
        left, right = scale.place(part.start), scale.place(part.stop)
        place = {"x": f"{left:.1f}", "y": top, "width": f"{max(right - left, 1):.1f}", "height": 30}
        label = element("title", text(f"{part.label}, 0x{part.start:x}..0x{part.stop:x}"))
        yield element("rect", label, class_=f"{row} {part.kind or 'plain'}", **place)
        if row == "section" and right - left >= 7 * len(str(number)):
            middle = f"{(left + right) / 2:.1f}"
            yield element("text", text(number), x=middle, y=top + 20, class_="number", text_anchor="middle")


def _mark(where: Span, scale: Scale) -> Markup:
    """A triangle above the damage, and a line through both rows."""
    at = (scale.place(where.start) + scale.place(where.stop)) / 2
    shape = f"M{at:.1f} 14l-6 -11h12zM{at:.1f} 14v70"
    return element("path", element("title", text(f"damage: bytes {where}")), d=shape, class_="damage")


def _damage(report: Report) -> list[Span]:
    return [one.where for one in report.findings if one.where is not None and phrases.severity(one) == "error"]


def _told(sections: Sequence[_Part], covered: Sequence[_Part], damage: Sequence[Span]) -> str:
    """The picture in words."""
    parts = ", ".join(dict.fromkeys(part.label for part in sections)) or "no section is known"
    how = ", ".join(dict.fromkeys(part.label for part in covered))
    where = ", ".join(str(one) for one in damage[: phrases.MAX_SPANS]) or "none"
    return f"Sections in order: {parts}. Covered by: {how}. Damage: {where}."


def _legend(report: Report) -> Markup:
    kinds = dict.fromkeys(covered.by for covered in report.coverage.map)
    items = [element("li", element("span", class_=f"swatch {kind}"), text(f" {HOW.get(kind, kind)}")) for kind in kinds]
    if _damage(report):
        items.append(element("li", text("▼ damage")))
    return joined(
        [
            element(
                "p", text("Upper row: the sections by number. Lower row: what covers them. Small parts are enlarged.")
            ),
            element("ul", *items, class_="legend"),
        ]
    )


def _table(report: Report) -> Markup:
    head = element("tr", *(element("th", text(name), scope="col") for name in ("No.", "Section", "Bytes", "Size")))
    rows = []
    counts: dict[str, int] = {}
    for section in report.coverage.sections:
        counts[section.span.stream] = number = counts.get(section.span.stream, 0) + 1
        cells = (text(number), foreign(section.name), text(section.span), text(f"{section.span.size:,}"))
        rows.append(element("tr", *(element("td", cell) for cell in cells)))
    if not rows:
        return element("p", text("No section could be read."))
    caption = element("caption", text("Sections of the file"))
    return element("table", caption, element("thead", head), element("tbody", *rows), class_="short")
