"""The last events of a run for people, with equal answers of a gate that is polled as one event."""

from __future__ import annotations

from collections import deque

from bundlekit.model.primitives import Frozen
from bundlekit.update.engine.records import CallFinished, CallStarted, Record, Resumed
from bundlekit.update.state.activity import sentence


class Event(Frozen, frozen=True, kw_only=True):
    """Something that happened ``times`` times, most recently at ``last`` (seconds since 1970)."""

    last: float
    text: str
    times: int = 1


class EventLog:
    """The last ``limit`` events of the records that are added. The start of a call is no event, its answer is one."""

    def __init__(self, limit: int) -> None:
        self._events: deque[Event] = deque(maxlen=limit)
        self._polled: Record | None = None
        self._held: list[Record] = []

    def add(self, record: Record) -> None:
        """Add a record; one that only repeats an earlier poll counts there."""
        if self._polled is not None:
            if repeats(self._polled, record):
                polled = self._events.pop()
                self._events.append(Event(last=record.at.wall, text=polled.text, times=polled.times + 1))
                self._held.clear()
                return
            if is_part_of_poll(record):
                self._held.append(record)
                return
        for held in self._held:
            self._append(held)
        self._held.clear()
        self._append(record)
        self._polled = record if is_poll(record) else None

    def latest(self, count: int) -> list[Event]:
        """The last ``count`` events, oldest first."""
        return list(self._events)[-count:] if count > 0 else []

    def _append(self, record: Record) -> None:
        if not isinstance(record, CallStarted):
            self._events.append(Event(last=record.at.wall, text=sentence(record)))


def is_poll(record: Record) -> bool:
    """Whether the record is the answer of a gate that will be polled again."""
    return isinstance(record, CallFinished) and record.verb == "gate" and record.answer.kind == "not-yet"


def repeats(first: Record, record: Record) -> bool:
    """Whether ``record`` is the same answer of the same gate as ``first``."""
    return (
        isinstance(first, CallFinished)
        and isinstance(record, CallFinished)
        and (record.verb, record.step, record.answer) == (first.verb, first.step, first.answer)
    )


def is_part_of_poll(record: Record) -> bool:
    """Whether a poll consists of such records, also one by a timer: the resume, its probes, the calls."""
    match record:
        case Resumed(ownership_lost=lost, bundle=bundle):
            return not lost and bundle != "rejected"
        case CallStarted(verb=verb):
            return verb in {"probe", "gate"}
        case CallFinished(verb="probe", answer=answer):
            return answer.kind in {"old", "new"}
        case _:
            return False
