"""Rehearsal: run a plan over and over, put a fault at every position, look at every end.

The faults stand between the executor and the hooks, so the same sweep runs over the simulated pair and over
an integrator's own hooks in a sandbox. Every run is checked against the invariants; every kind of end is
followed by its way out.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from typing import BinaryIO, Final

import msgspec

from bundlekit.errors import ConfigError
from bundlekit.model.primitives import Frozen
from bundlekit.update.clock import ManualClock
from bundlekit.update.executor import Engine, Refused
from bundlekit.update.faults import FAULTS, ControllerKilled, Fault, FaultyHooks, Position
from bundlekit.update.hooks import Hooks, Request
from bundlekit.update.job import Job, Payload
from bundlekit.update.journal import MemoryJournal
from bundlekit.update.plan import PAIR, Plan, Verb, seconds
from bundlekit.update.records import (
    Answer,
    Began,
    CommitPoint,
    Observed,
    Outcome,
    Record,
    RevertDecided,
)
from bundlekit.update.simulate import SimulatedPair, simulated_job

MAX_RESUMES: Final = 8
"""More resumes than a sweep has faults: a run that still has not ended by then never will."""


class Sandbox(Frozen, frozen=True, kw_only=True):
    """What a rehearsal runs over: a job, and hooks over a fresh appliance that nobody needs.

    Hooks with a method ``reimage(step, version)`` let ways out that need a re-image be walked as well.
    """

    job: Job
    hooks: Hooks
    bundle: Payload


class Run(Frozen, frozen=True, kw_only=True):
    """One rehearsed run: its faults, its outcome, and the invariants it broke."""

    faults: tuple[Fault, ...]
    outcome: Outcome
    broken: tuple[str, ...] = ()

    @property
    def end(self) -> tuple[object, ...]:
        """What a crash must not change; a resume may only know better what was not touched."""
        outcome = self.outcome
        states = tuple((step, state.replace("untouched", "old")) for step, state in outcome.states.items())
        return outcome.kind, outcome.hold, outcome.ha, outcome.committed, states


class Rehearsal(Frozen, frozen=True, kw_only=True):
    """All runs of a sweep; ``ways_out``: for each kind of end, its ways out and where each of them led."""

    plan: Plan
    runs: tuple[Run, ...]
    ways_out: dict[str, dict[str, str]]
    broken: tuple[str, ...]


def simulated(plan: Plan = PAIR, *, compatible: bool = True) -> Callable[[ManualClock], Sandbox]:
    """Sandboxes with the simulated pair. ``compatible``: what the plan keeps new suits the old rest."""
    job = simulated_job(calm(plan), compatible=compatible)

    def make(clock: ManualClock) -> Sandbox:
        return Sandbox(job=job, hooks=SimulatedPair(job, clock), bundle=EmptyBundle(job.bundle_id))

    return make


def over(job: Job, hooks: Hooks, bundle: Payload) -> Callable[[ManualClock], Sandbox]:
    """Sandboxes over one appliance that is put back before each run, such as one behind external commands.

    The hooks need the verb ``reimage``: put the component onto ``request.target.new`` and the counter onto
    ``request.counter``, and forget all marks. Raises ConfigError unless every component says of itself that
    it is a sandbox, for a rehearsal writes to it again and again.
    """
    back = _PutBack(job, hooks)
    for step, target in job.targets.items():
        seen = hooks.describe(_request(job, "describe", step))
        if seen.kind != "ok" or seen.sandbox is not True:
            raise ConfigError(
                f"'{step}' ({target.identity}) does not say that it is a sandbox. {seen.reason}".rstrip(),
                next_step='Rehearse over an appliance that nobody needs, whose describe answers "sandbox": true.',
            )

    def make(clock: ManualClock) -> Sandbox:
        for step, target in job.targets.items():
            back.reimage(step, target.old)
        return Sandbox(job=job, hooks=back, bundle=bundle)

    return make


class _PutBack(Hooks):
    """Hooks passed through, with the re-image that a rehearsal needs."""

    def __init__(self, job: Job, hooks: Hooks) -> None:
        self.job = job
        self.hooks = hooks

    def _pass(self, request: Request) -> Answer:
        answer: Answer = getattr(self.hooks, request.verb)(request)
        return answer

    validate = describe = prepare = apply = probe = verify = commit = revert = gate = cleanup = _pass

    def reimage(self, step: str, version: str) -> None:
        """Put ``step`` onto ``version``; raises ConfigError if the hooks cannot."""
        asked = _request(self.job, "reimage", step)
        asked = msgspec.structs.replace(asked, target=msgspec.structs.replace(self.job.targets[step], new=version))
        put_back = getattr(self.hooks, "reimage", None)
        answer: Answer = put_back(asked) if put_back else Answer(kind="failed", reason="it has no verb for it")
        if answer.kind != "ok":
            raise ConfigError(f"'{step}' cannot be put onto {version}: {answer.reason}")


def _request(job: Job, verb: Verb, step: str) -> Request:
    """A question that belongs to no run."""
    return Request(
        verb=verb,
        pair=job.pair,
        step=step,
        run="rehearsal",
        fence=0,
        attempt=1,
        deadline=job.plan.deadline("revert" if verb == "reimage" else verb),
        bundle_id=job.bundle_id,
        target=job.targets[step],
        counter=job.counter_before or 0,
    )


def rehearse(sandbox: Callable[[ManualClock], Sandbox] | None = None, *, faults: int = 1) -> Rehearsal:
    """Run every sequence of at most ``faults`` faults; check the invariants; walk each way out once."""
    make = sandbox or simulated()
    runs: dict[tuple[Fault, ...], Run] = {}
    ways_out: dict[str, dict[str, str]] = {}
    broken: list[str] = []
    frontier: list[tuple[tuple[Fault, ...], int, tuple[Position, ...]]] = [((), -1, ())]
    for depth in range(faults + 1):
        reached = []
        for told, last in _extended(frontier) if depth else [((), -1)]:
            stage = _Stage(make, told)
            run = runs[told] = stage.play()
            broken += [f"{_names(told)}: {what}" for what in run.broken]
            if depth < faults:
                reached.append((told, last, tuple(stage.hooks.trace)))
            ways = ways_out.setdefault(label(run.outcome), {})
            way = ", ".join(" ".join(filter(None, (w.verb, w.step, w.version))) for w in run.outcome.way_out)
            if way not in ways:
                ways[way] = stage.walk_out(run.outcome)
                if ways[way] not in {"succeeded", "not walked"}:
                    broken.append(f"{_names(told)}: the way out '{way}' leads to '{ways[way]}'")
        frontier = reached
    for told, run in runs.items():
        calm_faults = tuple(fault for fault in told if fault.kind not in "KC")
        if calm_faults != told:
            same = runs.get(calm_faults) or _Stage(make, calm_faults).play()
            if same.end != run.end:
                broken.append(f"{_names(told)}: the crash changes {label(same.outcome)} to {label(run.outcome)}")
    plan = make(ManualClock()).job.plan
    return Rehearsal(plan=plan, runs=tuple(runs.values()), ways_out=ways_out, broken=tuple(broken))


def calm(plan: Plan) -> Plan:
    """The plan with fewer polls, so that a sweep does not spend its time waiting; the deadlines stay."""
    replace = msgspec.structs.replace
    gates = {name: replace(gate, poll=f"{max(1, seconds(gate.deadline) // 3)} s") for name, gate in plan.gates.items()}
    settle = f"{max(1, seconds(plan.deadlines.settle) // 2)} s"
    return replace(plan, gates=gates, deadlines=replace(plan.deadlines, settle_poll=settle))


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


class _Stage:
    """One run with everything it happens on, kept for the way out."""

    def __init__(self, make: Callable[[ManualClock], Sandbox], faults: tuple[Fault, ...]) -> None:
        self.clock = ManualClock()
        box = make(self.clock)
        self.job, self.bundle = box.job, box.bundle
        self.hooks = FaultyHooks(box.hooks, self.clock, faults)
        self.journal = MemoryJournal()
        self.engine = Engine(journal=self.journal, hooks=self.hooks, clock=self.clock)
        self.faults = faults

    def play(self) -> Run:
        outcome = self._to_the_end()
        records = self.journal.read(self.job.pair)
        broken = (*self.hooks.misdeeds, *_broken(self.job, records, outcome, self.states()))
        return Run(faults=self.faults, outcome=outcome, broken=broken)

    def _to_the_end(self) -> Outcome:
        for _ in range(MAX_RESUMES + 1):
            with suppress(ControllerKilled):
                if self.journal.read(self.job.pair):
                    return self.engine.resume(self.job.pair, self.bundle)
                return self.engine.run(self.job, self.bundle)
        return Outcome(kind="waiting", pair=self.job.pair, why=f"no end after {MAX_RESUMES} resumes")

    def states(self) -> dict[str, str]:
        """What is true of the appliance now, faults and all."""
        return {step: self._ask("probe", step).kind for step in self.job.targets}

    def walk_out(self, outcome: Outcome) -> str:
        """Where the outcome's way out leads, once what had caused the fault is mended."""
        self.hooks.masks = {step: mask for step, mask in self.hooks.masks.items() if step in self.job.targets}
        led: str = outcome.kind
        job = self.job  # whose state is as old as the run, until it is read again
        for step in outcome.way_out:
            match step.verb:
                case "reimage":
                    reimage = getattr(self.hooks.hooks, "reimage", None)
                    if reimage is None:
                        return "not walked"
                    self.hooks.masks.pop(step.step, None)
                    reimage(step.step, step.version)
                case "revert":
                    reverted = self.engine.revert(self.job.pair, by="rehearsal", reason="fixed")
                    if isinstance(reverted, Refused):
                        return f"revert refuses: {reverted.why}"
                    led = reverted.kind
                case "clear":
                    self.clock.sleep(max((seconds(g.deadline) for g in self.job.plan.gates.values()), default=0))
                    cleared = self.engine.clear(self.job.pair, by="rehearsal", reason="mended")
                    if isinstance(cleared, Refused):
                        return f"clear refuses: {cleared.why}"
                case "state":
                    job = self._bound_anew()
                case "repair":
                    led = self.engine.run(self._bound_anew(repair=True), self.bundle).kind
                case _:
                    led = self.engine.run(job, self.bundle).kind
        return led

    def _bound_anew(self, *, repair: bool = False) -> Job:
        """The job for the pair as it is now, as a fresh ``describe`` and a fresh plan would give it."""
        seen = {step: self._ask("describe", step) for step in self.job.targets}
        targets = {
            step: msgspec.structs.replace(target, old=seen[step].version or target.old)
            for step, target in self.job.targets.items()
        }
        counter = next((answer.counter for answer in seen.values()), None)
        return msgspec.structs.replace(self.job, targets=targets, counter_before=counter, repair=repair)

    def _ask(self, verb: Verb, step: str) -> Answer:
        request = _request(self.job, verb, step)
        mask = self.hooks.masks.get(step) if verb == "probe" else None
        answer: Answer = Answer(kind=mask) if mask else getattr(self.hooks.hooks, verb)(request)  # type: ignore[arg-type]
        return answer


def _extended(
    frontier: list[tuple[tuple[Fault, ...], int, tuple[Position, ...]]],
) -> Iterator[tuple[tuple[Fault, ...], int]]:
    """Each run of the frontier with one more fault, at each later position of its trace, of each kind.

    Polling the same thing again is one position: what comes of it does not depend on how often it is asked.
    """
    for told, last, trace in frontier:
        for index in range(last + 1, len(trace)):
            here, before = trace[index], trace[index - 1] if index - 1 > last else None
            if before is not None and (before.verb, before.step) == (here.verb, here.step):
                continue
            for kind in FAULTS[here.verb]:
                yield (*told, Fault(verb=here.verb, step=here.step, nth=here.nth, kind=kind)), index


def _broken(job: Job, records: tuple[Record, ...], outcome: Outcome, states: dict[str, str]) -> Iterator[str]:
    """The invariants that a run from *all old* has broken. ``states`` is what is true of the appliance."""
    first = job.groups()[0]
    verified: set[str] = set()
    committed = False
    for record in records:
        match record:
            case Observed(verb="verify", answer=Answer(kind="ok")):
                verified.add(record.step)
            case CommitPoint():
                committed = True
                if not verified >= set(first):
                    yield "the commit point came before its group was verified"
            case Began(verb="apply") if record.step not in first and not committed:
                yield f"{record.step} was started before the commit point"
            case RevertDecided() | Began(verb="revert") if committed:
                yield "a revert after the commit point"
    kind, whole = outcome.kind, set(states.values())
    changed = any(isinstance(r, Began) and r.verb in {"apply", "revert"} for r in records)
    if kind == "rejected" and (changed or whole != {"old"}):
        yield "rejected, but something was changed"
    if kind == "succeeded" and whole != {"new"}:
        yield "succeeded, but not everything is new"
    if kind == "reverted":
        kept = {step for step, state in outcome.states.items() if state == "kept-new"}
        if any(state != ("new" if step in kept else "old") for step, state in states.items()):
            yield "reverted, but something is neither old nor kept on purpose"
        if any(job.targets[step].role != "shared" for step in kept):
            yield "reverted, but a member was kept on the new version"
    if kind in {"degraded", "needs-operator"} and not outcome.hold:
        yield f"{kind} without a hold"
    if kind == "waiting":
        yield f"it does not end: {outcome.why}"
    for step, state in outcome.states.items():
        if state not in {"untouched", "unknown"} and state.removeprefix("kept-") != states[step]:
            yield f"{step} is reported {state}, but is {states[step]}"


def label(outcome: Outcome) -> str:
    """An end in a few words, as the tables say it."""
    if outcome.kind == "reverted":
        kept = [step for step, state in outcome.states.items() if state == "kept-new"]
        detail = f" ({', '.join(kept)} kept new)" if kept else ""
    elif outcome.kind == "degraded":
        detail = f" ({outcome.failed}{'' if outcome.committed else ', all old'})"
    elif outcome.kind == "needs-operator":
        detail = " (" + ", ".join(f"{step} {state}" for step, state in outcome.states.items()) + ")"
    else:
        detail = ""
    return f"{outcome.kind}{detail}{', hold' if outcome.hold else ''}"


def _names(faults: tuple[Fault, ...]) -> str:
    return " + ".join(map(str, faults)) or "no fault"
