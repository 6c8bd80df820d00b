"""Files of no known format, claims about them, and sources that tell how they were read."""

import hashlib
import threading
import time

from bundlekit.model.bundle import ChunkClaim, DigestClaim, Span
from bundlekit.source import BytesSource


def span(start, stop):
    return Span(start=start, stop=stop)


def digest_of(data, algorithm="sha256"):
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def noise(size):
    """Bytes that differ from chunk to chunk."""
    return hashlib.shake_128(b"noise").digest(size)


def indexed(data, chunk_size, algorithm="sha256"):
    """A file of an index and ``data``, with the claims about both."""
    index = b"".join(
        hashlib.new(algorithm, data[at : at + chunk_size]).digest() for at in range(0, len(data), chunk_size)
    )
    start = len(index)
    chunks = ChunkClaim(
        subject="image",
        span=span(start, start + len(data)),
        index=span(0, start),
        chunk_size=chunk_size,
        algorithm=algorithm,
    )
    return index + data, chunks, DigestClaim(subject="index", span=span(0, start), expected=digest_of(index))


class Watched(BytesSource):
    """Bytes that remember how many of them were read, and break at one place."""

    def __init__(self, data, *, breaks_at=None, error=None):
        super().__init__(data)
        self.breaks_at, self.error, self.count = breaks_at, error, 0
        self.lock = threading.Lock()

    def readinto(self, offset, buffer):
        with self.lock:
            self.count += len(buffer)
        if self.breaks_at is not None and offset <= self.breaks_at < offset + len(buffer):
            raise self.error
        super().readinto(offset, buffer)


class Slow(Watched):
    """A source that takes its time, most of all where it is ``slow_at``."""

    def __init__(self, data, *, slow_at=0, breaks_at=None, error=None):
        super().__init__(data, breaks_at=breaks_at, error=error)
        self.slow_at = slow_at

    def readinto(self, offset, buffer):
        time.sleep(0.1 if offset == self.slow_at else 0.005)
        super().readinto(offset, buffer)
