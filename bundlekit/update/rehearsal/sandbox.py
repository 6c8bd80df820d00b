"""What a rehearsal runs over: a job, and hooks over an appliance that exists for rehearsals only."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import BinaryIO, Final

from msgspec.structs import replace

from bundlekit.errors import ConfigError
from bundlekit.model.primitives import Frozen
from bundlekit.update.engine.clock import ManualClock
from bundlekit.update.engine.history import CHANGING
from bundlekit.update.engine.hooks import Hooks, PassThrough, Request, question
from bundlekit.update.engine.job import Job, Payload
from bundlekit.update.engine.plan import PAIR, Plan, Verb, seconds
from bundlekit.update.engine.records import Answer
from bundlekit.update.rehearsal.simulator import SimulatedPair, simulated_job

PATIENCE: Final = 60.0
"""Real seconds that a real gate, or a component that is busy, is waited for."""

PAUSE: Final = 0.2
"""Real seconds between two polls."""


class Sandbox(Frozen, frozen=True, kw_only=True):
    """A job, and hooks over a fresh appliance that exists for rehearsals only.

    ``hooks`` are the hooks, or a function that makes them over this same appliance. It is called again after each crash
    of the controller, for another controller, and for a recovery, because these are other processes. Hooks need the
    verb ``reimage``, so that recoveries with a re-image are tested too. ``real``: each call takes real time, so calls
    without a possible new result are left out.
    """

    job: Job
    hooks: Hooks | Callable[[], Hooks]
    bundle: Payload
    real: bool = False

    def made(self) -> Hooks:
        """The hooks as a new process has them, where a function makes them."""
        return self.hooks if isinstance(self.hooks, Hooks) else self.hooks()

    @property
    def made_again(self) -> bool:
        """Whether each process of a rehearsal has hooks of its own."""
        return not isinstance(self.hooks, Hooks)

    @property
    def simulated(self) -> bool:
        """Whether the hooks are the model that others are compared with."""
        return type(self.hooks) is SimulatedPair


SandboxFactory = Callable[[ManualClock], Sandbox]
"""Makes a fresh sandbox for one run of a rehearsal, whose hooks go by the given clock."""


class EmptyBundle:
    """The bundle of a rehearsal over simulated hooks, which never open it."""

    def __init__(self, bundle_id: str) -> None:
        self.bundle_id = bundle_id

    def stage(self, label: str) -> AbstractContextManager[BinaryIO]:
        """A file with nothing in it, whatever ``label`` is."""
        return io.BytesIO()

    def chunks(self, label: str) -> Iterator[memoryview]:
        """Nothing, whatever ``label`` is."""
        return iter(())


def calm(plan: Plan) -> Plan:
    """The plan with fewer polls, so that a sweep does not spend its time waiting; the deadlines stay."""
    gates = {name: replace(gate, poll=f"{max(1, seconds(gate.deadline) // 3)} s") for name, gate in plan.gates.items()}
    settle = f"{max(1, seconds(plan.deadlines.settle) // 2)} s"
    return replace(plan, gates=gates, deadlines=replace(plan.deadlines, settle_poll=settle))


def simulated(plan: Plan = PAIR, *, compatible: bool = True) -> SandboxFactory:
    """Sandboxes with the simulated pair. ``compatible``: what the plan keeps new suits the old rest."""
    return simulated_for(simulated_job(calm(plan), compatible=compatible))


def simulated_for(job: Job) -> SandboxFactory:
    """Sandboxes with a simulated pair for ``job``, without what only its own appliance can report."""
    job = replace(job, free={}, facts=(), hold="")

    def make(clock: ManualClock) -> Sandbox:
        return Sandbox(job=job, hooks=SimulatedPair(job, clock), bundle=EmptyBundle(job.bundle_id))

    return make


def over(
    job: Job, hooks: Hooks | Callable[[], Hooks], bundle: Payload, *, patience: float = PATIENCE
) -> SandboxFactory:
    """Sandboxes over one appliance that is put back before each run, such as one with external commands.

    ``hooks`` are the hooks, or a function that makes them; see :class:`Sandbox`. They need the verb ``reimage``. It
    puts the component onto ``request.target.new`` and the counter onto ``request.counter``, and forgets all marks.
    The clock of a rehearsal is simulated. A gate that is not ready yet is asked again for ``patience`` real seconds,
    before the simulated time passes. Hooks with an attribute ``clock`` are given the simulated one. Raises ConfigError
    unless every component reports that it is a sandbox, because a rehearsal writes to it again and again.
    """
    back = PutBack(job, hooks if isinstance(hooks, Hooks) else hooks(), patience)
    for step, target in job.targets.items():
        seen = back.hooks.describe(from_outside(job, "describe", step))
        if seen.kind != "ok" or seen.sandbox is not True:
            raise ConfigError(
                f"'{step}' ({target.identity}) does not report that it is a sandbox. {seen.reason}".rstrip(),
                next_step='Rehearse on an appliance that is not in use, whose describe answers "sandbox": true.',
            )

    def make(clock: ManualClock) -> Sandbox:
        def made() -> PutBack:
            back.hooks = hooks if isinstance(hooks, Hooks) else hooks()
            for behind in (back.hooks, *getattr(back.hooks, "routes", {}).values()):
                if _simulates_time(behind):
                    behind.clock = clock
            return back

        made().put_back()
        return Sandbox(job=job, hooks=back if isinstance(hooks, Hooks) else made, bundle=bundle, real=True)

    return make


class PutBack(PassThrough):
    """Hooks passed through, with the re-image that a rehearsal needs, and with patience where time is real."""

    def __init__(self, job: Job, hooks: Hooks, patience: float = PATIENCE) -> None:
        super().__init__(hooks)
        self.job = job
        self.patience = patience
        self.waited = 0.0
        """Real seconds that went by between polls, which no hook has taken."""
        self._changed = set(job.targets)
        self._hopeless: set[tuple[str, str]] = set()

    def ask(self, request: Request) -> Answer:
        """Remember what a run changes, and wait for what takes real time."""
        if request.verb in CHANGING or request.verb in {"cleanup", "reimage"}:
            self._changed.add(request.step)
        return self._wait(request) if request.verb in {"gate", "probe"} else super().ask(request)

    def _wait(self, request: Request) -> Answer:
        """Ask until the answer is more than *not yet*. What was in vain once is not waited for again."""
        if _simulates_time(getattr(self.hooks, "routes", {}).get(request.step, self.hooks)):
            return super().ask(request)
        until = time.monotonic() + self.patience
        what = request.verb, request.step
        while True:
            answer = super().ask(request)
            if getattr(answer, "kind", "") not in {"not-yet", "busy"}:
                self._hopeless.discard(what)
                return answer
            if what in self._hopeless or time.monotonic() >= until:
                self._hopeless.add(what)
                return answer
            time.sleep(PAUSE)
            self.waited += PAUSE

    def put_back(self) -> None:
        """Put each component that a run can have changed onto the version before; ConfigError if it cannot be."""
        for step in sorted(self._changed):
            version = self.job.targets[step].old
            answer = self.reimage(reimaging(self.job, step, version))
            if answer.kind != "ok":
                raise ConfigError(f"'{step}' cannot be put onto {version}: {answer.reason}")
        self._changed.clear()


def _simulates_time(hooks: object) -> bool:
    """Whether the hooks go by a clock that a rehearsal can replace."""
    return hasattr(hooks, "clock")


def from_outside(job: Job, verb: Verb, step: str) -> Request:
    """A request of a rehearsal outside its runs, about the pair as it was before the job."""
    return question(job, verb, step, run="rehearsal", counter=job.counter_before or 0)


def reimaging(job: Job, step: str, version: str) -> Request:
    """The request to re-image ``step`` with ``version``, and with the counter that the pair had before the job."""
    return replace(from_outside(job, "reimage", step), target=replace(job.targets[step], new=version))
