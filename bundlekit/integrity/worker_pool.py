"""Threads that process one queue of tasks, and share progress, cancellation and the first error."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from bundlekit.errors import CancelledError
from bundlekit.source import pages

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BUFFER: Final = 1024 * 1024
"""Bytes read and hashed at once. Calls into C are then rare, and most of the data is still in the cache of the core."""

ReadProgress = Callable[[int, int], None]
"""Called with the bytes done and the bytes to do, from time to time, from any thread, never concurrently."""

Cancel = Callable[[], bool]
"""Called from time to time, from any thread. True ends the work with CancelledError."""

ChunkTask = Callable[[memoryview], None]
"""A piece of work. It gets the buffer of the thread that runs it, which has at least `BUFFER` bytes."""


class WorkerPool:
    """The state that the threads of one measurement share."""

    def __init__(
        self,
        total: int,
        progress: ReadProgress | None,
        cancel: Cancel | None,
        interrupt: Callable[[], None] | None = None,
    ) -> None:
        """``interrupt`` is called after an error, so that no thread goes on waiting for bytes that are not needed."""
        self._interrupt = interrupt
        self._total = total
        self._done = 0
        self._progress = progress
        self._cancel = cancel
        self._error: BaseException | None = None
        self.changed = threading.Condition()
        """Held by each thread that reads or changes the shared state."""

    def run(self, tasks: Iterable[ChunkTask], threads: int) -> None:
        """Process the tasks in their order, in no more threads than there are tasks.

        Raises the first error of any thread.
        """
        queue = iter(tasks)
        first = list(islice(queue, threads))
        queue = chain(first, queue)
        workers = [threading.Thread(target=self._work, args=(queue,), daemon=True) for _ in range(len(first) - 1)]
        for worker in workers:
            worker.start()
        self._work(queue)
        for worker in workers:
            worker.join()
        if self._error:
            raise self._error

    def advance(self, count: int) -> None:
        """Count bytes as done, report progress, and stop if the caller has cancelled or another thread has failed."""
        with self.changed:
            self._done += count
            if self._progress:
                self._progress(self._done, self._total)
            if self._cancel and self._cancel():
                raise CancelledError("cancelled before everything was read")
            self._stop_after_error()

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Wait, holding ``changed``, until another thread has made ``ready`` true.

        Stop if another thread has failed.
        """
        while not ready():
            self._stop_after_error()
            self.changed.wait()

    def _work(self, queue: Iterator[ChunkTask]) -> None:
        buffer = pages(BUFFER)
        try:
            while task := self._next(queue):
                task(buffer)
        except BaseException as error:  # any exception is raised again in the caller's thread
            with self.changed:
                first, self._error = self._error is None, self._error or error
                self.changed.notify_all()
            if first and self._interrupt:
                self._interrupt()

    def _next(self, queue: Iterator[ChunkTask]) -> ChunkTask | None:
        with self.changed:
            return None if self._error else next(queue, None)

    def _stop_after_error(self) -> None:
        if self._error:
            raise CancelledError("another thread failed")
