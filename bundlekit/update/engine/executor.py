"""The executor: a loop that asks the planner, does the action it returns, and records what it saw.

Clock, journal and hooks are arguments. Order matters here in one respect only: a record is durable before its
consequences happen.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Literal

from msgspec.structs import replace

from bundlekit._version import __version__
from bundlekit.model.primitives import Frozen
from bundlekit.update.engine import marks
from bundlekit.update.engine.actions import Call, End, Note, Pause, Wait
from bundlekit.update.engine.clock import Clock
from bundlekit.update.engine.errors import FenceLostError, JournalDamagedError, JournalError
from bundlekit.update.engine.history import CHANGING, History
from bundlekit.update.engine.hooks import Hooks, call, question
from bundlekit.update.engine.invocation import UNKNOWN, InvocationPaths
from bundlekit.update.engine.job import Job, Payload
from bundlekit.update.engine.journal import Journal
from bundlekit.update.engine.outcome import before_clear, conclude
from bundlekit.update.engine.planner import decide
from bundlekit.update.engine.records import (
    Answer,
    CallFinished,
    CallStarted,
    CancelRequested,
    Cleared,
    Ended,
    Outcome,
    Record,
    RecoveryStep,
    Resumed,
    Started,
    Window,
)
from bundlekit.update.engine.transitions import OUTCOMES
from bundlekit.update.engine.unended import paused, stopped, taken_by

APPENDS: Final = 3
"""How often a record is written before a journal that refuses counts as unwritable."""

APPEND_PAUSE: Final = 1.0
"""Seconds between two attempts to write a record."""

WRITING: Final = CHANGING | {"cleanup"}
"""The verbs whose hooks write to the target."""

WHOLE: Final = Window()
"""A run that goes to its end, whenever that is."""


class Declined(Frozen, frozen=True, kw_only=True):
    """Why a call was declined. Nothing was done; ``recovery`` are the steps to take instead, where there are any."""

    reason: str
    recovery: tuple[RecoveryStep, ...] = ()


class HoldRelease(Frozen, frozen=True, kw_only=True):
    """Who takes a pair off hold, why, and how far the pair is checked first.

    ``ticket`` is the number of the support ticket, for the record. ``without_probe`` reads the marks of the components
    only, not their states; the record then has no states. ``take_over`` names a run of another controller that is
    permanently gone. Without it such a run keeps the hold.
    """

    by: str
    reason: str
    ticket: str = ""
    without_probe: bool = False
    take_over: str = ""


class BundleRejected(Frozen, frozen=True, kw_only=True):
    """The bundle of a run to be resumed is no longer what was accepted, or no longer accepted."""

    reason: str


class BundleMissing(Frozen, frozen=True, kw_only=True):
    """The bundle of a run to be resumed cannot be opened where it is looked for."""

    reason: str


class Engine:
    """An executor: its journal, its hooks and its clock.

    ``cancel`` is asked before each action. ``detach`` makes a wait an end (*waiting*, exit 75) that a resume continues
    from. ``paths`` are the files of this call, for the journal to keep. The caller holds the pair's lock
    (``lock.PairLock``) while a method runs. Between hosts it has a lease, and can be stopped for longer than that. So
    ``is_ours`` is asked with the pair before each call that writes to the target. If it returns false, the outcome is
    *busy*. Raises JournalError if the journal cannot be read. A journal that cannot be written makes the outcome
    *waiting*.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        hooks: Hooks,
        clock: Clock,
        cancel: Callable[[], bool] = lambda: False,
        detach: bool = False,
        holder: str = "",
        paths: InvocationPaths = UNKNOWN,
        is_ours: Callable[[str], bool] = lambda _pair: True,
    ) -> None:
        self.journal = journal
        self.hooks = hooks
        self.clock = clock
        self.cancel = cancel
        self.detach = detach
        self.holder = holder
        self.paths = paths
        self.is_ours = is_ours

    def run(self, job: Job, bundle: Payload, *, window: Window = WHOLE, take_over: str = "") -> Outcome:
        """Run ``job`` to its end.

        Starts nothing while the pair is on hold, unless the job repairs a degraded pair. Starts nothing while another
        run of the pair has not ended, or while the appliance remembers another controller's run as under way.
        ``take_over`` names such a run, whose controller is gone for good. Raises FenceError if the appliance cannot
        store a higher fence.
        """
        records = self.journal.read(job.pair)
        last = History.latest(records)
        if last is not None and (refused := refusal(last, repair=job.repair)):
            return refused
        seen = marks.read(job, self.hooks, self.clock)
        if foreign := _foreign(seen, records, take_over):
            return taken_by(job, foreign)
        try:
            started = Started(
                at=self.clock.now(),
                run=os.urandom(8).hex(),
                fence=self._claim(job.pair, seen.fence, last),
                owner=os.urandom(8).hex(),
                takes_over=seen.under_way(()),
                job=job,
                tool=__version__,
                on_hold=last is not None and last.hold,
                window=window,
                paths=self.paths,
            )
            self._append(job.pair, started.fence, started)
            self._tell(started)
        except JournalDamagedError:
            raise
        except JournalError as error:
            return stopped(job.pair, error, again="repair" if job.repair else "run")
        return self._loop(History(started, fences=seen.fences), bundle)

    def resume(
        self, pair: str, bundle: Payload | BundleRejected | BundleMissing | None, *, window: Window = WHOLE
    ) -> Outcome:
        """Continue the pair's latest run. If it has ended, return its outcome.

        ``bundle`` is the file of the run, opened and verified again, or the reason why it was rejected or cannot be
        opened. It is None if no trusted signers were given. Without the file the run reverts, probes, waits, commits
        and cleans up. It stops (*waiting*) where a step forward needs the file.
        """
        history = History.of(self.journal.read(pair))
        if history.ended is not None:
            return history.ended
        seen = marks.read(history.job, self.hooks, self.clock)
        lost = _lost(history, seen)
        given = None if isinstance(bundle, BundleRejected | BundleMissing) else bundle
        refused = bundle.reason if isinstance(bundle, BundleRejected) else ""
        if given is not None and given.bundle_id != history.job.bundle_id:
            refused = f"the file is bundle {given.bundle_id}, the run is of bundle {history.job.bundle_id}"
            given = None
        try:
            resumed = Resumed(
                at=self.clock.now(),
                fence=self._claim(pair, 0 if lost else seen.fence, history),
                owner=os.urandom(8).hex(),
                ownership_lost=lost,
                bundle="rejected" if refused else "given" if given is not None else "absent",
                reason=bundle.reason if isinstance(bundle, BundleMissing) else refused,
                window=window,
                paths=self.paths,
            )
            self._append(pair, resumed.fence, resumed)
            self._tell(resumed)
        except JournalDamagedError:
            raise
        except JournalError as error:
            return stopped(pair, error, history)
        history.add(resumed)
        history.fences = seen.fences
        return self._loop(history, given)

    def revert(self, pair: str, *, by: str, reason: str, take_over: str = "") -> Outcome | Declined:
        """Try the reverts of the pair's latest run again, by name: a run of its own that only goes back.

        Refused unless that run ended *needs-operator* after it had decided to revert. The hold stays until ``clear``.
        """
        records = self.journal.read(pair)
        last = History.of(records)
        if last.ended is None or last.ended.kind != "needs-operator" or last.revert is None or last.committed:
            return Declined(reason=f"The latest run of pair {pair} has no revert that failed.")
        seen = marks.read(last.job, self.hooks, self.clock)
        if foreign := _foreign(seen, records, take_over):
            return _declined("revert", foreign)
        why = f"reverts of run {last.run} tried again by {by}: {reason}"
        try:
            started = Started(
                at=self.clock.now(),
                run=os.urandom(8).hex(),
                fence=self._claim(pair, seen.fence, last),
                owner=os.urandom(8).hex(),
                takes_over=seen.under_way(()),
                states_before=last.before,
                revert_retry=replace(last.revert, at=self.clock.now(), reason=why, by=by, hold=True, cancelled=False),
                job=last.job,
                tool=__version__,
                on_hold=True,
                paths=self.paths.over(last.paths),
            )
            self._append(pair, started.fence, started)
            self._tell(started)
        except JournalDamagedError:
            raise
        except JournalError as error:
            return stopped(pair, error, again="revert")
        return self._loop(History(started, fences=seen.fences), None)

    def clear(self, pair: str, release: HoldRelease) -> Cleared | Declined:
        """Take the pair off hold, by name. It probes every component and polls the gates.

        Declined if a component is not whole, a gate is not ready, or a run of another controller is in progress.
        """
        records = self.journal.read(pair)
        history = History.of(records)
        if not history.hold:
            return Declined(reason=f"Pair {pair} is not on hold.")
        seen = marks.read(history.job, self.hooks, self.clock)
        if foreign := _foreign(seen, records, release.take_over):
            return _declined("clear", foreign)
        history.fence = self._claim(pair, seen.fence, history)
        history.owner = os.urandom(8).hex()
        history.fences = seen.fences
        if history.mode == "lost" or history.untouched:  # what runs is another's
            history.job = seen.as_found(history.job)
        answers: dict[str, Answer] = {}
        if not release.without_probe:
            for verb, names in (("probe", history.job.targets), ("gate", history.job.plan.gates)):
                for name in names:
                    answer = self._call(history, Call(verb=verb, step=name, attempt=1), None)  # type: ignore[arg-type]
                    answers[name] = answer
                    if answer.kind not in {"old", "new", "ready"}:
                        why = f"{verb} of {name} reports {answer.kind}. {answer.reason}".rstrip()
                        return Declined(reason=why, recovery=before_clear(history, answers))
        states: dict[str, str] = {name: answer.kind for name, answer in answers.items()}
        cleared = Cleared(
            at=self.clock.now(), by=release.by, reason=release.reason, ticket=release.ticket, states=states
        )
        self._append(pair, history.fence, cleared)
        history.add(cleared)
        for step in history.job.targets:
            self._call(history, Call(verb="cleanup", step=step, attempt=1), None)
        return cleared

    def _claim(self, pair: str, seen: int, last: History | None) -> int:
        """Take the pair over with a fence above ``seen``, the appliance's highest now, and above the journal's."""
        return self.journal.claim(pair, self.holder, at_least=max(seen, last.fence if last else 0))

    def _loop(self, history: History, bundle: Payload | None) -> Outcome:
        try:
            while True:
                if not history.cancel and self.cancel():
                    self._record(history, CancelRequested(at=self.clock.now()))
                match decide(history, self.clock.now()):
                    case Call() as asked:
                        call = CallStarted(at=self.clock.now(), verb=asked.verb, step=asked.step, attempt=asked.attempt)
                        self._record(history, call)
                        answer = self._call(history, asked, bundle)
                        self._record(
                            history,
                            CallFinished(at=self.clock.now(), verb=asked.verb, step=asked.step, answer=answer),
                        )
                    case Note(record=decision):
                        self._record(history, decision)
                    case Wait(seconds=seconds, why=why):
                        if self.detach:
                            return paused(history, why, retry_after=seconds)
                        self.clock.sleep(seconds)
                    case Pause(why=why, moved=moved):
                        return paused(history, why, moved=moved)
                    case End(outcome=outcome):
                        self._record(history, Ended(at=self.clock.now(), outcome=outcome))
                        return outcome
        except JournalDamagedError:
            raise
        except JournalError as error:
            return stopped(history.job.pair, error, history)

    def _record(self, history: History, record: Record) -> None:
        """Make ``record`` durable, then add it to ``history``, then notify the observers."""
        self._append(history.job.pair, history.fence, record)
        history.add(record)
        self._tell(record)

    def _tell(self, record: Record) -> None:
        with suppress(Exception):  # a report that fails changes nothing
            self.hooks.notify(record)

    def _append(self, pair: str, fence: int, record: Record) -> None:
        for left in reversed(range(APPENDS)):
            try:
                return self.journal.append(pair, fence, record)
            except FenceLostError:
                raise
            except JournalError:
                if not left:
                    raise
                self.clock.sleep(APPEND_PAUSE)
        return None

    def _call(self, history: History, asked: Call, bundle: Payload | None) -> Answer:
        """Call the hook. The target knows no higher fence yet if a controller has taken over but changed nothing."""
        if asked.verb in WRITING and not self.is_ours(history.job.pair):
            raise FenceLostError(f"Another controller can have taken over pair {history.job.pair}.")
        request = question(
            history.job,
            asked.verb,
            asked.step,
            run=history.run,
            fence=history.fence,
            owner=history.owner,
            fence_seen=history.fences.get(asked.step),
            attempt=asked.attempt,
            after=asked.after,
            hold=_hold_to_leave(history, asked.step) if asked.verb == "cleanup" else "",
            bundle=bundle if asked.verb in {"prepare", "apply"} else None,
        )
        return call(self.hooks, request, self.clock)


def latest(journal: Journal, pair: str) -> History | None:
    """The history of the pair's latest run; None if it never had one."""
    return History.latest(journal.read(pair))


def _foreign(seen: marks.Marks, records: Sequence[Record], take_over: str) -> str:
    """The run of another controller that has the pair, unless ``take_over`` names it; empty if none has."""
    runs = seen.under_way(record.run for record in records if isinstance(record, Started))  # without its own
    return runs[0] if runs and runs[0] != take_over else ""


def _lost(history: History, seen: marks.Marks) -> str:
    """Why the run of ``history`` has lost the pair to another controller; empty if it has not."""
    if foreign := seen.under_way((history.run, *history.takes_over)):
        return f"run {foreign[0]} of another controller is in progress"
    highest = max((answer.fence or 0 for answer in seen.answers.values()), default=0)
    if highest > history.fence:
        return f"another controller has had the pair since (its fence is {highest}, ours was {history.fence})"
    return ""


def _declined(verb: Literal["clear", "revert"], run: str) -> Declined:
    way = RecoveryStep(verb=verb, run=run)
    return Declined(reason=f"Run {run} of another controller is in progress.", recovery=(way,))


def _hold_to_leave(history: History, step: str) -> str:
    """The hold that ``step`` has to remember after this run: its reason, or empty for none.

    A run that stops before it changed anything keeps the hold that the component remembers.
    """
    if history.cleared is not None:
        return ""
    if history.mode == "abort":
        seen = history.seen.get(step)
        return (seen.hold or "") if seen is not None else ""
    outcome = conclude(history, OUTCOMES[history.mode])
    return (outcome.reason or outcome.kind) if outcome.hold else ""


def refusal(last: History, *, repair: bool = False) -> Outcome | None:
    """Why no run, or no repair, of the pair can start after ``last``. None if one can."""
    if last.ended is None:
        return Outcome(
            kind="busy",
            pair=last.job.pair,
            run=last.run,
            reason=f"run {last.run} has not ended",
            recovery=(RecoveryStep(verb="resume"),),
        )
    repairable = any(one.verb == "repair" for one in last.ended.recovery)
    if last.hold and not (repair and repairable):
        return Outcome(
            kind="on-hold",
            pair=last.job.pair,
            run=last.run,
            hold=True,
            reason=f"on hold since run {last.run}, which ended {last.ended.kind}: {last.ended.reason}",
            recovery=last.ended.recovery,
        )
    return None
