"""Read a compressed tar archive once, as a stream: the digest of each member, and the faults of its structure.

One thread reads and decodes, and another one parses and hashes, so that neither waits for the other. An archive has one
compressed stream, exactly the listed members, and nothing after its end. Memory is limited, and so is what a stream
can become when it is decoded.
"""

from __future__ import annotations

import contextlib
import hashlib
import queue
import threading
from itertools import cycle
from typing import TYPE_CHECKING, Final

from bundlekit.errors import LayoutError
from bundlekit.integrity.decoding import FED, StreamError, decoder
from bundlekit.integrity.worker_pool import BUFFER
from bundlekit.layout.tar import BLOCK, check_end, next_member, tar_fault
from bundlekit.model.bundle import Problem, Span
from bundlekit.model.evidence import ArchiveEvidence
from bundlekit.source import pages, will_read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bundlekit.integrity.worker_pool import WorkerPool
    from bundlekit.layout.tar import TarMember
    from bundlekit.model.bundle import ArchiveClaim
    from bundlekit.source import Source

AHEAD: Final = 4
"""Pieces that the reading thread can be ahead of the hashing thread: at most 4 MiB."""

PLAUSIBLE: Final = 8 * 2**30
"""Decoded bytes that any archive can have, however small it is: an image of a disk that is nearly empty."""

EXPANSION: Final = 64
"""How many times larger than the stored bytes a larger archive can be. Images of file systems reach about 20."""


class DecodedStream:
    """The decoded bytes of an archive, in order. ``at`` counts them, from the ``start`` that spans begin with."""

    def __init__(self, pieces: Iterator[memoryview], start: int) -> None:
        self.at = start
        self._pieces = pieces
        self._rest = memoryview(b"")

    def block(self) -> bytes:
        """The next block of tar; shorter if the stream ends before."""
        return b"".join(self.take(BLOCK))

    def take(self, size: int) -> Iterator[memoryview]:
        """The next ``size`` bytes, piece by piece; fewer if the stream ends earlier."""
        while size and (self._rest or self._refill()):
            piece = self._rest[:size]
            self._rest = self._rest[len(piece) :]
            self.at += len(piece)
            size -= len(piece)
            yield piece

    def ended(self) -> bool:
        """Whether no byte is left."""
        return not self._rest and not self._refill()

    def _refill(self) -> bool:
        self._rest = next(self._pieces, memoryview(b""))
        return len(self._rest) > 0


def read_archive(source: Source, claim: ArchiveClaim, pool: WorkerPool) -> ArchiveEvidence:
    """Read the archive of ``claim``, up to its first fault. Raises as `Source` and `WorkerPool.advance` do."""
    stored = _Stored(source, claim, pool)
    reading = _Ahead(stored.decoded)
    plain = claim.compression == "none"
    found = _Members(claim, "" if plain else claim.subject)
    try:
        problems = found.read(DecodedStream(reading.pieces(), claim.span.start if plain else 0))
    except LayoutError as error:
        problems = [error.problem]
    except StreamError as error:
        problems = [Problem(rule="structure-malformed", message=f"{claim.subject}: {error}", where=claim.span)]
    finally:
        reading.stop()
    pool.advance(claim.span.size - stored.done)  # the remaining bytes need not be read
    return ArchiveEvidence(
        subject=claim.subject,
        span=claim.span,
        digests=found.digests,
        members=found.members,
        problems=tuple(problems),
    )


class _Members:
    """The members found so far, with the digest and the position of each."""

    def __init__(self, claim: ArchiveClaim, stream: str) -> None:
        self.digests: dict[str, str] = {}
        self.members: dict[str, Span] = {}
        self._claim = claim
        self._stream = stream
        self._limit = max(PLAUSIBLE, EXPANSION * claim.span.size)

    def read(self, stream: DecodedStream) -> list[Problem]:
        """Read all members, and return those that are missing. Raises LayoutError at the first other fault."""
        start = stream.at
        while member := next_member(stream, self._stream):
            if member.padding.stop - start > self._limit:
                where = member.header
                message = f"{self._claim.subject} becomes larger than {self._limit:,} bytes when decoded"
                raise tar_fault(message, where.start, where.stop, self._stream)
            self._admit(member)
            self._hash(member, stream)
        check_end(stream, self._stream)
        if not stream.ended():
            raise tar_fault(f"bytes follow the end of {self._claim.subject}", stream.at, stream.at + 1, self._stream)
        missing = [name for name in self._claim.digests if name not in self.digests]
        return [
            Problem(
                rule="member-missing",
                message=f"{name!r} is listed, but {self._claim.subject} does not have it",
                where=self._claim.span,
                subject=name,
            )
            for name in missing
        ]

    def _admit(self, member: TarMember) -> None:
        """Reject a member that is not listed, or that exists twice. Raises LayoutError."""
        name, inside = member.name, f"in {self._claim.subject}"
        if name in self.digests:
            rule, message = "member-duplicate", f"{name!r} exists twice {inside}"
        elif name in self._claim.digests:
            return
        elif "/" in name or name in (".", ".."):
            rule, message = "member-misplaced", f"the name {name!r} {inside} is a path"
        else:
            rule, message = "member-unlisted", f"{name!r} {inside} is not listed"
        raise LayoutError(Problem(rule=rule, message=message, where=member.header, subject=name))

    def _hash(self, member: TarMember, stream: DecodedStream) -> None:
        algorithm = self._claim.digests[member.name].partition(":")[0]
        state = hashlib.new(algorithm)
        for piece in stream.take(member.content.size):
            state.update(piece)
        padding = b"".join(stream.take(member.padding.size))
        if stream.at < member.padding.stop:
            raise LayoutError(
                Problem(
                    rule="structure-malformed",
                    message=f"{self._claim.subject} ends within {member.name!r}",
                    where=self._claim.span,
                    subject=member.name,
                )
            )
        if any(padding):
            where = member.padding
            raise tar_fault(f"the padding after {member.name!r} is not zero", where.start, where.stop, self._stream)
        self.digests[member.name] = f"{algorithm}:{state.hexdigest()}"
        self.members[member.name] = member.content


class _Stored:
    """The bytes of an archive as they are stored. ``done`` of them have been read."""

    def __init__(self, source: Source, claim: ArchiveClaim, pool: WorkerPool) -> None:
        self.done = 0
        self._source = source
        self._claim = claim
        self._pool = pool

    def decoded(self) -> Iterator[memoryview]:
        """The decoded bytes, in buffers that are filled again after `AHEAD` others and two more."""
        decode = decoder(self._claim.compression)
        span = self._claim.span
        size, count = (BUFFER, AHEAD + 2) if decode is None else (FED, 1)
        buffers = cycle([pages(min(size, span.size)) for _ in range(count)])
        will_read(self._source, span.start, span.stop)
        for start in range(span.start, span.stop, size):
            piece = next(buffers)[: min(size, span.stop - start)]
            self._source.readinto(start, piece)
            if decode is None:
                yield piece
            else:
                yield from decode.feed(piece)
            self._pool.advance(len(piece))
            self.done += len(piece)
        if decode is not None:
            decode.finish()


class _Ahead:
    """A thread that iterates ahead of the one that takes the items. Its error is raised there."""

    def __init__(self, make: Callable[[], Iterator[memoryview]]) -> None:
        self._items: queue.Queue[memoryview | BaseException | None] = queue.Queue(AHEAD)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(make,), daemon=True)
        self._thread.start()

    def pieces(self) -> Iterator[memoryview]:
        """The items, in order."""
        while (item := self._items.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    def stop(self) -> None:
        """End the thread, whether or not all items were taken."""
        self._stopped.set()
        while self._thread.is_alive():
            with contextlib.suppress(queue.Empty):
                while True:
                    self._items.get_nowait()  # the thread can be waiting for a place
            self._thread.join(0.001)

    def _work(self, make: Callable[[], Iterator[memoryview]]) -> None:
        try:
            for item in make():
                self._items.put(item)
                if self._stopped.is_set():
                    return
            self._items.put(None)
        except BaseException as error:  # raised again in the thread that takes the items
            self._items.put(error)
