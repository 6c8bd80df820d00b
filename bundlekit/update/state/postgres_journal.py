"""The journal in PostgreSQL: one for all controllers, readable with nothing but ``psql``.

Records and their chain are those of the journal in a file (`sqlite_journal`). A record and the look at the fence are
one statement, which locks the row of the fence. So a record is either before another controller's claim, or refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, LiteralString

from bundlekit.database.connection import Database, DatabaseError, DatabaseRefusalError, DuplicateRowError, Values
from bundlekit.update.engine.errors import FenceLostError, JournalDamagedError, JournalError, StateDatabaseError
from bundlekit.update.engine.journal import LEAP
from bundlekit.update.engine.records import Record, encode
from bundlekit.update.state.record_chain import GENESIS, checked, link
from bundlekit.wording import command

KEEP_AND_ASK: Final = "Keep a copy of the tables, and ask for help: every run probes first."


class PostgresJournal:
    """The journal in the tables of ``database`` (``make_tables``).

    With ``lease_owner`` a pair is claimed, and a record is added, only while that owner has the pair's lease.

    All methods raise JournalError if the server cannot be reached. Close the database, not the journal.
    """

    def __init__(self, database: Database, *, lease_owner: str | None = None) -> None:
        self._database = database
        self._lease_owner = lease_owner
        self._heads: dict[str, tuple[int, str]] = {}

    def claim(self, pair: str, holder: str, *, at_least: int = 0) -> int:
        """Take the pair over: a new fence, higher than any before and than ``at_least``."""
        with journal_errors():
            rows = self._repeated(  # a claim without an answer only leaves a gap
                """
                INSERT INTO bundlekit.due AS it (pair, fence, holder) VALUES (%(pair)s, %(floor)s + 1, %(holder)s)
                ON CONFLICT (pair) DO UPDATE SET fence = greatest(it.fence, %(floor)s) + 1, holder = %(holder)s
                    WHERE it.fence BETWEEN 0 AND %(floor)s + %(leap)s
                      AND (%(owner)s::text IS NULL OR it.lease_owner = %(owner)s)
                RETURNING fence
                """,
                {"pair": pair, "floor": at_least, "holder": holder, "leap": LEAP, "owner": self._lease_owner},
            )
            if not rows:
                (found,) = self._repeated("SELECT fence FROM bundlekit.due WHERE pair = %(pair)s", {"pair": pair})
                if 0 <= found[0] <= at_least + LEAP:
                    raise _taken_over(pair)
                raise JournalDamagedError(
                    f"{self._database.name} holds fence {found[0]} for pair {pair}; "
                    f"records and appliance know {at_least}.",
                    next_step=KEEP_AND_ASK,
                )
        self._heads.pop(pair, None)
        return int(rows[0][0])

    def append(self, pair: str, fence: int, record: Record) -> None:
        """Add a record, in one statement that also locks the fence; durable when this returns."""
        # Kept before the attempt: another one after it finds this very record, if it was written without an answer.
        seq, previous = self._heads[pair] = self._heads.get(pair) or self._head(pair)
        body = encode(record).decode()
        digest = link(previous, pair, seq + 1, body)
        values: Values = {"pair": pair, "seq": seq + 1, "body": body, "hash": digest, "fence": fence}
        values["owner"] = self._lease_owner
        with journal_errors():
            try:
                added = self._database.execute(
                    """
                    WITH held AS (
                        SELECT pair FROM bundlekit.due WHERE pair = %(pair)s AND fence = %(fence)s
                            AND (%(owner)s::text IS NULL OR lease_owner = %(owner)s) FOR SHARE
                    )
                    INSERT INTO bundlekit.journal SELECT pair, %(seq)s, %(body)s, %(hash)s FROM held
                    """,
                    values,
                )
            except DuplicateRowError:
                self._heads.pop(pair, None)
                if self._head(pair) != (seq + 1, digest):
                    raise
                added = 1  # an earlier attempt failed after it had written this very record
        if not added:
            raise _taken_over(pair)
        self._heads[pair] = seq + 1, digest

    def read(self, pair: str) -> tuple[Record, ...]:
        """All records of the pair, oldest first, their chain checked."""
        return checked(f"The journal in {self._database.name}", pair, self.rows(pair), next_step=KEEP_AND_ASK)

    def rows(self, pair: str) -> list[tuple[int, str, str]]:
        """Sequence number, JSON and hash of each record, unchecked."""
        with journal_errors():
            found = self._repeated(
                "SELECT seq, body, hash FROM bundlekit.journal WHERE pair = %(pair)s ORDER BY seq", {"pair": pair}
            )
        return [(int(seq), str(body), str(digest)) for seq, body, digest in found]

    def pairs(self) -> tuple[str, ...]:
        """The pairs that have records, by name."""
        with journal_errors():
            found = self._repeated(
                """
                SELECT pair FROM bundlekit.due AS it
                WHERE EXISTS (SELECT 1 FROM bundlekit.journal WHERE journal.pair = it.pair) ORDER BY pair
                """
            )
        return tuple(str(name) for (name,) in found)

    def _repeated(self, statement: LiteralString, values: Values | None = None) -> list[tuple[Any, ...]]:
        """The rows of a statement that is harmless twice."""
        return self._database.repeat(lambda: self._database.rows(statement, values))

    def _head(self, pair: str) -> tuple[int, str]:
        with journal_errors():
            rows = self._repeated(
                "SELECT seq, hash FROM bundlekit.journal WHERE pair = %(pair)s ORDER BY seq DESC LIMIT 1",
                {"pair": pair},
            )
        return (int(rows[0][0]), str(rows[0][1])) if rows else (0, GENESIS)


def _taken_over(pair: str) -> FenceLostError:
    return FenceLostError(
        f"Another controller has taken over pair {pair}.", next_step=f"See {command('update status', pair=pair)}."
    )


@contextmanager
def journal_errors() -> Iterator[None]:
    """Convert the errors of the database. Nothing was started that the journal does not know of."""
    try:
        yield
    except DatabaseRefusalError as error:
        raise StateDatabaseError(error.message, next_step=error.next_step) from error
    except DatabaseError as error:
        raise JournalError(error.message, next_step=error.next_step) from error
