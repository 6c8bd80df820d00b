"""The journal as the executor uses it, and one that is kept in memory."""

from __future__ import annotations

from typing import Final, Protocol

from bundlekit.update.engine.errors import FenceLostError
from bundlekit.update.engine.records import Record

LEAP: Final = 1 << 20
"""How far a journal's fence can be above every fence that its records and the appliance know.

Claims that led to no run leave small gaps. A larger gap means a damaged file. Its fence would lock out all later
controllers from the appliance.
"""


class Journal(Protocol):
    """An append-only list of records per pair, with a fence: only the latest claimant can write.

    The interface is small on purpose. ``SqliteJournal`` implements it. A database server that many controllers share
    can be another implementation. All methods raise JournalError if the store fails.
    """

    def claim(self, pair: str, holder: str, *, at_least: int = 0) -> int:
        """Take the pair over: a new fence, higher than any before and than ``at_least``.

        Raises JournalDamagedError where its own last fence is more than ``LEAP`` above ``at_least``, the highest that
        records and appliance know.
        """

    def append(self, pair: str, fence: int, record: Record) -> None:
        """Add a record; it is durable when this returns. The same record twice in a row is added once.

        Raises FenceLostError if another controller has claimed the pair since.
        """

    def read(self, pair: str) -> tuple[Record, ...]:
        """All records of the pair, oldest first; JournalDamagedError if they are not what was written."""

    def pairs(self) -> tuple[str, ...]:
        """The pairs that have records, by name."""


class MemoryJournal:
    """A journal that is gone with its process: for rehearsal and tests."""

    def __init__(self) -> None:
        self._records: dict[str, list[Record]] = {}
        self._fences: dict[str, int] = {}

    def claim(self, pair: str, holder: str, *, at_least: int = 0) -> int:
        """Take the pair over."""
        self._fences[pair] = max(self._fences.get(pair, 0), at_least) + 1
        return self._fences[pair]

    def append(self, pair: str, fence: int, record: Record) -> None:
        """Add a record."""
        if self._fences.get(pair) != fence:
            raise FenceLostError(f"Another controller has taken over pair {pair}.")
        self._records.setdefault(pair, []).append(record)

    def read(self, pair: str) -> tuple[Record, ...]:
        """All records of the pair."""
        return tuple(self._records.get(pair, ()))

    def pairs(self) -> tuple[str, ...]:
        """The pairs that have records."""
        return tuple(sorted(self._records))
