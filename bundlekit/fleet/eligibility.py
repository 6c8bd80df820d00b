"""Which pairs can be updated, and on which way: decided once for each class of states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from bundlekit.facts import fact_text
from bundlekit.fleet.core import PairClass
from bundlekit.fleet.fleet_file import wall_window
from bundlekit.fleet.fleet_report import FleetRefusal, FleetStop
from bundlekit.fleet.inventory import InventoryFault
from bundlekit.fleet.state_classes import StateClasses
from bundlekit.fleet.windows import ZonedWindow, zone_named
from bundlekit.matrix import path as planner
from bundlekit.model.decision import CAUSES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundlekit.catalog import Collected
    from bundlekit.fleet.fleet_file import FleetFile, FleetWindow
    from bundlekit.fleet.windows import WallWindow
    from bundlekit.model.appliance import Appliance
    from bundlekit.model.decision import Policy
    from bundlekit.model.path import UpgradePath

MAX_FAULTS: Final = 10
"""The most faults of an inventory that a plan repeats."""

NO_ZONE: Final = "no-time-zone"


class FleetVerdict(NamedTuple):
    """What is decided for a class of states: the index of a route or of a refusal; neither: up to date."""

    route: int | None = None
    refusal: int | None = None


class Eligibility:
    """The pairs of a fleet, while their states are read one after the other."""

    def __init__(self, file: FleetFile, bundles: Collected, policy: Policy) -> None:
        self.file, self.bundles, self.policy = file, bundles, policy
        self.classes = StateClasses(bundles.candidates)
        self.verdicts: dict[bytes, FleetVerdict] = {}
        self.routes: dict[tuple[str, tuple[FleetStop, ...]], int] = {}
        self.route_examples: list[str] = []
        self.refusals: list[FleetRefusal] = []
        self.verdicts_of: dict[str, FleetVerdict] = {}
        self._refusal_at: dict[tuple[str, str, str], int] = {}
        self.kinds: dict[str, PairClass] = {}
        self.interned: dict[PairClass, PairClass] = {}
        self.zones: dict[str, tuple[str, ...] | None] = {}
        self._zones: dict[tuple[str, ...] | None, tuple[str, ...] | None] = {}
        self.unreadable = 0
        self.faults = list[str]()
        self.walls = [wall_window(window) for window in file.windows]

    def take(self, state: Appliance | InventoryFault) -> None:
        """Count one more line of the inventory."""
        if isinstance(state, InventoryFault):
            self.unreadable += 1
            if len(self.faults) < MAX_FAULTS:
                self.faults.append(state.message)
            return
        key = self.classes.key(state)
        if key not in self.verdicts:
            way = planner.find_path(self.bundles.candidates, state, self.file.target, self.policy)
            self.verdicts[key] = self._verdict(state.pair, way)
        verdict = self.verdicts[key]
        if verdict.route is not None:
            zones = tuple(_zone(window, state) for window in self.file.windows) or None
            if zones is not None and not any(zones):
                verdict = FleetVerdict(refusal=self._no_zone(state))
            else:
                labels = tuple(_label(state, name) for name in self.file.max_in_flight.per)
                kind = PairClass(labels, zoned(self.walls, zones))
                self.kinds[state.pair] = self.interned.setdefault(kind, kind)
                self.zones[state.pair] = self._zones.setdefault(zones, zones)
        self.verdicts_of[state.pair] = verdict

    def _verdict(self, pair: str, way: UpgradePath) -> FleetVerdict:
        if way.found and not way.hops:
            return FleetVerdict()
        if way.found:
            stops = tuple(
                FleetStop(version=hop.to, component=hop.component, bundle=hop.bundle, id=hop.id, minutes=hop.minutes)
                for hop in way.hops
            )
            index = self.routes.setdefault((way.from_, stops), len(self.routes))
            if index == len(self.route_examples):
                self.route_examples.append(pair)
            return FleetVerdict(route=index)
        first = way.obstacles[0] if way.obstacles else None
        return FleetVerdict(
            refusal=self._refusal(
                first.subject if first else "",
                FleetRefusal(
                    kind=first.kind if first else "not-connected",
                    cause=next((cause for kind, cause in CAUSES.items() if first and kind == first.kind), None),
                    entry=first.entry if first else "",
                    pairs=0,
                    message=first.message if first else f"No path leads from {way.from_} to {way.to}.",
                    next=first.next if first else "",
                    example=pair,
                ),
            )
        )

    def _refusal(self, subject: str, refusal: FleetRefusal) -> int:
        index = self._refusal_at.setdefault((refusal.kind, refusal.entry, subject), len(self.refusals))
        if index == len(self.refusals):
            self.refusals.append(refusal)
        return index

    def _no_zone(self, state: Appliance) -> int:
        facts = ", ".join(dict.fromkeys(one.zone_fact for one in self.file.windows if one.zone_fact))
        return self._refusal(
            "",
            FleetRefusal(
                kind=NO_ZONE,
                cause=None,
                entry="",
                pairs=0,
                message=f"{state.pair} has no window, because its time zone is not known ({facts}).",
                next="Add the fact to the state, with a name such as Europe/Berlin, or give the pair a window.",
                example=state.pair,
            ),
        )


def zoned(walls: Sequence[WallWindow], zones: Sequence[str] | None) -> tuple[ZonedWindow, ...] | None:
    """The windows of a pair, from those of the fleet and the zone of each; an empty zone: not for this pair.

    None instead of zones, because the fleet has no windows: the pair can always start.
    """
    if zones is None:
        return None
    return tuple(ZonedWindow(wall, zone) for wall, zone in zip(walls, zones, strict=True) if zone)


def _label(state: Appliance, name: str) -> str:
    """The value of a label: the product, the model, or a fact. A fact that is not known has the empty value."""
    if name in ("product", "model"):
        return str(getattr(state, name))
    return fact_text(state.facts.get(name)) or ""


def _zone(window: FleetWindow, state: Appliance) -> str:
    """The zone of the window for this pair; empty if it is not for the pair, or if the zone is not known."""
    if any(_label(state, name) != value for name, value in window.where.items()):
        return ""
    zone = window.zone or _label(state, window.zone_fact or "")
    return zone if zone and zone_named(zone) else ""
