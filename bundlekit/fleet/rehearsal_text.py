"""A simulated rollout for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bundlekit.fleet.plan_text import left_out
from bundlekit.report.escape import escape
from bundlekit.report.text import Line
from bundlekit.update.state.activity import span
from bundlekit.wording import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.fleet.fleet_report import FleetRehearsal

WORDS: Final[dict[str, tuple[str, str]]] = {
    "finished": ("FINISHED", "good"),
    "abort": ("STOPPED", "bad"),
    "waiting": ("WAITING", "doubtful"),
}


def lines(rehearsal: FleetRehearsal) -> Iterator[Line]:
    """The simulation, line by line, every character of it safe for a terminal."""
    for line in _lines(rehearsal):
        yield Line(escape(line.text), line.tone)


def _lines(one: FleetRehearsal) -> Iterator[Line]:
    yield Line(f"fleet {one.name} to {one.target}, simulated with seed {one.seed} from {one.at}")
    if one.up_to_date:
        yield Line(f"  up to date: {count(one.up_to_date, 'pair')}", "muted")
    yield from left_out(one)
    for number, wave in enumerate(one.waves, 1):
        times = f", from {wave.started_at}" if wave.started_at else ""
        times += f" to {wave.ended_at}" if wave.ended_at else ""
        yield Line(f"  wave {number}: {wave.name}, {wave.started:,} of {count(wave.pairs, 'pair')} started{times}")
    for kind, pairs in one.ends.items():
        yield Line(f"  {kind}: {count(pairs, 'pair')}", "good" if kind == "succeeded" else "bad")
    if one.silent:
        yield Line(f"  silent: {count(one.silent, 'pair')}", "bad")
    yield Line(f"  in flight at most: {count(one.in_flight_at_most, 'pair')}")
    yield Line(
        f"  without HA at the same time at most: {count(one.without_ha_at_most, 'pair')}; "
        f"at the end: {count(one.without_ha_at_end, 'pair')}"
    )
    word, tone = _word(one)
    refused = f"; {count(one.refused, 'pair')} refused" if one.refused else ""
    yield Line(
        f"{word} at {one.stopped_at}: {one.because}; {one.started:,} of {count(one.eligible, 'pair')} started"
        f"{_last(one)}{refused}",
        tone,
    )


def _word(one: FleetRehearsal) -> tuple[str, str]:
    """The word for the whole. A simulation of a part of the pairs is never a good one."""
    if one.unreadable:
        return "INCOMPLETE", "doubtful"
    if one.refused and not one.eligible:
        return "NO ROLLOUT", "bad"
    word, tone = WORDS[one.reason]
    return word, "bad" if one.refused else tone


def _last(one: FleetRehearsal) -> str:
    return f"; the last one ended after {span(one.minutes * 60)}" if one.started else ""
