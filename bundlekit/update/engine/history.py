"""What the records of one run add up to. A fold: the same records, the same history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from msgspec.structs import replace

from bundlekit.update.engine.errors import JournalDamagedError
from bundlekit.update.engine.plan import OnFailure
from bundlekit.update.engine.records import (
    Answer,
    CallFinished,
    CallStarted,
    CancelRequested,
    Cleared,
    CommitPoint,
    Ended,
    Instant,
    ModeChanged,
    Outcome,
    Record,
    Rejected,
    Resumed,
    RevertDecided,
    Started,
    StepState,
)
from bundlekit.update.engine.tally import NEVER, Tally
from bundlekit.update.engine.transitions import GROUP, PhaseStep, RunMode, phase_steps

CHANGING = frozenset({"prepare", "apply", "commit", "revert"})
"""The verbs that can change something."""

AT_ONCE = 1.0
"""Seconds. A resume that follows on the last record sooner was not made by a timer."""

ANY = frozenset({"old", "new", "partial", "busy"})

EMPTY: Final[Mapping[str, int]] = MappingProxyType({})


class History:
    """The fold of a run's records. ``add`` is the only method that changes it. The planner only reads.

    Time is the sum of the intervals between records. An interval counts by the boot clock if both its ends are in one
    boot. So a wall clock that jumps changes at most the one interval that contains a reboot.

    ``fences`` are those that the steps reported last. A probe before the first record counts too, until it is folded
    again.
    """

    def __init__(self, started: Started, *, fences: Mapping[str, int] = EMPTY) -> None:
        self.job = started.job
        self.run = started.run
        self.fence = started.fence
        self.owner = started.owner
        self.owners = {started.owner}
        self.takes_over = started.takes_over
        self.held = started.on_hold
        self.window = started.window
        self.paths = started.paths
        self.bundle = "given"
        self.bundle_why = ""
        self.index = 1
        self.time = 0.0
        self.last = started.at
        self.resumed = 0
        self.resumed_at = 0.0
        self.transitions = 0
        self.committed = False
        self.cancel = False
        self.mode: RunMode = "apply"
        self.mode_since = 0
        self.revert: RevertDecided | None = None
        self.mode_change: ModeChanged | None = None
        self.ended: Outcome | None = None
        self.cleared: Cleared | None = None
        self.before: dict[str, str] = dict(started.states_before)
        self.surveyed: dict[str, Answer] = {}
        self.fences: dict[str, int] = dict(fences)
        self.changed: dict[str, tuple[int, float]] = {}
        self.ready_at: dict[str, int] = {}
        self.unexplained: tuple[str, str] | None = None
        self.lost: tuple[str, str] | None = None
        self.lost_at = 0
        self.failures: list[str] = []
        self.notes: list[str] = []
        self.tasks: tuple[PhaseStep, ...] = phase_steps("apply", self.job)
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._expected: dict[str, frozenset[str]] = {}
        self._owner_before: dict[str, str] = {}
        self._touched: dict[tuple[str, str], int] = {}
        self.only_back = started.revert_retry is not None
        if started.revert_retry is not None:
            self.revert = started.revert_retry
            self.failures.append(started.revert_retry.reason)
            self._change_mode("rollback")
        self.done: dict[str, int] = {}
        self._calling = False

    @property
    def untouched(self) -> bool:
        """Whether this run has changed nothing: no apply or revert that the target did not refuse to its fence."""
        return not self._touched

    @property
    def switching(self) -> bool:
        """Whether the switch to the new version has begun: with an apply, or a verify of what was new before."""
        return any(self.tally(verb, step).attempts for verb in GROUP for step in self.job.targets)

    @classmethod
    def of(cls, records: Sequence[Record]) -> History:
        """The history of the latest run in ``records``, which begin with any run of the pair."""
        for index in reversed(range(len(records))):
            record = records[index]
            if isinstance(record, Started):
                return cls(record).extend(records[index + 1 :])
        raise JournalDamagedError("The journal contains no start of a run for this pair.")

    @classmethod
    def latest(cls, records: Sequence[Record]) -> History | None:
        """The history of the latest run in ``records``; None where none has begun, though the check rejected some."""
        return None if all(isinstance(record, Rejected) for record in records) else cls.of(records)

    def extend(self, records: Iterable[Record]) -> History:
        """Add all of ``records``."""
        for record in records:
            self.add(record)
        return self

    def add(self, record: Record) -> None:
        """Take one record in; raises JournalDamagedError where it contradicts an earlier one."""
        self.index += 1
        passed = self.last.until(record.at)
        self.time += passed
        self.last = record.at
        died, self._calling = self._calling, isinstance(record, CallStarted)
        match record:
            case CallStarted():
                self._call_started(record)
            case CallFinished():
                self._call_finished(record)
            case CommitPoint():
                self._only_if(self.mode == "apply", "a commit point after the mode apply was left")
                self.committed = True
            case RevertDecided():
                self._only_if(self.mode == "apply" and not self.committed, "a revert after the commit point")
                self.revert = record
                self.failures.append(record.reason)
                self._change_mode("rollback")
            case ModeChanged():
                self._only_if(self.ended is None, "a decision after the end")
                self.mode_change = record
                self.failures.append(record.reason)
                self._change_mode(record.to)
            case CancelRequested():
                self.cancel = True
            case Resumed():
                self.fence = record.fence
                self.owner = record.owner
                self.owners.add(record.owner)
                if record.ownership_lost:
                    self._lose("", record.ownership_lost)
                self.resumed, self.resumed_at = self.index, self.time
                if died or passed < AT_ONCE:  # a timer that resumes a run each minute, while it waits, is no loop
                    self.transitions += 1
                self.bundle, self.bundle_why = record.bundle, record.reason
                self.window = record.window
                self.paths = record.paths.over(self.paths)
            case Ended():
                self.ended = record.outcome
            case Cleared():
                self.cleared = record
            case Rejected():
                pass  # of another run, which never began
            case Started():
                self._only_if(False, "a second start of one run")

    def age(self, now: Instant) -> float:
        """Seconds from the start of the run to ``now``."""
        return self.time + self.last.until(now)

    def tally(self, verb: str, step: str) -> Tally:
        """What was tried and answered; an empty tally if nothing was."""
        return self._tallies.get((verb, step), NEVER)

    def is_new(self, step: str) -> bool:
        """Whether the step was on the new version before the run, so that there is nothing to do."""
        return self.before.get(step) == "new"

    def policy(self, step: str) -> OnFailure:
        """The plan's answer to a failure of ``step``."""
        return self.job.plan.policy(step)

    def keeps(self, step: str) -> tuple[str, ...]:
        """What stays on its new version when ``step`` fails: the plan's wish, as far as the matrix allows."""
        unfit = self.job.incompatible.get(step, ())
        return tuple(k for k in self.policy(step).keep if k in self.job.targets and k not in unfit)

    def reverts(self, step: str) -> tuple[str, ...]:
        """What is reverted when ``step`` fails, in order; never what was new before the run."""
        kept = self.keeps(step)
        policy = self.policy(step)
        order = (*policy.revert, *policy.keep)
        if policy.if_incompatible != "revert" and kept != policy.keep:
            order = policy.if_incompatible.revert
        return self._to_revert(name for name in order if name not in kept)

    def reverts_all(self) -> tuple[str, ...]:
        """The steps before the commit point, last first: what an operator's cancel reverts."""
        return self._to_revert(reversed(self.job.groups()[0]))

    def _to_revert(self, steps: Iterable[str]) -> tuple[str, ...]:
        return tuple(step for step in steps if step in self.job.targets and not self.is_new(step))

    @property
    def prepared(self) -> bool:
        """Whether everything is staged and nothing is touched."""
        answers = (self.tally("prepare", step).settled for step in self.job.targets)
        return self.untouched and all(answer is not None and answer.kind == "ok" for answer in answers)

    @property
    def hold(self) -> bool:
        """Whether the pair is on hold because of this run."""
        return self.ended is not None and self.ended.hold and self.cleared is None

    @property
    def hold_at_target(self) -> bool:
        """Whether a component, asked last, reported that the pair is on hold."""
        return any(answer.hold for answer in self.seen.values())

    @property
    def settled_at(self) -> int:
        """The index of the last record about a change: what a gate answered before it no longer counts."""
        return max((index for index, _ in self.changed.values()), default=0)

    @property
    def seen(self) -> dict[str, Answer]:
        """What the last probe of each step answered; without those never probed."""
        answers = ((step, self.tally("probe", step).answer) for step in self.job.targets)
        return {step: answer for step, answer in answers if answer is not None}

    @property
    def committed_at_target(self) -> bool:
        """Whether a component has passed the commit point of this run, whatever the journal knows of it."""
        return any(answer.committed == self.run for answer in self.seen.values())

    @property
    def surely_untouched(self) -> bool:
        """Whether this controller has changed nothing, by its own records. The records it was handed can be cut off.

        A controller that took the run over stages only after each component matched the records.
        """
        staged = (self.tally("prepare", step).started for step in self.job.targets)
        return not self.switching and (not self.resumed or max(staged) > self.resumed)

    def explains(self, step: str, answer: Answer) -> str:
        """Why the records cannot explain what this probe saw; empty if they can.

        The journal is never believed about the appliance: a tail that was cut, a file of yesterday, or
        another controller shows here, as a component that is not what the records lead to.
        """
        if answer.committed == self.run and not self.committed:
            return "the appliance is past the commit point, the journal is not"
        if answer.kind in ANY - {"busy"} and answer.kind not in self._expected.get(step, ANY):
            expected = " or ".join(sorted(self._expected[step]))
            return f"the probe reports {answer.kind}, but the journal leads to {expected}"
        return ""

    def _unrecorded(self, step: str, answer: Answer) -> str:
        """Why the first probe of ``step`` shows a change by this run whose records are lost; empty if it does not."""
        target = self.job.targets[step]
        changed = answer.kind == "partial" or (answer.kind == "new" and target.old != target.new)
        if step in self.before or answer.run != self.run or not changed or self.job.repair:
            return ""
        return f"the probe reports {answer.kind} by this run, and the journal has no record of the change"

    def changed_since(self, step: str, answer: Answer) -> str:
        """What of ``step`` is no longer as this run saw it first; empty if nothing is."""
        first = self.surveyed[step]
        if (answer.kind, answer.version) != (first.kind, first.version):
            was, now = (" ".join(filter(None, (a.kind, a.version))) for a in (first, answer))
            return f"it was {was}, but the probe reports {now}"
        if (answer.committed or "") != (first.committed or ""):
            return f"run {answer.committed} of another controller has committed an update"
        return f"the pair was put on hold: {answer.hold}" if answer.hold and not first.hold else ""

    def may_be_busy(self, step: str) -> bool:
        """Whether a change that this run began can still be running on ``step``."""
        return "busy" in self._expected.get(step, ANY)

    def overtaken(self, step: str, answer: Answer) -> str:
        """Why the pair belongs to another controller, by the marks that a probe read back; empty if it does not."""
        if answer.fence is not None and answer.fence > self.fence:
            return f"another controller took the pair over (its fence is {answer.fence}, ours {self.fence})"
        if answer.run and answer.run not in {self.run, *self.takes_over}:
            return f"run {answer.run} of another controller is in progress"
        if not answer.owner or answer.owner in self.owners:
            return ""
        if answer.fence == self.fence:
            return f"another controller claimed the same fence, {self.fence}"
        if answer.owner != self._owner_before.get(step):
            return "another controller has changed it since"
        return ""

    def differs(self, step: str) -> tuple[str, object, object] | None:
        """The first difference of the description of ``step`` from the job: name, the job's value, value now."""
        answer = self.tally("describe", step).settled
        if answer is None or answer.kind != "ok":
            return None
        job, target = self.job, self.job.targets[step]
        if answer.identity != target.identity:
            return "identity", target.identity, answer.identity
        for name, now in self.denies(step).items():
            return name, getattr(job, name), now
        if not job.repair and answer.role not in {None, target.role}:  # roles change in an update that degrades a pair
            return "role", target.role, answer.role
        half_written = job.repair and answer.version is None and step not in job.groups()[0]
        if answer.version != target.old and not half_written:  # a half-written one can have no version
            return "version", target.old, answer.version
        if job.counter_before is not None and answer.counter != job.counter_before:
            return "counter", job.counter_before, answer.counter
        return None

    def without_version(self, step: str) -> bool:
        """Whether ``step`` describes itself without a version, which only a half-written component does."""
        answer = self.tally("describe", step).settled
        return answer is not None and answer.kind == "ok" and answer.version is None

    def denies(self, step: str) -> dict[str, str]:
        """Product and model as ``step`` describes them, where they differ from the job; unknown is no difference."""
        answer = self.tally("describe", step).settled
        if answer is None or answer.kind != "ok":
            return {}
        pairs = {"product": (self.job.product, answer.product), "model": (self.job.model, answer.model)}
        return {name: now for name, (before, now) in pairs.items() if before and now and now != before}

    def state(self, step: str) -> StepState:
        """What ``step`` is by its last probe, in the words an outcome uses."""
        answer = self.tally("probe", step).answer
        if answer is None:
            return "untouched"
        match answer.kind:
            case "new" if self.revert and (step in self.revert.keep or self.is_new(step)):
                return "kept-new"
            case "old" | "new" | "partial" | "busy":
                return answer.kind
            case _:
                return "unknown"

    def _call_started(self, record: CallStarted) -> None:
        tally = self._tallies.setdefault((record.verb, record.step), Tally())
        tally.attempts += 1
        tally.started, tally.started_at = self.index, self.time
        if tally.attempts == 1 or (record.verb == "gate" and tally.answered <= self.settled_at):
            tally.first_at = self.time  # a gate that was asked before the last change is asked again
        if record.verb in CHANGING:
            self.transitions += 1
            self.changed[record.step] = self.index, self.time
            self.ready_at.clear()
        if record.verb in {"apply", "revert"}:
            self._touched[record.verb, record.step] = self._touched.get((record.verb, record.step), 0) + 1
            self._expected[record.step] = ANY

    def _call_finished(self, record: CallFinished) -> None:
        verb, step, answer = record.verb, record.step, record.answer
        tally = self.tally(verb, step)
        self._only_if(tally is not NEVER, f"an answer to a {verb} of {step} that was never called")
        tally.answer, tally.answered, tally.answered_at = answer, self.index, self.time
        if answer.kind == "fenced":
            self._fenced(verb, step, answer)
        if verb == "describe" and self.job.repair and answer.version:
            self._repair_from(step, answer.version)
        if verb == "probe":
            self.fences.pop(step, None)
            if answer.fence is not None:
                self.fences[step] = answer.fence
            tally.unknowns = tally.unknowns + 1 if answer.kind not in ANY else 0
            unrecorded = self._unrecorded(step, answer)
            if step not in self.before and answer.kind in ANY:
                self.before[step] = answer.kind
                self._expected[step] = frozenset({answer.kind})
                self.surveyed[step] = answer
            if answer.owner is not None:  # a probe that failed shows no marks, and so no earlier owner
                self._owner_before.setdefault(step, answer.owner)
            if why := self.overtaken(step, answer):
                self._lose(step, why)
            why = unrecorded or self.explains(step, answer)
            if why and self.unexplained is None and not self.surely_untouched:
                self.unexplained = step, why
        if verb in {"apply", "revert"} and answer.kind == "ok":
            self.done[step] = self.index
        if verb == "apply" and answer.kind == "ok":
            self._expected[step] = frozenset({"new"})
        elif verb == "revert" and answer.kind == "ok":
            self._expected[step] = frozenset({self.before.get(step, "old")})
        elif verb == "verify":
            self._expected[step] = frozenset({"new"}) if answer.kind == "ok" else ANY
        if verb in CHANGING:
            self.changed[step] = self.index, self.time
        if verb == "gate" and answer.kind == "ready":
            self.ready_at.setdefault(step, self.index)
        if verb in {"commit", "cleanup", "revert"} and answer.kind != "ok":
            self._note(f"{verb} of {step}: {answer.reason or answer.kind}")
        elif answer.diagnostic:
            self._note(f"{verb} of {step}: {answer.diagnostic}")

    def _note(self, note: str) -> None:
        """Note what decided nothing; a hook that is called again can give the same answer again."""
        if note not in self.notes:
            self.notes.append(note)

    def _repair_from(self, step: str, version: str) -> None:
        """A repair starts from what a component reports, because no state was written since the pair degraded.

        A third version is not of this run: another controller, or a person, has changed the pair since.
        """
        target = self.job.targets[step]
        if version != target.new:
            return
        target = replace(target, old=version)
        self.job = replace(self.job, targets={**self.job.targets, step: target})

    def _fenced(self, verb: str, step: str, answer: Answer) -> None:
        """The target did nothing, because it belongs to another controller."""
        if self._touched.get((verb, step), 0) > 1:
            self._touched[verb, step] -= 1
        else:
            self._touched.pop((verb, step), None)
        self._lose(step, f"{step} belongs to another controller: {answer.reason or 'it rejected our fence'}")

    def _lose(self, step: str, why: str) -> None:
        if self.lost is None:
            self.lost, self.lost_at = (step, why), self.index

    def _change_mode(self, mode: RunMode) -> None:
        self.mode, self.mode_since = mode, self.index
        self.tasks = phase_steps(mode, self.job, self.revert.revert if self.revert else ())

    def _only_if(self, holds: bool, what: str) -> None:
        if not holds:
            raise JournalDamagedError(
                f"The journal of pair {self.job.pair} contradicts itself: {what}.",
                next_step="Keep the file for the vendor; probe the pair, then clear its hold.",
            )
