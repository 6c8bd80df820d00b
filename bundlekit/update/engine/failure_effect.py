"""What a failure at this moment would lead to, as the planner would decide it."""

from __future__ import annotations

from bundlekit.model.primitives import Frozen
from bundlekit.update.engine.actions import Note, Pause
from bundlekit.update.engine.history import History
from bundlekit.update.engine.plan import OutcomeKind
from bundlekit.update.engine.planner import decide, fail, is_idle, proceed
from bundlekit.update.engine.records import Instant, ModeChanged, RevertDecided
from bundlekit.update.engine.transitions import COMMIT_POINT, PhaseStep, RunMode

ENDING: frozenset[RunMode] = frozenset({"abort", "degraded", "manual", "lost"})
"""The modes in which a failure changes nothing more: the outcome is decided."""


class FailureEffect(Frozen, frozen=True, kw_only=True):
    """What a failure now leads to.

    ``outcome`` is how the run ends then; None: the failure is recorded, and the run continues as it would without it.
    ``revert`` are the steps that go back to the old version, in order, ``keep`` those that stay on the new one.
    ``hold``: the pair is on hold afterwards.
    """

    outcome: OutcomeKind | None = None
    revert: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    hold: bool = False

    @property
    def text(self) -> str:
        """The effect in words."""
        hold = ", and the pair goes on hold" if self.hold else ""
        match self.outcome:
            case None:
                return "it is recorded, and the run continues"
            case "rejected":
                return f"nothing is changed; the run ends rejected{hold}"
            case "reverted":
                verb = "is" if len(self.revert) == 1 else "are"
                kept = f"{_listed(self.keep)} {'stays' if len(self.keep) == 1 else 'stay'} new" if self.keep else ""
                parts = [f"{_listed(self.revert)} {verb} reverted" if self.revert else "nothing is reverted", kept]
                return f"{', '.join(filter(None, parts))}; the run ends reverted{hold}"
            case "degraded":
                return f"without a revert, the run ends degraded{hold}"
            case kind:
                return f"nothing more is changed; the run ends {kind}{hold}"


def current_task(h: History, now: Instant) -> PhaseStep | None:
    """The first task of the run that is not done: under way, waited for, or next. None: none is left."""
    if h.ended is not None:
        return None
    failed: PhaseStep | None = None
    for task in h.tasks:
        action = proceed(h, now, task)
        if action is None:
            continue
        if task.phase == "revert" and isinstance(action, Note) and is_idle(h, task.step):
            failed = failed or task  # the planner reverts the others before it leaves this mode
            continue
        return task if failed is None or task.phase == "revert" else failed
    return failed


def if_it_fails(h: History, now: Instant) -> FailureEffect | None:
    """What a failure of the current task leads to; None where no task is left, or the run waits for an operator."""
    task = current_task(h, now)
    if task is None or isinstance(decide(h, now), Pause):
        return None
    stays = h.held or h.hold_at_target
    if h.mode in ENDING or task.phase == COMMIT_POINT:
        return FailureEffect()
    match fail(h, now, task, ""):
        case Note(record=RevertDecided(revert=revert, keep=keep, hold=hold)):
            return FailureEffect(outcome="reverted", revert=revert, keep=keep, hold=hold or stays)
        case Note(record=ModeChanged(to="abort")):
            return FailureEffect(outcome="rejected", hold=stays)
        case Note(record=ModeChanged(to="degraded")):
            return FailureEffect(outcome="degraded", hold=True)
        case Note(record=ModeChanged()):
            return FailureEffect(outcome="needs-operator", hold=True)
        case _:
            return FailureEffect()


def _listed(steps: tuple[str, ...]) -> str:
    return " and ".join(filter(None, (", ".join(steps[:-1]), steps[-1]))) if steps else ""
