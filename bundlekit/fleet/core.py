"""What to start next: a pure function of the rollout, the outcomes so far, and the time.

The order of its questions is fixed. 1. Is the rollout stopped? 2. Does a criterion for an abort hold? 3. Has every
pair ended? 4. Is it paused? 5. Which wave is the first that is not through? 6. Which of its pairs can start now?

A pair takes a slot from its start to its outcome. An update reports its outcome after its last gate. A pair that waits
for its cluster with the new version installed still takes its slot. A silent pair keeps its slot as well.
"""

from __future__ import annotations

import bisect
import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple, get_args

from bundlekit.fleet.fleet_file import MAX_PAIRS, AbortRule, FailureKind
from bundlekit.fleet.windows import ZonedWindow, is_open, next_opening
from bundlekit.wording import count

PairEnd = Literal["succeeded", "rejected", "cancelled", "reverted", "degraded", "needs-operator"]
"""The ends of an update that a fleet counts."""

ENDS: Final = frozenset[str](get_args(PairEnd))

FEW: Final = 64
"""The most values of a label that have a queue of pairs each."""


class PairClass(NamedTuple):
    """What decides when a pair can start: its values of the limited labels, and its windows. No window: always."""

    labels: tuple[str, ...] = ()
    windows: tuple[ZonedWindow, ...] | None = None


class RolloutWave(NamedTuple):
    """A wave: its pairs in the order of their start, the seconds to wait after it, and whether it needs approval."""

    name: str
    pairs: tuple[str, ...]
    soak: int = 0
    approval: bool = False


class Rollout(NamedTuple):
    """Everything that is fixed before a rollout starts.

    ``limits`` are the most pairs in flight for each value of a label, in the order of `PairClass.labels`. ``silence``
    is the number of seconds without a report after which a pair is silent.
    """

    waves: tuple[RolloutWave, ...]
    classes: Mapping[str, PairClass]
    max_in_flight: int
    limits: tuple[tuple[str, int], ...] = ()
    abort: tuple[AbortRule, ...] = ()
    silence: int = 6 * 3600


class PairReport(NamedTuple):
    """A report about a pair, in seconds since 1970. ``end`` is None while the update, or its gate, is under way.

    The first report about a pair is that of its start.
    """

    pair: str
    at: float
    end: PairEnd | None = None


class OperatorRequest(NamedTuple):
    """What an operator asked for: ``approve`` names the wave after which the rollout can go on."""

    verb: Literal["pause", "resume", "stop", "approve"]
    at: float
    wave: str = ""


class AbortRecord(NamedTuple):
    """The record that the rollout was stopped by a criterion. A later *resume* starts its count again."""

    at: float


class RetryRequest(NamedTuple):
    """An operator takes back the end of a pair, so that it can start again. A pair without an end is unchanged.

    The end no longer counts for the criteria. The wave of the pair is not through until the pair has ended again.
    """

    pair: str
    at: float


RolloutRecord = PairReport | OperatorRequest | AbortRecord | RetryRequest


class StartPairs(NamedTuple):
    """Start these pairs now."""

    pairs: tuple[str, ...]
    because: str


class WaitFor(NamedTuple):
    """Start nothing before ``until``, in seconds since 1970; None: until something is reported.

    ``approval`` is the wave whose approval is missing, if that is the reason. ``silence`` is when the next pair in
    flight counts as silent, unless it reports before. That can stop the rollout, and starts nothing.
    """

    because: str
    until: float | None = None
    approval: str = ""
    silence: float | None = None

    @property
    def look_again(self) -> float | None:
        """When the answer can be another one without a record."""
        return min((time for time in (self.until, self.silence) if time is not None), default=None)


class StopRollout(NamedTuple):
    """Start nothing more. ``reason``: every pair has ended, a criterion holds, or the operator stopped it."""

    because: str
    reason: Literal["finished", "abort", "operator"]


RolloutAction = StartPairs | WaitFor | StopRollout


class _Group:
    """Pairs of a wave with the same windows and the same values of labels that have few values."""

    __slots__ = ("first", "positions")

    def __init__(self) -> None:
        self.positions: list[int] = []
        self.first = 0


class Outcomes:
    """The records so far, counted. Reports can come twice, and in any order of the pairs.

    A report that comes again after a `RetryRequest` is a new one, so give each record of a retried pair once.

    Two values with the same records are the same. `decide_next` reads them and changes nothing.
    """

    def __init__(self, rollout: Rollout, records: Iterable[RolloutRecord] = ()) -> None:
        self.rollout = rollout
        self.place = {
            pair: (number, at) for number, wave in enumerate(rollout.waves) for at, pair in enumerate(wave.pairs)
        }
        self.heard: dict[str, float] = {}
        self.forgiven: dict[str, float] = {}
        self.ends: dict[str, PairEnd] = {}
        self.not_counted: set[str] = set()
        self.in_flight: list[Counter[str]] = [Counter() for _ in rollout.limits]
        self.ended = [0] * len(rollout.waves)
        self.last_end: list[float | None] = [None] * len(rollout.waves)
        self.counted: list[Counter[str]] = [Counter() for _ in rollout.waves]
        self.approved: set[str] = set()
        self.paused = self.stopped = self.aborted = False
        values = [len({one.labels[at] for one in set(rollout.classes.values())}) for at in range(len(rollout.limits))]
        self._coarse = [at for at, count in enumerate(values) if count <= FEW]
        self._groups: dict[int, dict[PairClass, _Group]] = {}
        for record in records:
            self.add(record)

    def add(self, record: RolloutRecord) -> None:
        """Count one more record. Raises KeyError for a pair that is in no wave."""
        if isinstance(record, PairReport):
            self._report(record)
        elif isinstance(record, RetryRequest):
            self._retry(record.pair)
        elif isinstance(record, AbortRecord):
            self.aborted = True
        elif record.verb == "approve":
            self.approved.add(record.wave)
        elif record.verb == "pause":
            self.paused = True
        elif record.verb == "stop":
            self.stopped = True
        else:
            self.paused = self.stopped = False
            if self.aborted:
                self.aborted = False
                self.counted = [Counter() for _ in self.rollout.waves]
                self.not_counted = set(self.ends)
                silence = self.rollout.silence
                self.forgiven = {pair: at for pair, at in self.heard.items() if record.at - at >= silence}

    def _report(self, record: PairReport) -> None:
        pair, at = record.pair, record.at
        wave, _ = self.place[pair]
        if pair in self.ends:
            return
        if pair not in self.heard:
            self.heard[pair] = at
            for counter, value in zip(self.in_flight, self.rollout.classes[pair].labels, strict=True):
                counter[value] += 1
            self._skip(wave, pair)
        self.heard[pair] = max(at, self.heard[pair])
        if record.end is None:
            return
        del self.heard[pair]
        self.forgiven.pop(pair, None)
        self.ends[pair] = record.end
        for counter, value in zip(self.in_flight, self.rollout.classes[pair].labels, strict=True):
            counter[value] -= 1
        self.ended[wave] += 1
        self.last_end[wave] = max(at, self.last_end[wave] or at)
        self.counted[wave][record.end] += 1

    def _retry(self, pair: str) -> None:
        wave, position = self.place[pair]
        end = self.ends.pop(pair, None)
        if end is None:
            return
        self.ended[wave] -= 1
        if pair in self.not_counted:
            self.not_counted.remove(pair)
        else:
            self.counted[wave][end] -= 1
        if wave in self._groups:
            group = self._groups[wave][self._queue(pair)]
            group.first = min(group.first, bisect.bisect_left(group.positions, position))

    def is_pending(self, pair: str) -> bool:
        """Whether the pair can be started: it was never started, or its end was taken back."""
        return pair not in self.heard and pair not in self.ends

    def groups(self, wave: int) -> dict[PairClass, _Group]:
        """The pairs of a wave in queues, made at the first use."""
        if wave not in self._groups:
            groups: dict[PairClass, _Group] = {}
            for position, pair in enumerate(self.rollout.waves[wave].pairs):
                groups.setdefault(self._queue(pair), _Group()).positions.append(position)
            self._groups[wave] = groups
            for group in groups.values():
                self._advance(wave, group)
        return self._groups[wave]

    def _queue(self, pair: str) -> PairClass:
        kind = self.rollout.classes[pair]
        return PairClass(tuple(kind.labels[at] for at in self._coarse), kind.windows)

    def _skip(self, wave: int, pair: str) -> None:
        if wave in self._groups:
            self._advance(wave, self._groups[wave][self._queue(pair)])

    def _advance(self, wave: int, group: _Group) -> None:
        pairs = self.rollout.waves[wave].pairs
        while group.first < len(group.positions) and not self.is_pending(pairs[group.positions[group.first]]):
            group.first += 1

    def room(self, at: int, value: str) -> int:
        """How many more pairs with this value of a label can be in flight."""
        return self.rollout.limits[at][1] - self.in_flight[at][value]

    def has_room(self, queue: PairClass, more: list[Counter[str]] | None = None) -> bool:
        """Whether pairs of this queue can start besides ``more``, by the limits of the labels with few values."""
        return all(
            self.room(at, value) > (more[at][value] if more else 0)
            for at, value in zip(self._coarse, queue.labels, strict=True)
        )


def decide_next(rollout: Rollout, outcomes: Outcomes, now: float, most: int = MAX_PAIRS) -> RolloutAction:
    """What to do at the time ``now``, in seconds since 1970, after these outcomes. It starts at most ``most`` pairs."""
    if outcomes.stopped:
        return StopRollout("the operator stopped the rollout", "operator")
    silent = _silent(rollout, outcomes, now)
    if outcomes.aborted:
        return StopRollout("an abort criterion stopped the rollout; it goes on after `resume`", "abort")
    if because := _abort(rollout, outcomes, silent):
        return StopRollout(because, "abort")
    if len(outcomes.ends) == len(outcomes.place):
        return StopRollout("every pair has ended" if outcomes.place else "there is no pair to update", "finished")
    if outcomes.paused:
        return WaitFor("the rollout is paused")
    wave, wait = _current(rollout, outcomes, now)
    if wait:
        return wait
    return _starts(rollout, outcomes, wave, now, most)


def _silent(rollout: Rollout, outcomes: Outcomes, now: float) -> list[int]:
    """The number of silent pairs of each wave. One that was silent before a resume counts after its next report."""
    found = [0] * len(rollout.waves)
    for pair, heard in outcomes.heard.items():
        if now - heard >= rollout.silence and outcomes.forgiven.get(pair) != heard:
            found[outcomes.place[pair][0]] += 1
    return found


def _abort(rollout: Rollout, outcomes: Outcomes, silent: list[int]) -> str:
    """Why the rollout has to stop; empty if no criterion holds."""
    for rule in rollout.abort:
        failed = [_count(rule.failures, counts, more) for counts, more in zip(outcomes.counted, silent, strict=True)]
        ended = [sum(counts.values()) + more for counts, more in zip(outcomes.counted, silent, strict=True)]
        where = [f"wave {wave.name}" for wave in rollout.waves]
        if rule.per == "fleet":
            failed, ended, where = [sum(failed)], [sum(ended)], ["the fleet"]
        for bad, total, name in zip(failed, ended, where, strict=True):
            if total >= rule.minimum_ended and bad and bad * 100 >= rule.percent * total:
                kinds = ", ".join(rule.failures)
                return f"{bad} of {total} ended pairs of {name} failed ({kinds}); the limit is {rule.percent} %"
    return ""


def _count(failures: tuple[FailureKind, ...], counts: Counter[str], silent: int) -> int:
    return sum(silent if kind == "silent" else counts[kind] for kind in failures)


def _current(rollout: Rollout, outcomes: Outcomes, now: float) -> tuple[int, WaitFor | None]:
    """The first wave that is not through, or what the rollout waits for before the next one."""
    for number, wave in enumerate(rollout.waves):
        if outcomes.ended[number] < len(wave.pairs):
            return number, None
        last = outcomes.last_end[number]
        if last is not None and now < last + wave.soak:
            return number, WaitFor(f"wave {wave.name} has ended, and its soak time has not", last + wave.soak)
        if wave.approval and wave.name not in outcomes.approved:
            return number, WaitFor(f"wave {wave.name} has ended, and the next one needs approval", approval=wave.name)
    return len(rollout.waves), WaitFor("every wave is through")


def _starts(rollout: Rollout, outcomes: Outcomes, wave: int, now: float, most: int) -> RolloutAction:
    """At most ``most`` pairs of the wave that can start now, or what they wait for."""
    name, pairs = rollout.waves[wave].name, rollout.waves[wave].pairs
    free = rollout.max_in_flight - len(outcomes.heard)
    waiting = {queue: group for queue, group in outcomes.groups(wave).items() if group.first < len(group.positions)}
    if not waiting:
        return WaitFor(f"the last pairs of wave {name} are in flight", silence=_next_silence(rollout, outcomes, now))
    if free <= 0:
        in_flight = f"{count(len(outcomes.heard), 'pair')} in flight, and the limit is {rollout.max_in_flight:,}"
        return WaitFor(in_flight, silence=_next_silence(rollout, outcomes, now))
    opened: dict[tuple[ZonedWindow, ...] | None, bool] = {}
    for queue in waiting:
        if queue.windows not in opened:
            opened[queue.windows] = queue.windows is None or any(is_open(one, now) for one in queue.windows)
    ready = {queue: group for queue, group in waiting.items() if opened[queue.windows] and outcomes.has_room(queue)}
    chosen = _chosen(rollout, outcomes, pairs, ready, min(free, most))
    if chosen:
        return StartPairs(tuple(chosen), f"wave {name}, {len(outcomes.heard) + len(chosen)} in flight")
    if any(opened.values()):
        because = f"the limits of the labels are reached for the open pairs of wave {name}"
    else:
        because = f"no window of wave {name} is open"
    times = [next_opening(one, now) for windows, is_now in opened.items() if not is_now for one in windows or ()]
    opening = min((time for time in times if time is not None), default=None)
    return WaitFor(because, opening, silence=_next_silence(rollout, outcomes, now))


def _chosen(
    rollout: Rollout, outcomes: Outcomes, pairs: tuple[str, ...], ready: dict[PairClass, _Group], free: int
) -> list[str]:
    """The first pairs, in the order of the wave, that the limits have room for."""
    chosen = list[str]()
    more: list[Counter[str]] = [Counter() for _ in rollout.limits]
    heap = [(group.positions[group.first], group.first, queue) for queue, group in ready.items()]
    heapq.heapify(heap)
    while heap and len(chosen) < free:
        position, at, queue = heapq.heappop(heap)
        if not outcomes.has_room(queue, more):
            continue
        labels = rollout.classes[pairs[position]].labels
        if all(outcomes.room(number, value) > more[number][value] for number, value in enumerate(labels)):
            chosen.append(pairs[position])
            for number, value in enumerate(labels):
                more[number][value] += 1
        positions = ready[queue].positions
        at += 1
        while at < len(positions) and not outcomes.is_pending(pairs[positions[at]]):
            at += 1
        if at < len(positions):
            heapq.heappush(heap, (positions[at], at, queue))
    return chosen


def _next_silence(rollout: Rollout, outcomes: Outcomes, now: float) -> float | None:
    """When the next pair in flight becomes silent; None if none can."""
    times = (heard + rollout.silence for heard in outcomes.heard.values())
    return min((time for time in times if time > now), default=None)
