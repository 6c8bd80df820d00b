"""The state of runs in PostgreSQL, for controllers on many hosts. What only one host needs is in a folder of each.

A pair is held by its lease between hosts, and by the lock files of the folder on one host: a hook that outlived its
controller is found by these. The journal takes a claim or a record of a controller only while that one has the lease.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path

from bundlekit.database.connection import Database, DatabaseError
from bundlekit.database.schema import has_tables, make_tables
from bundlekit.update.engine.errors import JournalError
from bundlekit.update.engine.journal import Journal, MemoryJournal
from bundlekit.update.state import lease as leases
from bundlekit.update.state.lease import KEEP, LEASE_SECONDS, DueAgain, Lease, LeaseKeeper, ticks
from bundlekit.update.state.lock import PairBusyError, PairLock, at_work, holder, pair_file
from bundlekit.update.state.postgres_journal import PostgresJournal, journal_errors
from bundlekit.update.state.shared_clock import SharedClock
from bundlekit.update.state.sqlite_journal import open_private_folder


class PostgresState:
    """The state of runs in the database of ``url``, with ``folder`` on this host.

    The tables are made with the first use if they are missing. ``lease_seconds`` is for how long a pair waits for a
    controller that died. Raises ConfigError for a URL that is none of PostgreSQL.
    """

    noun = "database"
    parameter = "state"

    def __init__(self, url: str, folder: Path | str, *, lease_seconds: float = LEASE_SECONDS) -> None:
        self.folder = Path(folder)
        self.url = url
        self.lease_seconds = lease_seconds
        self._first = Database(url)  # a wrong URL is refused at once
        self._idle: list[Database] = []
        # Two threads can make a cached property at once since Python 3.12, so these are made here.
        self._word = os.urandom(8).hex()
        self._clock = SharedClock(Database(url))
        self._made = self._upgraded = False
        self._lock = threading.Lock()
        self._keeper: LeaseKeeper | None = None
        self._held: dict[str, Lease] = {}

    @property
    def name(self) -> str:
        """The URL without its password."""
        return self._first.name

    @cached_property
    def owner(self) -> str:
        """The name of this object as an owner of leases: where it is, which one it is, and its process for people."""
        return f"{self._here}{self._word} {holder()}"

    @cached_property
    def _here(self) -> str:
        """A word for this folder in this boot of this host.

        Who has the pair's lock in the folder knows that no other controller with the same word has the pair.
        """
        open_private_folder(self.folder)
        found = self.folder.stat()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return hashlib.sha256(f"{boot}\n{found.st_dev}\n{found.st_ino}".encode()).hexdigest()[:16] + "."

    @property
    def clock(self) -> SharedClock:
        """The clock of the server, the same for all hosts."""
        return self._clock

    @contextmanager
    def held(self, pair: str, lease: Lease | None = None) -> Iterator[tuple[Journal, int]]:
        """The pair's lock on this host, its lease between hosts, and the journal.

        ``lease`` is one that the caller has taken already (`take_due`), and gives back. Otherwise the lease is taken,
        and given back at the end. Raises PairBusyError if another controller has the pair.
        """
        with PairLock(self.folder, pair, holder()) as lock, self.lent() as database:
            held = self._held[pair] = lease if lease is not None else self._take(database, pair)
            try:
                yield self._journal(database), lock.hook_fd
            finally:
                if self._held.get(pair) is held:
                    del self._held[pair]
                if lease is None:
                    with suppress(DatabaseError):  # it ends by itself
                        database.repeat(lambda: held.release(database))

    def is_ours(self, pair: str) -> bool:
        """Whether its lease lasts for some time. It is renewed if needed (`LeaseKeeper.ensure`)."""
        held = self._held.get(pair)
        return held is not None and self.keeper.ensure(held)

    def take_due(self, limit: int) -> tuple[Lease, ...]:
        """Lease at most ``limit`` pairs that are due; they are renewed until they are given back (`release`)."""
        with self.lent() as database, journal_errors():
            since = ticks()
            pairs = leases.take_due(database, self.owner, self.lease_seconds, limit)
            return tuple(self.keeper.keep(pair, since) for pair in pairs)

    def release(self, lease: Lease, again: DueAgain = KEEP) -> bool:
        """Give a lease back, and set when the pair is due again. False, and no change, if it was lost."""
        with self.lent() as database, journal_errors():
            return database.repeat(lambda: lease.release(database, again))

    @property
    def keeper(self) -> LeaseKeeper:
        """What renews the leases of this object."""
        with self._lock:
            if self._keeper is None:
                self._keeper = LeaseKeeper(Database(self.url), self.owner, self.lease_seconds)
            return self._keeper

    @contextmanager
    def reading(self) -> Iterator[Journal]:
        """The journal, to be read. It is empty while no run has made the tables."""
        with self._lent() as database:
            yield self._journal(database) if self._exists(database) else MemoryJournal()

    def rows(self, pair: str) -> list[tuple[int, str, str]]:
        """Sequence number, JSON and hash of each record of ``pair``, unchecked."""
        with self._lent() as database:
            return self._journal(database).rows(pair) if self._exists(database) else []

    def stamp(self, pair: str) -> object:
        """The number of the last record, and the fence."""
        with self._lent() as database, journal_errors():
            if not self._exists(database):
                return None
            return database.rows(
                "SELECT max(seq), (SELECT fence FROM bundlekit.due WHERE pair = %(pair)s) FROM bundlekit.journal "
                "WHERE pair = %(pair)s",
                {"pair": pair},
            )

    def cancel_request(self, pair: str) -> PostgresCancel:
        """The request to cancel, in the pair's row."""
        return PostgresCancel(self, pair)

    def at_work(self, pair: str) -> str:
        """The controller that has the pair's lease, or its lock on this host."""
        with self._lent() as database, journal_errors():
            found = leases.leased_by(database, pair) if self._exists(database) else ""
        return _name(found) or at_work(self.folder, pair)

    def keep(self, pair: str, suffix: str, data: bytes) -> None:
        """Keep an input in the table ``kept``."""
        pair_file(self.folder, pair, suffix)  # refuses what is no name of a pair
        with self.lent() as database, journal_errors():
            database.execute(
                """
                INSERT INTO bundlekit.kept (pair, name, body) VALUES (%(pair)s, %(name)s, %(body)s)
                ON CONFLICT (pair, name) DO UPDATE SET body = EXCLUDED.body
                """,
                {"pair": pair, "name": suffix, "body": data},
            )

    def kept(self, pair: str, suffix: str) -> bytes | None:
        """What is kept of ``pair`` by this name, or None."""
        with self._lent() as database, journal_errors():
            if not self._exists(database):
                return None
            rows = database.rows(
                "SELECT body FROM bundlekit.kept WHERE pair = %(pair)s AND name = %(name)s",
                {"pair": pair, "name": suffix},
            )
        return bytes(rows[0][0]) if rows else None

    def close(self) -> None:
        """Close all connections. Leases that were not given back end by themselves."""
        if self._keeper is not None:
            self._keeper.close()
        self._clock.close()
        with self._lock:
            for database in self._idle:
                database.close()
            self._idle.clear()

    def _take(self, database: Database, pair: str) -> Lease:
        """The lease of a pair whose lock on this host the caller holds."""
        since = ticks()
        with journal_errors():
            has_it = database.repeat(
                lambda: leases.take(database, pair, self.owner, self.lease_seconds, dead=self._here)
            )
        if has_it:
            raise PairBusyError(pair, _name(has_it), "another controller is at work")
        return self.keeper.keep(pair, since)

    def _journal(self, database: Database) -> PostgresJournal:
        return PostgresJournal(database, lease_owner=self.owner)

    def _exists(self, database: Database) -> bool:
        """Whether the tables exist."""
        if not self._made:
            with journal_errors():
                self._made = has_tables(database)
        return self._made

    @contextmanager
    def lent(self) -> Iterator[Database]:
        """A connection to the database, whose tables exist, for as long as the block runs."""
        with self._lent() as database:
            if not self._upgraded:
                with journal_errors():
                    make_tables(database)
                self._upgraded = True
            yield database

    @contextmanager
    def _lent(self) -> Iterator[Database]:
        """A connection of those that are idle, or another one."""
        with self._lock:
            database = self._idle.pop() if self._idle else Database(self.url)
        try:
            with journal_errors():
                database.revive()
            yield database
        except BaseException:
            database.close()
            raise
        with self._lock:
            self._idle.append(database)


class PostgresCancel:
    """The request to cancel a run of ``pair``, as a column of its row. It can be left from any host."""

    def __init__(self, state: PostgresState, pair: str) -> None:
        self._state = state
        self._pair = pair

    def ask(self, run: str) -> None:
        """Leave the request, durably."""
        with self._state.lent() as database, journal_errors():
            database.execute(
                "UPDATE bundlekit.due SET cancel_run = %(run)s WHERE pair = %(pair)s", {"run": run, "pair": self._pair}
            )

    def asked(self) -> str:
        """The run that is to be cancelled; empty if none is, or while the server is away."""
        with suppress(JournalError), self._state.lent() as database, journal_errors():
            rows = database.rows("SELECT cancel_run FROM bundlekit.due WHERE pair = %(pair)s", {"pair": self._pair})
            return str(rows[0][0]) if rows else ""
        return ""

    def withdraw(self) -> None:
        """Take the request away, whatever run it names."""
        with self._state.lent() as database, journal_errors():
            database.execute(
                "UPDATE bundlekit.due SET cancel_run = '' WHERE pair = %(pair)s AND cancel_run <> ''",
                {"pair": self._pair},
            )


def _name(owner: str) -> str:
    """What people read of the name of an owner: the process and its host."""
    return owner.partition(" ")[2] or owner
