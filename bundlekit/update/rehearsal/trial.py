"""One rehearsed run: the faults, everything it happens on, and the recovery of its end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from typing import BinaryIO, Final

from msgspec.structs import replace

from bundlekit.update.engine.clock import ManualClock
from bundlekit.update.engine.executor import Declined, Engine, HoldRelease
from bundlekit.update.engine.history import History
from bundlekit.update.engine.hooks import Hooks, call
from bundlekit.update.engine.job import Job, Payload
from bundlekit.update.engine.journal import MemoryJournal
from bundlekit.update.engine.plan import Verb, seconds
from bundlekit.update.engine.records import Answer, Outcome, Record, RecoveryStep
from bundlekit.update.inventory import as_found
from bundlekit.update.rehearsal.faults import ControllerKilled, FaultyHooks, InjectedFault
from bundlekit.update.rehearsal.oracle import Compared, Mismatch
from bundlekit.update.rehearsal.sandbox import SandboxFactory, from_outside, reimaging

MAX_RESUMES: Final = 8
"""More resumes than a sweep has faults: a run that still has not ended by then never will."""


class Renamed:
    """The bundle of another controller: the same components under another bundle id."""

    def __init__(self, bundle: Payload, bundle_id: str) -> None:
        self.bundle = bundle
        self.bundle_id = bundle_id

    def stage(self, label: str) -> AbstractContextManager[BinaryIO]:
        """Stage as the wrapped bundle does."""
        return self.bundle.stage(label)

    def chunks(self, label: str) -> Iterator[memoryview]:
        """Chunks as the wrapped bundle gives them."""
        return self.bundle.chunks(label)


class Trial:
    """A run with ``faults``. ``other`` is the outcome of another controller's run meanwhile, if one began.

    ``tried`` is the first outcome of that controller. ``left`` are versions and marks as it left them.
    """

    def __init__(self, make: SandboxFactory, faults: tuple[InjectedFault, ...]) -> None:
        self.clock = ManualClock()
        box = make(self.clock)
        self.box, self.job, self.bundle = box, box.job, box.bundle
        made = box.made()
        self.compared = None if box.simulated else Compared(made, box.job, self.clock)
        self.hooks = FaultyHooks(self.compared or made, self.clock, faults, self._elsewhere)
        self.journal = MemoryJournal()
        self.engine = Engine(journal=self.journal, hooks=self.hooks, clock=self.clock)
        self.faults = faults
        self.tried: Outcome | None = None
        self.other: Outcome | None = None
        self.left: dict[str, tuple[object, ...]] = {}

    @property
    def records(self) -> tuple[Record, ...]:
        """The journal of the run, and of what followed it."""
        return tuple(self.journal.read(self.job.pair))

    @property
    def mismatch(self) -> Mismatch | None:
        """The first answer that correct hooks would not have given."""
        return self.compared.first if self.compared is not None else None

    def to_the_end(self) -> Outcome:
        """Run, and resume after each death of the controller."""
        for _ in range(MAX_RESUMES + 1):
            with suppress(ControllerKilled):
                if self.journal.read(self.job.pair):
                    return self.engine.resume(self.job.pair, self.bundle)
                return self.engine.run(self.job, self.bundle)
            self._new_process()
        return Outcome(kind="waiting", pair=self.job.pair, reason=f"no end after {MAX_RESUMES} resumes")

    def states(self) -> dict[str, str]:
        """What is true of the appliance now, faults and all."""
        return {step: self._ask("probe", step).kind for step in self.job.targets}

    def marks(self) -> dict[str, tuple[object, ...]]:
        """Versions and marks of the appliance now."""
        seen = {step: self._ask("probe", step) for step in self.job.targets}
        return {step: (a.version, a.fence, a.owner, a.run, a.committed, a.hold) for step, a in seen.items()}

    def walk_out(self, outcome: Outcome) -> str:
        """Where the outcome's recovery leads, once what had caused the fault is fixed."""
        self.hooks.overrides = {
            step: override for step, override in self.hooks.overrides.items() if step in self.job.targets
        }
        self._new_process()
        led: str = outcome.kind
        job = self.job  # whose state is as old as the run, until it is read again
        for step in outcome.recovery:
            match step.verb:
                case "reimage":
                    if answer := self._failed_reimage(step):
                        return f"reimage answered {answer.kind} ({answer.reason})"
                case "revert":
                    reverted = self.engine.revert(self.job.pair, by="rehearsal", reason="fixed")
                    if isinstance(reverted, Declined):
                        return f"revert refuses: {reverted.reason}"
                    led = reverted.kind
                case "clear":
                    self.clock.sleep(max((seconds(g.deadline) for g in self.job.plan.gates.values()), default=0))
                    cleared = self.engine.clear(self.job.pair, HoldRelease(by="rehearsal", reason="fixed"))
                    if isinstance(cleared, Declined):
                        return f"clear refuses: {cleared.reason}"
                case "state":
                    job = self._as_found()
                case "repair":
                    led = self.engine.run(replace(self.job, repair=True, counter_before=None), self.bundle).kind
                case _:
                    led = self.engine.run(job, self.bundle).kind
        return led

    def _failed_reimage(self, step: RecoveryStep) -> Answer | None:
        """Re-image by the hooks; their answer, if it is not *ok*."""
        self.hooks.overrides.pop(step.step, None)
        answer = call(self.hooks.hooks, reimaging(self.job, step.step, step.version), self.clock)
        return None if answer.kind == "ok" else answer

    def _elsewhere(self, kind: str) -> None:
        """Another controller, with a state folder of its own, at work before a call of this one."""
        ours = self._new_process()
        job = self._as_found()
        if kind == "O":
            targets = {step: replace(target, new=f"{target.new}.1") for step, target in job.targets.items()}
            job = replace(job, targets=targets, bundle_id=job.bundle_id[:-1] + "f", version=f"{job.version}.1")
        engine = Engine(journal=MemoryJournal(), hooks=self.hooks.hooks, clock=self.clock)
        bundle = Renamed(self.bundle, job.bundle_id)
        outcome = self.tried = engine.run(job, bundle)
        if kind != "A" and outcome.kind == "busy":
            outcome = engine.run(job, bundle, take_over=History.of(self.records).run)
        if kind != "A" or outcome.kind != "busy":
            self.other = outcome
            self.left = self.marks()
        if self.compared is not None and ours is not None:
            self.compared.hooks = ours

    def _new_process(self) -> Hooks | None:
        """Serve what follows by hooks that a new process makes; those before. None if there is nothing to make."""
        if self.compared is None or not self.box.made_again:
            return None
        before, self.compared.hooks = self.compared.hooks, self.box.made()
        return before

    def _as_found(self) -> Job:
        """The job for the pair as it is now, as a fresh ``describe`` and a fresh plan would give it."""
        return as_found(self.job, {step: self._ask("describe", step) for step in self.job.targets})

    def _ask(self, verb: Verb, step: str) -> Answer:
        request = from_outside(self.job, verb, step)
        override = self.hooks.overrides.get(step) if verb == "probe" else None
        answer: Answer = Answer(kind=override) if override else getattr(self.hooks.hooks, verb)(request)  # type: ignore[arg-type]
        return answer
