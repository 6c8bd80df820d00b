"""How a run ends: the outcome as a value, and its exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from bundlekit.update.engine.errors import UpdateError
from bundlekit.update.engine.history import History
from bundlekit.update.engine.plan import OutcomeKind
from bundlekit.update.engine.records import Answer, Outcome, RecoveryStep

if TYPE_CHECKING:
    from collections.abc import Mapping

EXIT_CODES: Final[dict[OutcomeKind, int]] = {
    "succeeded": 0,
    "nothing-to-resume": 4,
    "rejected": 10,
    "cancelled": 11,
    "on-hold": 12,
    "busy": 13,
    "superseded": 14,
    "reverted": 20,
    "degraded": 30,
    "needs-operator": 40,
    "waiting": 75,  # EX_TEMPFAIL of sysexits.h: try again later
}
"""Exit codes of ``bundlekit update run`` and ``resume``."""


Again = Literal["run", "resume", "repair", "revert"]
"""The verb to call again where the journal could not be used and nothing was begun."""


def outcome_of(error: UpdateError, pair: str, *, again: Again) -> Outcome:
    """The outcome that ``error`` is for ``pair``. Raises ``error`` itself if it is none."""
    if error.ends is None:
        raise error
    nothing_begun = error.ends in {"rejected", "on-hold"}
    return Outcome(
        kind=error.ends,
        pair=pair,
        run=error.run,
        reason=error.message if error.ends == "busy" else f"{error.message} {error.next_step}".rstrip(),
        ha="as-before" if nothing_begun else "unknown",
        recovery=(RecoveryStep(verb=again),) if error.ends == "waiting" else (),
    )


def conclude(h: History, kinds: tuple[OutcomeKind, ...]) -> Outcome:
    """The outcome of a run whose mode has no tasks left. ``kinds`` are the possible outcomes of the mode."""
    decision = h.mode_change or h.revert
    cancelled = (
        h.revert.cancelled if h.mode == "rollback" and h.revert else bool(h.mode_change and h.mode_change.cancelled)
    )
    kind: OutcomeKind = "cancelled" if cancelled else kinds[0]
    if h.mode == "lost" and not h.untouched:
        kind = "superseded"
    stays = h.held or h.hold_at_target or (h.revert is not None and h.revert.hold)
    if h.mode == "lost":  # what this run would have left there was never written
        stays = h.hold_at_target
    hold = {"succeeded": False, "degraded": True, "needs-operator": True}.get(kind, stays)
    return Outcome(
        kind=kind,
        pair=h.job.pair,
        run=h.run,
        bundle_id=h.job.bundle_id,
        hold=hold,
        failed=decision.step if decision else "",
        reason=_why(h, kind),
        root_cause=h.failures[0] if h.failures and h.failures[0] != h.failures[-1] else "",
        states={step: h.state(step) for step in h.job.targets},
        probe_reasons=seen_reasons(h),
        versions=seen_versions(h),
        roles={step: target.role for step, target in h.job.targets.items()},
        ha=_ha(h),
        committed=h.committed,
        notes=(*h.notes, *_unasked_facts(h)),
        recovery=_recovery(h, kind, hold=hold),
    )


def _unasked_facts(h: History) -> tuple[str, ...]:
    """Notes about facts that the bundle needs and no component reports. Only the state contained them."""
    described = [answer for step in h.job.targets if (answer := h.tally("describe", step).settled)]
    if len(described) < len(h.job.targets):
        return ()
    missing = (c.fact for c in h.job.facts if not any(c.fact in answer.facts for answer in described))
    return tuple(f"no component reports {fact}, so it was taken from the state" for fact in dict.fromkeys(missing))


def _why(h: History, kind: OutcomeKind) -> str:
    """The decision's reason; a pair that changed in other hands before this run did anything is *state-changed*."""
    decision = h.mode_change or h.revert
    if decision is None:
        return ""
    return f"state-changed: {decision.reason}" if h.mode == "lost" and kind == "rejected" else decision.reason


def seen_versions(h: History) -> dict[str, str]:
    """The version of each step that its last probe could name."""
    answers = ((step, h.tally("probe", step).answer) for step in h.job.targets)
    return {step: answer.version for step, answer in answers if answer is not None and answer.version}


def seen_reasons(h: History) -> dict[str, str]:
    """What the last probe of each step that is neither old nor new gave as its reason."""
    return {step: seen.reason for step, seen in h.seen.items() if seen.reason and seen.kind not in {"old", "new"}}


def _ha(h: History) -> Literal["formed", "not-formed", "as-before", "unknown"]:
    if h.mode == "abort":
        return "as-before"
    if h.mode == "lost":
        return "unknown"
    if h.mode == "degraded":
        return "not-formed"
    return "formed" if h.mode in {"apply", "rollback"} and h.job.plan.gates else "unknown"


def _recovery(h: History, kind: OutcomeKind, *, hold: bool) -> tuple[RecoveryStep, ...]:
    """The steps that lead from here to *succeeded* or *healthy old*; rehearsal walks them."""
    clear, again = (RecoveryStep(verb="clear"),), (RecoveryStep(verb="run"),)
    if kind == "succeeded":
        return ()
    if h.mode == "lost":
        return (*(clear if hold else ()), RecoveryStep(verb="state"), *again)
    if kind in {"rejected", "cancelled"} and h.job.repair and not any(h.differs(step) for step in h.job.targets):
        return (*half_written_images(h), RecoveryStep(verb="repair"))  # it is what it was, and cannot be cleared yet
    if kind in {"rejected", "cancelled", "reverted"}:
        return (*half_written_images(h), *(clear if hold else ()), *_state_again(h), *again)
    images = tuple(
        RecoveryStep(verb="reimage", step=step, version=target.new if _stays_new(h, step) else target.old)
        for step, target in h.job.targets.items()
        if _needs_image(h, step, kind)
    )
    if kind == "degraded" and _forward_only(h):
        return (*images, RecoveryStep(verb="repair"))
    if kind == "degraded" and not images and _differed_before(h):
        return (RecoveryStep(verb="repair"),)
    if _can_revert_again(h, kind):
        return (RecoveryStep(verb="revert"), *clear, *_state_again(h), *again)
    return (*images, *clear, *_state_again(h, images), *again)


def before_clear(h: History, answers: Mapping[str, Answer]) -> tuple[RecoveryStep, ...]:
    """What makes the pair fit to be cleared. ``answers`` are those of components and gates until one was not fit.

    That is what the run itself advised, without the images that are in place by now, if it does not begin with *clear*.
    Otherwise it is an image for a half-written component, or for the members whose versions keep a gate from passing.
    A pair that was lost gets no images: only the other controller knows which version it needs.
    """
    runs = {step: answer.version or "" for step, answer in answers.items() if answer.kind in {"old", "new"}}
    advised = [*h.ended.recovery] if h.ended is not None else []
    left = [way for way in advised if way.verb != "reimage" or runs.get(way.step) != way.version]
    if left and left[0].verb != "clear":
        return tuple(left)
    name, last = list(answers.items())[-1]
    if h.mode == "lost":
        return ()
    if last.kind == "partial":
        return _image(h, name), RecoveryStep(verb="clear")
    images = _images_of_members(h, runs) if name in h.job.plan.gates else ()
    return (*images, *(left or [RecoveryStep(verb="clear")])) if images else ()


def _images_of_members(h: History, runs: Mapping[str, str]) -> tuple[RecoveryStep, ...]:
    """The re-images that give all members of a component one version: the new one, if a member runs it."""
    images = []
    for step, target in h.job.targets.items():
        partners = [runs[name] for name, t in h.job.targets.items() if t.component == target.component and name in runs]
        version = target.new if target.new in partners else next(iter(partners), "")
        if step in runs and runs[step] != version:
            images.append(RecoveryStep(verb="reimage", step=step, version=version))
    return tuple(images)


def half_written_images(h: History) -> tuple[RecoveryStep, ...]:
    """The re-images without which no run can start, because a component is half-written.

    A component that describes itself without a version is half-written, too. A repair writes those after the commit
    point again itself.
    """
    steps = h.job.groups()[0] if h.job.repair else tuple(h.job.targets)
    return tuple(
        _image(h, step)
        for step in h.job.targets
        if step in steps and (h.state(step) == "partial" or h.without_version(step))
    )


def _image(h: History, step: str) -> RecoveryStep:
    """The re-image of a half-written component, with the version that its partner runs."""
    target, seen = h.job.targets[step], seen_versions(h)
    partners = [seen[name] for name, t in h.job.targets.items() if t.component == target.component and name in seen]
    version = target.new if _stays_new(h, step) else partners[0] if partners else target.old
    return RecoveryStep(verb="reimage", step=step, version=version)


def _can_revert_again(h: History, kind: OutcomeKind) -> bool:
    """Whether another try at the reverts can restore the pair: one has failed, and no change is running."""
    if kind != "needs-operator" or h.revert is None or _forward_only(h):
        return False
    wrong = [step for step in h.job.targets if _needs_image(h, step, kind)]
    return bool(wrong) and all(h.state(step) in {"new", "partial"} and step in h.revert.revert for step in wrong)


def _state_again(h: History, images: tuple[RecoveryStep, ...] = ()) -> tuple[RecoveryStep, ...]:
    """The step that updates STATE.json, if a run from the current one could only end in *state-changed*.

    That is the case if the file was found stale, or if it contains a hold. It is also the case if the run, or an image
    in ``images``, leaves another version. The job of a repair was not made from a STATE.json at all.
    """
    job = h.job
    unknown = {step: version for step, version in seen_versions(h).items() if h.state(step) == "unknown"}
    left = {step: t.new if h.state(step) in {"new", "kept-new"} else t.old for step, t in job.targets.items()}
    left |= unknown
    left |= {image.step: image.version for image in images}
    changed = any(h.differs(step) or left[step] != target.old for step, target in job.targets.items())
    changed = changed or h.unexplained is not None  # a journal older than the pair has an older state, too
    denied = {name: now for step in job.targets for name, now in h.denies(step).items()}
    again = RecoveryStep(verb="state", product=denied.get("product", ""), model=denied.get("model", ""))
    return (again,) if changed or job.hold or job.repair else ()


def _needs_image(h: History, step: str, kind: OutcomeKind) -> bool:
    """Whether only a re-image gets the step to a version that the pair can continue with."""
    state = h.state(step)
    if {h.state(name) for name in h.job.targets} in ({"new"}, {"old"}):
        return False  # the pair is complete, even if this run did not get it there
    if kind == "degraded" and _forward_only(h):
        failed = state == "partial" or h.tally("apply", step).attempts > 0
        return state in {"busy", "unknown"} or (state != "new" and failed and h.policy(step).recovery == "reimage")
    return state not in ({"new", "kept-new"} if _stays_new(h, step) else {"old"})


def _stays_new(h: History, step: str) -> bool:
    """Whether the pair continues with the new version of the step: after the commit point, or because it is kept."""
    if _forward_only(h) or h.is_new(step):
        return True
    if h.revert:
        return step in h.revert.keep
    failed = h.mode_change.step if h.mode_change else ""
    return failed in h.job.groups()[0] and step in h.keeps(failed)


def _differed_before(h: History) -> bool:
    """Whether the members had different versions before the run: a gate about HA passes only on the new version."""
    members = {(t.component, t.old) for t in h.job.targets.values() if t.role != "shared"}
    return len(members) > len({component for component, _ in members})


def _forward_only(h: History) -> bool:
    """Whether the pair can only continue to the new version, because a member runs it permanently."""
    member_is_new = any(h.is_new(step) for step, target in h.job.targets.items() if target.role != "shared")
    return h.committed or h.committed_at_target or member_is_new
