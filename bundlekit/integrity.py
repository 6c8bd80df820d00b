"""Whether the bytes are the ones that were claimed: measuring claims, byte coverage, verified reading.

Nothing here knows a format. Claims come from a layout reader, evidence goes to the rules.
"""

from __future__ import annotations

import hashlib
import re
import threading
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final

from bundlekit.errors import CancelledError, ChangedWhileReadError
from bundlekit.model.bundle import ChunkClaim, DigestClaim, SignatureClaim, Span, ZeroClaim
from bundlekit.model.evidence import ChunkEvidence, DigestEvidence, Evidence, ZeroEvidence
from bundlekit.model.primitives import Frozen
from bundlekit.source import read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from bundlekit.model.bundle import Bundle, Claim
    from bundlekit.source import Source

    Progress = Callable[[int, int], None]
    """Called with the bytes done and the bytes to do, now and then, from any thread, never concurrently."""
    Cancel = Callable[[], bool]
    """Asked now and then, from any thread; True ends the work with CancelledError."""

BUFFER: Final = 256 * 1024
"""Bytes read and hashed at once by a thread: stays in a core's cache, and makes calls into C rare."""

STRIPE: Final = 8 * 1024 * 1024
"""Bytes of one piece of work: small enough to keep two threads busy to the end, whatever disturbs one of them."""

MAX_REPORTED: Final = 256
"""Damaged spans kept per component; beyond that only the count goes on."""

ZERO: Final = bytes(BUFFER)


class _Work:
    """What the threads of one measurement share: the queue of tasks, progress, and the first error."""

    def __init__(
        self,
        tasks: Iterable[Callable[[], None]],
        total: int,
        progress: Progress | None,
        cancel: Cancel | None,
    ) -> None:
        self._tasks = iter(tasks)
        self._total = total
        self._done = 0
        self._progress = progress
        self._cancel = cancel
        self._lock = threading.Lock()
        self._error: BaseException | None = None

    def advance(self, count: int) -> None:
        """Count bytes as done, report progress, and stop where the caller or another thread wants it."""
        with self._lock:
            self._done += count
            if self._progress:
                self._progress(self._done, self._total)
            if self._cancel and self._cancel():
                raise CancelledError("cancelled before everything was read")
            if self._error:
                raise CancelledError("another thread met an error")

    def _run(self) -> None:
        try:
            while task := self._next():
                task()
        except BaseException as error:  # whatever it is, it is raised again in the caller's thread
            with self._lock:
                self._error = self._error or error

    def _next(self) -> Callable[[], None] | None:
        with self._lock:
            return None if self._error else next(self._tasks, None)

    def run(self, threads: int) -> None:
        """Work through the tasks; the first error of any thread is raised here."""
        workers = [threading.Thread(target=self._run, daemon=True) for _ in range(threads - 1)]
        for worker in workers:
            worker.start()
        self._run()
        for worker in workers:
            worker.join()
        if self._error:
            raise self._error


def measure(
    source: Source,
    claims: Sequence[Claim],
    *,
    serial: bool = False,
    threads: int = 2,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Evidence:
    """Read everything the claims speak of, once, in parallel; signatures are not measured here.

    ``serial`` adds the digests over whole components. Memory: per thread one buffer and the part of an index
    that it compares with, and a byte for each chunk. Raises UnreadableError if the source cannot be read,
    ChangedWhileReadError if it changed meanwhile, CancelledError if ``cancel`` said so.
    """
    digests = [c for c in claims if isinstance(c, DigestClaim) and (serial or not c.serial)]
    chunks = [c for c in claims if isinstance(c, ChunkClaim)]
    zeros = [c for c in claims if isinstance(c, ZeroClaim)]
    total = sum(sum(c.span.size for c in kind) for kind in (digests, chunks, zeros))

    found: dict[DigestClaim, str] = {}
    damaged: dict[ChunkClaim, bytearray] = {}
    nonzero: dict[ZeroClaim, int | None] = {}

    def digest(claim: DigestClaim) -> None:
        found[claim] = _digest(source, claim, work)

    def look_for_nonzero(claim: ZeroClaim) -> None:
        nonzero[claim] = _first_nonzero(source, claim.span, work)

    def tasks() -> Iterator[Callable[[], None]]:
        # What cannot be divided comes first, the longest of it foremost: no thread is left alone with it.
        for claim in sorted(digests, key=lambda claim: -claim.span.size):
            yield partial(digest, claim)
        for chunk in chunks:
            damaged[chunk] = bytearray(-(-chunk.span.size // chunk.chunk_size))
            stripe = max(STRIPE // chunk.chunk_size, 1) * chunk.chunk_size
            for start in range(chunk.span.start, chunk.span.stop, stripe):
                part = Span(start=start, stop=min(start + stripe, chunk.span.stop))
                yield partial(_compare, source, chunk, part, damaged[chunk], work)
        for zero in zeros:
            yield partial(look_for_nonzero, zero)

    work = _Work(tasks(), total, progress, cancel)
    work.run(threads)
    source.ensure_unchanged()
    return Evidence(
        digests=tuple(
            DigestEvidence(subject=c.subject, span=c.span, expected=c.expected, found=found[c], serial=c.serial)
            for c in digests
        ),
        chunks=tuple(_chunk_evidence(claim, damaged[claim]) for claim in chunks),
        zeros=tuple(ZeroEvidence(subject=c.subject, span=c.span, first_nonzero=nonzero[c]) for c in zeros),
    )


def _chunk_evidence(claim: ChunkClaim, damaged: bytearray) -> ChunkEvidence:
    """Count the marks, and say where the first runs of them lie."""
    start, size = claim.span.start, claim.chunk_size
    spans = (
        Span(start=start + run.start() * size, stop=min(start + run.end() * size, claim.span.stop))
        for run in re.finditer(rb"\x01+", damaged)
    )
    return ChunkEvidence(
        subject=claim.subject,
        span=claim.span,
        chunks=len(damaged),
        damaged=tuple(islice(spans, MAX_REPORTED)),
        damaged_count=damaged.count(1),
    )


def _pieces(source: Source, span: Span, work: _Work) -> Iterator[memoryview]:
    """The bytes of ``span``, in one buffer that is filled again and again."""
    buffer = memoryview(bytearray(min(BUFFER, span.size)))
    for at in range(span.start, span.stop, BUFFER):
        piece = buffer[: min(BUFFER, span.stop - at)]
        source.readinto(at, piece)
        yield piece
        work.advance(len(piece))


def _digest(source: Source, claim: DigestClaim, work: _Work) -> str:
    algorithm = claim.expected.partition(":")[0]
    state = hashlib.new(algorithm)
    for piece in _pieces(source, claim.span, work):
        state.update(piece)
    return f"{algorithm}:{state.hexdigest()}"


def _compare(source: Source, claim: ChunkClaim, part: Span, damaged: bytearray, work: _Work) -> None:
    """Mark with a 1 which chunks of ``part``, that begins with a chunk's first byte, differ from the index."""
    new = getattr(hashlib, claim.algorithm)
    size = new().digest_size
    first = (part.start - claim.span.start) // claim.chunk_size
    at = claim.index.start + first * size
    index = read(source, Span(start=at, stop=at - (-part.size // claim.chunk_size) * size))
    buffer = memoryview(bytearray(min(BUFFER, part.size)))
    for number, start in enumerate(range(part.start, part.stop, claim.chunk_size)):
        stop = min(start + claim.chunk_size, part.stop)
        state = new()
        for at in range(start, stop, BUFFER):
            piece = buffer[: min(BUFFER, stop - at)]
            source.readinto(at, piece)
            state.update(piece)
        damaged[first + number] = state.digest() != index[number * size : (number + 1) * size]
        work.advance(stop - start)


def _first_nonzero(source: Source, span: Span, work: _Work) -> int | None:
    at = span.start
    for piece in _pieces(source, span, work):
        if piece != ZERO[: len(piece)]:
            work.advance(span.stop - at)  # what is left need not be read
            return at + next(place for place, byte in enumerate(piece) if byte)
        at += len(piece)
    return None


class Covered(Frozen, frozen=True, kw_only=True):
    """A span and what vouches for it: signed, signature, digest, chunks, zero, or nothing."""

    span: Span
    by: str
    subject: str = ""


def coverage(bundle: Bundle) -> tuple[Covered, ...]:
    """What vouches for each byte of the file, in the order of the file, without gap or overlap.

    This is what is *claimed*; whether the claims hold is for the rules to say. A signature entry vouches for
    itself: in it, every byte that its signature does not cover is determined by the profile.
    """
    spans: list[Covered] = []
    for claim in bundle.claims:
        match claim:
            case SignatureClaim():
                length = Span(start=claim.blob.start - 4, stop=claim.blob.stop)
                spans += [Covered(span=claim.signed, by="signed"), Covered(span=length, by="signature")]
            case DigestClaim(serial=False):
                spans.append(Covered(span=claim.span, by="digest", subject=claim.subject))
            case ChunkClaim():
                spans.append(Covered(span=claim.span, by="chunks", subject=claim.subject))
            case ZeroClaim():
                spans.append(Covered(span=claim.span, by="zero", subject=claim.subject))
            case DigestClaim():
                pass  # the chunk index vouches for the same bytes
    result: list[Covered] = []
    at = 0
    for item in sorted(set(spans), key=lambda item: item.span):
        start, stop = max(item.span.start, at), min(item.span.stop, bundle.size)
        if start >= stop:
            continue
        if start > at:
            result.append(Covered(span=Span(start=at, stop=start), by="nothing"))
        result.append(Covered(span=Span(start=start, stop=stop), by=item.by, subject=item.subject))
        at = stop
    if at < bundle.size:
        result.append(Covered(span=Span(start=at, stop=bundle.size), by="nothing"))
    return tuple(result)


def verified_chunks(source: Source, claim: ChunkClaim, index_claim: DigestClaim) -> Iterator[memoryview]:
    """The bytes of a component, chunk by chunk, each verified *before* it is handed over.

    The chunk index is read once, verified and kept, so what is compared is what was verified. A view is
    valid until the next one is asked for. ChangedWhileReadError at the first byte that is not as claimed.
    """
    index = read(source, claim.index)
    algorithm, _, expected = index_claim.expected.partition(":")
    if hashlib.new(algorithm, index).hexdigest() != expected:
        raise ChangedWhileReadError(f"{source.name}: the chunk index of {claim.subject!r} is damaged")
    size = hashlib.new(claim.algorithm).digest_size
    buffer = memoryview(bytearray(min(claim.chunk_size, claim.span.size)))
    for number, start in enumerate(range(claim.span.start, claim.span.stop, claim.chunk_size)):
        chunk = buffer[: min(claim.chunk_size, claim.span.stop - start)]
        source.readinto(start, chunk)
        if hashlib.new(claim.algorithm, chunk).digest() != index[number * size : (number + 1) * size]:
            where = Span(start=start, stop=start + len(chunk))
            raise ChangedWhileReadError(f"{source.name}: {claim.subject!r} is damaged at {where}")
        yield chunk
