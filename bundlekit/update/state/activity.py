"""What a run is doing, in words: for the live view, for ``update status``, and for the log. Only reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec.structs import replace

from bundlekit.model.primitives import Frozen
from bundlekit.update.engine.history import History
from bundlekit.update.engine.plan import seconds
from bundlekit.update.engine.planner import Note, fail
from bundlekit.update.engine.records import (
    Began,
    CancelAsked,
    Cleared,
    CommitPoint,
    Ended,
    Instant,
    Observed,
    Record,
    Rejected,
    Resumed,
    RevertDecided,
    Started,
    Turned,
)
from bundlekit.update.engine.tally import Tally
from bundlekit.update.engine.transitions import Move

DONE: Final = (
    ("commit", "committed"), ("verify", "verified"), ("apply", "applied, not verified"), ("prepare", "prepared"),
)  # fmt: skip
"""How far a step has come on the way forward: the latest of these that was answered with *ok*."""


class StepRow(Frozen, frozen=True, kw_only=True):
    """One step of the run: on whom, from which version to which, and how far it has come."""

    step: str
    role: str
    identity: str
    old: str
    new: str
    state: str


class Activity(Frozen, frozen=True, kw_only=True):
    """What a run is doing at ``at``.

    ``doing`` has been going on for ``elapsed`` seconds and may take ``limit``. ``expect`` says how long it
    usually takes, where somebody told; ``age`` is the whole run's, in seconds. ``if_it_fails``: what would
    come of a failure now. ``over``: the run has ended.
    """

    pair: str
    run: str
    version: str
    at: Instant
    steps: tuple[StepRow, ...]
    doing: str
    elapsed: float
    limit: int | None
    expect: str
    age: float
    if_it_fails: str
    over: bool = False

    def later(self, now: Instant) -> Activity:
        """The same activity, still going on at ``now``."""
        passed = self.at.until(now)
        return replace(self, at=now, elapsed=self.elapsed + passed, age=self.age + passed)


def activity(h: History, records: Sequence[Record], now: Instant) -> Activity:
    """What the run of ``h`` and ``records``, its fold and its list, is doing at ``now``."""
    job = h.job
    doing, since, limit, expect, move = _doing(h, records)
    return Activity(
        pair=job.pair,
        run=h.run,
        version=job.version,
        at=now,
        steps=tuple(
            StepRow(step=step, role=t.role, identity=t.identity, old=t.old, new=t.new, state=_state(h, step))
            for step, t in job.targets.items()
        ),
        doing=doing,
        elapsed=since.until(now),
        limit=limit,
        expect=expect,
        age=h.age(now),
        if_it_fails="" if move is None else if_it_fails(h, now, move),
        over=h.ended is not None,
    )


def _doing(h: History, records: Sequence[Record]) -> tuple[str, Instant, int | None, str, Move | None]:
    """What is going on, since when, how long it may take and is expected to take, and the move it is part of."""
    last = records[-1]
    match last:
        case Began(verb=verb, step=step):
            limit = h.job.plan.deadline(verb)  # type: ignore[arg-type] # a verb of the plan, as written by us
            return f"{verb} {step}", last.at, limit, _expected(h, verb, step), Move(_phase(h, verb), step)
        case Observed(verb="gate", step=step, answer=answer) if answer.kind == "not-yet":
            gate = h.job.plan.gates[step]
            first = next(r for r in records if isinstance(r, Began) and (r.verb, r.step) == ("gate", step))
            why = f" ({answer.reason})" if answer.reason else ""
            return (
                f"waiting for {step}{why}",
                first.at,
                seconds(gate.deadline),
                _expected(h, "gate", step),
                (Move("gate", step)),
            )
        case Ended(outcome=outcome):
            return f"ended: {outcome.kind}", last.at, None, "", None
        case Cleared(by=by):
            return f"taken off hold by {by}", last.at, None, "", None
        case _ if h.prepared and h.window.until == "prepared":
            return "everything is prepared; it waits for a word", last.at, None, "", None
        case _:
            return "deciding what is next", last.at, None, "", None


def _phase(h: History, verb: str) -> str:
    """The phase of a way in which ``verb`` is called now."""
    return verb if verb != "probe" else "survey" if h.untouched else "confirm"


def _expected(h: History, verb: str, step: str) -> str:
    if verb == "gate" and step in h.job.plan.gates:
        return "{} to {}".format(*h.job.plan.gates[step].expect)
    minutes = {"forward": h.job.minutes, "back": h.job.revert_minutes}.get(h.way)
    return (
        f"about {minutes} min for the whole way {h.way}" if minutes and verb in {"prepare", "apply", "revert"} else ""
    )


def _state(h: History, step: str) -> str:
    if h.is_new(step):
        return "was new before"
    reverted = _ok(h.tally("revert", step))
    if h.way == "back":
        kept = h.revert is not None and step in h.revert.keep
        return "kept new" if kept else "reverted" if reverted else "to be reverted" if _touched(h, step) else "old"
    return next((word for verb, word in DONE if _ok(h.tally(verb, step))), "waiting")


def _touched(h: History, step: str) -> bool:
    return h.tally("apply", step).attempts > 0


def _ok(tally: Tally) -> bool:
    return tally.settled is not None and tally.settled.kind == "ok"


def if_it_fails(h: History, now: Instant, move: Move) -> str:
    """What a failure of ``move`` would lead to, as the planner would decide it."""
    match fail(h, now, move, ""):
        case Note(record=RevertDecided(revert=revert, keep=keep, hold=hold)):
            kept = f", {', '.join(keep)} stays new" if keep else ""
            reverts = "reverts" if len(revert) == 1 else "revert"
            return f"{' and '.join(revert)} {reverts}{kept}{', the pair goes on hold' if hold else ''}"
        case Note(record=Turned(to="stop")):
            return "nothing is changed: rejected"
        case Note(record=Turned(to="degrade")):
            return "nothing is reverted: degraded, the pair goes on hold"
        case Note(record=Turned(to="operator")):
            return "somebody has to look: needs-operator, the pair goes on hold"
        case _:
            return "it is noted, and the run goes on"


def sentence(record: Record) -> str:
    """One line about a record, for a log that people read."""
    match record:
        case Started(run=run, job=job, back=RevertDecided(why=why)):
            return f"run {run} of {job.pair} goes back only: {why}"
        case Started(run=run, job=job, tool=tool):
            return f"run {run} of {job.pair} to {job.version} begins ({job.bundle_id}, bundlekit {tool})"
        case Resumed(bundle=bundle, why=why, fence=fence):
            return f"another controller goes on (fence {fence}, bundle {bundle}{f': {why}' if why else ''})"
        case Began(verb=verb, step=step, attempt=attempt):
            return f"{verb} {step}{f', attempt {attempt}' if attempt > 1 else ''}"
        case Observed(verb=verb, step=step, answer=answer):
            details = ", ".join(filter(None, (answer.version, answer.reason)))
            return f"{verb} {step}: {answer.kind}{f' ({details})' if details else ''}"
        case CommitPoint():
            return "commit point: from here on nothing is reverted"
        case RevertDecided(why=why, revert=revert, keep=keep):
            kept = f", keep {', '.join(keep)}" if keep else ""
            return f"revert {', '.join(revert) or 'nothing'}{kept}: {why}"
        case Turned(to=way, why=why):
            return f"{way}: {why}"
        case CancelAsked():
            return "the operator asks to cancel"
        case Ended(outcome=outcome):
            return f"ends {outcome.kind}{', on hold' if outcome.hold else ''}"
        case Cleared(by=by, reason=reason, case=case):
            return f"taken off hold by {by}: {reason}{f' (case {case})' if case else ''}"
        case Rejected(run=run, path=path, why=why):
            return f"run {run} of {path} is rejected by the check: {why}"


def lines(seen: Activity) -> Iterator[str]:
    """The activity as lines of plain text."""
    yield f"pair {seen.pair}: run {seen.run} to {seen.version}, {span(seen.age)} old"
    width = max(map(len, (row.step for row in seen.steps)), default=0)
    for row in seen.steps:
        yield f"  step {row.step:<{width}}  {row.role:<7}  {row.identity}  {row.old} -> {row.new}  {row.state}"
    limit = f" of at most {span(seen.limit)}" if seen.limit else ""
    expect = f", expected {seen.expect}" if seen.expect else ""
    yield f"  now: {seen.doing}, for {span(seen.elapsed)}{limit}{expect}"
    if seen.if_it_fails:
        yield f"  if it fails now: {seen.if_it_fails}"


def span(duration: float) -> str:
    """Seconds as people read them: ``45 s``, ``12 min``, ``1 h 05 min``."""
    whole = int(duration)
    if whole < 100:
        return f"{whole} s"
    minutes = whole // 60
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"
