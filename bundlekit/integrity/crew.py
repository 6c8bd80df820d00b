"""Threads that work through one queue of tasks, with progress, cancellation and the first error in common."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from bundlekit.errors import CancelledError
from bundlekit.source import pages

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BUFFER: Final = 1024 * 1024
"""Bytes read and hashed at once: calls into C are rare, and a core's cache still holds most of what was read."""

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes to do, now and then, from any thread, never concurrently."""

Cancel = Callable[[], bool]
"""Asked now and then, from any thread; True ends the work with CancelledError."""

Task = Callable[[memoryview], None]
"""A piece of work. It is given the buffer, of at least `BUFFER` bytes, of the thread that does it."""


class Crew:
    """What the threads of one measurement share."""

    def __init__(self, total: int, progress: Progress | None, cancel: Cancel | None) -> None:
        self._total = total
        self._done = 0
        self._progress = progress
        self._cancel = cancel
        self._error: BaseException | None = None
        self.changed = threading.Condition()
        """Held by whoever looks at or changes what the threads share."""

    def run(self, tasks: Iterable[Task], threads: int) -> None:
        """Work through the tasks in their order; the first error of any thread is raised here."""
        queue = iter(tasks)
        workers = [threading.Thread(target=self._work, args=(queue,), daemon=True) for _ in range(threads - 1)]
        for worker in workers:
            worker.start()
        self._work(queue)
        for worker in workers:
            worker.join()
        if self._error:
            raise self._error

    def advance(self, count: int) -> None:
        """Count bytes as done, report progress, and stop where the caller or another thread wants it."""
        with self.changed:
            self._done += count
            if self._progress:
                self._progress(self._done, self._total)
            if self._cancel and self._cancel():
                raise CancelledError("cancelled before everything was read")
            self._stop_after_error()

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Wait, holding ``changed``, until another thread has changed things so; stop if it met an error."""
        while not ready():
            self._stop_after_error()
            self.changed.wait()

    def _work(self, queue: Iterator[Task]) -> None:
        buffer = pages(BUFFER)
        try:
            while task := self._next(queue):
                task(buffer)
        except BaseException as error:  # whatever it is, it is raised again in the caller's thread
            with self.changed:
                self._error = self._error or error
                self.changed.notify_all()

    def _next(self, queue: Iterator[Task]) -> Task | None:
        with self.changed:
            return None if self._error else next(queue, None)

    def _stop_after_error(self) -> None:
        if self._error:
            raise CancelledError("another thread failed")
