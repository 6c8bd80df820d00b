"""The status of a rollout: what ``bundlekit fleet status`` prints.

A handful of aggregates over narrow rows, so that it takes about the same time for any fleet, and nothing is decided.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final, Literal

from bundlekit.fleet.core import ENDS
from bundlekit.fleet.store import RolloutPhase
from bundlekit.model.primitives import Frozen

if TYPE_CHECKING:
    from bundlekit.database.connection import Values
    from bundlekit.fleet.store import RolloutStore

STATUS_SCHEMA: Final = "bundlekit/fleet-status/1"

SHOWN_PAIRS: Final = 20
"""The most pairs that a status names of one kind."""


class FleetEnd(Frozen, frozen=True, kw_only=True):
    """A pair that did not succeed: how it ended, when, in which run (empty: in none), and why."""

    pair: str
    wave: str
    end: str
    at: str
    run: str
    reason: str


class FleetTrouble(Frozen, frozen=True, kw_only=True):
    """A pair in flight whose last ``tries`` attempts ended in an error.

    ``reason`` is the latest error, and ``worker`` where it came. ``next-try`` is when the pair is due again.
    """

    pair: str
    tries: int
    reason: str
    worker: str
    next_try: str | None


class FleetWorkerStatus(Frozen, frozen=True, kw_only=True):
    """A worker, or another controller, and how many pairs it has now."""

    worker: str
    pairs: int


class FleetWaveStatus(Frozen, frozen=True, kw_only=True):
    """The pairs of a wave: not started, in flight, and ended by outcome."""

    name: str
    pairs: int
    pending: int
    in_flight: int
    ends: dict[str, int]


class FleetStatus(Frozen, frozen=True, kw_only=True):
    """The status of a rollout at a time of the database server.

    ``phase``, ``because`` and ``until`` are what was decided last, at most a minute ago while workers run. ``decider``
    is empty if no worker decides now, so that nothing starts. ``approval`` is the wave whose approval is missing.
    ``silent`` pairs are in flight without a report for too long. ``working`` pairs are advanced by a worker now, and
    ``overdue`` is for how many seconds the longest of the others waits for one.

    ``failed`` are the latest pairs that did not succeed, and ``trouble`` pairs whose attempts end in errors.
    ``retried`` are the latest pairs whose end a retry took back and that have not ended since, with that end.
    ``ended-last-hour`` is the number of pairs that ended in the last hour.
    """

    schema: Literal["bundlekit/fleet-status/1"]
    name: str
    target: str
    by: str
    created: str
    at: str
    phase: RolloutPhase
    because: str
    until: str | None
    approval: str
    decider: str
    pairs: int
    pending: int
    in_flight: int
    ends: dict[str, int]
    silent: int
    working: int
    overdue: int
    ended_last_hour: int
    waves: tuple[FleetWaveStatus, ...]
    workers: tuple[FleetWorkerStatus, ...]
    failed: tuple[FleetEnd, ...]
    retried: tuple[FleetEnd, ...]
    trouble: tuple[FleetTrouble, ...]

    @property
    def unsuccessful(self) -> int:
        """How many pairs have ended without success."""
        return sum(self.ends.values()) - self.ends.get("succeeded", 0)


def status_of_rollout(store: RolloutStore, name: str) -> FleetStatus:
    """The status of the rollout ``name``. Raises NoRolloutError and DatabaseError."""
    fleet = store.load(name).fleet.file
    names = [wave.name for wave in fleet.waves]
    values: Values = {"name": name, "silence": fleet.silence, "shown": SHOWN_PAIRS}
    rows = store.database.rows
    phase, because, until, approval, decider, by, created, at = rows(
        """
        SELECT phase, because, wait_until, approval,
            CASE WHEN decider_until > clock_timestamp() THEN decider ELSE '' END, by, created, clock_timestamp()
        FROM bundlekit.rollout WHERE name = %(name)s
        """,
        values,
    )[0]
    waves = _waves(
        names,
        rows(
            """
            SELECT wave, outcome, started IS NOT NULL, count(*) FROM bundlekit.rollout_pair
            WHERE rollout = %(name)s GROUP BY 1, 2, 3
            """,
            values,
        ),
    )
    silent, working, overdue = rows(
        """
        SELECT count(*) FILTER (WHERE it.heard < clock_timestamp() - make_interval(secs => %(silence)s)),
            count(*) FILTER (WHERE lease_until >= clock_timestamp()),
            coalesce(max(extract(epoch FROM clock_timestamp() - not_before)::float8)
                FILTER (WHERE lease_until IS NULL OR lease_until < clock_timestamp()), 0)
        FROM bundlekit.rollout_pair AS it JOIN bundlekit.due USING (pair)
        WHERE it.rollout = %(name)s AND it.taken AND it.started IS NOT NULL
        """,
        values,
    )[0]
    return FleetStatus(
        schema=STATUS_SCHEMA,
        name=name,
        target=fleet.target,
        by=str(by),
        created=_rfc3339(created),
        at=_rfc3339(at),
        phase=phase,
        because=str(because),
        until=_rfc3339(until) if until is not None else None,
        approval=str(approval),
        decider=_process(str(decider)),
        pairs=sum(wave.pairs for wave in waves),
        pending=sum(wave.pending for wave in waves),
        in_flight=sum(wave.in_flight for wave in waves),
        ends={kind: total for kind in sorted(ENDS) if (total := sum(wave.ends.get(kind, 0) for wave in waves))},
        silent=int(silent),
        working=int(working),
        overdue=max(0, int(overdue)),
        ended_last_hour=_ended_last_hour(store, values),
        waves=waves,
        workers=_workers(store),
        failed=_failed(store, values, names),
        retried=_retried(store, values, names),
        trouble=_trouble(store, values),
    )


def _waves(names: list[str], counts: list[tuple[Any, ...]]) -> tuple[FleetWaveStatus, ...]:
    made = []
    for number, name in enumerate(names):
        mine = [(outcome, started, int(total)) for wave, outcome, started, total in counts if wave == number]
        made.append(
            FleetWaveStatus(
                name=name,
                pairs=sum(total for _, _, total in mine),
                pending=sum(total for outcome, started, total in mine if outcome is None and not started),
                in_flight=sum(total for outcome, started, total in mine if outcome is None and started),
                ends={str(outcome): total for outcome, _, total in sorted(mine, key=str) if outcome is not None},
            )
        )
    return tuple(made)


def _ended_last_hour(store: RolloutStore, values: Values) -> int:
    rows = store.database.rows(
        """
        SELECT count(*) FROM bundlekit.rollout_pair
        WHERE rollout = %(name)s AND ended > clock_timestamp() - interval '1 hour'
        """,
        values,
    )
    return int(rows[0][0])


def _workers(store: RolloutStore) -> tuple[FleetWorkerStatus, ...]:
    rows = store.database.rows(
        """
        SELECT lease_owner, count(*) FROM bundlekit.due WHERE lease_until >= clock_timestamp() GROUP BY 1 ORDER BY 1
        """
    )
    return tuple(FleetWorkerStatus(worker=_process(str(owner)), pairs=int(total)) for owner, total in rows)


def _failed(store: RolloutStore, values: Values, waves: list[str]) -> tuple[FleetEnd, ...]:
    rows = store.database.rows(
        """
        SELECT it.pair, it.wave, it.outcome, it.ended, it.note, it.run FROM bundlekit.rollout_pair AS it
        WHERE it.rollout = %(name)s AND it.outcome <> 'succeeded' ORDER BY it.ended DESC, it.pair LIMIT %(shown)s
        """,
        values,
    )
    return _ends(rows, waves)


def _retried(store: RolloutStore, values: Values, waves: list[str]) -> tuple[FleetEnd, ...]:
    rows = store.database.rows(
        """
        SELECT pair, wave, outcome, at, reason, run FROM (
            SELECT DISTINCT ON (pair) pair, it.wave, record.outcome, at, reason, record.run
            FROM bundlekit.rollout_record AS record JOIN bundlekit.rollout_pair AS it USING (rollout, pair)
            WHERE rollout = %(name)s AND kind = 'end' AND record.outcome <> 'succeeded' AND it.outcome IS NULL
            ORDER BY pair, seq DESC
        ) AS last ORDER BY at DESC, pair LIMIT %(shown)s
        """,
        values,
    )
    return _ends(rows, waves)


def _ends(rows: list[tuple[Any, ...]], waves: list[str]) -> tuple[FleetEnd, ...]:
    return tuple(
        FleetEnd(pair=str(pair), wave=waves[wave], end=str(end), at=_rfc3339(at), run=str(run), reason=str(reason))
        for pair, wave, end, at, reason, run in rows
    )


def _trouble(store: RolloutStore, values: Values) -> tuple[FleetTrouble, ...]:
    rows = store.database.rows(
        """
        SELECT pair, tries, note, worker, not_before FROM bundlekit.rollout_pair LEFT JOIN bundlekit.due USING (pair)
        WHERE rollout = %(name)s AND taken AND started IS NOT NULL AND tries > 0
        ORDER BY tries DESC, pair LIMIT %(shown)s
        """,
        values,
    )
    return tuple(
        FleetTrouble(
            pair=str(pair),
            tries=int(tries),
            reason=str(note),
            worker=_process(str(worker)),
            next_try=_rfc3339(again) if again is not None else None,
        )
        for pair, tries, note, worker, again in rows
    )


def _rfc3339(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")


def _process(owner: str) -> str:
    """What people read of the name of an owner of leases: the process and its host."""
    return owner.partition(" ")[2] or owner
