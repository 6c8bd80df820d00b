"""The text about an outcome, for an operator at 2 a.m., and the commands of the next steps."""

from __future__ import annotations

from typing import Final

from bundlekit.cli.naming import shell_command
from bundlekit.escape import escape
from bundlekit.model.primitives import Frozen
from bundlekit.update.engine.invocation import UNKNOWN, InvocationPaths
from bundlekit.update.engine.plan import OutcomeKind, Plan
from bundlekit.update.engine.records import Outcome, RecoveryStep, StepState

MEANINGS: Final[dict[OutcomeKind, str]] = {
    "succeeded": "Every component is on the new version and verified, and the gates have passed.",
    "rejected": "Nothing was changed.",
    "cancelled": "The operator cancelled the run. Every change that it had made is reverted.",
    "on-hold": "Nothing was started, because the pair is on hold.",
    "busy": "Nothing was started, because another run has the pair.",
    "reverted": "Active and standby are on the old version and healthy.",
    "degraded": "The pair is operational but needs manual repair.",
    "needs-operator": "The pair could not be restored to a known state.",
    "nothing-to-resume": "No run of this pair is waiting to be resumed.",
    "superseded": "Another controller has taken over the pair. This run has stopped and changes nothing more.",
    "waiting": "The run has not ended. Resume it to continue.",
}


NEVER_BEGAN: Final = "No run was started, and this call changed nothing."
"""The meaning of *waiting* where the call could not start a run."""


class Message(Frozen, frozen=True, kw_only=True):
    """The answers that an operator on call needs, each in one sentence."""

    headline: str
    found: tuple[str, ...]
    served: str
    ha: str
    urgency: str
    next: tuple[str, ...]
    vendor: str
    send: str = ""
    reason: str = ""
    root_cause: str = ""
    notes: tuple[str, ...] = ()


NEED_REPAIR: Final = frozenset({"reverted", "degraded", "needs-operator"})
"""The outcomes after which the vendor needs the support bundle."""

HA: Final = {
    "formed": "yes, the cluster has formed",
    "not-formed": "no",
    "as-before": "as before the run, which changed nothing",
    "unknown": "unknown",
}

STATES: Final[dict[StepState, str]] = {
    "old": "old version",
    "new": "new version",
    "kept-new": "new version, kept intentionally",
    "partial": "half-written",
    "busy": "still busy with the change",
    "unknown": "unknown: the probe gave no result",
    "untouched": "not probed, not changed",
}

FOREIGN: Final = "neither the old version nor the new one"
"""A component that the probe calls unknown although it reports a version."""

STEPS: Final = {
    "run": "run the update again",
    "resume": "resume the run",
    "repair": "repair the pair",
    "revert": "retry the reverts after fixing the cause",
    "state": "write the state of the pair again",
    "clear": "release the pair from hold",
    "reimage": "re-image {step} with version {version}",
    "take-over": "wait for run {run}, or resume it where it was started; "
    "if its controller is permanently gone, replace the run",
}
"""The steps of recovery in words. A command follows, except after a step that is done by hand."""


def message(outcome: Outcome, plan: Plan | None = None, paths: InvocationPaths = UNKNOWN) -> Message:
    """The message about ``outcome`` for a person. ``plan`` adds the vendor's own words (its ``[messages]``).

    ``paths`` are the files for the commands among the next steps.
    """
    on_hold = " The pair is on hold." if outcome.hold and outcome.kind != "on-hold" else ""  # its meaning states it
    return Message(
        headline=f"{outcome.kind}: {_meaning(outcome)}{on_hold}",
        reason=outcome.reason,
        root_cause=outcome.root_cause,
        found=tuple(
            f"{step} ({outcome.roles[step]}): "
            + (f"{version}, " if (version := outcome.versions.get(step)) else "")
            + (FOREIGN if version and state == "unknown" else STATES[state])
            + (f" ({outcome.probe_reasons[step]})" if outcome.probe_reasons.get(step) else "")
            for step, state in outcome.states.items()
        ),
        served=_served(outcome),
        ha=HA[outcome.ha],
        urgency=_urgency(outcome),
        next=next_steps(outcome.recovery, pair=outcome.pair, paths=paths, plan=plan),
        vendor=(plan.messages.get(outcome.kind, "") if plan else "") or _vendor(outcome),
        send=f"the support bundle: {shell_command('update log', pair=outcome.pair, export=f'{outcome.pair}.zip')}"
        if outcome.run and outcome.kind in NEED_REPAIR
        else "",
        notes=outcome.notes,
    )


def next_steps(
    steps: tuple[RecoveryStep, ...], *, pair: str, paths: InvocationPaths = UNKNOWN, plan: Plan | None = None
) -> tuple[str, ...]:
    """The steps in words, each with the command that does it. If a program has the hooks of ``plan``, with its call."""
    found = []
    for one in steps:
        words = STEPS["take-over" if one.run else one.verb].format(step=one.step, version=one.version, run=one.run)
        command = _call(one, pair) if _is_in_program(plan, paths) else _command(one, pair, paths)
        found.append(f"{words}: {command}" if command else words)
    return tuple(found)


def resume_call(pair: str, paths: InvocationPaths, plan: Plan | None) -> str:
    """The command that continues the run of a pair, or the call of the program that has its hooks."""
    if _is_in_program(plan, paths):
        return _call(RecoveryStep(verb="resume"), pair)
    return resume_command(pair, paths)


def _is_in_program(plan: Plan | None, paths: InvocationPaths) -> bool:
    """Whether a program has the hooks of a run: nothing in the plan serves them, and no command has begun the run."""
    begun_here = bool(paths.plan or paths.state or paths.trust)
    return plan is not None and plan.in_program and not begun_here


def _call(one: RecoveryStep, pair: str) -> str:
    """The call of the library for a step, because only the program that has the hooks can do it."""
    arguments = {
        "run": "BUNDLE, plan, trust=trust, appliance=appliance",
        "take-over": f"BUNDLE, plan, trust=trust, appliance=appliance, take_over={one.run!r}",
        "resume": f"{pair!r}, trust=trust{', file=NEWPATH' if one.bundle_moved else ''}",
        "repair": f"{pair!r}, trust=trust",
        "revert": f"{pair!r}, by='NAME', reason='TEXT'",
        "clear": f"{pair!r}, HoldRelease(by='NAME', reason='TEXT')",
        "state": "plan, before=appliance"
        + "".join(f", {name}={text!r}" for name in ("product", "model") if (text := getattr(one, name))),
    }
    method = "run" if one.verb == "take-over" else one.verb
    found = arguments.get(one.verb)
    return f"in the program that has the hooks, Controller.{method}({found})" if found else ""


def resume_command(pair: str, paths: InvocationPaths, *, bundle: str | None = None) -> str:
    """The command that continues the run of a pair. ``bundle`` is given if it is no longer at its original path."""
    return shell_command("update resume", pair=pair, bundle=bundle, trust=paths.trust or "TRUST")


def _command(one: RecoveryStep, pair: str, paths: InvocationPaths) -> str:
    """The command of a step, with a placeholder for each path that is unknown; empty for a step by hand."""
    bundle, plan, state = paths.bundle or "BUNDLE", paths.plan or "PLAN.toml", paths.state or "STATE.json"
    trust, over = paths.trust or "TRUST", one.run or None
    match one.verb:
        case "run" | "take-over":
            named = [f"{label}={file}" for label, file in paths.components.items()]
            files = {"component": named or None, "plan": plan, "appliance": state}
            return shell_command("update run", bundle, **files, trust=trust, take_over=over)
        case "resume":
            return resume_command(pair, paths, bundle="NEWPATH" if one.bundle_moved else None)
        case "repair":
            return shell_command("update repair", pair=pair, trust=trust, take_over=over)
        case "revert" | "clear":
            return shell_command(f"update {one.verb}", pair=pair, by="NAME", reason="TEXT", take_over=over)
        case "state":
            reported = {"product": one.product or None, "model": one.model or None}
            return shell_command("update state", plan=plan, appliance=state, pair=pair, **reported, output=state)
        case "reimage":
            return ""


def _meaning(outcome: Outcome) -> str:
    return NEVER_BEGAN if outcome.kind == "waiting" and not outcome.run else MEANINGS[outcome.kind]


def in_words(outcome: Outcome, plan: Plan) -> str:
    """The message about ``outcome`` as lines of plain text."""
    return text(message(outcome, plan))


def text(message: Message) -> str:
    """The message as lines of plain text. Each begins with a label, even if a reason contains line ends."""
    rows = [
        ("reason", message.reason),
        ("root cause", message.root_cause),
        *(("found", line) for line in message.found),
        ("data served", message.served),
        ("HA", message.ha),
        ("urgency", message.urgency),
        *((f"next {number}", line) for number, line in enumerate(message.next, 1)),
        *(("note", line) for line in message.notes),
        *(("vendor", line) for line in message.vendor.splitlines()),
        ("send", message.send),
    ]
    return "\n".join([message.headline, *(f"  {name:<12} {escape(line)}" for name, line in rows if line)]) + "\n"


def _vendor(outcome: Outcome) -> str:
    """Whom to call if the plan has no text of its own."""
    needed = outcome.kind in {"degraded", "needs-operator"} and outcome.run
    return f"call the vendor's support and quote run {outcome.run}" if needed else ""


def _served(outcome: Outcome) -> str:
    if outcome.ha == "as-before":
        return "as before the run, which changed nothing"
    if not outcome.states:
        return "unknown"
    members = {
        step: state
        for step, state in outcome.states.items()
        if outcome.roles[step] != "shared" and step != outcome.failed
    }
    whole = [outcome.roles[step] for step, state in members.items() if state in {"old", "new", "kept-new"}]
    if outcome.ha == "formed":
        return "yes, by the pair"
    if outcome.kind == "degraded" and whole:
        return f"yes, by one appliance; complete: {', '.join(whole)}"
    return f"not proven; complete: {', '.join(whole) or 'none'}"


def _urgency(outcome: Outcome) -> str:
    status = shell_command("update status")
    match outcome.kind:
        case "succeeded":
            return ""
        case "degraded":
            return "can wait until working hours if the pair can run without HA; restart nothing"
        case "needs-operator":
            return "urgent: inspect the pair now"
        case "waiting" if not outcome.run:
            return f"see the run in progress, if one exists: {status}"
        case "waiting" if outcome.ha == "as-before":
            return "can wait: nothing was changed yet"
        case "waiting" if outcome.committed and set(outcome.states.values()) == {"new"}:
            return "can wait: every component is new and committed, and only HA is pending"
        case "waiting":
            return "urgent: the pair might be between two versions; resume the run"
        case "nothing-to-resume":
            return f"can wait, unless the pair is on hold: {status}"
        case "on-hold" | "busy":
            return f"see the other run: {status}"
        case _:
            return "can wait"
