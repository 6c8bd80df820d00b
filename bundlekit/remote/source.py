"""What sources on servers have in common: which bytes are requested, and that all are of one version of the object."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, Self

from bundlekit.errors import UnreadableError
from bundlekit.remote.faults import UNVERSIONED, server_error

if TYPE_CHECKING:
    from types import TracebackType

    from bundlekit.remote.url import RemoteUrl

START: Final = 128 * 1024
"""Bytes of the first range. Most heads of an update.bin, with their signature areas, are smaller."""

SMALL: Final = 64 * 1024
"""Bytes of a block that is requested for a smaller read."""

KEPT: Final = 16
"""Small blocks that are kept."""

SKIPPED: Final = 4 * 1024 * 1024
"""Bytes that a reading in order can leave out, which are then thrown away."""

CONNECT: Final = 10
"""Seconds to connect to the server."""

SILENCE: Final = 30
"""Seconds without a byte from the server."""

RETRIES: Final = 2
"""A request is repeated this often if the server is overloaded, or if the connection fails."""

PAUSE: Final = 0.1
"""Seconds before the first repetition; the second one waits eight times as long."""

RETRIED: Final = 60
"""Seconds after the first attempt in which another one can begin."""


class ObjectVersion(NamedTuple):
    """What distinguishes versions of an object: its ETag and its date, as the server states them, and its size."""

    etag: str
    modified: str
    size: int

    @property
    def condition(self) -> str:
        """What If-Match takes; empty without a strong ETag, as the others never match (RFC 9110 section 13.1.1)."""
        return "" if self.etag.startswith("W/") else self.etag


class RangeReading(Protocol):
    """A range that one thread reads in order."""

    def has(self, start: int, stop: int) -> bool:
        """Whether these bytes come next, or soon after bytes that the caller has in memory."""

    def take(self, start: int, buffer: memoryview) -> None:
        """Fill ``buffer`` with the bytes from ``start`` on."""

    def drop(self) -> None:
        """Request no more of it."""


class RemoteSource(ABC):
    """An object on a server. Use it as a context manager.

    The first request gets the first bytes, and states the version of the object. A signed URL can forbid any other kind
    of request. Each later answer has to be of that version.
    """

    readers = 8
    """Threads that can read at once with a gain."""

    def __init__(self, url: RemoteUrl) -> None:
        self.name = str(url)
        self.version, self._start = self.first()
        if not self.version.etag and not self.version.modified:
            raise server_error(self.name, UNVERSIONED)
        self.size = self.held = self.version.size
        self._small: OrderedDict[int, memoryview] = OrderedDict()
        self._lock = threading.Lock()
        self._thread = threading.local()

    @abstractmethod
    def first(self) -> tuple[ObjectVersion, memoryview]:
        """The first bytes, at most `START`, and the version of the object that has them."""

    @abstractmethod
    def get(self, start: int, stop: int) -> memoryview:
        """The bytes of a small range."""

    @abstractmethod
    def reading(self, start: int, stop: int) -> RangeReading:
        """Request a range that this thread will read in order."""

    @abstractmethod
    def close(self) -> None:
        """End all requests."""

    def readinto(self, offset: int, buffer: memoryview) -> None:
        """Fill ``buffer``: from what is known, from the range that this thread reads, or with a request of its own."""
        stop = offset + len(buffer)
        if stop > self.size:
            raise UnreadableError(f"{self.name}: ends at byte 0x{self.size:x}")
        if known := self._start[offset:stop]:
            buffer[: len(known)] = known
            offset, buffer = offset + len(known), buffer[len(known) :]
        if not buffer:
            return
        reading: RangeReading | None = getattr(self._thread, "reading", None)
        if reading is not None and reading.has(offset, stop):
            reading.take(offset, buffer)
        elif len(buffer) < SMALL:
            self._read_small(offset, buffer)
        else:
            self.will_read(offset, stop)
            self._thread.reading.take(offset, buffer)

    def will_read(self, start: int, stop: int) -> None:
        """Request this range, or the first part of it: this thread will read all of it in order.

        Small ranges are left to the blocks that all threads share.
        """
        before: RangeReading | None = getattr(self._thread, "reading", None)
        if before is not None:
            before.drop()
        start, stop = max(start, len(self._start)), min(stop, self.size)
        self._thread.reading = self.reading(start, stop) if stop - start >= SMALL else None

    def ensure_unchanged(self) -> None:
        """Request a byte again. Raises ChangedWhileReadError if it is of another version of the object.

        All of a small object is requested, because some servers send all of it anyway.
        """
        if self.size:
            self.get(0, self.size if self.size <= START else 1)

    def _read_small(self, offset: int, buffer: memoryview) -> None:
        at, stop = offset, offset + len(buffer)
        while at < stop:
            number = at // SMALL
            with self._lock:
                block = self._small.get(number)
            if block is None:
                block = self.get(number * SMALL, min((number + 1) * SMALL, self.size))
                with self._lock:
                    self._small[number] = block
                    if len(self._small) > KEPT:
                        self._small.popitem(last=False)
            part = block[at - number * SMALL : stop - number * SMALL]
            buffer[at - offset : at - offset + len(part)] = part
            at += len(part)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
