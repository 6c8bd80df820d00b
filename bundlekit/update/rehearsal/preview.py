"""What an update would do: steps, times, and the effect of each failure. It calls only ``describe`` on the pair."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec.structs import replace

from bundlekit.model.primitives import Frozen
from bundlekit.update.engine.clock import Clock
from bundlekit.update.engine.executor import Engine
from bundlekit.update.engine.hooks import Hooks, Request
from bundlekit.update.engine.job import Job, Target
from bundlekit.update.engine.journal import MemoryJournal
from bundlekit.update.engine.records import Answer, RecoveryStep
from bundlekit.update.rehearsal.rehearse import rehearse
from bundlekit.update.rehearsal.sandbox import EmptyBundle, calm, simulated_for
from bundlekit.update.rehearsal.table import LEGEND, FaultRow, table

if TYPE_CHECKING:
    from bundlekit.update.engine.plan import Gate


class Preview(Frozen, frozen=True, kw_only=True):
    """An update before it begins.

    ``groups`` are the steps that have something to do. The commit point follows the first. ``minutes`` are the vendor's
    estimates, forward and back (None: unknown). ``ends`` is the single-fault table of this very job. ``rejected`` is
    why the pair would not be touched now (empty if it would). ``recovery`` is what to do then.
    """

    pair: str
    plan: str
    bundle_id: str
    version: str
    groups: tuple[tuple[str, ...], ...]
    targets: dict[str, Target]
    gates: dict[str, Gate]
    minutes: int | None
    revert_minutes: int | None
    ends: tuple[FaultRow, ...]
    rejected: str = ""
    recovery: tuple[RecoveryStep, ...] = ()


def preview(job: Job, hooks: Hooks, clock: Clock) -> Preview:
    """Describe the pair through ``hooks``, compare, and rehearse ``job`` over a simulated one."""
    rejected, recovery = _rejected(job, hooks, clock)
    return Preview(
        pair=job.pair,
        plan=job.plan.name,
        bundle_id=job.bundle_id,
        version=job.version,
        groups=job.groups(),
        targets=job.targets,
        gates=job.plan.gates,
        minutes=job.minutes,
        revert_minutes=job.revert_minutes,
        ends=ends(job),
        rejected=rejected,
        recovery=recovery,
    )


def ends(job: Job) -> tuple[FaultRow, ...]:
    """Where each single fault of ``job`` leads, by rehearsal over a simulated pair."""
    return table(rehearse(simulated_for(replace(job, plan=calm(job.plan))), elsewhere=False))


class _Describing(Hooks):
    """Hooks of which only ``describe`` reaches the pair; ``done`` when every component was asked."""

    def __init__(self, hooks: Hooks, steps: int) -> None:
        self._hooks = hooks
        self._left = steps

    @property
    def done(self) -> bool:
        return not self._left

    def describe(self, request: Request) -> Answer:
        self._left -= 1
        return self._hooks.describe(request)

    def probe(self, request: Request) -> Answer:
        """A component that is not asked. A probe that sees nothing would be made again, after a pause."""
        return Answer(kind="busy", reason="the plan of an update probes nothing")


def _rejected(job: Job, hooks: Hooks, clock: Clock) -> tuple[str, tuple[RecoveryStep, ...]]:
    """Why the executor would reject this job at its start. It is run until then, and cancelled."""
    if job.hold:
        return f"the state contains a hold: {job.hold}", ()
    describing = _Describing(hooks, len(job.targets))
    engine = Engine(journal=MemoryJournal(), hooks=describing, clock=clock, cancel=lambda: describing.done)
    outcome = engine.run(job, EmptyBundle(job.bundle_id))
    return ("", ()) if outcome.kind == "cancelled" else (outcome.reason, outcome.recovery)


def lines(seen: Preview) -> Iterator[str]:
    """The preview as lines of plain text."""
    yield f"pair {seen.pair}: to {seen.version} by plan '{seen.plan}' ({seen.bundle_id})"
    number = 0
    for place, group in enumerate(seen.groups):
        if place == 1:
            yield "     -- commit point: what precedes it is committed, and nothing is reverted after it --"
        for step in group:
            number += 1
            target = seen.targets[step]
            yield f"  {number}. {step} ({target.role}, {target.identity}): {target.old} -> {target.new}"
    for name, gate in seen.gates.items():
        yield f"  then wait for {name}: {gate.expect[0]} to {gate.expect[1]}, at most {gate.deadline}"
    yield f"  forward: {_minutes(seen.minutes)}; back: {_minutes(seen.revert_minutes)}"
    yield f"  where each failure leads ({LEGEND}):"
    for row in seen.ends:
        yield f"    {row.outcome}"
        yield f"      after {'; '.join(row.faults)}"
        yield from (f"      recovery: {steps} -> {led}" for steps, led in row.recoveries.items() if steps)
    if seen.rejected:
        yield f"  NOT NOW: {seen.rejected}"


def _minutes(minutes: int | None) -> str:
    return "not stated by the vendor" if minutes is None else f"about {minutes} min"
