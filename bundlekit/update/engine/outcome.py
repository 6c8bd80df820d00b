"""How a run ends: the outcome as a value, its exit code, and what a person is told at 2 a.m."""

from __future__ import annotations

import shlex
from typing import Final, Literal

from bundlekit.escape import escape
from bundlekit.model.primitives import Frozen
from bundlekit.update.engine.history import History
from bundlekit.update.engine.invocation import UNKNOWN, Names
from bundlekit.update.engine.plan import OutcomeKind, Plan
from bundlekit.update.engine.records import Outcome, StepState, WayOut

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

MEANINGS: Final[dict[OutcomeKind, str]] = {
    "succeeded": "Everything is on the new version, verified, and the gates have passed.",
    "rejected": "Nothing was changed.",
    "cancelled": "The operator cancelled; whatever the run had changed is reverted.",
    "on-hold": "Nothing was started: the pair is on hold.",
    "busy": "Nothing was started: another run has the pair.",
    "reverted": "Active and standby are on the old version and healthy.",
    "degraded": "The pair is operational but needs manual repair.",
    "needs-operator": "The pair could not be put into a known state.",
    "nothing-to-resume": "No run of the pair waits to be resumed.",
    "superseded": "Another controller took the pair over. This run stopped and changes nothing more.",
    "waiting": "The run is not over; a resume goes on.",
}


NEVER_BEGAN: Final = "No run was started, and nothing was changed by this call."
"""The meaning of *waiting* where the call could not even begin a run."""


def conclude(h: History, kinds: tuple[OutcomeKind, ...]) -> Outcome:
    """The outcome of a run whose way has no moves left; ``kinds`` are those its way can lead to."""
    decision = h.turned or h.revert
    cancelled = h.revert.cancelled if h.way == "back" and h.revert else bool(h.turned and h.turned.cancelled)
    kind: OutcomeKind = "cancelled" if cancelled else kinds[0]
    if h.way == "lost" and not h.untouched:
        kind = "superseded"
    stays = h.held or h.hold_at_target or (h.revert is not None and h.revert.hold)
    if h.way == "lost":  # what this run would have left there was never written
        stays = h.hold_at_target
    hold = {"succeeded": False, "degraded": True, "needs-operator": True}.get(kind, stays)
    return Outcome(
        kind=kind,
        pair=h.job.pair,
        run=h.run,
        bundle_id=h.job.bundle_id,
        hold=hold,
        failed=decision.step if decision else "",
        why=_why(h, kind),
        first=h.failures[0] if h.failures and h.failures[0] != h.failures[-1] else "",
        states={step: h.state(step) for step in h.job.targets},
        reasons=seen_reasons(h),
        versions=seen_versions(h),
        roles={step: target.role for step, target in h.job.targets.items()},
        ha=_ha(h),
        committed=h.committed,
        notes=(*h.notes, *_unasked_facts(h)),
        way_out=_way_out(h, kind, hold=hold),
    )


def _unasked_facts(h: History) -> tuple[str, ...]:
    """Facts that the bundle needs and that no component reports: the state's word was all there is."""
    described = [answer for step in h.job.targets if (answer := h.tally("describe", step).settled)]
    if len(described) < len(h.job.targets):
        return ()
    missing = (c.fact for c in h.job.facts if not any(c.fact in answer.facts for answer in described))
    return tuple(f"no component reports {fact}, so it was taken from the state" for fact in dict.fromkeys(missing))


def _why(h: History, kind: OutcomeKind) -> str:
    """The decision's reason; a pair that changed in other hands before this run did anything is *state-changed*."""
    decision = h.turned or h.revert
    if decision is None:
        return ""
    return f"state-changed: {decision.why}" if h.way == "lost" and kind == "rejected" else decision.why


def seen_versions(h: History) -> dict[str, str]:
    """The version of each step that its last probe could name."""
    answers = ((step, h.tally("probe", step).answer) for step in h.job.targets)
    return {step: answer.version for step, answer in answers if answer is not None and answer.version}


def seen_reasons(h: History) -> dict[str, str]:
    """What the last probe of each step that is neither old nor new gave as its reason."""
    return {step: seen.reason for step, seen in h.seen.items() if seen.reason and seen.kind not in {"old", "new"}}


def _ha(h: History) -> Literal["formed", "not-formed", "as-before", "unknown"]:
    if h.way == "stop":
        return "as-before"
    if h.way == "lost":
        return "unknown"
    if h.way == "degrade":
        return "not-formed"
    return "formed" if h.way in {"forward", "back"} and h.job.plan.gates else "unknown"


def _way_out(h: History, kind: OutcomeKind, *, hold: bool) -> tuple[WayOut, ...]:
    """The steps that lead from here to *succeeded* or *healthy old*; rehearsal walks them."""
    clear, again = (WayOut(verb="clear"),), (WayOut(verb="run"),)
    if kind == "succeeded":
        return ()
    if h.way == "lost":
        return (*(clear if hold else ()), WayOut(verb="state"), *again)
    if kind in {"rejected", "cancelled", "reverted"}:
        return (*(clear if hold else ()), *_state_again(h), *again)
    images = tuple(
        WayOut(verb="reimage", step=step, version=target.new if _stays_new(h, step) else target.old)
        for step, target in h.job.targets.items()
        if _needs_image(h, step, kind)
    )
    if kind == "degraded" and _forward_only(h):
        return (*images, WayOut(verb="repair"))
    if _can_revert_again(h, kind):
        return (WayOut(verb="revert"), *clear, *_state_again(h), *again)
    return (*images, *clear, *_state_again(h, images), *again)


def _can_revert_again(h: History, kind: OutcomeKind) -> bool:
    """Whether another try at the reverts can bring the pair back: one has failed, and nothing moves any more."""
    if kind != "needs-operator" or h.revert is None or _forward_only(h):
        return False
    wrong = [step for step in h.job.targets if _needs_image(h, step, kind)]
    return bool(wrong) and all(h.state(step) in {"new", "partial"} and step in h.revert.revert for step in wrong)


def _state_again(h: History, images: tuple[WayOut, ...] = ()) -> tuple[WayOut, ...]:
    """The step that brings STATE.json up to date, where a run from the one at hand could only end in *state-changed*.

    That is where it was found stale, where it says that the pair is on hold, and where the run, or an image in
    ``images``, leaves another version behind. The job of a repair was not made from a STATE.json at all.
    """
    job = h.job
    unknown = {step: version for step, version in seen_versions(h).items() if h.state(step) == "unknown"}
    left = {step: t.new if h.state(step) in {"new", "kept-new"} else t.old for step, t in job.targets.items()}
    left |= unknown
    left |= {image.step: image.version for image in images}
    changed = any(h.differs(step) or left[step] != target.old for step, target in job.targets.items())
    denied = {name: now for step in job.targets for name, now in h.denies(step).items()}
    again = WayOut(verb="state", product=denied.get("product", ""), model=denied.get("model", ""))
    return (again,) if changed or job.hold or job.repair else ()


def _needs_image(h: History, step: str, kind: OutcomeKind) -> bool:
    """Whether only a re-image brings the step to where the pair can go on from."""
    state = h.state(step)
    if kind == "degraded" and _forward_only(h):
        return state in {"busy", "unknown"} or (state != "new" and h.policy(step).way_out == "reimage")
    return state not in ({"new", "kept-new"} if _stays_new(h, step) else {"old"})


def _stays_new(h: History, step: str) -> bool:
    """Which version the pair goes on with: the new one behind the commit point and for what is kept."""
    if _forward_only(h) or h.is_new(step):
        return True
    if h.revert:
        return step in h.revert.keep
    failed = h.turned.step if h.turned else ""
    return failed in h.job.groups()[0] and step in h.keeps(failed)


def _forward_only(h: History) -> bool:
    """Whether the pair can only go on to the new version, for a member is on it for good."""
    member_is_new = any(h.is_new(step) for step, target in h.job.targets.items() if target.role != "shared")
    return h.committed or h.committed_at_target or member_is_new


class Message(Frozen, frozen=True, kw_only=True):
    """The answers a person on call needs, each one sentence."""

    headline: str
    found: tuple[str, ...]
    served: str
    ha: str
    may_wait: str
    next: tuple[str, ...]
    call: str
    send: str = ""
    why: str = ""
    first: str = ""
    notes: tuple[str, ...] = ()


NEEDS_HANDS: Final = frozenset({"reverted", "degraded", "needs-operator"})
"""The ends after which somebody should look at what happened."""

HA: Final = {
    "formed": "yes, the cluster has formed",
    "not-formed": "no",
    "as-before": "as before the run, which changed nothing",
    "unknown": "not known",
}

STATES: Final[dict[StepState, str]] = {
    "old": "old version",
    "new": "new version",
    "kept-new": "new version, kept on purpose",
    "partial": "half-written",
    "busy": "still busy with the change",
    "unknown": "unknown: the probe could not determine it",
    "untouched": "not probed, not changed",
}

WAYS_OUT: Final = {
    "run": "run the update again: bundlekit update run {bundle} --plan {plan} --appliance {state} {trust}",
    "resume": "resume the run: bundlekit update resume --pair {pair}{told} {trust}",
    "repair": "finish the pair: bundlekit update repair --pair {pair} {trust}",
    "revert": "once the cause is fixed, try the reverts again: "
    "bundlekit update revert --pair {pair} --by NAME --reason TEXT",
    "state": "write the state of the pair again: "
    "bundlekit update state --plan {plan} --appliance {state} --pair {pair}{told} -o {state}",
    "clear": "take the pair off hold: bundlekit update clear --pair {pair} --by NAME --reason TEXT",
    "reimage": "re-image {step} with version {version}",
    "take-over": "wait for run {run}, or go on with it where it was started; if its controller is gone for good: "
    "bundlekit update run {bundle} --plan {plan} --appliance {state} {trust} --take-over {run}",
}


def message(outcome: Outcome, plan: Plan | None = None, names: Names = UNKNOWN) -> Message:
    """What to tell a person about ``outcome``; ``plan`` adds the vendor's own words (its ``[say]``).

    ``names`` are the files that the commands among the next steps are about.
    """
    files = names.quoted()
    on_hold = " The pair is on hold." if outcome.hold and outcome.kind != "on-hold" else ""  # whose meaning says so
    return Message(
        headline=f"{outcome.kind}: {_meaning(outcome)}{on_hold}",
        why=outcome.why,
        first=outcome.first,
        found=tuple(
            f"{step} ({outcome.roles[step]}): "
            + (f"{outcome.versions[step]}, " if outcome.versions.get(step) else "")
            + STATES[state]
            + (f" ({outcome.reasons[step]})" if outcome.reasons.get(step) else "")
            for step, state in outcome.states.items()
        ),
        served=_served(outcome),
        ha=HA[outcome.ha],
        may_wait=_may_wait(outcome),
        next=tuple(
            WAYS_OUT[way.verb].format(
                pair=outcome.pair, step=way.step, version=way.version, run=way.run, told=_as_options(way), **files
            )
            for way in outcome.way_out
        ),
        call=(plan.say.get(outcome.kind, "") if plan else "") or _call(outcome),
        send=f"the support bundle: bundlekit update log --pair {outcome.pair} --export {outcome.pair}.zip"
        if outcome.run and outcome.kind in NEEDS_HANDS
        else "",
        notes=outcome.notes,
    )


def _meaning(outcome: Outcome) -> str:
    return NEVER_BEGAN if outcome.kind == "waiting" and not outcome.run else MEANINGS[outcome.kind]


def _as_options(way: WayOut) -> str:
    """What the next step has to be told: what the pair says it is, where the bundle is now."""
    told = {"product": way.product, "model": way.model, "bundle": "NEWPATH" if way.moved else ""}
    return "".join(f" --{name} {shlex.quote(word)}" for name, word in told.items() if word)


def text(told: Message) -> str:
    """The message as lines of plain text. Each begins with a label, whatever reasons and the vendor's words contain."""
    rows = [
        ("because", told.why),
        ("at first", told.first),
        *(("found", line) for line in told.found),
        ("data served", told.served),
        ("HA", told.ha),
        ("can it wait", told.may_wait),
        *((f"next {number}", line) for number, line in enumerate(told.next, 1)),
        *(("noted", line) for line in told.notes),
        *(("vendor says", line) for line in told.call.splitlines()),
        ("send", told.send),
    ]
    return "\n".join([told.headline, *(f"  {name:<12} {escape(line)}" for name, line in rows if line)]) + "\n"


def _call(outcome: Outcome) -> str:
    """Whom to call where the plan has no words of its own."""
    needed = outcome.kind in {"degraded", "needs-operator"} and outcome.run
    return f"call the vendor's support and quote run {outcome.run}" if needed else ""


def _served(outcome: Outcome) -> str:
    if outcome.ha == "as-before":
        return "as before the run, which changed nothing"
    members = {
        step: state
        for step, state in outcome.states.items()
        if outcome.roles[step] != "shared" and step != outcome.failed
    }
    whole = [outcome.roles[step] for step, state in members.items() if state in {"old", "new", "kept-new"}]
    if outcome.ha == "formed":
        return "yes, by the pair"
    if outcome.kind == "degraded" and whole:
        return f"yes, by one appliance; whole: {', '.join(whole)}"
    return f"not proven; whole: {', '.join(whole) or 'none'}"


def _may_wait(outcome: Outcome) -> str:
    match outcome.kind:
        case "degraded":
            return "until working hours, if the pair can do without HA until then; restart nothing"
        case "needs-operator":
            return "no: look at the pair now"
        case "waiting" if not outcome.run:
            return "as a run that is under way, if there is one: bundlekit update status"
        case "waiting" if outcome.ha == "as-before":
            return "yes, nothing is changed yet"
        case "waiting" if outcome.committed and set(outcome.states.values()) == {"new"}:
            return "yes, everything is on the new version and committed; only HA is waited for"
        case "waiting":
            return "no: the pair is possibly between two versions; resume"
        case "on-hold" | "busy" | "nothing-to-resume":
            return "see: bundlekit update status"
        case _:
            return "yes"
