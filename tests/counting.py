"""Counting what code does, in the place of a clock: a count is the same on a busy machine and on a slow one."""

import sys
from contextlib import contextmanager


class Count:
    """Calls of Python functions and of functions in C."""

    calls = 0


@contextmanager
def counted():
    """Count the calls made inside, in this thread."""
    count = Count()

    def profile(_frame, event, _argument):
        if event in ("call", "c_call"):
            count.calls += 1

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield count
    finally:
        sys.setprofile(before)


def calls_of(task, *arguments):
    """How many calls ``task(*arguments)`` makes."""
    with counted() as count:
        task(*arguments)
    return count.calls


def assert_grows_no_faster(task, small, factor=2, slack=1.25):
    """``task(n)`` makes about ``factor`` times the calls when ``n`` is ``factor`` times as large.

    Quadratic work makes ``factor`` squared as many. The first run is not counted: it fills caches.
    """
    task(small)
    few, many = calls_of(task, small), calls_of(task, small * factor)
    assert many <= few * factor * slack, f"{few} calls for {small}, {many} calls for {small * factor}"


@contextmanager
def at_most(calls):
    """Fail if what is inside makes more calls: about twice what it made when the test was written."""
    with counted() as count:
        yield
    assert count.calls <= calls
