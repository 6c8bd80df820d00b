"""Maintenance windows: when an update can start, on the clock at the pair.

A window is open while a clock on the wall shows a time within it. That also decides the two days with a change of the
offset. Times in the hour that is left out never occur: a window that starts in it opens at its end, and one that is
within it stays closed on that day. Times in the repeated hour occur twice, and the window is open both times.
A window over midnight belongs to the day on which it starts.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from functools import cache
from typing import Final, Literal, NamedTuple

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: Final[tuple[Day, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""In the order of ``datetime.weekday``."""

HORIZON: Final = 9
"""Days in which each window opens at least once: a week, and one day more for each direction of an offset."""


class WallWindow(NamedTuple):
    """The ``days`` (0 is Monday) and the minutes of the day between which the window is open; ``end`` is not in it."""

    days: frozenset[int]
    start: int
    end: int


class ZonedWindow(NamedTuple):
    """A window on the clock of a time zone, by its name in the IANA database."""

    window: WallWindow
    zone: str


def minute_of(text: str) -> int:
    """The minute of the day that ``HH:MM`` names; 1440 for ``24:00``."""
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)


@cache
def zone_named(name: str) -> zoneinfo.ZoneInfo | None:
    """The time zone of this name; None if this system knows none, or if the name cannot be one."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def is_open(zoned: ZonedWindow, at: float) -> bool:
    """Whether an update can start at this time, in seconds since 1970.

    A zone that is unknown is never open, nor is a time outside of the calendar.
    """
    zone = zone_named(zoned.zone)
    if zone is None:
        return False
    try:
        local = dt.datetime.fromtimestamp(at, zone)
    except (OverflowError, ValueError, OSError):
        return False
    window, minute, day = zoned.window, local.hour * 60 + local.minute, local.weekday()
    if window.start < window.end:
        return day in window.days and window.start <= minute < window.end
    if minute >= window.start:
        return day in window.days
    return minute < window.end and (day - 1) % 7 in window.days


def next_opening(zoned: ZonedWindow, at: float) -> float | None:
    """The first time from ``at`` on, in seconds since 1970, at which the window is open. None: an unknown zone.

    None as well if it opens on no day of the next week, or if the calendar ends before.
    """
    try:
        return _next_opening(zoned, at)
    except (OverflowError, ValueError, OSError):
        return None


def _next_opening(zoned: ZonedWindow, at: float) -> float | None:
    zone = zone_named(zoned.zone)
    if zone is None:
        return None
    if is_open(zoned, at):
        return at
    today = dt.datetime.fromtimestamp(at, zone).date()
    found = []
    for offset in range(-1, HORIZON):
        day = today + dt.timedelta(days=offset)
        for minute in {zoned.window.start, 0}:
            wall = dt.datetime.combine(day, dt.time(minute // 60, minute % 60), zone)
            one, two = sorted(wall.replace(fold=fold).timestamp() for fold in (0, 1))
            found += [time for time in (one, _first_open(zoned, one, two), two) if time > at and is_open(zoned, time)]
        if found:
            return min(found)
    return None


def _first_open(zoned: ZonedWindow, low: float, high: float) -> float:
    """The second at which the window opens between two times, if it is closed at the first and open at the second."""
    if is_open(zoned, low) or not is_open(zoned, high):
        return high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_open(zoned, middle) else (middle, high)
    return high
