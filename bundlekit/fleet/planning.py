"""The plan of a rollout: who is eligible, who goes through which stops, who is refused, in which wave."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from bundlekit import wall_clock
from bundlekit.catalog import collect
from bundlekit.errors import ConfigError
from bundlekit.fleet.core import Outcomes, Rollout, RolloutWave, StartPairs, decide_next
from bundlekit.fleet.eligibility import Eligibility, FleetVerdict
from bundlekit.fleet.fleet_report import (
    PLAN_SCHEMA,
    FleetPair,
    FleetPlan,
    FleetRoute,
    FleetWavePlan,
)
from bundlekit.fleet.inventory import InventoryFault, read_inventory
from bundlekit.fleet.waves import assign
from bundlekit.fleet.windows import is_open
from bundlekit.matrix.decide import STRICT
from bundlekit.update.engine.plan import PAIR, load_plan, seconds
from bundlekit.wording import count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from bundlekit.catalog import Collected
    from bundlekit.fleet.core import PairClass
    from bundlekit.fleet.fleet_file import FleetAt, FleetFile
    from bundlekit.model.appliance import Appliance
    from bundlekit.model.decision import Policy
    from bundlekit.update.engine.plan import Plan


class PlannedFleet(NamedTuple):
    """A plan with what a rehearsal and a start need.

    ``minutes`` are those of each eligible pair (None: not known). ``found`` is what was decided about each pair.
    """

    plan: FleetPlan
    rollout: Rollout
    minutes: dict[str, int | None]
    found: Eligibility | None = None


def plan_fleet(
    fleet: FleetAt,
    *,
    at: dt.datetime | None = None,
    policy: Policy = STRICT,
    listing: bool = False,
    eligible: Callable[[Appliance], None] = lambda _state: None,
) -> PlannedFleet:
    """Plan the rollout of ``fleet`` at the time ``at`` (default: now), with every pair in a ``listing`` on request.

    ``eligible`` is called with the state of each pair that can be updated, in the order of the inventory.

    Raises ConfigError, or another BundlekitError, if the inventory, the bundles, the trust or the plan cannot be used,
    and if the inventory is empty.
    """
    moment = at or wall_clock.now()
    bundles = _bundles(fleet, moment)
    update = load_plan(fleet.resolved(fleet.file.plan)) if fleet.file.plan else PAIR
    found = Eligibility(fleet.file, bundles, policy)
    for state in read_inventory(fleet):
        found.take(state)
        if not isinstance(state, InventoryFault) and state.pair in found.kinds:
            eligible(state)
    if not found.verdicts_of and not found.unreadable:
        raise ConfigError(
            f"{fleet.path}: the inventory has no pair",
            next_step="Name a file, or a command, that has the state of each pair on a line of its own.",
        )
    planned = _planned(found, gate_minutes(update), moment)
    return planned._replace(plan=_listed(planned.plan, found, planned.rollout)) if listing else planned


def _bundles(fleet: FleetAt, at: dt.datetime) -> Collected:
    """The bundles of the fleet that a trusted signer signed, restricted by its advisories."""
    from bundlekit.advisories import load_advisory
    from bundlekit.matrix.operator import load_matrices
    from bundlekit.trust import load_trust

    file = fleet.file
    trust = load_trust([fleet.resolved(name) for name in file.trust])
    matrices = load_matrices([fleet.resolved(name) for name in file.matrix]) if file.matrix else ()
    advice = load_advisory(fleet.resolved(file.advisories), trust=trust, at=at) if file.advisories else None
    return collect(fleet.bundles, trust=trust, advice=advice, at=at, matrices=matrices)


def gate_minutes(plan: Plan) -> int:
    """The minutes that the gates of one update are expected to take, by the later end of ``expect``."""
    between = len(plan.groups) - 1
    taken = [
        seconds(gate.expect[1]) * (("success" in gate.after) + between * ("group" in gate.after))
        for gate in plan.gates.values()
    ]
    return -(-sum(taken) // 60)


def _planned(found: Eligibility, gates: int, at: dt.datetime) -> PlannedFleet:
    file, moment = found.file, at.timestamp()
    counts = Counter(found.verdicts_of.values())
    routes = tuple(
        FleetRoute(
            from_=start,
            stops=stops,
            pairs=counts[FleetVerdict(route=number)],
            minutes=_sum(None if one.minutes is None else one.minutes + gates for one in stops),
            example=example,
        )
        for number, ((start, stops), example) in enumerate(zip(found.routes, found.route_examples, strict=True))
    )
    refusals = tuple(
        replace(one, pairs=counts[FleetVerdict(refusal=number)]) for number, one in enumerate(found.refusals)
    )
    minutes = {pair: routes[found.verdicts_of[pair].route or 0].minutes for pair in found.kinds}
    rollout = _rollout(file, found.kinds)
    opened = {
        kind: kind.windows is None or any(is_open(one, moment) for one in kind.windows)
        for kind in found.interned.values()
    }
    waves = tuple(
        FleetWavePlan(
            name=wave.name,
            pairs=len(wave.pairs),
            open_now=sum(opened[found.kinds[pair]] for pair in wave.pairs),
            missing=tuple(pair for pair in entry.pairs if pair not in found.kinds),
            minutes_at_least=_shortest(wave.pairs, rollout, minutes),
            soak_minutes=-(-wave.soak // 60),
            approval=wave.approval,
        )
        for wave, entry in zip(rollout.waves, file.waves, strict=True)
    )
    action = decide_next(rollout, Outcomes(rollout), moment)
    plan = FleetPlan(
        schema=PLAN_SCHEMA,
        name=file.name,
        target=file.target,
        at=at.astimezone(dt.UTC).isoformat().replace("+00:00", "Z"),
        pairs=len(found.verdicts_of),
        eligible=len(found.kinds),
        open_now=sum(wave.open_now for wave in waves),
        up_to_date=counts[FleetVerdict()],
        refused=sum(one.pairs for one in refusals),
        unreadable=found.unreadable,
        classes=len(found.verdicts),
        routes=routes,
        refusals=refusals,
        waves=waves,
        minutes_at_least=_sum(
            None if wave.minutes_at_least is None else wave.minutes_at_least + wave.soak_minutes for wave in waves
        ),
        starts=action.pairs if isinstance(action, StartPairs) else (),
        because=action.because,
        faults=tuple(found.faults),
        skipped=tuple(f"{Path(one.subject).name}: {one.message}" for one in found.bundles.skipped),
        warnings=(*_never_met(rollout), *_unknown_labels(rollout)),
    )
    return PlannedFleet(plan=plan, rollout=rollout, minutes=minutes, found=found)


def _rollout(file: FleetFile, kinds: dict[str, PairClass]) -> Rollout:
    waves = assign(file.waves, kinds, file.seed or file.name)
    return Rollout(
        waves=tuple(
            RolloutWave(wave.name, pairs, seconds(wave.soak) if wave.soak else 0, wave.approval)
            for wave, pairs in zip(file.waves, waves, strict=True)
        ),
        classes=kinds,
        max_in_flight=file.max_in_flight.all,
        limits=tuple(file.max_in_flight.per.items()),
        abort=file.abort,
        silence=file.silence,
    )


def _sum(values: Iterable[int | None]) -> int | None:
    """The sum; None if one of the values is not known."""
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)


def _shortest(pairs: tuple[str, ...], rollout: Rollout, minutes: dict[str, int | None]) -> int | None:
    """The minutes that the pairs take at least: the longest one, and the work of each limit that is shared."""
    work, longest = 0, 0
    by_label: list[Counter[str]] = [Counter() for _ in rollout.limits]
    for pair in pairs:
        taken = minutes[pair]
        if taken is None:
            return None
        work, longest = work + taken, max(longest, taken)
        for counter, value in zip(by_label, rollout.classes[pair].labels, strict=True):
            counter[value] += taken
    bounds = [longest, -(-work // rollout.max_in_flight)]
    for (_, limit), counter in zip(rollout.limits, by_label, strict=True):
        bounds += [-(-shared // limit) for shared in counter.values()]
    return max(bounds)


def _unknown_labels(rollout: Rollout) -> Iterator[str]:
    """The limits by a label that no pair has: all pairs share one."""
    kinds = set(rollout.classes.values())
    for at, (label, limit) in enumerate(rollout.limits):
        if kinds and not any(kind.labels[at] for kind in kinds):
            yield f"max-in-flight.per: no pair has the fact {label}, so all pairs share its limit of {limit}"


def _never_met(rollout: Rollout) -> Iterator[str]:
    """The criteria that need more pairs than a wave, or the fleet, has."""
    for number, rule in enumerate(rollout.abort):
        sizes = {f"wave {wave.name}": len(wave.pairs) for wave in rollout.waves}
        if rule.per == "fleet":
            sizes = {"the fleet": sum(sizes.values())}
        for name, size in sizes.items():
            if 0 < size < rule.minimum_ended:
                yield (
                    f"abort[{number}] never stops {name}, which has {count(size, 'pair')}: "
                    f"minimum-ended is {rule.minimum_ended}"
                )


def _listed(plan: FleetPlan, found: Eligibility, rollout: Rollout) -> FleetPlan:
    wave_of = {pair: wave.name for wave in rollout.waves for pair in wave.pairs}
    return replace(
        plan,
        listing=tuple(
            FleetPair(pair=pair, wave=wave_of.get(pair), route=verdict.route, refusal=verdict.refusal)
            for pair, verdict in sorted(found.verdicts_of.items())
        ),
    )
