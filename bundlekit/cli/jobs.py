"""Several bundles at once, in threads, with the results in the order of the command line.

Threads are enough: nearly all of the time goes into reading and hashing, which do not hold the interpreter lock. Ten
bundles of 1 GiB take as long as in one process for each core, and need no second interpreter.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

    from bundlekit.integrity import Cancel

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

MAX_JOBS: Final = 64
"""The most bundles at once. Each holds some MiB of buffers."""

WAITING: Final = 4
"""Results for each job that can wait for an earlier one. More would let memory grow with the number of bundles."""


@contextlib.contextmanager
def in_order(
    items: Iterable[_Item], work: Callable[[_Item, Cancel], _Result], jobs: int
) -> Iterator[Iterator[tuple[_Item, Callable[[], _Result]]]]:
    """Each item with a function that returns its result, or raises what ``work`` has raised.

    With one job, that function does the work in this thread. ``work`` also gets a function that returns True if the
    work is no longer needed. All threads have ended when the context ends, also after an interrupt.
    """
    if jobs == 1:
        yield ((item, partial(work, item, _go_on)) for item in items)
        return
    from concurrent.futures import ThreadPoolExecutor
    from threading import Event

    ended = Event()
    with ThreadPoolExecutor(jobs, thread_name_prefix="check") as pool:

        def submit(item: _Item) -> Future[_Result]:
            return pool.submit(contextvars.copy_context().run, work, item, ended.is_set)

        try:
            yield _results(iter(items), submit, jobs * WAITING)
        finally:
            ended.set()
            pool.shutdown(wait=False, cancel_futures=True)


def _results(
    items: Iterator[_Item], submit: Callable[[_Item], Future[_Result]], room: int
) -> Iterator[tuple[_Item, Callable[[], _Result]]]:
    waiting: deque[tuple[_Item, Future[_Result]]] = deque()
    for item in items:
        waiting.append((item, submit(item)))
        if len(waiting) >= room:
            first, future = waiting.popleft()
            yield first, future.result
    for item, future in waiting:
        yield item, future.result


def _go_on() -> bool:
    return False
