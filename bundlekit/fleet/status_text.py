"""The status of a rollout for people, and for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bundlekit.report.escape import escape
from bundlekit.report.text import Line
from bundlekit.update.state.activity import span
from bundlekit.wording import command, count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bundlekit.fleet.rollout_status import FleetStatus, FleetWaveStatus


TONES: Final = {"aborted": "bad", "stopped": "doubtful", "paused": "doubtful", "finished": "good"}


def lines(status: FleetStatus, *, bars: int = 0) -> Iterator[Line]:
    """The status, line by line, every character of it safe for a terminal.

    With ``bars``, each wave has a bar of so many cells, for its pairs that have ended.
    """
    for line in _lines(status, bars):
        yield Line(escape(line.text), line.tone)


def _lines(status: FleetStatus, bars: int) -> Iterator[Line]:
    yield Line(
        f"rollout {status.name} to {status.target}, {count(status.pairs, 'pair')}, "
        f"started by {status.by} at {status.created}"
    )
    longest = max(len(wave.name) + 1 for wave in status.waves) if bars else 0
    for wave in status.waves:
        bar = f" {_bar(wave, bars)}" if bars else ""
        yield Line(f"  wave {wave.name + ':':<{longest}}{bar} {_wave(wave)}")
    if status.in_flight:
        yield Line(
            f"  in flight: {count(status.in_flight, 'pair')}, {status.working:,} at a worker now; "
            f"{status.ended_last_hour:,} ended in the last hour"
        )
    for worker in status.workers:
        yield Line(f"  worker {worker.worker}: {count(worker.pairs, 'pair')}", "muted")
    if status.silent:
        yield Line(f"  silent: {count(status.silent, 'pair')} in flight without a report for too long", "bad")
    if status.overdue > 60:
        yield Line(
            f"  overdue: a pair waits for a worker since {span(status.overdue)}; start a worker or give it more slots",
            "doubtful",
        )
    for trouble in status.trouble:
        tries = f"{count(trouble.tries, 'attempt')} with errors, the last at {trouble.worker}"
        again = f", the next at {trouble.next_try}" if trouble.next_try else ""
        yield Line(f"  pair {trouble.pair}: {tries}{again}: {trouble.reason}", "doubtful")
    for end in status.retried:
        yield Line(f"  tried again: {end.pair}, {end.end} at {end.at}: {end.reason or 'without a reason'}", "muted")
    for end in status.failed:
        yield Line(f"  {end.end}: {end.pair} at {end.at}: {end.reason or 'without a reason'}", "bad")
    if status.unsuccessful > len(status.failed):
        yield Line(f"  and {count(status.unsuccessful - len(status.failed), 'earlier pair')} without success", "bad")
    yield from _last(status)


def _last(status: FleetStatus) -> Iterator[Line]:
    """The phase, and what an operator can do about it."""
    tone = TONES.get(status.phase, "muted")
    if status.phase == "finished" and status.unsuccessful:
        tone = "bad"
    until = f" (until {status.until})" if status.until else ""
    because = f": {status.because}{until}" if status.because else ""
    yield Line(f"{status.phase.upper()}{because}", tone)
    if status.phase in {"running", "waiting"} and not status.decider:
        yield Line(f"  no worker decides now, so nothing starts: {command('fleet worker')}", "doubtful")
    if status.approval:
        yield Line(f"  next: {command('fleet approve', status.name, by='NAME', reason='TEXT')}")
    by = {"by": "NAME", "reason": "TEXT"}
    failed = status.phase in {"aborted", "finished"} and status.unsuccessful
    if failed:
        again = command("fleet retry", status.name, end="KIND", **by)
        yield Line(f"  next: {again}, once the cause is removed")
    if status.phase in {"aborted", "stopped", "paused"}:
        yield Line(f"  next: {command('fleet resume', status.name, **by)}{', after that' if failed else ''}")


def _wave(wave: FleetWaveStatus) -> str:
    parts = [f"{total:,} {kind}" for kind, total in wave.ends.items()]
    parts += [f"{wave.in_flight:,} in flight"] if wave.in_flight else []
    parts += [f"{wave.pending:,} not started"] if wave.pending else []
    return f"{count(wave.pairs, 'pair')}: {', '.join(parts) or 'none'}" if wave.pairs else "no pair"


def _bar(wave: FleetWaveStatus, cells: int) -> str:
    full = cells * sum(wave.ends.values()) // wave.pairs if wave.pairs else cells
    return f"[{'=' * full}{'-' * (cells - full)}]"


def prometheus(found: Iterable[FleetStatus]) -> str:
    """The status of rollouts in the text format of Prometheus (version 0.0.4)."""
    every = tuple(found)
    text = []
    for name, kind, samples in (
        ("pairs", "Pairs by wave and state.", (sample for one in every for sample in _pairs(one))),
        ("phase", "1 for the phase of the rollout.", ((_labels(one, phase=one.phase), 1) for one in every)),
        ("silent", "Pairs in flight without a report for too long.", ((_labels(one), one.silent) for one in every)),
        ("working", "Pairs that a worker advances now.", ((_labels(one), one.working) for one in every)),
        (
            "overdue_seconds",
            "For how long the longest pair waits for a worker.",
            ((_labels(one), one.overdue) for one in every),
        ),
        (
            "has_decider",
            "1 if a worker decides about the rollout.",
            ((_labels(one), int(bool(one.decider))) for one in every),
        ),
    ):
        text += [f"# HELP bundlekit_fleet_{name} {kind}", f"# TYPE bundlekit_fleet_{name} gauge"]
        text += [f"bundlekit_fleet_{name}{{{labels}}} {value}" for labels, value in samples]
    return "\n".join(text) + "\n"


def _pairs(status: FleetStatus) -> Iterator[tuple[str, int]]:
    for wave in status.waves:
        for state, total in {"pending": wave.pending, "in-flight": wave.in_flight, **wave.ends}.items():
            yield _labels(status, wave=wave.name, state=state), total


def _labels(status: FleetStatus, **labels: str) -> str:
    """Labels of a sample. The names of rollouts and waves need no escape: see ``model.primitives.Name``."""
    return ",".join(f'{name}="{value}"' for name, value in {"rollout": status.name, **labels}.items())
