"""What a run is doing, in words: for the live view, for ``update status``, and for the log. Only reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Final, Literal

from bundlekit.model.primitives import Frozen
from bundlekit.update.engine.actions import Pause, Wait
from bundlekit.update.engine.failure_effect import FailureEffect, current_task, if_it_fails
from bundlekit.update.engine.history import History
from bundlekit.update.engine.plan import seconds
from bundlekit.update.engine.planner import decide
from bundlekit.update.engine.records import (
    CallFinished,
    CallStarted,
    CancelRequested,
    Cleared,
    CommitPoint,
    Ended,
    Instant,
    ModeChanged,
    Record,
    Rejected,
    Resumed,
    RevertDecided,
    Started,
)
from bundlekit.update.engine.tally import Tally
from bundlekit.update.engine.transitions import PhaseStep

DONE: Final = (
    ("commit", "committed"), ("verify", "verified"), ("apply", "applied, not verified"), ("prepare", "prepared"),
)  # fmt: skip
"""The progress of a step in the mode apply: the latest of these that was answered with *ok*."""

WORK: Final = frozenset({"prepare", "apply", "verify", "commit", "revert"})
"""The verbs whose time counts as work on a step."""


Stage = Literal[
    "checking", "staging", "prepared", "switching", "committed", "gate", "final-checks", "cleanup",
    "reverting", "stopping", "ended",
]  # fmt: skip
"""The part of a run: *switching* can still be reverted, *committed* is after the commit point."""

STAGES: Final[dict[str, Stage]] = {
    "validate": "checking", "describe": "checking", "survey": "checking", "prepare": "staging",
    "resurvey": "checking", "revert": "reverting",
    "between": "gate", "gate": "gate", "again": "gate", "confirm": "final-checks", "cleanup": "cleanup",
}  # fmt: skip


class StepRow(Frozen, frozen=True, kw_only=True):
    """One step of the run: on whom, from which version to which, and how far it has come.

    ``verb`` is what its hook is doing now; empty: nothing. ``elapsed`` is for how many seconds its hooks have prepared,
    applied, verified, committed and reverted it in this run. ``identity`` is a member's serial, or the pair's name.
    """

    step: str
    component: str
    role: str
    identity: str
    old: str
    new: str
    state: str
    verb: str = ""
    elapsed: float = 0.0


class Bar(Frozen, frozen=True, kw_only=True):
    """How far something is that has an end: ``done`` of ``total``, in bytes for *staging*, in seconds for a *gate*.

    ``name`` is that of the step or gate. A step has 0 or all of its bytes done: only its hook knows what is between.
    ``expect`` are the shortest and longest usual time of a gate, whose ``total`` is its deadline.
    """

    kind: Literal["staging", "gate"]
    name: str
    done: float
    total: float
    expect: tuple[float, float] | None = None


class Activity(Frozen, frozen=True, kw_only=True):
    """What a run is doing at ``at``.

    ``action`` has been going on for ``elapsed`` seconds, and its limit is ``limit`` seconds. ``expect`` is how long it
    usually takes, if the plan or the bundle specifies it. ``bars`` are those of the steps to
    stage, or that of the gate. ``age`` is the whole run's, in seconds. ``if_it_fails`` is the result of a failure now,
    with ``failure`` as the same in data. ``ended``: the run has ended.
    """

    pair: str
    run: str
    version: str
    at: Instant
    stage: Stage
    steps: tuple[StepRow, ...]
    action: str
    elapsed: float
    limit: int | None
    expect: str
    bars: tuple[Bar, ...]
    age: float
    if_it_fails: str
    failure: FailureEffect | None
    ended: bool = False


def activity(h: History, records: Sequence[Record], now: Instant) -> Activity:
    """What the run of ``h`` and ``records``, its fold and its list, is doing at ``now``."""
    job, task = h.job, current_task(h, now)
    stage = _stage(h, task)
    doing, elapsed, limit, expect = _doing(h, records, now)
    failure = if_it_fails(h, now)
    last, worked = records[-1], _worked(records, now)
    return Activity(
        pair=job.pair,
        run=h.run,
        version=job.version,
        at=now,
        stage=stage,
        steps=tuple(
            StepRow(
                step=step,
                component=t.component,
                role=t.role,
                identity=t.identity,
                old=t.old,
                new=t.new,
                state=_state(h, step),
                verb=last.verb if isinstance(last, CallStarted) and last.step == step else "",
                elapsed=worked.get(step, 0.0),
            )
            for step, t in job.targets.items()
        ),
        action=doing,
        elapsed=elapsed,
        limit=limit,
        expect=expect,
        bars=_bars(h, task, now),
        age=h.age(now),
        if_it_fails="" if failure is None else failure.text,
        failure=failure,
        ended=h.ended is not None,
    )


def _stage(h: History, task: PhaseStep | None) -> Stage:
    if task is None:
        return "ended"
    if h.mode in {"abort", "degraded", "manual", "lost"}:
        return "stopping"
    if task.phase == "apply" and h.untouched and h.window.until == "prepared":
        return "prepared"
    return STAGES.get(task.phase, "committed" if h.committed else "switching")


def _doing(h: History, records: Sequence[Record], now: Instant) -> tuple[str, float, int | None, str]:
    """What is going on, for how many seconds, with its limit and its expected time."""
    last = records[-1]
    elapsed = last.at.until(now)
    match last:
        case CallStarted(verb="gate") | CallFinished(verb="gate") if waited := _waited(h, last.step, now):
            gate, answer = last.step, h.tally("gate", last.step).answer
            why = f" ({answer.reason})" if answer is not None and answer.reason else ""
            limit = seconds(h.job.plan.gates[gate].deadline)
            return f"waiting for {gate}{why}", waited, limit, _expected(h, "gate", gate)
        case CallStarted(verb=verb, step=step):
            limit = h.job.plan.deadline(verb)  # type: ignore[arg-type] # a verb of the plan, as written by us
            return f"{verb} {step}", elapsed, limit, _expected(h, verb, step)
        case Ended(outcome=outcome):
            return f"ended: {outcome.kind}", elapsed, None, ""
        case Cleared(by=by):
            return f"released from hold by {by}", elapsed, None, ""
        case _ if h.prepared and h.window.until == "prepared":
            return "everything is prepared; waiting for the operator", elapsed, None, ""
    match decide(h, now):
        case Wait(why=why) | Pause(why=why):
            return why, elapsed, None, ""
        case _:
            return "deciding what is next", elapsed, None, ""


def _waited(h: History, gate: str, now: Instant) -> float:
    """For how many seconds the gate has been polled without being ready; 0.0: it was not polled, or is ready."""
    tally = h.tally("gate", gate)
    if tally.answer is None or tally.answer.kind != "not-yet":
        return 0.0
    return max(h.age(now) - tally.first_at, 0.001)


def _bars(h: History, task: PhaseStep | None, now: Instant) -> tuple[Bar, ...]:
    match None if task is None else STAGES.get(task.phase):
        case "staging":
            sizes = {step: t.size for step, t in h.job.targets.items() if not h.is_new(step)}
            return tuple(
                Bar(kind="staging", name=step, done=size if _ok(h.tally("prepare", step)) else 0, total=size)
                for step, size in sizes.items()
            )
        case "gate" if task is not None and (waited := _waited(h, task.step, now)):
            gate = h.job.plan.gates[task.step]
            shortest, longest = map(seconds, gate.expect)
            limit = seconds(gate.deadline)
            return (Bar(kind="gate", name=task.step, done=waited, total=limit, expect=(shortest, longest)),)
        case _:
            return ()


def _worked(records: Sequence[Record], now: Instant) -> dict[str, float]:
    """For how many seconds hooks have worked on each step, by the verbs that change it or verify the change."""
    worked: dict[str, float] = {}
    for record, following in zip_longest(records, records[1:]):
        if isinstance(record, CallStarted) and record.verb in WORK:
            passed = record.at.until(following.at if following is not None else now)
            worked[record.step] = worked.get(record.step, 0.0) + passed
    return worked


def _expected(h: History, verb: str, step: str) -> str:
    if verb == "gate" and step in h.job.plan.gates:
        return "{} to {}".format(*h.job.plan.gates[step].expect)
    minutes, whole = {
        "apply": (h.job.minutes, "update"), "rollback": (h.job.revert_minutes, "revert"),
    }.get(h.mode, (None, ""))  # fmt: skip
    return f"about {minutes} min for the whole {whole}" if minutes and verb in {"prepare", "apply", "revert"} else ""


def _state(h: History, step: str) -> str:
    if h.is_new(step):
        return "already new"
    reverted = _ok(h.tally("revert", step))
    if h.mode == "rollback":
        kept = h.revert is not None and step in h.revert.keep
        return "kept new" if kept else "reverted" if reverted else "to be reverted" if _touched(h, step) else "old"
    return next((word for verb, word in DONE if _ok(h.tally(verb, step))), "waiting")


def _touched(h: History, step: str) -> bool:
    return h.tally("apply", step).attempts > 0


def _ok(tally: Tally) -> bool:
    return tally.settled is not None and tally.settled.kind == "ok"


def sentence(record: Record) -> str:
    """One line about a record, for a log that people read."""
    match record:
        case Started(run=run, job=job, revert_retry=RevertDecided(reason=why)):
            return f"run {run} of {job.pair} only reverts: {why}"
        case Started(run=run, job=job, tool=tool):
            return f"run {run} of {job.pair} to {job.version} begins ({job.bundle_id}, bundlekit {tool})"
        case Resumed(bundle=bundle, reason=why, fence=fence):
            return f"another controller continues (fence {fence}, bundle {bundle}{f': {why}' if why else ''})"
        case CallStarted(verb=verb, step=step, attempt=attempt):
            return f"{verb} {step}{f', attempt {attempt}' if attempt > 1 else ''}"
        case CallFinished(verb=verb, step=step, answer=answer):
            details = ", ".join(filter(None, (answer.version, answer.reason)))
            return f"{verb} {step}: {answer.kind}{f' ({details})' if details else ''}"
        case CommitPoint():
            return "commit point: from here on nothing is reverted"
        case RevertDecided(reason=why, revert=revert, keep=keep):
            kept = f", keep {', '.join(keep)}" if keep else ""
            return f"revert {', '.join(revert) or 'nothing'}{kept}: {why}"
        case ModeChanged(to=mode, reason=why):
            return f"{mode}: {why}"
        case CancelRequested():
            return "the operator requests a cancel"
        case Ended(outcome=outcome):
            return f"ends {outcome.kind}{', on hold' if outcome.hold else ''}"
        case Cleared(by=by, reason=reason, ticket=ticket):
            return f"released from hold by {by}: {reason}{f' (ticket {ticket})' if ticket else ''}"
        case Rejected(run=run, path=path, reason=why):
            return f"run {run} of {path} is rejected by the check: {why}"


def lines(seen: Activity) -> Iterator[str]:
    """The activity as lines of plain text."""
    yield f"pair {seen.pair}: run {seen.run} to {seen.version}, {span(seen.age)} old"
    width = max(map(len, (row.step for row in seen.steps)), default=0)
    for row in seen.steps:
        yield f"  step {row.step:<{width}}  {row.role:<7}  {row.identity}  {row.old} -> {row.new}  {row.state}"
    limit = f" of at most {span(seen.limit)}" if seen.limit else ""
    expect = f", expected {seen.expect}" if seen.expect else ""
    yield f"  now: {seen.action}, for {span(seen.elapsed)}{limit}{expect}"
    if seen.if_it_fails:
        yield f"  if it fails now: {seen.if_it_fails}"


def span(duration: float) -> str:
    """Seconds as people read them: ``45 s``, ``12 min``, ``1 h 05 min``."""
    whole = int(duration)
    if whole < 100:
        return f"{whole} s"
    minutes = whole // 60
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"
