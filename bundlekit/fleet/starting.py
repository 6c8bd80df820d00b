"""Begins a rollout in the database: its file, its routes, and each pair with its wave and its state. One transaction.

Nothing starts by that. The first worker that looks decides what does.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import msgspec

from bundlekit._version import __version__
from bundlekit.database.connection import DuplicateRowError
from bundlekit.errors import BundlekitError, ConfigError
from bundlekit.fleet.bundle_shelf import BundleShelf
from bundlekit.fleet.dispatch import notify
from bundlekit.fleet.fleet_file import parse_fleet
from bundlekit.fleet.planning import plan_fleet
from bundlekit.matrix.decide import STRICT
from bundlekit.wording import command, count

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator
    from pathlib import Path

    from bundlekit.database.connection import Values
    from bundlekit.fleet.fleet_report import FleetPlan
    from bundlekit.fleet.planning import PlannedFleet
    from bundlekit.fleet.store import RolloutStore
    from bundlekit.model.appliance import Appliance
    from bundlekit.model.decision import Policy

BATCH: Final = 1000
"""Rows that are sent at once."""


class RolloutExistsError(BundlekitError):
    """A rollout has the name already, or an unfinished rollout has one of the pairs."""


def start_rollout(
    store: RolloutStore, path: Path, *, by: str, at: dt.datetime | None = None, policy: Policy = STRICT
) -> FleetPlan:
    """Begin the rollout of the FLEET.toml at ``path``, planned at the time ``at`` (default: now).

    Raises what `plan_fleet` raises, and RolloutExistsError. Raises ConfigError if no pair is eligible, or if a line of
    the inventory is no state. The same holds for a bundle of which only the head is known. Nothing begins then.
    """
    from bundlekit.config import read_file
    from bundlekit.files import LIMITS

    data = read_file(path, limit=LIMITS["toml"])
    fleet = parse_fleet(data, path)
    name = fleet.file.name
    waiting: list[Values] = []

    def add_states() -> None:
        store.database.many(
            "INSERT INTO bundlekit.rollout_state (rollout, pair, state) VALUES (%(rollout)s, %(pair)s, %(state)s)",
            waiting,
        )
        waiting.clear()

    def keep(state: Appliance) -> None:
        waiting.append({"rollout": name, "pair": state.pair, "state": msgspec.json.encode(state).decode()})
        if len(waiting) == BATCH:
            add_states()

    with store.database.transaction():
        # The server would end the session while an inventory command takes its time.
        store.database.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        _add_rollout(
            store,
            {
                "name": name,
                "fleet": data.decode(),
                "folder": str(os.path.abspath(path.parent)),
                "risks": msgspec.json.encode(policy.accepted_risks).decode(),
                "by": by,
                "tool": __version__,
            },
        )
        planned = plan_fleet(fleet, at=at, policy=policy, eligible=keep)
        _require_complete(planned, path)
        BundleShelf(fleet).require({stop.id: stop.bundle for route in planned.plan.routes for stop in route.stops})
        add_states()
        if taken := store.taken_elsewhere(name, list(planned.rollout.classes)):
            raise RolloutExistsError(f"{path}: {taken}.", next_step=_STOP_FIRST)
        _add_pairs(store, planned)
        notify(store.database)
    return planned.plan


_STOP_FIRST: Final = "Wait for the end of that rollout, or stop it: that frees the pairs that it has not started."


def _add_rollout(store: RolloutStore, values: Values) -> None:
    try:
        store.database.execute(
            """
            INSERT INTO bundlekit.rollout (name, fleet, folder, accepted_risks, by, tool)
            VALUES (%(name)s, %(fleet)s, %(folder)s, %(risks)s, %(by)s, %(tool)s)
            """,
            values,
        )
    except DuplicateRowError as error:
        raise RolloutExistsError(
            f"A rollout with the name {values['name']!r} exists already.",
            next_step=f"{command('fleet status')} shows it. Give another rollout another name in FLEET.toml.",
        ) from error


def _require_complete(planned: PlannedFleet, path: Path) -> None:
    plan = planned.plan
    if plan.unreadable:
        raise ConfigError(
            f"{path}: {count(plan.unreadable, 'line')} of the inventory without a state, such as {plan.faults[0]}",
            next_step=f"Correct the inventory; {command('fleet plan')} shows all of it.",
        )
    if not plan.eligible:
        raise ConfigError(
            f"{path}: no pair can be updated",
            next_step=f"{command('fleet plan')} shows which pairs are refused, and why.",
        )


def _add_pairs(store: RolloutStore, planned: PlannedFleet) -> None:
    plan, found = planned.plan, planned.found
    assert found is not None  # noqa: S101 - the plan was made from an inventory
    store.database.many(
        """
        INSERT INTO bundlekit.rollout_route (rollout, route, start, stops)
        VALUES (%(rollout)s, %(route)s, %(start)s, %(stops)s)
        """,
        [
            {
                "rollout": plan.name,
                "route": number,
                "start": route.from_,
                "stops": msgspec.json.encode(route.stops).decode(),
            }
            for number, route in enumerate(plan.routes)
        ],
    )

    def rows() -> Iterator[Values]:
        for wave, entry in enumerate(planned.rollout.waves):
            for position, pair in enumerate(entry.pairs):
                zones = found.zones[pair]
                yield {
                    "rollout": plan.name,
                    "pair": pair,
                    "wave": wave,
                    "position": position,
                    "labels": list(found.kinds[pair].labels),
                    "zones": None if zones is None else list(zones),
                    "route": found.verdicts_of[pair].route,
                }

    batch: list[Values] = []
    for row in rows():
        batch.append(row)
        if len(batch) == BATCH:
            _add_batch(store, batch)
            batch.clear()
    _add_batch(store, batch)


def _add_batch(store: RolloutStore, batch: list[Values]) -> None:
    try:
        store.database.many(
            """
            INSERT INTO bundlekit.rollout_pair (rollout, pair, wave, position, labels, zones, route)
            VALUES (%(rollout)s, %(pair)s, %(wave)s, %(position)s, %(labels)s::text[], %(zones)s::text[], %(route)s)
            """,
            batch,
        )
    except DuplicateRowError as error:
        raise RolloutExistsError(
            f"A pair is already in another rollout that has not finished: {error.message}", next_step=_STOP_FIRST
        ) from error
