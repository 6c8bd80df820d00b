"""Leases: which worker has a pair now, until when, by the clock of the database server.

A lease is two columns of the pair's row in the table ``due``. One statement takes it, renews it or gives it back.
It keeps two workers from the same work, and ends by itself with a worker that died. It is not what makes a run safe:
a worker can be stopped for longer than its lease, and go on then. The journal refuses the records of a worker that has
lost its lease, and a target refuses its lower fence.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, NamedTuple

from bundlekit.database.connection import Database, DatabaseError

LEASE_SECONDS: Final = 60.0
"""How long a lease lasts after it was renewed: the longest time that a pair waits for a worker that died."""

RENEWALS: Final = 3
"""How often a lease is renewed while it lasts."""


class Keep(NamedTuple):
    """Leave the time of a pair's next work as it is."""


KEEP: Final = Keep()

DueAgain = float | Keep | None
"""When a pair is due again: in so many seconds of the server's clock, as it was before, or (None) never."""


def take_due(database: Database, owner: str, seconds: float, limit: int) -> tuple[str, ...]:
    """Take the lease of at most ``limit`` pairs that are due and that no worker has, those due first come first.

    Two workers that do this at once get different pairs, and neither waits for the other.
    """
    rows = database.rows(
        """
        UPDATE bundlekit.due SET lease_owner = %(owner)s, lease_until = clock_timestamp() + make_interval(secs => %(s)s)
        WHERE pair IN (
            SELECT pair FROM bundlekit.due
            WHERE not_before <= (SELECT clock_timestamp())
              AND (lease_owner IS NULL OR lease_until < (SELECT clock_timestamp()))
            ORDER BY not_before LIMIT %(limit)s FOR UPDATE SKIP LOCKED
        ) RETURNING pair
        """,
        {"owner": owner, "s": seconds, "limit": limit},
    )
    return tuple(str(pair) for (pair,) in rows)


def take(database: Database, pair: str, owner: str, seconds: float, *, dead: str = "") -> str:
    """Take the lease of ``pair``, whether it is due or not. Empty if that succeeded, otherwise who has it.

    A lease of an owner that begins with ``dead`` counts as ended. The caller has to know that no such worker lives.
    """
    while True:
        taken = database.rows(
            """
            INSERT INTO bundlekit.due AS it (pair, lease_owner, lease_until)
            VALUES (%(pair)s, %(owner)s, clock_timestamp() + make_interval(secs => %(s)s))
            ON CONFLICT (pair) DO UPDATE
            SET lease_owner = %(owner)s, lease_until = clock_timestamp() + make_interval(secs => %(s)s)
            WHERE it.lease_owner IS NULL OR it.lease_until < clock_timestamp() OR it.lease_owner = %(owner)s
               OR (%(dead)s <> '' AND starts_with(it.lease_owner, %(dead)s))
            RETURNING pair
            """,
            {"pair": pair, "owner": owner, "s": seconds, "dead": dead},
        )
        if taken:
            return ""
        if has_it := leased_by(database, pair):
            return has_it
        # Its worker has given it back between the two statements.


def leased_by(database: Database, pair: str) -> str:
    """Who has a live lease of ``pair``; empty if no worker has."""
    rows = database.rows(
        "SELECT lease_owner FROM bundlekit.due WHERE pair = %(pair)s AND lease_until >= clock_timestamp()",
        {"pair": pair},
    )
    return str(rows[0][0] or "") if rows else ""


def renew(database: Database, pairs: Iterable[str], owner: str, seconds: float) -> frozenset[str]:
    """Renew the leases of ``owner``, and return those pairs of ``pairs`` that it still has.

    A lease that has ended is renewed as well, as long as no other worker has had the pair since.
    """
    rows = database.rows(
        """
        UPDATE bundlekit.due SET lease_until = clock_timestamp() + make_interval(secs => %(s)s)
        WHERE pair = ANY(%(pairs)s) AND lease_owner = %(owner)s RETURNING pair
        """,
        {"pairs": sorted(pairs), "owner": owner, "s": seconds},
    )
    return frozenset(str(pair) for (pair,) in rows)


def give_back(database: Database, pair: str, owner: str, again: DueAgain = KEEP) -> bool:
    """Give the lease back, and set when the pair is due again. False, and no change, if the lease was lost."""
    return bool(
        database.execute(
            """
            UPDATE bundlekit.due SET lease_owner = NULL, lease_until = NULL, not_before =
                CASE WHEN %(keep)s THEN not_before ELSE clock_timestamp() + make_interval(secs => %(again)s) END
            WHERE pair = %(pair)s AND lease_owner = %(owner)s
            """,
            {
                "pair": pair,
                "owner": owner,
                "keep": isinstance(again, Keep),
                "again": None if isinstance(again, Keep) else again,
            },
        )
    )


class Lease:
    """A pair that is leased, and renewed by its `LeaseKeeper` until it is given back. ``lost`` is set if it is lost.

    No other worker can have the pair before ``until``, in seconds since the start of this host.
    """

    def __init__(self, pair: str, owner: str, forget: Callable[[Lease], None], until: float) -> None:
        self.pair = pair
        self.owner = owner
        self.until = until
        self.lost = threading.Event()
        self._forget = forget

    def release(self, database: Database, again: DueAgain = KEEP) -> bool:
        """Give it back, and set when the pair is due again; see `give_back`. It is not renewed any more."""
        self._forget(self)
        return give_back(database, self.pair, self.owner, again)

    def drop(self) -> None:
        """Stop renewing it. It ends by itself, or was given back together with other rows."""
        self._forget(self)


class LeaseKeeper:
    """Renews the leases of one worker, in one thread with a connection of its own. Close it at the end.

    While the server is away, nothing is renewed. No other worker can take a lease then, and the first renewal after it
    shows which ones are lost.
    """

    def __init__(self, database: Database, owner: str, seconds: float = LEASE_SECONDS) -> None:
        self.owner = owner
        self.seconds = seconds
        self._database = database
        self._leases: dict[str, Lease] = {}
        self._lock = threading.Lock()
        self._renewing = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def keep(self, pair: str, since: float | None = None) -> Lease:
        """Keep renewing the lease of ``pair``, which this owner has just taken: after ``since`` (see `ticks`)."""
        lease = Lease(pair, self.owner, self._forget, (ticks() if since is None else since) + self.seconds)
        with self._lock:
            self._leases[pair] = lease
            if self._thread is None:
                self._thread = threading.Thread(target=self._renew, name="bundlekit-leases", daemon=True)
                self._thread.start()
        return lease

    def ensure(self, lease: Lease) -> bool:
        """Whether no other worker can have the pair for some time from now on. The lease is renewed if needed.

        False if it is lost, or cannot be renewed. A worker that was stopped finds out before it changes anything.
        """
        needed = self.seconds / RENEWALS
        with self._renewing:
            if lease.until - ticks() < needed:
                self.renew_all()
        return not lease.lost.is_set() and lease.until - ticks() >= needed

    def close(self) -> None:
        """Stop renewing. What is still leased ends by itself."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._database.close()

    def _forget(self, lease: Lease) -> None:
        with self._lock:
            if self._leases.get(lease.pair) is lease:
                del self._leases[lease.pair]

    def _renew(self) -> None:
        while not self._stop.wait(self.seconds / RENEWALS):
            self.renew_all()

    def renew_all(self) -> None:
        """Renew all leases now. Those that another worker has taken are marked as lost."""
        with self._lock:
            leases = dict(self._leases)
        if not leases:
            return
        with suppress(DatabaseError):
            before = ticks()
            still = renew(self._database, leases, self.owner, self.seconds)
            for pair, lease in leases.items():
                if pair in still:
                    lease.until = max(lease.until, before + self.seconds)
                with self._lock:
                    gone = pair not in still and self._leases.get(pair) is lease
                if gone:
                    lease.lost.set()
                    self._forget(lease)


def ticks() -> float:
    """Seconds since the start of this host, with those in which it was suspended (clock_gettime(2))."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
