"""When a window is open, also on the days on which the clock changes."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundlekit.fleet.windows import DAYS, WallWindow, ZonedWindow, is_open, minute_of, next_opening

BERLIN = "Europe/Berlin"
GAP, FOLD = "2026-03-29", "2026-10-25"
"""Sundays: 02:00 to 03:00 is left out on the first, and occurs twice on the second (Directive 2000/84/EC)."""


def window(days, start, end, zone=BERLIN):
    numbers = frozenset(range(7)) if days == "all" else frozenset(DAYS.index(day) for day in days.split())
    return ZonedWindow(WallWindow(numbers, minute_of(start), minute_of(end)), zone)


def utc(text):
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp()


@pytest.mark.parametrize(
    ("days", "start", "end", "at", "opened"),
    [
        ("mon", "22:00", "24:00", "2026-11-23T21:00", True),  # a Monday, 22:00 in Berlin
        ("mon", "22:00", "24:00", "2026-11-23T20:59", False),
        ("mon", "22:00", "24:00", "2026-11-23T23:00", False),
        ("mon", "22:00", "04:00", "2026-11-24T02:59", True),  # over midnight: still Monday's
        ("mon", "22:00", "04:00", "2026-11-24T03:00", False),
        ("mon", "22:00", "04:00", "2026-11-23T00:00", False),  # Monday 01:00 is Sunday's
        ("all", "02:15", "02:45", f"{GAP}T01:00", False),  # 03:00: the clock never shows 02:15
        ("all", "02:30", "04:00", f"{GAP}T00:59", False),  # 01:59
        ("all", "02:30", "04:00", f"{GAP}T01:00", True),  # 03:00: it opens at the end of the hour left out
        ("all", "02:15", "02:45", f"{FOLD}T00:20", True),  # 02:20, the first time
        ("all", "02:15", "02:45", f"{FOLD}T00:50", False),
        ("all", "02:15", "02:45", f"{FOLD}T01:20", True),  # 02:20, the second time
        ("all", "00:00", "24:00", f"{FOLD}T01:30", True),
    ],
)
def test_a_window_is_open_as_the_clock_on_the_wall_shows(days, start, end, at, opened):
    assert is_open(window(days, start, end), utc(at)) is opened


@pytest.mark.parametrize(
    ("days", "start", "end", "at", "opens"),
    [
        ("mon", "22:00", "04:00", "2026-11-24T03:00", "2026-11-30T21:00"),
        ("mon", "22:00", "04:00", "2026-11-23T21:30", "2026-11-23T21:30"),
        ("all", "02:30", "04:00", f"{GAP}T00:10", f"{GAP}T01:00"),
        ("all", "02:15", "02:45", f"{GAP}T00:10", "2026-03-30T00:15"),
        ("all", "02:15", "02:45", f"{FOLD}T00:50", f"{FOLD}T01:15"),
    ],
)
def test_the_next_opening_is_found(days, start, end, at, opens):
    assert next_opening(window(days, start, end), utc(at)) == utc(opens)


def test_an_unknown_zone_is_never_open():
    unknown = window("all", "00:00", "24:00", "Mars/Olympus")
    assert (is_open(unknown, 0), next_opening(unknown, 0)) == (False, None)


@pytest.mark.parametrize("at", [-1e18, -62_135_596_800, 253_402_300_799, 1e18])
def test_the_calendar_ends_without_an_error(at):
    one = window("mon", "22:00", "22:01", "Asia/Tokyo")
    assert is_open(one, at) is False
    assert next_opening(one, at) is None or at == -62_135_596_800


@given(
    days=st.sets(st.integers(0, 6), min_size=1),
    start=st.integers(0, 95),
    end=st.integers(1, 96),
    zone=st.sampled_from(["UTC", BERLIN, "America/St_Johns", "Australia/Lord_Howe"]),
    at=st.integers(0, 366 * 96),
)
def test_nothing_is_open_before_the_next_opening(days, start, end, zone, at):
    """In steps of a quarter of an hour: each offset, and each change of one, is a multiple of it."""
    one = ZonedWindow(WallWindow(frozenset(days), start * 15, end * 15), zone)
    base = dt.datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC")).timestamp() + at * 900
    found = next_opening(one, base)
    first = next((base + step * 900 for step in range(9 * 96) if is_open(one, base + step * 900)), None)
    assert found == first or first is None
