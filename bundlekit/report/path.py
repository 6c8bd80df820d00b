"""A path for people (text), for documents (Mermaid) and for slides (SVG): the same hops in three hands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bundlekit.report.escape import escape
from bundlekit.report.text import Line, operators
from bundlekit.wording import given

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.model.path import Hop, Obstacle, UpgradePath

# Pixels of the drawing: boxes one below the other, and next to each arrow what leads from one box to the next.
WIDTH: Final = 640
BOX_WIDTH: Final = 200
BOX_HEIGHT: Final = 40
ARROW: Final = 56
MARGIN: Final = 24

STYLE: Final = (
    "text{font-family:system-ui,sans-serif;font-size:14px;fill:#1f2933}"
    ".note{font-size:12px;fill:#52606d}.box{fill:#f5f7fa;stroke:#52606d}.end{fill:#e3f9e5;stroke:#207227}"
    ".far{fill:#ffffff;stroke:#ab091e;stroke-dasharray:5 4}line{stroke:#52606d}"
    ".gap{stroke:#ab091e;stroke-dasharray:5 4}"
)

TIP: Final = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    '<path d="M0 0L8 4L0 8z" fill="#52606d"/></marker></defs>'
)
"""The tip of an arrow."""


def lines(path: UpgradePath) -> Iterator[Line]:
    """The path, line by line, every character of it safe for a terminal."""
    for line in _lines(path):
        yield Line(escape(line.text), line.tone)


def _lines(path: UpgradePath) -> Iterator[Line]:
    width = max((len(hop.from_) for hop in path.hops), default=0)
    for number, hop in enumerate(path.hops, 1):
        yield Line(f"{number:>3}. {hop.from_:<{width}} -> {hop.to}{_beside(', ' + note(hop) if note(hop) else '')}")
        for move in hop.moves:
            entry = f" (matrix entry {move.entry})" if move.entry else ""
            subject = move.component if move.subject == move.component else f"{move.subject} {move.component}"
            yield Line(f"     part {subject}: {move.from_} -> {move.to}{entry}", "muted")
        if hop.reason:
            yield Line(f"     reason: {hop.reason}", "muted")
        if hop.bundle:
            yield from (Line(f"     signed by {who}") for who in hop.signers)
            if not hop.signers:
                yield Line("     NOT VERIFIED")
        if hop.matrix_digest:
            yield Line(f"     matrix: {operators(hop.matrix_file, hop.matrix_digest)}", "doubtful")
        if hop.risks:
            yield Line(f"     accepted risks: {', '.join(hop.risks)}", "doubtful")
    for obstacle in path.obstacles:
        yield from _obstacle("blocked", obstacle, "bad")
    for obstacle in path.skipped:
        yield from _obstacle("skipped", obstacle, "doubtful")
    if path.verified is not None:
        used = path.advisories
        serial = f"serial {used.serial} of {used.issued}, valid until {used.until}" if used else "none"
        yield Line(f"  advisories {serial}", "muted")
    if path.found and path.not_checked:
        yield Line(f"  not checked {'; '.join(path.not_checked)}", "muted")
    yield _verdict(path)


def note(hop: Hop) -> str:
    """What a hop is, briefly: its bundle, its component, how, and how long."""
    minutes = "" if hop.minutes is None else f"{hop.minutes} min"
    return ", ".join(filter(None, (hop.bundle, hop.component, hop.method, minutes)))


def _beside(text: str) -> str:
    return text.replace(", ", "  ", 1)


def _obstacle(what: str, obstacle: Obstacle, tone: str) -> Iterator[Line]:
    entry = f" ({obstacle.origin} entry {obstacle.entry})" if obstacle.entry else ""
    yield Line(f"  {what:<10} {obstacle.kind} [{obstacle.subject}]: {obstacle.message}{entry}", tone)
    if obstacle.next:
        yield Line(f"             next: {obstacle.next}")


def _verdict(path: UpgradePath) -> Line:
    way = f"from {path.from_} to {path.to}"
    if not path.found:
        here = f"; the nearest version that can be reached is {path.nearest}" if path.nearest else ""
        return Line(f"NO PATH {way}{here}", "bad")
    count = len(path.hops)
    updates = "already there" if not count else f"{count} update{'s' * (count > 1)}"
    minutes = f", {path.minutes} min" if path.minutes is not None and count else ""
    if path.verified is False:
        return Line(
            f"NOT VERIFIED {way}: {updates}{minutes}, with bundles that no trusted signer has signed "
            f"({given('trust')})",
            "doubtful",
        )
    return Line(f"PATH {way}: {updates}{minutes}", "good")


def _stations(path: UpgradePath) -> list[str]:
    """The versions of the path. The first and the target version are always among them."""
    hops = path.hops
    return [hops[0].from_ if hops else path.from_, *(hop.to for hop in hops), *([] if path.found else [path.to])]


def _notes(path: UpgradePath) -> list[str]:
    """The text at each arrow between two versions."""
    notes = [note(hop) for hop in path.hops]
    if not path.found:
        first = path.obstacles[0] if path.obstacles else None
        notes.append(f"no path: {first.kind}" if first else "no path")
    return notes


def mermaid(path: UpgradePath) -> str:
    """A Mermaid flowchart of the path, for a Markdown page."""
    written = ["flowchart LR"]
    written += [f'  n{number}["{_mermaid(station)}"]' for number, station in enumerate(_stations(path))]
    for number, text in enumerate(_notes(path)):
        arrow = "-->" if number < len(path.hops) else "-.->"
        label = f'|"{_mermaid(text)}"|' if text else ""
        written.append(f"  n{number} {arrow}{label} n{number + 1}")
    return "\n".join(written) + "\n"


def _mermaid(text: str) -> str:
    return escape(text).replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")


def svg(path: UpgradePath) -> str:
    """A drawing of the path: a box for each version, from the top down."""
    stations, notes = _stations(path), _notes(path)
    step = BOX_HEIGHT + ARROW
    height = 2 * MARGIN + len(stations) * step - ARROW
    title = _mermaid(f"Update path from {path.from_} to {path.to}")
    middle = MARGIN + BOX_WIDTH // 2
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>{title}</title>",
        f"<style>{STYLE}</style>",
        TIP,
    ]
    for number, station in enumerate(stations):
        top = MARGIN + number * step
        last = number == len(stations) - 1
        kind = ("end" if path.found else "far") if last else "box"
        drawn.append(
            f'<rect class="{kind}" x="{MARGIN}" y="{top}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6"/>'
            f'<text x="{middle}" y="{top + 25}" text-anchor="middle">{_mermaid(station)}</text>'
        )
        if not last:
            gap = "" if number < len(path.hops) else ' class="gap"'
            below = top + BOX_HEIGHT
            drawn.append(
                f'<line{gap} x1="{middle}" y1="{below}" x2="{middle}" y2="{below + ARROW}" marker-end="url(#tip)"/>'
                f'<text class="note" x="{middle + 16}" y="{below + ARROW // 2 + 4}">{_mermaid(notes[number])}</text>'
            )
    return "\n".join((*drawn, "</svg>")) + "\n"
