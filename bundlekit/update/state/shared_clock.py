"""The clock of the database server, for hosts whose own clocks disagree."""

from __future__ import annotations

import threading
import time
from typing import Final

from bundlekit.database.connection import Database
from bundlekit.update.engine.errors import JournalError
from bundlekit.update.engine.records import Instant
from bundlekit.update.state.postgres_journal import journal_errors

FRESH_SECONDS: Final = 60.0
"""How long a measured difference of the two clocks is used. Two quartz clocks drift by some milliseconds meanwhile."""

SAMPLES: Final = 3
"""How often the server is asked for one measurement: the quickest answer is the most exact."""


class SharedClock:
    """A clock that shows the time of the database server on every host.

    Its ``boot`` is the identifier of the server's cluster, and its ``ticks`` are the server's seconds since 1970. The
    age of a record is right also on another host than the one that wrote it. The host's own clock can be wrong or be
    set: only CLOCK_BOOTTIME, which runs on, is used of it. While the server is away, the last measurement is used.
    ``now`` raises JournalError if there was never one.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._boot = ""
        self._ahead = 0.0
        self._measured: float | None = None

    def now(self) -> Instant:
        """This moment."""
        with self._lock:
            here = _ticks()
            if self._measured is None or here - self._measured > FRESH_SECONDS:
                self._measure()
                here = _ticks()
            return Instant(boot=self._boot, ticks=here + self._ahead, wall=here + self._ahead)

    def sleep(self, seconds: float) -> None:
        """Sleep for at most a second, so that a cancel is heard."""
        time.sleep(min(seconds, 1.0))

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def _measure(self) -> None:
        try:
            with journal_errors():
                rows = self._database.rows("SELECT system_identifier FROM pg_control_system()")
                ahead = min(self._sample() for _ in range(SAMPLES))[1]
        except JournalError:
            if self._measured is None:
                raise
        else:
            self._boot, self._ahead = f"postgresql-{rows[0][0]}", ahead
        self._measured = _ticks()

    def _sample(self) -> tuple[float, float]:
        """How long one answer took, and how far the server's clock was ahead of ours in its middle."""
        before = _ticks()
        rows = self._database.rows("SELECT extract(epoch FROM clock_timestamp())::float8")
        after = _ticks()
        return after - before, float(rows[0][0]) - (before + after) / 2


def _ticks() -> float:
    """Seconds of a clock that is never set, and that goes on in suspend (clock_gettime(2))."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
