"""The state of a pair by its journal and locks, without any hook."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from bundlekit.model.primitives import Frozen
from bundlekit.update.engine.history import History
from bundlekit.update.engine.invocation import UNKNOWN, InvocationPaths
from bundlekit.update.engine.plan import Plan
from bundlekit.update.engine.records import Cleared, Ended, Instant, Outcome, Record, Rejected, Started, Window
from bundlekit.update.state.activity import Activity, activity
from bundlekit.update.state.update_state import UpdateState

Phase = Literal["running", "waiting", "on-hold", "ended"]
"""Where a pair is: a controller works on it, its run waits to be resumed, it is on hold, or neither."""


class Status(Frozen, frozen=True, kw_only=True):
    """A pair's latest run. ``controller`` is the controller at work, or empty. ``hold``: the pair is on hold.

    ``paths`` are the files of the run, as its controllers were given them. ``window`` is how far it can go, and the
    latest time to start to switch. ``started`` and ``ended`` are wall times, in seconds since 1970. ``rejected`` is the
    latest run that the check rejected since then. A pair without any begun run has only that, and no ``activity``,
    ``plan`` and ``started``.
    """

    pair: str
    phase: Phase
    hold: bool
    controller: str
    cancel_requested: bool
    started: float | None
    ended: float | None
    activity: Activity | None
    outcome: Outcome | None
    cleared: Cleared | None
    plan: Plan | None
    paths: InvocationPaths
    window: Window
    rejected: Rejected | None

    @property
    def needs_operator(self) -> bool:
        """Whether an operator has to look: the pair is on hold, or its run ended so and was not cleared."""
        return self.hold or (
            self.outcome is not None and self.outcome.kind == "needs-operator" and self.cleared is None
        )


def status_of(pair: str, records: Sequence[Record], kept_in: UpdateState, now: Instant) -> Status:
    """The status of ``pair``, whose ``records`` are all that the journal of ``kept_in`` has of it."""
    history = History.latest(records)
    controller = kept_in.at_work(pair)
    last = records[-1]
    rejected = last if isinstance(last, Rejected) else None
    if history is None:
        return Status(
            pair=pair,
            phase="running" if controller else "ended",
            hold=False,
            controller=controller,
            cancel_requested=False,
            started=None,
            ended=None,
            activity=None,
            outcome=None,
            cleared=None,
            plan=None,
            paths=UNKNOWN,
            window=Window(),
            rejected=rejected,
        )
    begun = max(index for index, record in enumerate(records) if isinstance(record, Started))
    run = [record for record in records[begun:] if not isinstance(record, Rejected)]
    return Status(
        pair=pair,
        phase=_phase(history, controller),
        hold=history.hold,
        controller=controller,
        cancel_requested=history.ended is None
        and (history.cancel or kept_in.cancel_request(pair).asked() == history.run),
        started=run[0].at.wall,
        ended=next((record.at.wall for record in run if isinstance(record, Ended)), None),
        activity=activity(history, run, now),
        outcome=history.ended,
        cleared=history.cleared,
        plan=history.job.plan,
        paths=history.paths,
        window=history.window,
        rejected=rejected,
    )


def _phase(history: History, controller: str) -> Phase:
    if controller:
        return "running"
    if history.ended is None:
        return "waiting"
    return "on-hold" if history.hold else "ended"
