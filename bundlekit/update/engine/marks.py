"""What the target remembers of controllers, read before one claims the pair: fences, and whose run is in progress.

Two controllers with state folders of their own have nothing in common but the appliance. So each claim is above
the highest fence that the appliance reports now, and nothing is claimed while another's run is in progress.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from bundlekit.model.primitives import MAX_INTEGER, Frozen
from bundlekit.update.engine.clock import Clock
from bundlekit.update.engine.errors import FenceError
from bundlekit.update.engine.hooks import Hooks, call, question
from bundlekit.update.engine.job import Job
from bundlekit.update.engine.journal import LEAP
from bundlekit.update.engine.records import Answer

PROBES: Final = 3
"""How often a component is probed that reports nothing."""

PAUSE: Final = 1.0
"""Seconds between two of these probes."""


class Marks(Frozen, frozen=True, kw_only=True):
    """What the components of a pair answered to a probe, by step, before anything was claimed."""

    answers: dict[str, Answer]

    @property
    def fences(self) -> dict[str, int]:
        """The fence of each step that reported one."""
        return {step: answer.fence for step, answer in self.answers.items() if answer.fence is not None}

    @property
    def fence(self) -> int:
        """The highest fence that any component has seen. Raises FenceError where no higher one exists."""
        highest = max(self.fences.values(), default=0)
        if highest >= MAX_INTEGER - LEAP:
            raise FenceError(
                f"The appliance reports the fence {highest}, so no higher fence can be claimed.",
                next_step="Find out what wrote it, then reset the fence on the appliance manually.",
            )
        return highest

    def as_found(self, job: Job) -> Job:
        """``job`` from the versions that the components report now, which another controller can have installed."""
        found = {step: answer.version for step, answer in self.answers.items() if answer.version}
        targets = {step: replace(target, old=found.get(step, target.old)) for step, target in job.targets.items()}
        return replace(job, targets=targets)

    def under_way(self, known: Iterable[str]) -> tuple[str, ...]:
        """The runs that components remember as under way, without those ``known``; the highest fence first, each once.

        The first has overtaken the others: the target refuses them wherever it has come to.
        """
        latest = sorted(self.answers.values(), key=lambda answer: answer.fence or 0, reverse=True)
        runs = dict.fromkeys(answer.run for answer in latest if answer.run)
        return tuple(run for run in runs if run not in set(known))


def read(job: Job, hooks: Hooks, clock: Clock) -> Marks:
    """Probe every component of ``job``; belongs to no run and claims nothing.

    A probe that sees nothing is made again, because a fence that was not read cannot be exceeded.
    """
    return Marks(answers={step: _probed(job, step, hooks, clock) for step in job.targets})


def _probed(job: Job, step: str, hooks: Hooks, clock: Clock) -> Answer:
    answer = call(hooks, question(job, "probe", step), clock)
    for _ in range(PROBES - 1):
        if answer.kind not in {"unknown", "timeout", "died"} or answer.version is not None:
            break
        clock.sleep(PAUSE)
        answer = call(hooks, question(job, "probe", step), clock)
    return answer
