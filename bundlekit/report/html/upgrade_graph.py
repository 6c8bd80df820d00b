"""The upgrade graph: a picture of who can come to a release, from where, and through which stops.

Each row is a run of versions that reach the release in the same way. The columns are the versions, the stops, and the
release. The rows are drawn for the narrowest screen; a table has the same facts in words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bundlekit.report.html.markup import Markup, element, foreign, joined, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.matrix.upgrade_map import UpgradeMap, UpgradeWay

WIDTH: Final = 340
ROW: Final = 34
HEAD: Final = 34
LEFT: Final = 128
"""Where the lines begin, to the right of the versions."""

RIGHT: Final = WIDTH - 34
MAX_ROWS: Final = 60
MAX_LABEL: Final = 19
MAX_COLUMNS: Final = 3

WAYS: Final = {
    "direct": "direct update",
    "via-stops": "through stops",
    "installed": "already installed",
    "none": "no path",
}
"""How the versions reach the release, in words."""

BEYOND: Final = " in this matrix; a path through other releases was not evaluated"


def upgrade_graph(upgrades: UpgradeMap) -> Markup:
    """The picture, its legend, and the table."""
    ways = upgrades.ways
    if not ways:
        return element("p", text("The matrix names no version."))
    drawn = ways[:MAX_ROWS]
    height = HEAD + ROW * len(drawn) + 8
    stops = upgrades.stops
    columns = {stop: LEFT + (RIGHT - LEFT) * (place + 1) / (len(stops) + 1) for place, stop in enumerate(stops)}
    parts = [
        element("title", text(f"Upgrade graph of {upgrades.product} {upgrades.version}")),
        element("desc", text(_told(upgrades))),
        *_heads(upgrades, columns),
        element("rect", x=RIGHT, y=HEAD - 6, width=30, height=height - HEAD, rx=4, class_="target"),
    ]
    for place, way in enumerate(drawn):
        parts += _row(way, HEAD + ROW * place + ROW // 2 - 2, columns)
    picture = element(
        "svg", *parts, viewBox=f"0 0 {WIDTH} {height}", role="img", class_="graph", xmlns="http://www.w3.org/2000/svg"
    )
    more = []
    if len(ways) > MAX_ROWS:
        more.append(element("p", text(f"{len(ways) - MAX_ROWS:,} more rows are in the table only.")))
    legend = "● stop   ▶ reaches the release   ✕ no path"
    return joined([picture, *more, element("p", text(legend), class_="legend"), _table(upgrades)])


def _heads(upgrades: UpgradeMap, columns: dict[str, float]) -> Iterator[Markup]:
    yield element("text", text("from"), x=0, y=16, class_="scale")
    yield element("text", text(_short(upgrades.version, 14)), x=WIDTH, y=16, class_="scale", text_anchor="end")
    if len(columns) <= MAX_COLUMNS:
        for stop, place in columns.items():
            # The name of a column at the right would run into that of the release, so it is one line below.
            yield element("text", text(_short(stop, 14)), x=f"{place:.1f}", y=28, class_="scale", text_anchor="middle")
    else:
        yield element("text", text(f"{len(columns)} stops"), x=(LEFT + RIGHT) // 2, y=28, class_="scale")


def _row(way: UpgradeWay, y: int, columns: dict[str, float]) -> Iterator[Markup]:
    label = f"{way.model}: {way.label}" if way.model else way.label
    full = element("title", text(f"{label}: {WAYS[way.path]}"))
    yield element("text", full, text(_short(label, MAX_LABEL)), x=0, y=y + 4, class_="version")
    line = "none" if way.path == "none" else way.path
    end = LEFT + 40 if way.path == "none" else RIGHT - 8
    yield element("line", x1=LEFT, y1=y, x2=end, y2=y, class_=line)
    for stop in way.via:
        yield element(
            "circle", element("title", text(f"stop {stop}")), cx=f"{columns[stop]:.1f}", cy=y, r=6, class_="stop"
        )
    if way.path == "none":
        yield element("path", d=f"M{end - 5} {y - 5}l10 10m0 -10l-10 10", class_="cross")
        yield element("text", text(way.decision), x=end + 14, y=y + 4, class_="reason")
    else:
        yield element("path", d=f"M{end} {y - 6}l9 6l-9 6z", class_=f"tip {line}")


def _short(label: str, limit: int) -> str:
    return label if len(label) <= limit else f"{label[: limit - 1]}…"


def _told(upgrades: UpgradeMap) -> str:
    """The picture in words."""
    stranded = [way.label for way in upgrades.ways if way.stranded]
    beyond = [way.label for way in upgrades.ways if way.beyond]
    more = (
        f" Not evaluated, as they depend on bundles of other releases: paths from {', '.join(beyond)}."
        if beyond
        else ""
    )
    counted = {kind: sum(len(way.versions) for way in upgrades.ways if way.path == kind) for kind in WAYS}
    said = ", ".join(f"{count:,} {WAYS[kind]}" for kind, count in counted.items() if count)
    return f"Versions by their way: {said}. Stranded: {', '.join(stranded) or 'none'}.{more}"


def _table(upgrades: UpgradeMap) -> Markup:
    names = ("Installed version", "Way", "Reason")
    head = element("tr", *(element("th", text(name), scope="col") for name in names))
    rows = []
    for way in upgrades.ways:
        label = f"{way.model}: {way.label}" if way.model else way.label
        count = f" ({len(way.versions):,} versions)" if len(way.versions) > 2 else ""
        via = f" {', '.join(way.via)}" if way.via else ""
        how = f"{WAYS[way.path]}{via}{', stranded' if way.stranded else BEYOND if way.beyond else ''}"
        entry = f" (matrix entry {way.entry})" if way.entry else ""
        why = f"{way.message}{entry}" if way.path != "direct" else f"{way.decision}{entry}"
        cells = (element("th", foreign(label), text(count), scope="row"), element("td", foreign(how)))
        rows.append(element("tr", *cells, element("td", foreign(why))))
    caption = element("caption", text(f"Ways to {upgrades.product} {upgrades.version}"))
    return element("table", caption, element("thead", head), element("tbody", *rows))
