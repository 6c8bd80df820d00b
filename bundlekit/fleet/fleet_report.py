"""The plan of a rollout as a value: what ``bundlekit fleet plan`` prints, as text and as JSON."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import UNSET, UnsetType, field

from bundlekit.model.finding import Cause
from bundlekit.model.primitives import Frozen

PLAN_SCHEMA: Final = "bundlekit/fleet-plan/1"
REHEARSAL_SCHEMA: Final = "bundlekit/fleet-rehearsal/1"


class FleetStop(Frozen, frozen=True, kw_only=True):
    """One update on the route of a pair. ``minutes`` are those of its matrix; None: not specified."""

    version: str
    component: str
    bundle: str
    id: str
    minutes: int | None = None


class FleetRoute(Frozen, frozen=True, kw_only=True):
    """The updates that ``pairs`` pairs go through, in their order.

    ``from_`` is the installed version. ``minutes`` are those of all updates and their gates. ``example`` is one pair.
    """

    from_: str = field(name="from")
    stops: tuple[FleetStop, ...]
    pairs: int
    minutes: int | None
    example: str


class FleetRefusal(Frozen, frozen=True, kw_only=True):
    """Why ``pairs`` pairs are not updated.

    ``kind`` is that of the decision, or ``no-time-zone``: their fact names no time zone of this system. ``message`` and
    ``next`` are those for the pair ``example``.
    """

    kind: str
    cause: Cause | None
    entry: str
    pairs: int
    message: str
    next: str
    example: str


class FleetWavePlan(Frozen, frozen=True, kw_only=True):
    """A wave: its pairs, those whose window is open now, and its shortest duration outside of windows.

    ``missing`` are pairs that the file names and that are not eligible. ``minutes-at-least`` is None if a route has an
    unknown duration. ``soak-minutes`` and ``approval`` come after the wave.
    """

    name: str
    pairs: int
    open_now: int
    missing: tuple[str, ...]
    minutes_at_least: int | None
    soak_minutes: int
    approval: bool


class FleetPair(Frozen, frozen=True, kw_only=True):
    """One pair: its wave and its route (an index), or its refusal (an index). None of them: it has the target."""

    pair: str
    wave: str | None = None
    route: int | None = None
    refusal: int | None = None


class FleetPlan(Frozen, frozen=True, kw_only=True):
    """The plan of a rollout at a time.

    ``pairs`` is the number of states. They are ``eligible``, or have the target (``up-to-date``), or are refused.
    ``unreadable`` is the number of lines that are no state, and ``faults`` the first of them. ``starts`` are the pairs
    that start now if the rollout begins. ``classes`` is the number of decisions that were made. ``skipped`` are bundles
    that could not be used. ``warnings`` are criteria that can never be met. ``listing`` has every pair, on request.
    """

    schema: Literal["bundlekit/fleet-plan/1"]
    name: str
    target: str
    at: str
    pairs: int
    eligible: int
    open_now: int
    up_to_date: int
    refused: int
    unreadable: int
    classes: int
    routes: tuple[FleetRoute, ...]
    refusals: tuple[FleetRefusal, ...]
    waves: tuple[FleetWavePlan, ...]
    minutes_at_least: int | None
    starts: tuple[str, ...]
    because: str
    faults: tuple[str, ...]
    skipped: tuple[str, ...]
    warnings: tuple[str, ...]
    listing: tuple[FleetPair, ...] | UnsetType = UNSET


class RehearsedWave(Frozen, frozen=True, kw_only=True):
    """A wave of a simulated rollout: how many pairs started and ended, and when. None: it did not come to that.

    ``ended-at`` is the end of its last pair.
    """

    name: str
    pairs: int
    started: int
    ended: int
    started_at: str | None
    ended_at: str | None


class FleetRehearsal(Frozen, frozen=True, kw_only=True):
    """A simulated rollout.

    ``reason`` is *finished*, *abort*, or *waiting*, if nothing happens any more, as with a silent pair. ``stopped-at``
    is when that was decided, and ``ended-at`` when the last pair in flight ended. ``ends`` are the pairs by outcome.
    ``without-ha-at-most`` are the pairs that had no HA at the same time: those in flight, and those that a failure left
    without it. ``without-ha-at-end`` are the latter. The pairs that are ``refused``, with their ``refusals``, and those
    that have the target (``up-to-date``) are not simulated. ``unreadable`` and ``faults`` are as in the plan.
    """

    schema: Literal["bundlekit/fleet-rehearsal/1"]
    name: str
    target: str
    seed: int
    at: str
    reason: Literal["finished", "abort", "waiting"]
    because: str
    stopped_at: str
    ended_at: str
    minutes: int
    eligible: int
    up_to_date: int
    refused: int
    unreadable: int
    started: int
    ends: dict[str, int]
    silent: int
    in_flight_at_most: int
    without_ha_at_most: int
    without_ha_at_end: int
    waves: tuple[RehearsedWave, ...]
    refusals: tuple[FleetRefusal, ...]
    faults: tuple[str, ...]
