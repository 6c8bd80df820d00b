"""A simulated rollout for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bundlekit.report.escape import escape
from bundlekit.report.text import Line
from bundlekit.update.state.activity import span
from bundlekit.wording import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.fleet.fleet_report import FleetRehearsal

WORDS: Final = {"finished": ("FINISHED", "good"), "abort": ("STOPPED", "bad"), "waiting": ("WAITING", "doubtful")}


def lines(rehearsal: FleetRehearsal) -> Iterator[Line]:
    """The simulation, line by line, every character of it safe for a terminal."""
    for line in _lines(rehearsal):
        yield Line(escape(line.text), line.tone)


def _lines(one: FleetRehearsal) -> Iterator[Line]:
    yield Line(f"fleet {one.name} to {one.target}, simulated with seed {one.seed} from {one.at}")
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
    word, tone = WORDS[one.reason]
    yield Line(
        f"{word} at {one.stopped_at}: {one.because}; {one.started:,} of {count(one.eligible, 'pair')} started; the "
        f"last one ended after {span(one.minutes * 60)}",
        tone,
    )
