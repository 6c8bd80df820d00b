"""The plan of a rollout as a page: self-contained, without scripts, for those who approve it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bundlekit.fleet.plan_text import lines
from bundlekit.report.html.frame import framed
from bundlekit.report.html.markup import Markup, element, foreign, text
from bundlekit.update.state.activity import span
from bundlekit.wording import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bundlekit.fleet.fleet_report import FleetPlan, FleetStop

SHADES: Final = {"good": "ACCEPT", "bad": "REJECT", "doubtful": "INCOMPLETE"}
"""The class of the box of the result, by the tone of the last line of the text."""


def plan_page(plan: FleetPlan) -> str:
    """The page about ``plan``."""
    last = list(lines(plan))[-1]
    box = element("div", element("p", foreign(last.text), class_="answer"), class_=f"verdict {SHADES[last.tone]}")
    parts: dict[str, Iterable[Markup]] = {
        "Routes": _routes(plan),
        "Waves": _waves(plan),
        "Refused": _refusals(plan),
        "Left out": _list((*plan.faults, *plan.skipped)),
        "Warnings": _list(plan.warnings),
        "Now": [element("p", foreign(_now(plan)))],
        "Pairs": _pairs(plan),
    }
    made = {name: list(content) for name, content in parts.items()}
    sections = [element("section", element("h2", text(name)), *content) for name, content in made.items() if content]
    heading = f"Rollout {plan.name} to {plan.target}, {count(plan.pairs, 'pair')}"
    made_by = f"Planned for {plan.at} by bundlekit. The page needs no network and runs no script."
    return framed(heading, [element("article", box, *sections)], made_by)


def _routes(plan: FleetPlan) -> Iterator[Markup]:
    rows = [
        (number, route.from_, _stops(route.stops), f"{route.pairs:,}", _minutes(route.minutes), route.example)
        for number, route in enumerate(plan.routes, 1)
    ]
    yield from _table(("Route", "From", "Updates", "Pairs", "Each takes", "Such as"), rows)
    if plan.up_to_date:
        yield element("p", text(f"{count(plan.up_to_date, 'pair')} with the target already."))


def _waves(plan: FleetPlan) -> Iterator[Markup]:
    rows = []
    for number, wave in enumerate(plan.waves, 1):
        after = [f"{_minutes(wave.soak_minutes)} of soak time"] * bool(wave.soak_minutes) + ["approval"] * wave.approval
        missing = ", ".join(wave.missing)
        least = _minutes(wave.minutes_at_least)
        rows.append((number, wave.name, f"{wave.pairs:,}", f"{wave.open_now:,}", least, " and ".join(after), missing))
    names = ("Wave", "Name", "Pairs", "In an open window", "At least", "Then", "Named, and not eligible")
    yield from _table(names, rows)


def _refusals(plan: FleetPlan) -> Iterator[Markup]:
    rows = [(one.kind, one.entry, f"{one.pairs:,}", one.message, one.next, one.example) for one in plan.refusals]
    yield from _table(("Kind", "Matrix entry", "Pairs", "Why", "Next", "Such as"), rows)


def _pairs(plan: FleetPlan) -> Iterator[Markup]:
    rows = []
    for one in plan.listing or ():
        route = one.route + 1 if one.route is not None else ""
        what = plan.refusals[one.refusal].kind if one.refusal is not None else "" if one.wave else "up to date"
        rows.append((one.pair, one.wave or "", route, what))
    yield from _table(("Pair", "Wave", "Route", "Otherwise"), rows)


def _table(names: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> Iterator[Markup]:
    if not rows:
        return
    head = element("tr", *(element("th", text(name), scope="col") for name in names))
    body = [element("tr", *(element("td", foreign(cell)) for cell in row)) for row in rows]
    yield element("table", element("thead", head), element("tbody", *body))


def _list(found: Iterable[str]) -> Iterator[Markup]:
    if items := [element("li", foreign(one)) for one in found]:
        yield element("ul", *items)


def _now(plan: FleetPlan) -> str:
    if not plan.starts:
        return plan.because
    more = f" and {len(plan.starts) - 10:,} more" if len(plan.starts) > 10 else ""
    return f"{count(len(plan.starts), 'pair')} can start: {', '.join(plan.starts[:10])}{more}"


def _stops(stops: Iterable[FleetStop]) -> str:
    return ", then ".join(
        one.version if one.component == "appliance" else f"{one.component} {one.version}" for one in stops
    )


def _minutes(minutes: int | None) -> str:
    return "unknown" if minutes is None else span(minutes * 60)
