"""What must hold of every rehearsed run, whatever its faults."""

from __future__ import annotations

from collections.abc import Iterator

from bundlekit.update.engine.job import Job
from bundlekit.update.engine.records import (
    Answer,
    CallFinished,
    CallStarted,
    CommitPoint,
    Outcome,
    Record,
    RevertDecided,
)


def broken(job: Job, records: tuple[Record, ...], outcome: Outcome, states: dict[str, str]) -> Iterator[str]:
    """The invariants that a run from *all old* has broken. ``states`` is what is true of the appliance."""
    yield from _order(job, records)
    kind, whole = outcome.kind, set(states.values())
    changed = any(isinstance(r, CallStarted) and r.verb in {"apply", "revert"} for r in records)
    if kind == "rejected" and (changed or whole != {"old"}):
        yield "rejected, but something was changed"
    if kind == "succeeded" and whole != {"new"}:
        yield "succeeded, but not everything is new"
    if kind == "reverted":
        kept = {step for step, state in outcome.states.items() if state == "kept-new"}
        if any(state != ("new" if step in kept else "old") for step, state in states.items()):
            yield "reverted, but something is neither old nor kept intentionally"
        if any(job.targets[step].role != "shared" for step in kept):
            yield "reverted, but a member was kept on the new version"
    if kind in {"degraded", "needs-operator"} and not outcome.hold:
        yield f"{kind} without a hold"
    if kind == "waiting":
        yield f"it does not end: {outcome.reason}"
    for step, state in outcome.states.items():
        if state not in {"untouched", "unknown"} and state.removeprefix("kept-") != states[step]:
            yield f"{step} is reported {state}, but is {states[step]}"


def _order(job: Job, records: tuple[Record, ...]) -> Iterator[str]:
    first = job.groups()[0]
    verified: set[str] = set()
    committed = False
    for record in records:
        match record:
            case CallFinished(verb="verify", answer=Answer(kind="ok")):
                verified.add(record.step)
            case CommitPoint():
                committed = True
                if not verified >= set(first):
                    yield "the commit point came before its group was verified"
            case CallStarted(verb="apply") if record.step not in first and not committed:
                yield f"{record.step} was started before the commit point"
            case RevertDecided() | CallStarted(verb="revert") if committed:
                yield "a revert after the commit point"


def broken_beside(
    job: Job, records: tuple[Record, ...], outcome: Outcome, other: Outcome, *, touched: bool
) -> Iterator[str]:
    """The invariants that a run has broken during which another controller's run, ``other``, has begun and ended.

    ``touched``: versions or marks are not as the other one left them.
    """
    yield from _order(job, records)
    if other.kind != "succeeded":
        yield f"another controller of the pair ended {other.kind}: {other.reason}"
    if outcome.kind not in {"rejected", "superseded"}:
        yield f"another controller took over the pair, but this run ended {outcome.kind}"
    if touched:
        yield "another controller took over the pair, but this run changed something after that"
