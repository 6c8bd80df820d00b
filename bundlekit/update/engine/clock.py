"""Time as an argument: the clock of the system, or one that tests and rehearsals set."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path
from typing import Protocol

from bundlekit.update.engine.records import Instant


class Clock(Protocol):
    """What the executor needs of time."""

    def now(self) -> Instant:
        """This moment."""

    def sleep(self, seconds: float) -> None:
        """Let time pass, at most so many seconds. It can return early: the executor asks again."""


class SystemClock:
    """Linux's clocks. CLOCK_BOOTTIME goes on in suspend and is not set by anyone (clock_gettime(2))."""

    def now(self) -> Instant:
        """This moment."""
        return Instant(boot=_boot_id(), ticks=time.clock_gettime(time.CLOCK_BOOTTIME), wall=time.time())

    def sleep(self, seconds: float) -> None:
        """Sleep for at most a second, so that a cancel is heard."""
        time.sleep(min(seconds, 1.0))


class ManualClock:
    """A clock whose time passes only in ``sleep``. ``passed`` is the real time that went by."""

    def __init__(self, *, boot: str = "boot-1", ticks: float = 0.0, wall: float = 1_800_000_000.0) -> None:
        self.boot = boot
        self.ticks = ticks
        self.wall = wall
        self.passed = 0.0

    def now(self) -> Instant:
        """This moment."""
        return Instant(boot=self.boot, ticks=self.ticks, wall=self.wall)

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass at once."""
        self.passed += seconds
        self.ticks += seconds
        self.wall += seconds

    def reboot(self, *, down: float = 60.0, jump: float = 0.0) -> None:
        """Pass ``down`` seconds without power; the wall clock comes back wrong by ``jump``."""
        self.boot += "+"
        self.passed += down
        self.ticks = 0.0
        self.wall += down + jump


@cache
def _boot_id() -> str:
    """The kernel's name for this boot (random(4))."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
