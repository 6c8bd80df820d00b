"""The log of a run as lines, where answers of a gate that repeat are one line."""

from __future__ import annotations

import time
from collections.abc import Callable

from bundlekit.report.escape import escape
from bundlekit.update.engine.records import CallFinished, Record
from bundlekit.update.state.activity import sentence
from bundlekit.update.state.events import is_part_of_poll, is_poll, repeats


def utc(wall: float) -> str:
    """Seconds since 1970 as a log has them."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(wall))


class Fold:
    """Writes a line for each record. Equal answers of a gate that is polled are counted, with the probes between them.

    ``label`` is the pair, where lines of several are mixed.
    """

    def __init__(self, write: Callable[[str], None], label: str = "") -> None:
        self._write = write
        self._label = f"{label}: " if label else ""
        self._first: CallFinished | None = None
        self._last: CallFinished | None = None
        self._times = 0
        self._held: list[Record] = []

    def add(self, record: Record) -> None:
        """Write the record now, or hold it back while it only repeats what was written."""
        if self._first is not None:
            if repeats(self._first, record):
                assert isinstance(record, CallFinished)  # noqa: S101 - as it is like one
                self._last, self._times = record, self._times + 1
                self._held.clear()
                return
            if is_part_of_poll(record):
                self._held.append(record)
                return
            self.flush()
        self._line(record)
        if is_poll(record):
            assert isinstance(record, CallFinished)  # noqa: S101 - as polls are
            self._first, self._times = record, 1

    def flush(self) -> None:
        """Write what was held back."""
        if self._last is not None:
            text = f"{sentence(self._last)}, {self._times} times, last at {utc(self._last.at.wall)}"
            self._write(f"{utc(self._last.at.wall)} {self._label}{escape(text)}")
        held, self._held = self._held, []
        self._first = self._last = None
        for record in held:
            self._line(record)

    def _line(self, record: Record) -> None:
        self._write(f"{utc(record.at.wall)} {self._label}{escape(sentence(record))}")
