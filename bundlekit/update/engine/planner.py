"""What to do next: one pure function over the records of a run.

``decide`` reads a history and the time, and returns one action. The executor does it, adds what it saw to the journal,
and asks again. The executor decides nothing itself. So this module and ``transitions`` contain all that happens after a
fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from bundlekit.update.engine.actions import Action, Call, End, Note, Pause, Wait
from bundlekit.update.engine.answer_text import answer_text, seen_text, unknown_text
from bundlekit.update.engine.described import disagrees
from bundlekit.update.engine.elsewhere import changed_elsewhere, committed_elsewhere, over_at_target
from bundlekit.update.engine.history import ANY, History
from bundlekit.update.engine.outcome import conclude
from bundlekit.update.engine.plan import GateMoment, seconds
from bundlekit.update.engine.records import (
    Answer,
    CommitPoint,
    EndMode,
    Instant,
    ModeChanged,
    Record,
    RevertDecided,
)
from bundlekit.update.engine.tally import Tally
from bundlekit.update.engine.transitions import COMMIT_POINT, FAILURE, GATES_AFTER, OUTCOMES, PhaseStep
from bundlekit.wording import fill

ATTEMPTS: Final = 5
"""How often a hook is called for one step: again after the controller died, or after it answered *retry later*."""

TRANSITIONS: Final = 64
"""Calls of one run that can change something, plus resumes after a controller that died in a call.

A plan has at most 8 steps of 4 such calls. A resume of a run that only waited for some time does not count.
"""


NEEDS_BOTH: Final = "the bundle and trust anchors are needed ({bundle}, {trust})"


def next_action(records: Sequence[Record], now: Instant) -> Action:
    """What to do after ``records``, which hold at least the start of a run."""
    return decide(History.of(records), now)


def decide(h: History, now: Instant) -> Action:
    """What to do next.

    1. A run that has ended is over.
    2. A pair that belongs to another controller by now is only looked at.
    3. A controller that took the run over asks every component what it is, before anything else.
    4. A probe that the records cannot explain needs an operator, unless the pair is whole.
    5. A run that does not get to an end needs an operator.
    6. The first task of the mode that is not done decides. An operator's cancel can come before it.
    7. A mode without tasks left has led to its outcome.
    """
    if h.ended is not None:  # 1
        return End(outcome=h.ended)
    if h.lost is not None and h.mode != "lost":  # 2
        return _change_mode(now, "lost", *h.lost)
    if h.mode not in {"manual", "lost"}:
        strange = _strange(h, now) if h.resumed else h.unexplained  # 3, 4
        if isinstance(strange, Call | Wait | Note):
            return strange
        if strange is not None and h.mode != "abort":  # on which nothing was changed, and nothing will be
            return _change_mode(now, "manual", *strange)
        if h.transitions > TRANSITIONS:  # 5
            return _change_mode(now, "manual", "", f"no end after {TRANSITIONS} transitions")
    failed: Action | None = None
    for task in h.tasks:  # 6
        if failed is not None and task.phase != "revert":
            return failed
        action = proceed(h, now, task)
        if action is None:
            continue
        if task.phase == "revert" and isinstance(action, Note) and is_idle(h, task.step):
            failed = failed or action  # this one is idle, so the others are reverted
            continue
        return _cancel(h, now, task, action) or action
    return End(outcome=conclude(h, OUTCOMES[h.mode]))  # 7


def _strange(h: History, now: Instant) -> tuple[str, str] | Call | Wait | Note | None:
    """What the records cannot explain about the components after a resume: step and reason. None if nothing.

    The marks at the target can show that the run is over, or that the pair is whole without it. Then the journal is the
    older of the two, and no re-image and no revert is advised by it.
    """
    strange = h.unexplained
    for step in h.job.targets:
        waits = not h.surely_untouched and not h.may_be_busy(step)  # another host can be at work, and show its marks
        seen = _look(h, now, step, since=h.resumed, idle_by=_settled_by(h) if waits else 0.0)
        if not isinstance(seen, Answer):
            return seen
        if waits and seen.kind == "busy" and strange is None:
            strange = step, "it is busy with a change that this run did not start"
        if seen.kind not in ANY and strange is None:
            strange = step, unknown_text(seen)
    if over_at_target(h):
        return _change_mode(now, "lost", "", "the appliance remembers no run under way: this run has ended elsewhere")
    if strange is not None and h.untouched and changed_elsewhere(h):
        return _change_mode(now, "lost", *strange)
    if strange is not None and h.untouched and h.mode != "abort" and committed_elsewhere(h):
        return _change_mode(now, "abort", strange[0], f"state-changed: {strange[1]}; another run has committed since")
    return strange


def proceed(h: History, now: Instant, task: PhaseStep) -> Action | None:
    """What is still to do for ``task``; None if it is done."""
    phase, step = task.phase, task.step
    if h.mode == "apply" and phase == "apply" and h.is_new(step):
        return None  # but prepare leaves the fence there, and it is verified: an earlier run can have failed after it
    match phase:
        case "survey":
            return _survey(h, now, task)
        case "resurvey":
            return _resurvey(h, now, task)
        case "apply" | "revert":
            return _change(h, now, task)
        case "gate":
            return _gate(h, now, task, since=h.settled_at)
        case "between":
            return _between(h, now, task)
        case "again":  # a gate that passed can fail again while others are waited for
            return _gate(h, now, PhaseStep("gate", task.step), since=max(h.resumed, *h.ready_at.values()))
        case "confirm":
            return _confirm(h, now, task)
        case "cleanup" if h.mode == "manual" and h.state(step) in {"busy", "unknown"}:
            return None  # its staging can be in use
        case "cleanup" if h.mode == "abort":
            return _unstage(h, now, task)
        case _ if phase == COMMIT_POINT:
            return None if h.committed else Note(record=CommitPoint(at=now))
        case _:
            return _once(h, now, task)


def _once(h: History, now: Instant, task: PhaseStep) -> Action | None:
    """A hook that can be called again after the controller died in it, like every verb that `proceed` does not name."""
    tally = h.tally(task.phase, task.step)
    answer = tally.settled
    if task.phase == "cleanup" and answer is not None and tally.answered < h.mode_since:  # it left another end's hold
        return _call(task, tally)
    if answer is None:
        if tally.attempts == ATTEMPTS:
            return fail(h, now, task, f"the controller died {ATTEMPTS} times in it")
        return _forward(h, now, task, tally) if task.phase == "prepare" else _call(task, tally)
    if answer.kind == "ok":
        wrong = disagrees(h, task)
        return fail(h, now, task, wrong) if wrong else None
    if answer.kind == "retry" and tally.attempts < ATTEMPTS:
        return _after(h, now, tally, _settle_poll(h), f"{task.step} asked to {task.phase} it later") or (
            _forward(h, now, task, tally)
        )
    return fail(h, now, task, answer_text(answer))


def _survey(h: History, now: Instant, task: PhaseStep) -> Action | None:
    """The first look at a component: whether a run can start from its state."""
    seen = _look(h, now, task.step)
    if not isinstance(seen, Answer):
        return seen
    if seen.hold and not h.held:
        return fail(h, now, task, f"the appliance itself reports that the pair is on hold: {seen.hold}")
    if h.job.hold and not h.held and task.step == list(h.job.targets)[-1]:
        stale = f"the state contains a hold ({h.job.hold}), the appliance does not"
        return fail(h, now, task, f"state-changed: {stale}")
    described, first = h.tally("describe", task.step).answer, h.surveyed.get(task.step)
    if described and first and described.version and first.version and described.version != first.version:
        changed = f"it was described as {described.version}, the probe sees {first.version}"
        return fail(h, now, task, f"state-changed: {changed}")
    match h.before.get(task.step):
        case "old" | "new":
            return None
        case "partial" if h.job.repair and task.step not in h.job.groups()[0]:
            return None  # half-written after the commit point: writing it again loses nothing
        case "partial":
            return fail(h, now, task, f"it is half-written, by this or another update{_because(h, task.step)}")
        case "busy":
            return fail(h, now, task, f"it is busy with something else{_because(h, task.step)}")
        case _:
            return fail(h, now, task, f"{'state-changed: ' if seen.version else ''}{unknown_text(seen)}")


def _resurvey(h: History, now: Instant, task: PhaseStep) -> Action | None:
    """The look before the first apply, once the target has the fence of this run.

    Until then another controller with a lower fence could begin an update, and even end it.
    """
    if h.switching:
        return None
    seen = _look(h, now, task.step, since=h.settled_at, idle_by=_settled_by(h))
    if not isinstance(seen, Answer):
        return seen
    changed = h.changed_since(task.step, seen)
    return fail(h, now, task, f"state-changed: {changed}") if changed else None


def _change(h: History, now: Instant, task: PhaseStep) -> Action | None:
    """Apply or revert. The answers *ok* and *failed* of the hook count. After any other answer a probe decides."""
    tally = h.tally(task.phase, task.step)
    if not tally.attempts:
        return _forward(h, now, task, tally) if task.phase == "apply" else _call(task, tally)
    answer = tally.settled
    if answer is not None and answer.kind == "ok":
        return None
    limit = tally.started_at + seconds(_deadline(h, task)) + seconds(h.job.plan.deadlines.settle)
    seen = _look(h, now, task.step, since=max(tally.started, tally.answered), idle_by=limit)
    if not isinstance(seen, Answer):
        return seen
    failed = answer is not None and answer.kind == "failed"
    before = h.before.get(task.step, "old")
    wanted = "new" if task.phase == "apply" else before
    never_applied = task.phase == "revert" and not h.only_back and not h.tally("apply", task.step).attempts
    if seen.kind == wanted and (never_applied or not failed):
        return None  # what was never applied needs no revert, whatever the hook answered; that is noted
    if seen.kind == "busy":
        return _never_idle(h, now, task)
    if seen.kind not in ANY:
        return _change_mode(now, "manual", task.step, unknown_text(seen))
    nothing_done = answer is None and seen.kind == before
    again = nothing_done if task.phase == "apply" else not failed
    if again and tally.attempts < ATTEMPTS:
        return _forward(h, now, task, tally) if task.phase == "apply" else _call(task, tally)
    why = answer_text(answer) if answer is not None else "the controller died in it"
    return fail(h, now, task, f"{why}; the probe reports {seen_text(seen)}")


def is_idle(h: History, step: str) -> bool:
    """Whether the last probe of ``step`` proves that nothing is in progress there."""
    return (seen := h.seen.get(step)) is not None and seen.kind in ANY - {"busy"}


def _never_idle(h: History, now: Instant, task: PhaseStep) -> Action:
    """A change is still running: nothing is reverted under it, so after the commit point the run degrades."""
    mode: EndMode = "degraded" if h.committed else "manual"
    return _change_mode(now, mode, task.step, f"{task.phase} timed out and the component is still busy")


def _confirm(h: History, now: Instant, task: PhaseStep) -> Action | None:
    """The last look: nothing is called new or old that was not seen so since it was last changed."""
    index, time = h.changed.get(task.step, (0, 0.0))
    surely = h.mode in {"apply", "rollback"}
    limit = time + seconds(h.job.plan.deadlines.settle) if surely else 0.0
    if h.mode == "lost":  # one look, for the report
        tally = h.tally("probe", task.step)
        fresh = tally.settled is not None and tally.answered >= max(h.lost_at, h.resumed)
        return None if fresh else _call(PhaseStep("probe", task.step), tally)
    seen = _look(h, now, task.step, since=max(index, h.resumed), idle_by=limit)
    if not isinstance(seen, Answer):
        return seen
    wanted = "new" if h.mode == "apply" or (h.revert and task.step in h.revert.keep) else h.before.get(task.step)
    if surely and seen.kind == wanted == "partial":  # from before a repair, whose revert leaves it so
        return _change_mode(now, "degraded", task.step, "it is half-written, as it was before this run")
    if surely and seen.kind != wanted:
        return fail(h, now, task, f"it should be {wanted}, the probe reports {seen.kind} ({answer_text(seen)})")
    return None


def _between(h: History, now: Instant, task: PhaseStep) -> Action | None:
    """Poll a gate before a working component of the next group is changed. A later change does not restore it.

    A repair can find a step of a later group half-written. The pair then has to do without it already, and only the
    repair can make the gate ready again.
    """
    earlier = {step for group in h.job.groups()[: task.group + 1] for step in group}
    half_written = any(state == "partial" for step, state in h.before.items() if step not in earlier)
    if half_written or all(h.is_new(step) for step in h.job.groups()[task.group + 1]):
        return None
    changes = (index for step, (index, _) in h.changed.items() if step in earlier)
    return _gate(h, now, PhaseStep("gate", task.step), since=max(changes, default=0), after="group")


def _gate(h: History, now: Instant, task: PhaseStep, *, since: int, after: GateMoment | None = None) -> Action | None:
    """Poll until the gate is ready by an answer after record ``since``.

    Its deadline is compared with a poll's own time, so never without one.
    """
    poll = replace(_call(task, h.tally(task.phase, task.step)), after=after or GATES_AFTER[h.mode])
    gate = h.job.plan.gates[task.step]
    tally = h.tally(task.phase, task.step)
    answer = tally.settled
    if answer is None or tally.answered <= since:
        return poll
    if answer.kind == "ready":
        return None
    if answer.kind == "failed":
        return fail(h, now, task, answer_text(answer))
    if tally.answered_at - tally.first_at >= seconds(gate.deadline):
        return fail(h, now, task, f"not ready after {gate.deadline}: {answer_text(answer)}")
    return _after(h, now, tally, seconds(gate.poll), f"waiting for {task.step}: {answer_text(answer)}") or (poll)


def _look(h: History, now: Instant, step: str, *, since: int = 0, idle_by: float = 0.0) -> Answer | Call | Wait:
    """What a probe after record ``since`` saw; a busy component is asked again until ``idle_by``."""
    tally = h.tally("probe", step)
    answer = tally.settled
    if answer is None or tally.answered <= since:
        return Call(verb="probe", step=step, attempt=tally.attempts + 1)
    sure = answer.kind == "unknown" and answer.version is not None  # it runs something that this run does not know
    ask_again = tally.answered_at < idle_by if answer.kind == "busy" else 0 < tally.unknowns < ATTEMPTS and not sure
    if not ask_again:
        return answer
    return _after(h, now, tally, _settle_poll(h), f"{step} is {answer.kind}") or (
        Call(verb="probe", step=step, attempt=tally.attempts + 1)
    )


def _forward(h: History, now: Instant, task: PhaseStep, tally: Tally) -> Action | None:
    """A call that needs the bundle and, if it is the first apply, the operator's leave."""
    if h.bundle == "rejected":
        return fail(h, now, task, f"the bundle is no longer accepted: {h.bundle_why}")
    if task.phase == "apply" and h.untouched:
        if h.window.until == "prepared":
            return Pause(why="everything is prepared, nothing is changed")
        if h.window.not_after is not None and now.wall > h.window.not_after:
            return fail(h, now, task, "the latest time to start has passed")
    if h.bundle == "absent" and h.bundle_why:
        return Pause(why=f"to {task.phase} {task.step}, the bundle is needed: {h.bundle_why}", moved=True)
    if h.bundle == "absent":
        return Pause(why=fill(f"to {task.phase} {task.step}, {NEEDS_BOTH}"))
    return _call(task, tally)


def fail(h: History, now: Instant, task: PhaseStep, why: str) -> Action | None:
    """Change the mode as the table states. None if the failure changes nothing and is only noted."""
    mode = FAILURE[task.phase]
    if mode == "rollback" and h.committed:
        mode = "degraded"
    if mode == "rollback" and h.untouched:
        mode = "abort"
    if mode is None:
        return None
    why = f"{task.phase} of {task.step} failed: {why}"
    if mode == "rollback":
        policy = h.policy(task.step)
        return Note(
            record=RevertDecided(
                at=now,
                step=task.step,
                reason=why,
                revert=h.reverts(task.step),
                keep=h.keeps(task.step),
                hold=policy.hold,
            )
        )
    return _change_mode(now, mode, task.step, why)


def _cancel(h: History, now: Instant, task: PhaseStep, action: Action) -> Note | None:
    """What an operator's cancel makes of the next task: before the commit point, and never under a change."""
    if not h.cancel or h.mode != "apply" or h.committed:
        return None
    if isinstance(action, Note) and not isinstance(action.record, CommitPoint):
        return None  # a failure comes first: its policy can demand a hold
    if task.phase == "apply" and h.tally(task.phase, task.step).attempts:
        return None
    why = "cancelled by the operator"
    if h.untouched:
        return _change_mode(now, "abort", "", why, cancelled=True)
    return Note(record=RevertDecided(at=now, step="", reason=why, revert=h.reverts_all(), cancelled=True))


def _unstage(h: History, now: Instant, task: PhaseStep) -> Action | None:
    """Clean up what this run has staged, of which the target is asked unless *prepare* has answered *ok*.

    A *prepare* that failed can have failed before it wrote its fence, and the staging there can be another run's.
    """
    prepare, probe = h.tally("prepare", task.step), h.tally("probe", task.step)
    surely = prepare.settled is not None and prepare.settled.kind == "ok"
    if probe.answered <= prepare.started and (surely or not prepare.attempts):
        return _once(h, now, task) if surely else None
    idle_by = _settled_by(h) if prepare.attempts else 0.0
    seen = _look(h, now, task.step, since=prepare.started, idle_by=idle_by)
    if not isinstance(seen, Answer):
        return seen
    ours = bool(prepare.attempts) if seen.run is None else seen.run == h.run
    return _once(h, now, task) if ours and is_idle(h, task.step) else None  # it can be in use, or another run's


def _after(h: History, now: Instant, tally: Tally, pause: float, why: str) -> Wait | None:
    """The rest of a pause that began with the last answer; None if it is over or a restart cut it short."""
    left = tally.answered_at + pause - h.age(now)
    return Wait(seconds=left, why=why) if left > 0 and tally.answered > h.resumed else None


def _settled_by(h: History) -> float:
    """The end of the time, in seconds of the run, that a component can be busy after the last change or resume."""
    last = max((time for _, time in h.changed.values()), default=0.0)
    return max(last, h.resumed_at) + seconds(h.job.plan.deadlines.settle)


def _settle_poll(h: History) -> int:
    return seconds(h.job.plan.deadlines.settle_poll)


def _deadline(h: History, task: PhaseStep) -> str:
    return h.job.plan.deadlines.apply if task.phase == "apply" else h.job.plan.deadlines.revert


def _call(task: PhaseStep, tally: Tally) -> Call:
    return Call(verb=task.phase, step=task.step, attempt=tally.attempts + 1)  # type: ignore[arg-type]


def _change_mode(now: Instant, to: EndMode, step: str, why: str, *, cancelled: bool = False) -> Note:
    return Note(record=ModeChanged(at=now, to=to, step=step, reason=why, cancelled=cancelled))


def _because(h: History, step: str) -> str:
    seen = h.seen.get(step)
    return f" ({seen.reason})" if seen is not None and seen.reason else ""
