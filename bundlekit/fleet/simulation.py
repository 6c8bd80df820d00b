"""A rollout simulated over its inventory: the same decisions, a clock that jumps, and failures by given rates.

What happens to a pair depends on the seed and its name only. A change of the limits therefore changes no fate.
"""

from __future__ import annotations

import datetime as dt
import heapq
import random
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from bundlekit.fleet.core import OperatorRequest, Outcomes, PairEnd, PairReport, StartPairs, StopRollout, decide_next
from bundlekit.fleet.fleet_report import REHEARSAL_SCHEMA, FleetRehearsal, RehearsedWave

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bundlekit.fleet.fleet_file import FailureKind
    from bundlekit.fleet.planning import PlannedFleet

NO_HA: Final = ("degraded", "needs-operator")
"""The outcomes that leave a pair without HA. The page about outcomes describes them."""

MINUTE: Final = 60

LONGEST: Final = 3650 * 86400
"""Seconds after which a simulation ends: ten years."""

A_WEEK_OF_WINDOWS: Final = 9 * 86400
"""Seconds in which each window opens, see `bundlekit.fleet.windows`."""

LAST_SECOND: Final = 253_402_300_799
"""The last second of the year 9999, which ends the calendar of Python."""


class FleetRates(NamedTuple):
    """What a simulation assumes.

    ``failures`` are percentages by kind. ``spread`` is by how many percent a pair can take longer than planned.
    ``unknown`` are the minutes of a route of unknown duration. ``approval`` are the seconds until a wave is approved.
    """

    failures: Mapping[FailureKind, float]
    spread: int = 25
    unknown: int = 120
    approval: int = 0


class _Fate(NamedTuple):
    """The end of a pair, and the seconds until then. None: it never reports again."""

    end: PairEnd | None
    seconds: int


class _Event(NamedTuple):
    """Something that is reported. The pair, or the wave that is approved, makes the order unambiguous."""

    at: float
    name: str
    end: PairEnd | None
    kind: Literal["report", "approve"]


def simulate(planned: PlannedFleet, *, at: dt.datetime, seed: int, rates: FleetRates) -> FleetRehearsal:
    """Simulate the rollout from the time ``at`` to its end, to its stop, or until nothing happens any more."""
    return _Simulation(planned, at, seed, rates).run()


class _Simulation:
    """A simulated rollout under way."""

    def __init__(self, planned: PlannedFleet, at: dt.datetime, seed: int, rates: FleetRates) -> None:
        self.planned, self.at, self.seed, self.rates = planned, at, seed, rates
        self.rollout = planned.rollout
        self.outcomes = Outcomes(self.rollout)
        self.now = at.timestamp()
        self.events: list[_Event] = []
        self.asked: set[str] = set()
        self.silent = self.lost = self.most_in_flight = self.most_without = 0
        self.changed = self.now  # the last time at which something started or was reported
        self.patience = max(self.rollout.silence, *(wave.soak for wave in self.rollout.waves)) + A_WEEK_OF_WINDOWS
        self.started: list[list[float]] = [[] for _ in self.rollout.waves]

    def run(self) -> FleetRehearsal:
        """The simulation, event by event."""
        while True:
            action = decide_next(self.rollout, self.outcomes, self.now)
            if isinstance(action, StartPairs):
                for pair in action.pairs:
                    self._start(pair)
                continue
            if isinstance(action, StopRollout):
                reason: Literal["finished", "abort"] = "finished" if action.reason == "finished" else "abort"
                return self._result(reason, action.because)
            if action.approval and action.approval not in self.asked:
                self.asked.add(action.approval)
                heapq.heappush(self.events, _Event(self.now + self.rates.approval, action.approval, None, "approve"))
            times = [*(event.at for event in self.events[:1]), action.look_again]
            following = min((time for time in times if time is not None), default=None)
            if following is None:
                return self._result("waiting", action.because)
            if following > self.at.timestamp() + LONGEST:
                return self._result("waiting", f"it takes more than ten years; {action.because}")
            if not self.events and following > self.changed + self.patience:
                return self._result("waiting", action.because)
            self._advance(following)

    def _advance(self, until: float) -> None:
        """Let everything happen that is due."""
        self.now = until
        while self.events and self.events[0].at <= until:
            event, self.changed = heapq.heappop(self.events), until
            if event.kind == "approve":
                self.outcomes.add(OperatorRequest("approve", event.at, event.name))
                continue
            self.outcomes.add(PairReport(event.name, event.at, event.end))
            self.lost += event.end in NO_HA

    def _start(self, pair: str) -> None:
        self.outcomes.add(PairReport(pair, self.now))
        self.changed = self.now
        self.started[self.outcomes.place[pair][0]].append(self.now)
        fate = self._fate(pair)
        if fate.end is None:
            self.silent += 1
        else:
            between = max(self.rollout.silence // 2, MINUTE)  # it reports in time, whatever it takes
            for offset in range(between, fate.seconds, between):
                heapq.heappush(self.events, _Event(self.now + offset, pair, None, "report"))
            heapq.heappush(self.events, _Event(self.now + fate.seconds, pair, fate.end, "report"))
        self.most_in_flight = max(self.most_in_flight, len(self.outcomes.heard))
        self.most_without = max(self.most_without, len(self.outcomes.heard) + self.lost)

    def _fate(self, pair: str) -> _Fate:
        choose = random.Random(f"{self.seed} {pair}")  # noqa: S311 - no secret, only the same fate again
        drawn, minutes = choose.random() * 100, self.planned.minutes[pair]
        taken = (self.rates.unknown if minutes is None else minutes) * (1 + choose.random() * self.rates.spread / 100)
        for kind, percent in self.rates.failures.items():
            if drawn < percent:
                if kind == "silent":
                    return _Fate(None, 0)
                return _Fate(kind, max(1, round(taken * choose.random())) * MINUTE)
            drawn -= percent
        return _Fate("succeeded", max(1, round(taken)) * MINUTE)

    def _result(self, reason: Literal["finished", "abort", "waiting"], because: str) -> FleetRehearsal:
        """The result, after the pairs in flight have ended."""
        stopped = self.now
        while self.events:
            self._advance(self.events[0].at)
        begin, outcomes, plan = self.at.timestamp(), self.outcomes, self.planned.plan
        ends = list(outcomes.ends.values())
        return FleetRehearsal(
            schema=REHEARSAL_SCHEMA,
            name=plan.name,
            target=plan.target,
            seed=self.seed,
            at=_utc(begin),
            reason=reason,
            because=because,
            stopped_at=_utc(stopped),
            ended_at=_utc(self.now),
            minutes=round((self.now - begin) / MINUTE),
            eligible=len(outcomes.place),
            up_to_date=plan.up_to_date,
            refused=plan.refused,
            unreadable=plan.unreadable,
            started=sum(map(len, self.started)),
            ends={kind: ends.count(kind) for kind in sorted(set(ends))},
            silent=self.silent,
            in_flight_at_most=self.most_in_flight,
            without_ha_at_most=self.most_without,
            without_ha_at_end=self.lost + self.silent,
            waves=tuple(
                RehearsedWave(
                    name=wave.name,
                    pairs=len(wave.pairs),
                    started=len(started),
                    ended=ended,
                    started_at=_utc(min(started)) if started else None,
                    ended_at=_utc(last) if last is not None and ended == len(wave.pairs) else None,
                )
                for wave, started, ended, last in zip(
                    self.rollout.waves, self.started, outcomes.ended, outcomes.last_end, strict=True
                )
            ),
            refusals=plan.refusals,
            faults=plan.faults,
        )


def _utc(at: float) -> str:
    return dt.datetime.fromtimestamp(min(int(at), LAST_SECOND), dt.UTC).isoformat().replace("+00:00", "Z")
