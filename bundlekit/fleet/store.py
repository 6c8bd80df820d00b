"""What PostgreSQL holds of a rollout, and the only statements about it.

The records of a rollout (``rollout_record``) are everything that decides what starts next. A transaction that adds
records takes the lock of the rollout first (`RolloutStore.ordered`). So records become visible in the order of their
numbers, and a reader that continues after the last number misses none. The other tables are where each pair is on its
route. They change in the same transactions. All times are those of the server.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, get_args

import msgspec

from bundlekit.database.connection import Database, DatabaseRefusalError
from bundlekit.errors import BundlekitError
from bundlekit.fleet.core import (
    AbortRecord,
    OperatorRequest,
    PairClass,
    PairEnd,
    PairReport,
    RetryRequest,
    Rollout,
    RolloutRecord,
    RolloutWave,
    WaitFor,
)
from bundlekit.fleet.dispatch import notify
from bundlekit.fleet.eligibility import zoned
from bundlekit.fleet.fleet_file import FleetAt, parse_fleet, wall_window
from bundlekit.fleet.fleet_report import FleetStop
from bundlekit.model.appliance import Appliance
from bundlekit.model.decision import Acceptance
from bundlekit.update.engine.plan import seconds
from bundlekit.wording import command, count

if TYPE_CHECKING:
    from bundlekit.database.connection import Values

RolloutVerb = Literal["pause", "resume", "stop", "approve"]
"""What an operator asks of a whole rollout."""

RolloutPhase = Literal["running", "waiting", "paused", "stopped", "aborted", "finished"]
"""What was decided last about a rollout."""

DECIDER_SECONDS: Final = 10
"""For so many seconds a worker alone decides about a rollout, unless it renews that. Another one can decide as well at
any time, and does the same: this only spares work."""


class PairWork(NamedTuple):
    """A pair in flight: the stop that it is at, and from which record on its journal counts for that stop.

    ``stops`` are all of its route. With ``observe``, its state is read again first. ``heard`` is the age in seconds of
    the last report. ``tries`` are the attempts since that ended in an error.
    """

    rollout: str
    pair: str
    stops: tuple[FleetStop, ...]
    stop: int
    base_seq: int
    observe: bool
    heard: float
    tries: int


class StoredRollout(NamedTuple):
    """A rollout as it was started: its file, the risks that were accepted, and what the decision needs."""

    name: str
    fleet: FleetAt
    accepted_risks: tuple[Acceptance, ...]


class NoRolloutError(BundlekitError):
    """No rollout has this name."""


class RolloutStore:
    """The rollouts in ``database``, which has its tables (`schema.make_tables`).

    All methods raise DatabaseError if the server cannot be reached, and NoRolloutError for an unknown rollout. One
    thread at a time uses a store.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def now(self) -> float:
        """The time of the server, in seconds since 1970."""
        return float(self.database.rows("SELECT extract(epoch FROM clock_timestamp())::float8")[0][0])

    def require_rights(self) -> None:
        """Raise DatabaseRefusalError if the role cannot write what a worker writes."""
        (rights,) = self.database.rows(
            """
            SELECT has_table_privilege('bundlekit.journal', 'INSERT'),
                has_table_privilege('bundlekit.rollout_record', 'INSERT'),
                has_table_privilege('bundlekit.due', 'INSERT') AND has_table_privilege('bundlekit.due', 'UPDATE'),
                has_table_privilege('bundlekit.kept', 'INSERT') AND has_table_privilege('bundlekit.kept', 'UPDATE'),
                has_any_column_privilege('bundlekit.rollout', 'UPDATE'),
                has_any_column_privilege('bundlekit.rollout_pair', 'UPDATE'),
                has_any_column_privilege('bundlekit.rollout_state', 'UPDATE')
            """
        )
        names = ("journal", "rollout_record", "due", "kept", "rollout", "rollout_pair", "rollout_state")
        if missing := [name for name, right in zip(names, rights, strict=True) if not right]:
            raise DatabaseRefusalError(
                f"The database {self.database.name}: the role cannot write the tables {', '.join(missing)}.",
                next_step=f"Grant it the rights of a worker; {command('explain', 'fleet')} lists them under Roles.",
            )

    def taken_elsewhere(self, name: str, pairs: Sequence[str]) -> str:
        """Which of ``pairs`` another rollout than ``name`` has, in words; empty if none has one."""
        rows = self.database.rows(
            """
            SELECT pair, rollout, count(*) OVER () FROM bundlekit.rollout_pair
            WHERE taken AND rollout <> %(name)s AND pair = ANY(%(pairs)s) ORDER BY pair LIMIT 1
            """,
            {"name": name, "pairs": list(pairs)},
        )
        return f"{count(rows[0][2], 'pair')} in another rollout: {rows[0][0]} in {rows[0][1]}" if rows else ""

    def on_hold(self, pairs: Sequence[str]) -> tuple[str, ...]:
        """Those of ``pairs`` that are on hold by their journals, by name."""
        rows = self.database.rows(
            """
            SELECT pair FROM (
                SELECT DISTINCT ON (pair) pair, body::json AS body FROM bundlekit.journal
                WHERE pair = ANY(%(pairs)s) AND body::json->>'record' IN ('ended', 'cleared')
                ORDER BY pair, seq DESC
            ) AS last
            WHERE body->>'record' = 'ended' AND (body->'outcome'->>'hold')::boolean ORDER BY pair
            """,
            {"pairs": list(pairs)},
        )
        return tuple(str(pair) for (pair,) in rows)

    def unfinished(self) -> tuple[str, ...]:
        """The rollouts that have not finished, by name."""
        rows = self.database.rows("SELECT name FROM bundlekit.rollout WHERE finished IS NULL ORDER BY name")
        return tuple(str(name) for (name,) in rows)

    def latest(self) -> tuple[str, ...]:
        """The rollout that was started last; none if there never was one."""
        rows = self.database.rows("SELECT name FROM bundlekit.rollout ORDER BY created DESC LIMIT 1")
        return tuple(str(name) for (name,) in rows)

    def has_work(self) -> bool:
        """Whether a rollout can start pairs now or later, or has pairs in flight."""
        rows = self.database.rows(
            """
            SELECT EXISTS (
                SELECT 1 FROM bundlekit.rollout WHERE finished IS NULL AND phase NOT IN ('stopped', 'aborted')
            ) OR EXISTS (SELECT 1 FROM bundlekit.rollout_pair WHERE taken AND started IS NOT NULL)
            """
        )
        return bool(rows[0][0])

    def load(self, name: str) -> StoredRollout:
        """The rollout ``name``."""
        rows = self.database.rows(
            "SELECT fleet, folder, accepted_risks FROM bundlekit.rollout WHERE name = %(name)s", {"name": name}
        )
        if not rows:
            known = ", ".join(str(one) for (one,) in self.database.rows("SELECT name FROM bundlekit.rollout"))
            raise NoRolloutError(
                f"No rollout has the name {name!r}; {f'there are {known}' if known else 'there is none'}.",
                next_step="Use one of these names." if known else f"{command('fleet start')} starts one.",
            )
        fleet, folder, risks = rows[0]
        return StoredRollout(
            name=name,
            fleet=parse_fleet(str(fleet).encode(), Path(folder) / "FLEET.toml"),
            accepted_risks=msgspec.json.decode(str(risks), type=tuple[Acceptance, ...]),
        )

    def plan(self, stored: StoredRollout) -> Rollout:
        """Everything that is fixed about a rollout, with all its pairs."""
        file = stored.fleet.file
        walls = [wall_window(window) for window in file.windows]
        kinds: dict[str, PairClass] = {}
        interned: dict[tuple[tuple[str, ...], tuple[str, ...] | None], PairClass] = {}
        pairs: list[list[str]] = [[] for _ in file.waves]
        for pair, wave, labels, zones in self.database.stream(
            """
            SELECT pair, wave, labels, zones FROM bundlekit.rollout_pair WHERE rollout = %(name)s
            ORDER BY wave, position
            """,
            {"name": stored.name},
        ):
            key = tuple(labels), None if zones is None else tuple(zones)
            if key not in interned:
                interned[key] = PairClass(key[0], zoned(walls, key[1]))
            kinds[str(pair)] = interned[key]
            pairs[wave].append(str(pair))
        return Rollout(
            waves=tuple(
                RolloutWave(wave.name, tuple(names), seconds(wave.soak) if wave.soak else 0, wave.approval)
                for wave, names in zip(file.waves, pairs, strict=True)
            ),
            classes=kinds,
            max_in_flight=file.max_in_flight.all,
            limits=tuple(file.max_in_flight.per.items()),
            abort=file.abort,
            silence=file.silence,
        )

    @contextmanager
    def ordered(self, name: str) -> Iterator[None]:
        """A transaction in which this rollout gets no record but ours. Its records get the next numbers."""
        with self.database.transaction():
            self.database.rows("SELECT pg_advisory_xact_lock(%(key)s)", {"key": _lock_key(name)})
            yield

    def records(self, name: str, after: int = 0) -> Iterator[tuple[int, RolloutRecord]]:
        """The records of the rollout with a number above ``after``, in their order."""
        values: Values = {"name": name, "after": after}
        for seq, at, kind, pair, outcome, wave in self.database.rows(
            """
            SELECT seq, extract(epoch FROM at)::float8, kind, pair, outcome, wave FROM bundlekit.rollout_record
            WHERE rollout = %(name)s AND seq > %(after)s ORDER BY seq
            """,
            values,
        ):
            yield int(seq), _record(str(kind), float(at), str(pair), str(outcome), str(wave))

    def newest(self, name: str) -> int:
        """The number of the newest record; 0 if the rollout has none."""
        rows = self.database.rows(
            "SELECT seq FROM bundlekit.rollout_record WHERE rollout = %(name)s ORDER BY seq DESC LIMIT 1",
            {"name": name},
        )
        return int(rows[0][0]) if rows else 0

    def lead(self, name: str, owner: str) -> bool:
        """Become, or stay, the worker that decides about the rollout. False if another one is, or if it finished."""
        return bool(
            self.database.execute(
                """
                UPDATE bundlekit.rollout SET
                    decider = %(owner)s, decider_until = clock_timestamp() + make_interval(secs => %(seconds)s)
                WHERE name = %(name)s AND finished IS NULL
                    AND (decider = %(owner)s OR decider_until < clock_timestamp())
                """,
                {"name": name, "owner": owner, "seconds": DECIDER_SECONDS},
            )
        )

    def leave(self, owner: str) -> None:
        """Let another worker decide at once about the rollouts that ``owner`` leads."""
        self.database.execute(
            "UPDATE bundlekit.rollout SET decider_until = '-infinity' WHERE decider = %(owner)s", {"owner": owner}
        )

    def start(self, name: str, pairs: Sequence[str]) -> None:
        """Start these pairs: a record for each, and work for the workers. Only within `ordered`."""
        values: Values = {"name": name, "pairs": list(pairs)}
        self.database.execute(
            """
            INSERT INTO bundlekit.rollout_record (rollout, kind, pair)
            SELECT %(name)s, 'start', unnest(%(pairs)s::text[])
            """,
            values,
        )
        self.database.execute(
            """
            UPDATE bundlekit.rollout_pair AS it SET
                started = clock_timestamp(), heard = clock_timestamp(), tries = 0, note = '',
                base_seq = coalesce((SELECT max(seq) FROM bundlekit.journal WHERE journal.pair = it.pair), 0)
            WHERE rollout = %(name)s AND pair = ANY(%(pairs)s)
            """,
            values,
        )
        self.database.execute(
            """
            INSERT INTO bundlekit.due AS it (pair, not_before)
            SELECT pair, clock_timestamp() FROM unnest(%(pairs)s::text[]) AS pair ORDER BY pair
            ON CONFLICT (pair) DO UPDATE SET not_before = excluded.not_before
            """,
            values,
        )
        notify(self.database)

    def reconcile(self, name: str) -> int:
        """Make each pair in flight due that no worker has and that would never be due. Returns their number.

        No transaction of ours leaves such a pair. A table ``due`` that was emptied, or restored from a copy, does.
        """
        return self.database.execute(
            """
            INSERT INTO bundlekit.due AS it (pair, not_before)
            SELECT pair, clock_timestamp() FROM bundlekit.rollout_pair
            WHERE rollout = %(name)s AND taken AND started IS NOT NULL ORDER BY pair
            ON CONFLICT (pair) DO UPDATE SET not_before = excluded.not_before
                WHERE it.not_before IS NULL AND (it.lease_owner IS NULL OR it.lease_until < clock_timestamp())
            """,
            {"name": name},
        )

    def abort(self, name: str, because: str) -> None:
        """Record that a criterion stopped the rollout. Only within `ordered`."""
        self.database.execute(
            "INSERT INTO bundlekit.rollout_record (rollout, kind, reason) VALUES (%(name)s, 'abort', %(because)s)",
            {"name": name, "because": because},
        )

    def decided(self, name: str, phase: RolloutPhase, because: str, wait: WaitFor | None = None) -> None:
        """Keep what was decided last, for those who only look."""
        self.database.execute(
            """
            UPDATE bundlekit.rollout SET
                phase = %(phase)s, because = %(because)s, approval = %(approval)s,
                wait_until = to_timestamp(%(until)s),
                finished = CASE WHEN %(phase)s = 'finished' THEN coalesce(finished, clock_timestamp()) END
            WHERE name = %(name)s
            """,
            {
                "name": name,
                "phase": phase,
                "because": because,
                "approval": wait.approval if wait else "",
                "until": wait.until if wait else None,
            },
        )

    def work(self, pair: str) -> PairWork | None:
        """What there is to do with a pair; None if no rollout has it in flight."""
        rows = self.database.rows(
            """
            SELECT it.rollout, it.stop, it.base_seq, it.observe, it.tries, route.stops,
                extract(epoch FROM clock_timestamp() - it.heard)::float8
            FROM bundlekit.rollout_pair AS it JOIN bundlekit.rollout_route AS route USING (rollout, route)
            WHERE it.pair = %(pair)s AND it.taken AND it.started IS NOT NULL
            """,
            {"pair": pair},
        )
        if not rows:
            return None
        name, stop, base_seq, observe, tries, stops, heard = rows[0]
        found = msgspec.json.decode(str(stops), type=tuple[FleetStop, ...])
        return PairWork(str(name), pair, found, int(stop), int(base_seq), bool(observe), float(heard), int(tries))

    def state(self, work: PairWork) -> Appliance:
        """The state of the pair before the update that it is at."""
        rows = self.database.rows(
            "SELECT state FROM bundlekit.rollout_state WHERE rollout = %(rollout)s AND pair = %(pair)s",
            {"rollout": work.rollout, "pair": work.pair},
        )
        return msgspec.json.decode(str(rows[0][0]), type=Appliance)


def _lock_key(name: str) -> int:
    """The key of the advisory lock of a rollout: 64 bits of a digest of its name."""
    return int.from_bytes(hashlib.sha256(b"bundlekit rollout\0" + name.encode()).digest()[:8], "big", signed=True)


def _record(kind: str, at: float, pair: str, outcome: str, wave: str) -> RolloutRecord:
    if kind in {"start", "heard"}:
        return PairReport(pair, at)
    if kind == "end":
        end: PairEnd = next(one for one in get_args(PairEnd) if one == outcome)
        return PairReport(pair, at, end)
    if kind == "retry":
        return RetryRequest(pair, at)
    if kind == "abort":
        return AbortRecord(at)
    verb: RolloutVerb = next(one for one in get_args(RolloutVerb) if one == kind)
    return OperatorRequest(verb, at, wave)
