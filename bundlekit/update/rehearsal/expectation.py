"""What the plan itself leads to for a fault: the same fault over the simulated pair, whose hooks are correct."""

from __future__ import annotations

from typing import Final

from bundlekit.model.primitives import Frozen
from bundlekit.update.engine.job import Job
from bundlekit.update.engine.records import CallFinished, Outcome, Record
from bundlekit.update.rehearsal.faults import InjectedFault, Passed, Position
from bundlekit.update.rehearsal.sandbox import simulated_for
from bundlekit.update.rehearsal.trial import Trial

SEVERITY: Final = ("succeeded", "cancelled", "rejected", "superseded", "reverted", "degraded", "needs-operator")
"""From good to bad; an end that is none, such as *waiting* or *busy*, is worse than each of them."""

Faults = tuple[InjectedFault, ...]
Visit = tuple[str, str, int]
"""A verb on a step, and the how many-th time in a row it is called: polling the same again is one visit."""


class Expected(Frozen, frozen=True, kw_only=True):
    """The end that the plan leads to. ``passed``: the calls that correct hooks get before that end."""

    faults: Faults
    outcome: Outcome
    states: dict[str, str]
    passed: tuple[Passed, ...]
    visits: tuple[Visit, ...]
    trace: tuple[Position, ...]


class Expectations:
    """The expected ends of ``job``, each found once."""

    def __init__(self, job: Job) -> None:
        self._make = simulated_for(job)
        self._known: dict[Faults, Expected] = {}

    def of(self, faults: Faults, visits: tuple[Visit, ...] = ()) -> Expected | None:
        """The end to expect after ``faults``. None if correct hooks are never called at the position of the last fault.

        ``visits`` are those of the run with all faults except the last. The last one was placed in that run.
        """
        if faults in self._known:
            return self._known[faults]
        translated: Faults | None = ()
        if faults:
            before = self._known.get(faults[:-1])
            translated = _translated(faults[-1], visits, before) if before is not None else None
        if translated is None:
            return None
        trial = Trial(self._make, translated)
        outcome = trial.to_the_end()
        trace = tuple(trial.hooks.trace)
        self._known[faults] = Expected(
            faults=translated,
            outcome=outcome,
            passed=tuple(trial.hooks.passed),
            states=trial.states(),
            trace=trace,
            visits=visits_of(trace),
        )
        return self._known[faults]


def visits_of(trace: tuple[Position, ...]) -> tuple[Visit, ...]:
    """The visit of each position: how often the call is polled depends on how long things take."""
    visits: list[Visit] = []
    counts: dict[tuple[str, str], int] = {}
    last: tuple[str, str] | None = None
    for position in trace:
        call = position.verb, position.step
        if call != last:
            counts[call] = counts.get(call, -1) + 1
        visits.append((*call, counts[call]))
        last = call
    return tuple(visits)


def worse(expected: Expected, outcome: Outcome, states: dict[str, str]) -> bool:
    """Whether an end is worse than the expected one, or no better and different in what is true."""
    ours, theirs = _severity(outcome), _severity(expected.outcome)
    if ours != theirs:
        return ours > theirs
    return (outcome.hold, outcome.committed, states) != (
        expected.outcome.hold,
        expected.outcome.committed,
        expected.states,
    )


def deciding(records: tuple[Record, ...], outcome: Outcome) -> str:
    """The last answer about what failed, where no answer differs from what was expected."""
    for record in reversed(records):
        if isinstance(record, CallFinished) and record.step == outcome.failed and record.verb != "cleanup":
            reason = f" ({record.answer.reason})" if record.answer.reason else ""
            return f"{record.verb} of {record.step} answered {record.answer.kind}{reason}"
    return outcome.reason


def _severity(outcome: Outcome) -> int:
    return SEVERITY.index(outcome.kind) if outcome.kind in SEVERITY else len(SEVERITY)


def _translated(fault: InjectedFault, visits: tuple[Visit, ...], before: Expected) -> Faults | None:
    """The fault at the same visit of the simulated run."""
    positions = [v for v in visits if (v[0], v[1]) == (fault.verb, fault.step)]
    if fault.nth >= len(positions):
        return None
    if positions[fault.nth] not in before.visits:
        return None
    there = before.trace[before.visits.index(positions[fault.nth])]
    return (*before.faults, InjectedFault(verb=there.verb, step=there.step, nth=there.nth, kind=fault.kind))
