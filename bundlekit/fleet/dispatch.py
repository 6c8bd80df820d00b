"""What wakes the workers: a hint that a pair has work, never the truth about it.

The table ``due`` is the truth. A worker that gets no hint finds the work within a second. So a hint that is lost, late,
doubled or about nothing costs time only. An existing queue can give the hints as well: two methods are all it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from bundlekit.database.connection import Database

CHANNEL: Final = "bundlekit"
"""The channel of PostgreSQL on which workers listen (NOTIFY)."""


class Dispatcher(Protocol):
    """Notifies workers of work. Both methods can be called again, and must not raise an error for a hint that fails."""

    def wake(self, pair: str, at: float) -> None:
        """Let a worker look at ``pair`` at the time ``at``, in seconds since 1970, or as soon as it can."""

    def forget(self, pair: str) -> None:
        """Drop what is planned for ``pair``: it has no work any more. Nothing depends on it."""


def notify(database: Database) -> None:
    """Let all workers look what is due. In a transaction, they hear it when it ends, and once."""
    database.rows("SELECT pg_notify(%(channel)s, '')", {"channel": CHANNEL})
