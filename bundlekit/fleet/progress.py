"""What a worker writes about a pair that it has the lease of. Every method is one transaction.

Each looks at the lease first, in the same transaction. A worker that was stopped for longer than its lease changes
nothing, and gets False.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from bundlekit.fleet.dispatch import notify

if TYPE_CHECKING:
    from bundlekit.database.connection import Values
    from bundlekit.fleet.core import PairEnd
    from bundlekit.fleet.store import PairWork, RolloutStore
    from bundlekit.model.appliance import Appliance

LONGEST_NOTE: Final = 1000
"""The most characters of a reason that are kept: the journal has all of it."""


class LostLeaseError(Exception):
    """The lease is gone, or the pair is somewhere else on its route: the transaction must not be."""


class PairProgress:
    """The progress of pairs that the worker ``owner`` has the leases of."""

    def __init__(self, store: RolloutStore, owner: str) -> None:
        self._store = store
        self._database = store.database
        self._owner = owner

    def waits(self, work: PairWork, seconds: float, note: str, *, heard: bool, failed: bool) -> bool:
        """Look at the pair again after so many seconds. ``heard``: it answered, so that it is not silent.

        ``failed``: the attempt ended in an error, and the next one can wait longer.
        """
        values = self._values(work) | {"seconds": seconds, "note": note[:LONGEST_NOTE], "failed": failed}
        try:
            if not heard:
                with self._database.transaction():
                    self._wait(values)
                return True
            with self._store.ordered(work.rollout):
                self._wait(values)
                self._database.execute(
                    """
                    INSERT INTO bundlekit.rollout_record (rollout, kind, pair) VALUES (%(rollout)s, 'heard', %(pair)s)
                    """,
                    values,
                )
                self._database.execute(
                    """
                    UPDATE bundlekit.rollout_pair SET heard = clock_timestamp()
                    WHERE rollout = %(rollout)s AND pair = %(pair)s
                    """,
                    values,
                )
        except LostLeaseError:
            return False
        return True

    def next_stop(self, work: PairWork, state: Appliance) -> bool:
        """The update of this stop has succeeded, and the pair is in ``state``: the next stop is due."""
        values = self._values(work) | {"state": msgspec.json.encode(state).decode()}
        try:
            with self._store.ordered(work.rollout):
                self._due(values | {"seconds": 0.0})
                self._moved(
                    self._database.execute(
                        """
                        UPDATE bundlekit.rollout_pair AS it SET
                            stop = stop + 1, observe = false, tries = 0, note = '', heard = clock_timestamp(),
                            base_seq = coalesce(
                                (SELECT max(seq) FROM bundlekit.journal WHERE journal.pair = it.pair), 0
                            )
                        WHERE rollout = %(rollout)s AND pair = %(pair)s AND taken AND started IS NOT NULL
                            AND stop = %(stop)s AND base_seq = %(base_seq)s
                        """,
                        values,
                    )
                )
                self._state(values)
                self._database.execute(
                    """
                    INSERT INTO bundlekit.rollout_record (rollout, kind, pair) VALUES (%(rollout)s, 'heard', %(pair)s)
                    """,
                    values,
                )
        except LostLeaseError:
            return False
        return True

    def observed(self, work: PairWork, state: Appliance) -> bool:
        """The pair was read again before its update, and is in ``state``."""
        values = self._values(work) | {"state": msgspec.json.encode(state).decode()}
        try:
            with self._database.transaction():
                self._due(values | {"seconds": 0.0})
                self._moved(
                    self._database.execute(
                        """
                        UPDATE bundlekit.rollout_pair SET observe = false
                        WHERE rollout = %(rollout)s AND pair = %(pair)s AND taken AND started IS NOT NULL
                            AND stop = %(stop)s AND base_seq = %(base_seq)s
                        """,
                        values,
                    )
                )
                self._state(values)
        except LostLeaseError:
            return False
        return True

    def ends(self, work: PairWork, end: PairEnd, *, run: str, reason: str) -> bool:
        """The pair has ended, and has no work any more. The rollout counts that."""
        values = self._values(work) | {"end": end, "run": run, "reason": reason[:LONGEST_NOTE]}
        try:
            with self._store.ordered(work.rollout):
                self._due(values | {"seconds": None})
                self._moved(
                    self._database.execute(
                        """
                        UPDATE bundlekit.rollout_pair SET
                            outcome = %(end)s, run = %(run)s, note = %(reason)s,
                            ended = clock_timestamp(), taken = false
                        WHERE rollout = %(rollout)s AND pair = %(pair)s AND taken AND started IS NOT NULL
                            AND stop = %(stop)s AND base_seq = %(base_seq)s
                        """,
                        values,
                    )
                )
                self._database.execute(
                    """
                    INSERT INTO bundlekit.rollout_record (rollout, kind, pair, outcome, run, reason)
                    VALUES (%(rollout)s, 'end', %(pair)s, %(end)s, %(run)s, %(reason)s)
                    """,
                    values,
                )
                notify(self._database)
        except LostLeaseError:
            return False
        return True

    def nothing(self, pair: str) -> None:
        """No rollout has the pair in flight: it is not due."""
        self._database.execute(
            "UPDATE bundlekit.due SET not_before = NULL WHERE pair = %(pair)s AND lease_owner = %(owner)s",
            {"pair": pair, "owner": self._owner},
        )

    def _values(self, work: PairWork) -> Values:
        return {
            "rollout": work.rollout,
            "pair": work.pair,
            "stop": work.stop,
            "base_seq": work.base_seq,
            "owner": self._owner,
        }

    def _wait(self, values: Values) -> None:
        self._due(values)
        self._moved(
            self._database.execute(
                """
                UPDATE bundlekit.rollout_pair SET
                    note = %(note)s,
                    tries = CASE WHEN %(failed)s THEN tries + 1 ELSE 0 END,
                    worker = CASE WHEN %(failed)s THEN %(owner)s ELSE '' END
                WHERE rollout = %(rollout)s AND pair = %(pair)s AND taken AND started IS NOT NULL
                    AND stop = %(stop)s AND base_seq = %(base_seq)s
                """,
                values,
            )
        )

    def _due(self, values: Values) -> None:
        """Lock the row of the lease, and set when the pair is due: after so many seconds, or never."""
        self._moved(
            self._database.execute(
                """
                UPDATE bundlekit.due SET not_before = clock_timestamp() + make_interval(secs => %(seconds)s::float8)
                WHERE pair = %(pair)s AND lease_owner = %(owner)s
                """,
                values,
            )
        )

    def _state(self, values: Values) -> None:
        self._database.execute(
            "UPDATE bundlekit.rollout_state SET state = %(state)s WHERE rollout = %(rollout)s AND pair = %(pair)s",
            values,
        )

    def _moved(self, rows: int) -> None:
        if rows != 1:
            raise LostLeaseError
