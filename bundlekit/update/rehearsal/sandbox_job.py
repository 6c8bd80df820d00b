"""A job and a bundle made up for a rehearsal over a plan's own hooks: versions that do not exist, images of a line."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import BinaryIO, Final

from msgspec.structs import replace

from bundlekit.errors import ConfigError
from bundlekit.update.engine.clock import Clock
from bundlekit.update.engine.hooks import Hooks
from bundlekit.update.engine.job import Job
from bundlekit.update.engine.plan import Plan
from bundlekit.update.inventory import described, unknown_target
from bundlekit.update.rehearsal.sandbox import calm

SUFFIX: Final = "+rehearsal"
"""What a rehearsal adds to the version of the sandbox, to have a new one."""

BUNDLE_ID: Final = "0" * 64


class MadeUpBundle:
    """Components in memory, staged as those of a bundle are: as files without a name, read-only."""

    bundle_id = BUNDLE_ID

    def __init__(self, images: Mapping[str, bytes]) -> None:
        self.images = images

    @contextmanager
    def stage(self, label: str) -> Iterator[BinaryIO]:
        """The component as a file."""
        with TemporaryFile() as copy:
            copy.write(self.images[label])
            copy.flush()
            reader = os.open(f"/proc/self/fd/{copy.fileno()}", os.O_RDONLY | os.O_CLOEXEC)
            with open(reader, "rb") as file:
                yield file

    def chunks(self, label: str) -> Iterator[memoryview]:
        """The component in one piece."""
        yield memoryview(self.images[label])


def made_up(plan: Plan, hooks: Hooks, clock: Clock, *, pair: str, compatible: bool = True) -> tuple[Job, MadeUpBundle]:
    """The job and the bundle for a rehearsal of ``plan`` over ``pair``, which is a sandbox.

    Identities and versions are what ``describe`` reports. Raises ConfigError if a component does not report them.
    """
    asked = Job(
        plan=calm(plan),
        pair=pair,
        bundle_id=BUNDLE_ID,
        path="",
        version="rehearsal",
        targets={name: unknown_target(plan, name, pair) for name in plan.order},
        incompatible={} if compatible else {s: p.keep for s, p in plan.groups[0].on_failure.items() if p.keep},
    )
    seen = described(asked, hooks, clock)
    for step, answer in seen.items():
        if answer.kind != "ok" or not answer.version or (plan.steps[step].member and not answer.identity):
            raise ConfigError(
                f"'{step}' does not report what it is: {answer.reason or answer.kind}.",
                next_step="Correct its describe hook; a rehearsal begins with it.",
            )
    old = {step: (answer.version or "").removesuffix(SUFFIX) for step, answer in seen.items()}
    new = {target.component: old[step] + SUFFIX for step, target in reversed(asked.targets.items())}
    images = {name: f"rehearsal image of {name} {version}\n".encode() * 99 for name, version in new.items()}
    targets = {
        step: replace(
            target,
            identity=seen[step].identity or target.identity,
            old=old[step],
            new=new[target.component],
            size=len(images[target.component]),
            digest=f"sha256:{hashlib.sha256(images[target.component]).hexdigest()}",
        )
        for step, target in asked.targets.items()
    }
    counters = [answer.counter for answer in seen.values() if answer.counter is not None]
    before = max(counters, default=None)
    job = replace(asked, targets=targets, counter_before=before, counter=(before or 0) + 1)
    return job, MadeUpBundle(images)
