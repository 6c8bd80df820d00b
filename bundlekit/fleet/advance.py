"""Advances one pair until it must wait: what a worker does with a pair that it has the lease of.

The journal decides. If the update of the pair's stop has ended in it, that counts and nothing is run. If one has begun,
it continues. Only otherwise one begins. So a worker can die between any two statements. The next one does what is left,
and no update runs twice because of that.

How the outcome of an update counts for the rollout:

| outcome | the pair |
|---|---|
| succeeded | its next stop is due; without one, it ends *succeeded*. |
| rejected, cancelled, reverted, degraded, needs-operator | ends so. |
| on-hold | ends *rejected*: nothing was changed, and the pair is on hold since an earlier run. |
| superseded | ends *needs-operator*: another controller has changed the pair. |
| waiting | waits for the time in the outcome, or a minute and then longer. |
| busy | waits for half a minute: another controller has the pair. |
| nothing-to-resume | is looked at again at once: the journal has changed meanwhile. |
| journal damaged | ends *needs-operator*. |

An error that is not about the pair ends nothing, such as a bundle that is missing on this host. The pair waits, longer
each time, and the status shows why. If that lasts, the pair becomes silent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from bundlekit.errors import BundlekitError
from bundlekit.fleet.core import PairEnd
from bundlekit.fleet.leased_state import LeasedState
from bundlekit.update.controller import Controller
from bundlekit.update.engine.errors import JournalDamagedError
from bundlekit.update.engine.history import History
from bundlekit.update.engine.records import CallFinished, Ended, Outcome, Record, Rejected

if TYPE_CHECKING:
    from pathlib import Path

    from bundlekit.fleet.fleet_report import FleetStop
    from bundlekit.fleet.progress import PairProgress
    from bundlekit.fleet.store import PairWork
    from bundlekit.model.advisory import Advice
    from bundlekit.model.appliance import Appliance
    from bundlekit.model.decision import Policy
    from bundlekit.trust import TrustStore
    from bundlekit.update.controller import HooksFactory
    from bundlekit.update.engine.hooks import Hooks
    from bundlekit.update.engine.plan import Plan
    from bundlekit.update.state.lease import Lease
    from bundlekit.update.state.postgres_state import PostgresState

BUSY_SECONDS: Final = 30.0
"""Seconds until a pair that another controller has is looked at again."""

WAIT_SECONDS: Final = 60.0
"""Seconds until a pair is looked at again that waits for something unknown. They double with each attempt."""

LONGEST_WAIT: Final = 900.0
"""The most seconds of such a wait."""

REPORTS: Final = 4
"""How often a pair that answers is reported in the time after which it would be silent."""

NO_ANSWER: Final = frozenset({"timeout", "died"})
"""The results of a call that are no answer of a hook."""

ENDS_AS: Final[dict[str, PairEnd]] = {
    "succeeded": "succeeded",
    "rejected": "rejected",
    "cancelled": "cancelled",
    "reverted": "reverted",
    "degraded": "degraded",
    "needs-operator": "needs-operator",
    "on-hold": "rejected",
    "superseded": "needs-operator",
}
"""How an outcome counts for the rollout. The others end nothing."""


class WorkerStoppingError(Exception):
    """The worker has to stop. It leaves a run between two actions, and the next worker continues it."""


class RolloutFiles(Protocol):
    """What an update of one rollout needs besides the pair: on this host, and read again for each update.

    ``silence`` is the number of seconds without a report after which a pair is silent.
    """

    plan: Plan
    policy: Policy
    silence: int

    def bundle(self, stop: FleetStop) -> Path:
        """The file of the bundle of a stop. BundlekitError if there is none."""

    def trust(self) -> TrustStore:
        """Whom this host trusts."""

    def advice(self) -> Advice | None:
        """The advisories of the rollout, as they are now."""


class PairJournalEnd(NamedTuple):
    """How the update of a stop ended, as the journal has it."""

    kind: str
    run: str
    reason: str


def ended_in(records: Sequence[Record], work: PairWork) -> PairJournalEnd | None:
    """How the update of the pair's stop has ended since it was due; None: it has not.

    An update that began before, and has not ended, is that of this stop as well if it has the same bundle.
    """
    bundle_id = work.stops[work.stop].id
    last = History.latest(records)
    if last is not None and last.ended is None and last.job.bundle_id == bundle_id:
        return None
    for record in reversed(records[work.base_seq :]):
        if isinstance(record, Ended) and record.outcome.bundle_id == bundle_id:
            return PairJournalEnd(record.outcome.kind, record.outcome.run, record.outcome.reason)
        if isinstance(record, Rejected) and record.bundle_id in {"", bundle_id}:
            return PairJournalEnd("rejected", record.run, record.reason)
    return None


class PairAdvance:
    """One pair, its lease, and what is needed to advance it.

    ``progress`` lends what writes about the pair, with a connection. ``stopping`` is asked between the actions of a
    run. ``watch`` is called with the pair and with each record of it.
    """

    def __init__(
        self,
        state: PostgresState,
        lease: Lease,
        progress: Callable[[], AbstractContextManager[PairProgress]],
        files: RolloutFiles,
        hooks: Hooks | HooksFactory,
        *,
        stopping: Callable[[], bool],
        watch: Callable[[str, Sequence[Record]], None],
    ) -> None:
        self._state = state
        self._pair = lease.pair
        self._progress = progress
        self._files = files
        self._stopping = stopping
        self._watch = watch
        self._answered = False
        self._controller = Controller(
            LeasedState(state, lease),
            hooks,
            clock=state.clock,
            detach=True,
            cancel=self._leave,
            watch=self._seen,
        )

    def step(self, work: PairWork, appliance: Appliance) -> bool:
        """Do the update of the pair's stop as far as it goes now. Whether the pair has more work at once."""
        self._answered = False
        try:
            with self._state.reading() as journal:
                records = journal.read(self._pair)
            found = ended_in(records, work)
            if found is None and work.observe:
                appliance = self._controller.state(self._files.plan, before=appliance)
                with self._progress() as progress:
                    if not progress.observed(work, appliance):
                        return False
                work = work._replace(observe=False)
            there = reached(appliance, work.stops[work.stop :])
            if found is None and there is not None and not is_on_hold(appliance, records):
                found = PairJournalEnd("succeeded", "", f"it has {there.component} {there.version} already")
            if found is None:
                outcome = self._update(work, appliance)
                if outcome.kind not in ENDS_AS:
                    return self._wait(work, outcome)
                found = PairJournalEnd(outcome.kind, outcome.run, outcome.reason)
            end = ENDS_AS[found.kind]
            if end == "succeeded" and work.stop + 1 < len(work.stops):
                state = self._controller.state(self._files.plan, before=appliance)
                with self._progress() as progress:
                    return progress.next_stop(work, state)
        except JournalDamagedError as error:
            return self._end(work, "needs-operator", "", f"{error.message} {error.next_step}".strip())
        except BundlekitError as error:
            self._fail(work, f"{error.message} {error.next_step}".strip())
            return False
        return self._end(work, end, found.run, found.reason)

    def _update(self, work: PairWork, appliance: Appliance) -> Outcome:
        """Begin or continue the update of the stop. A run of the same bundle that has begun continues."""
        stop = work.stops[work.stop]
        return self._controller.run(
            self._files.bundle(stop),
            self._files.plan,
            trust=self._files.trust(),
            appliance=appliance,
            policy=self._files.policy,
            advice=self._files.advice(),
        )

    def _wait(self, work: PairWork, outcome: Outcome) -> bool:
        """Wait for the time in the outcome. Whether to look again at once."""
        if outcome.kind == "nothing-to-resume":
            return True
        seconds = BUSY_SECONDS if outcome.kind == "busy" else outcome.retry_after
        failed = seconds is None
        if seconds is None:
            seconds = longer(work.tries)
        with self._progress() as progress:
            progress.waits(work, seconds, outcome.reason, heard=self._is_news(work), failed=failed)
        return False

    def _fail(self, work: PairWork, why: str) -> None:
        with self._progress() as progress:
            progress.waits(work, longer(work.tries), why, heard=self._is_news(work), failed=True)

    def _end(self, work: PairWork, end: PairEnd, run: str, reason: str) -> bool:
        with self._progress() as progress:
            progress.ends(work, end, run=run, reason=reason)
        return False

    def _is_news(self, work: PairWork) -> bool:
        """Whether the pair answered, and its last report is old enough for another one to be worth a record."""
        return self._answered and work.heard * REPORTS >= self._files.silence

    def _seen(self, records: Sequence[Record]) -> None:
        self._answered = self._answered or any(
            isinstance(record, CallFinished) and record.answer.kind not in NO_ANSWER for record in records
        )
        self._watch(self._pair, records)

    def _leave(self) -> bool:
        if self._stopping():
            raise WorkerStoppingError
        return False


def longer(tries: int) -> float:
    """Seconds to wait after so many attempts that ended in an error."""
    return min(LONGEST_WAIT, WAIT_SECONDS * float(1 << min(tries, 8)))


def is_on_hold(appliance: Appliance, records: Sequence[Record]) -> bool:
    """Whether the pair is on hold: its version alone then does not make it a success."""
    last = History.latest(records)
    return appliance.hold is not None or (last is not None and last.hold)


def reached(appliance: Appliance, stops: Sequence[FleetStop]) -> FleetStop | None:
    """The first of ``stops`` that the pair has already: the next one, or a later one of the same component.

    A database that was restored can lead to a stop that the pair has passed.
    """
    same = (stop for stop in stops if stop.component == stops[0].component)
    return next((stop for stop in same if has_version(appliance, stop)), None)


def has_version(appliance: Appliance, stop: FleetStop) -> bool:
    """Whether the pair has the version of the stop already, with every member."""
    if stop.component in appliance.components:
        return appliance.components[stop.component].version == stop.version
    return all(member.version == stop.version for member in appliance.members.values())
