"""What the journal and the locks say of a pair, without asking it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bundlekit.model.primitives import Frozen
from bundlekit.update.activity import Activity, activity
from bundlekit.update.cancel import CancelRequest
from bundlekit.update.history import History
from bundlekit.update.lock import at_work
from bundlekit.update.names import Names
from bundlekit.update.plan import Plan
from bundlekit.update.records import Cleared, Instant, Outcome, Record, Started, Window


class Status(Frozen, frozen=True, kw_only=True):
    """A pair's latest run. ``controller`` is who works on it now; empty: nobody. ``hold``: it is on hold.

    ``names`` are the files of the run, as its controllers were given them; ``window`` is until where it may go, and
    until when it may start to switch.
    """

    pair: str
    hold: bool
    controller: str
    cancel_asked: bool
    activity: Activity
    outcome: Outcome | None
    cleared: Cleared | None
    plan: Plan
    names: Names
    window: Window


def status_of(pair: str, records: Sequence[Record], folder: Path, now: Instant) -> Status:
    """The status of ``pair``, whose ``records`` are all that the journal in ``folder`` has of it."""
    begun = max(index for index, record in enumerate(records) if isinstance(record, Started))
    history = History.of(records)
    return Status(
        pair=pair,
        hold=history.hold,
        controller=at_work(folder, pair),
        cancel_asked=history.ended is None and (history.cancel or CancelRequest(folder, pair).asked() == history.run),
        activity=activity(history, records[begun:], now),
        outcome=history.ended,
        cleared=history.cleared,
        plan=history.job.plan,
        names=history.names,
        window=history.window,
    )
