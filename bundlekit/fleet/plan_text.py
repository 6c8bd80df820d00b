"""The plan of a rollout for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bundlekit.report.escape import escape
from bundlekit.report.text import Line
from bundlekit.update.state.activity import span
from bundlekit.wording import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.fleet.fleet_report import FleetPlan, FleetRehearsal, FleetRoute, FleetWavePlan

SHOWN: Final = 10
"""The most names that a line has."""


def lines(plan: FleetPlan) -> Iterator[Line]:
    """The plan, line by line, every character of it safe for a terminal."""
    for line in _lines(plan):
        yield Line(escape(line.text), line.tone)


def _lines(plan: FleetPlan) -> Iterator[Line]:
    yield Line(f"fleet {plan.name} to {plan.target}, {count(plan.pairs, 'pair')}, at {plan.at}")
    for number, route in enumerate(plan.routes, 1):
        yield Line(f"  route {number}: {_route(route)}", "good")
    if plan.up_to_date:
        yield Line(f"  up to date: {count(plan.up_to_date, 'pair')}", "muted")
    yield from left_out(plan)
    for number, wave in enumerate(plan.waves, 1):
        yield Line(f"  wave {number}: {_wave(wave)}")
        if wave.missing:
            yield Line(f"     named, and not eligible: {_names(wave.missing)}", "doubtful")
    yield from (Line(f"  left out: {one}", "doubtful") for one in plan.skipped)
    yield from (Line(f"  warning: {one}", "doubtful") for one in plan.warnings)
    yield from (Line(f"  pair {one}", "muted") for one in _listing(plan))
    starts = f"{count(len(plan.starts), 'pair')} can start now: {_names(plan.starts)}" if plan.starts else plan.because
    yield Line(f"  now: {starts}")
    word, tone = ("INCOMPLETE", "doubtful") if plan.unreadable else ("PLAN", "bad" if plan.refused else "good")
    yield Line(
        f"{word}: {plan.eligible:,} eligible ({plan.open_now:,} in an open window), {plan.up_to_date:,} up to date, "
        f"{plan.refused:,} refused; {_at_least(plan.minutes_at_least)}",
        tone,
    )


def left_out(result: FleetPlan | FleetRehearsal) -> Iterator[Line]:
    """The pairs that are refused, by cause, and the lines of the inventory that are no state."""
    for refusal in result.refusals:
        entry = f" (matrix entry {refusal.entry})" if refusal.entry else ""
        yield Line(
            f"  refused, {refusal.kind}{entry}: {count(refusal.pairs, 'pair')}, such as {refusal.example}", "bad"
        )
        yield Line(f"     {refusal.message}")
        if refusal.next:
            yield Line(f"     next: {refusal.next}")
    if result.unreadable:
        yield Line(f"  unreadable: {count(result.unreadable, 'line')} of the inventory", "doubtful")
        yield from (Line(f"     {fault}") for fault in result.faults)


def _route(route: FleetRoute) -> str:
    stops = " -> ".join(
        f"{stop.version}" if stop.component == "appliance" else f"{stop.component} {stop.version}"
        for stop in route.stops
    )
    return f"{route.from_} -> {stops}, {count(route.pairs, 'pair')}, {_minutes(route.minutes)} each"


def _wave(wave: FleetWavePlan) -> str:
    parts = [f"{wave.name}, {count(wave.pairs, 'pair')}", _at_least(wave.minutes_at_least)]
    if wave.soak_minutes:
        parts.append(f"then {_minutes(wave.soak_minutes)} of soak time")
    return ", ".join(parts + ["then approval"] * wave.approval)


def _listing(plan: FleetPlan) -> Iterator[str]:
    for one in plan.listing or ():
        if one.route is not None:
            yield f"{one.pair}: wave {one.wave}, route {one.route + 1}"
        elif one.refusal is not None:
            yield f"{one.pair}: refused, {plan.refusals[one.refusal].kind}"
        else:
            yield f"{one.pair}: up to date"


def _names(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _minutes(minutes: int | None) -> str:
    return "an unknown time" if minutes is None else span(minutes * 60)


def _at_least(minutes: int | None) -> str:
    return f"at least {_minutes(minutes)}" if minutes is not None else "duration unknown"
