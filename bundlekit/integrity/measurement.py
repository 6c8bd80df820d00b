"""Measurement: several threads read the bytes of all claims once."""

from __future__ import annotations

import hashlib
import os
import re
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final

from bundlekit.integrity.checksum import new_state
from bundlekit.integrity.ordered_digest import OrderedDigest
from bundlekit.integrity.tree import MAX_REPORTED, TreeMeasurement
from bundlekit.integrity.worker_pool import BUFFER, WorkerPool
from bundlekit.model.bundle import ArchiveClaim, ChunkClaim, DigestClaim, Span, TreeClaim, ZeroClaim
from bundlekit.model.evidence import ArchiveEvidence, ChunkEvidence, DigestEvidence, Evidence, ZeroEvidence
from bundlekit.source import interrupt, pages, read, readers, stream_of, will_read, with_decoded

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from bundlekit.integrity.content import KnownDigests
    from bundlekit.integrity.worker_pool import Cancel, ChunkTask, ReadProgress
    from bundlekit.model.bundle import ByteClaim
    from bundlekit.source import Source

STRIPE: Final = 4 * BUFFER
"""Bytes of one task, or one chunk if that is larger. Tasks are few, but short enough to keep all threads busy."""

REMOTE_STRIPE: Final = 32 * BUFFER
"""The maximum for a source on a server: each task is one request there."""

LARGE_BUFFER: Final = 4 * BUFFER
"""Bytes that a digest takes at once while a checksum is computed over the same bytes.

A checksum holds the interpreter lock for each piece, and each read and update of the digest waits for that lock.
"""

MAX_THREADS: Final = 8
"""More threads would wait for memory, not for each other."""


def measure(
    source: Source,
    claims: Sequence[ByteClaim],
    *,
    streams: Mapping[str, bytes] | None = None,
    known: KnownDigests | None = None,
    serial: bool = False,
    threads: int | None = None,
    progress: ReadProgress | None = None,
    cancel: Cancel | None = None,
) -> Evidence:
    """Read the bytes of all claims once, in parallel. Signatures are not measured here.

    A component with a damaged chunk index is not measured and has no evidence, because nothing can be compared with it.
    ``streams`` are the decoded streams that claims are about. ``known`` are digests that were computed before: by span
    and algorithm. ``serial`` adds the digests over whole components. ``threads`` is by default one for each processor
    available to this process, from 2 to 8, and 8 for a source on a server. Memory: a MiB for each thread, and a byte
    and a digest for each chunk. A hash tree takes up to a byte for each 3 KiB of its data. ``serial`` adds 8 MiB for
    each component in progress. Raises UnreadableError if the source cannot be read, and ChangedWhileReadError if it
    changes meanwhile. Raises CancelledError if ``cancel`` returned True.
    """
    work = _Measurement(source, claims, streams or {}, known or {}, serial=serial, progress=progress, cancel=cancel)
    work.run(threads or readers(source) or max(2, min(_processors(), MAX_THREADS)))
    source.ensure_unchanged()
    return work.evidence()


def compared(claims: Sequence[ByteClaim], known: KnownDigests) -> tuple[DigestEvidence, ...] | None:
    """The evidence for all digest claims, if each digest is known already; otherwise None. Nothing is read.

    Evidence for some of them would let a rule pass that has not seen the others.
    """
    digests = [claim for claim in claims if isinstance(claim, DigestClaim) and not claim.serial]
    if not digests or any((claim.span, algorithm_of(claim)) not in known for claim in digests):
        return None
    return tuple(_digest_evidence(claim, known[claim.span, algorithm_of(claim)]) for claim in digests)


def _digest_evidence(claim: DigestClaim, found: str) -> DigestEvidence:
    return DigestEvidence(
        subject=claim.subject,
        span=claim.span,
        expected=claim.expected,
        found=found,
        of=claim.of,
        serial=claim.serial,
        stored=claim.stored,
    )


def algorithm_of(claim: DigestClaim) -> str:
    """The name of the algorithm of a digest."""
    return claim.expected.partition(":")[0]


def first_other(fill: int) -> re.Pattern[bytes]:
    """A pattern whose match at the start of some bytes ends after the first one that is not ``fill``.

    It counts the others nine times as fast as a search for that byte.
    """
    return re.compile(rb"\x%02x*+[^\x%02x]" % (fill, fill))


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Measurement:
    """The claims of one bundle, the work to do for each, and the results."""

    def __init__(
        self,
        source: Source,
        claims: Sequence[ByteClaim],
        streams: Mapping[str, bytes],
        known: KnownDigests,
        *,
        serial: bool,
        progress: ReadProgress | None,
        cancel: Cancel | None,
    ) -> None:
        self._source = with_decoded(source, streams)
        self._digests = [c for c in claims if isinstance(c, DigestClaim) and (serial or not c.serial)]
        self._chunks = [c for c in claims if isinstance(c, ChunkClaim)]
        self._zeros = [c for c in claims if isinstance(c, ZeroClaim)]
        self._archives = _readable([c for c in claims if isinstance(c, ArchiveClaim)])
        kinds = (self._digests, self._chunks, self._zeros, self._archives)
        trees = [c for c in claims if isinstance(c, TreeClaim)]
        total = sum(claim.span.size for kind in kinds for claim in kind)
        total += sum(claim.span.size + claim.tree.size for claim in trees)
        self._summed = {c.span for c in self._digests if c.of == "checksum"}
        self._found = {c: known[at] for c in self._digests if (at := (c.span, algorithm_of(c))) in known}
        total -= sum(claim.span.size for claim in self._found)
        self._pool = WorkerPool(total, progress, cancel, partial(interrupt, source))
        self._trees = [TreeMeasurement(claim, source, self._pool) for claim in trees]

        compared = {claim.index for claim in self._chunks}
        self._kept = {c.span: bytearray() for c in self._digests if c.span in compared and not c.serial}
        self._damaged = {c: bytearray(-(-c.span.size // c.chunk_size)) for c in self._chunks}
        self._nonzero: dict[ZeroClaim, int | None] = {}
        self._read: dict[int, ArchiveEvidence] = {}
        whole = {claim.span: claim for claim in self._digests if claim.serial}
        self._ordered = {c: OrderedDigest(whole.pop(c.span), self._pool) for c in self._chunks if c.span in whole}

    def run(self, threads: int) -> None:
        """Measure indexes first. Chunks with a damaged index are not read, because nothing can be compared with it."""
        self._pool.run(self._indexes(), threads)
        self._give_up({claim.span for claim, found in self._found.items() if found != claim.expected})
        for tree in self._trees:
            tree.prepare()
        self._pool.run(self._payload(), threads)
        self._found |= {ordered.claim: ordered.found for ordered in self._ordered.values()}

    def _give_up(self, indexes: Collection[Span]) -> None:
        """Skip the chunks that have their index in one of ``indexes``, and the digest over the same bytes."""
        spans = {chunk.span for chunk in self._chunks if chunk.index in indexes}
        left = [claim for claims in (self._chunks, self._digests) for claim in claims if claim.span in spans]
        self._chunks = [chunk for chunk in self._chunks if chunk.span not in spans]
        self._digests = [digest for digest in self._digests if digest.span not in spans]
        self._ordered = {chunk: ordered for chunk, ordered in self._ordered.items() if chunk.span not in spans}
        if left:
            self._pool.advance(sum(claim.span.size for claim in left))

    def evidence(self) -> Evidence:
        return Evidence(
            digests=tuple(_digest_evidence(claim, self._found[claim]) for claim in self._digests),
            chunks=tuple(_chunk_evidence(claim, self._damaged[claim]) for claim in self._chunks),
            trees=tuple(tree.evidence() for tree in self._trees),
            archives=tuple(self._read[number] for number in range(len(self._archives))),
            zeros=tuple(
                ZeroEvidence(subject=c.subject, span=c.span, fill=c.fill, first_nonzero=self._nonzero[c])
                for c in self._zeros
            ),
        )

    def _indexes(self) -> Iterator[ChunkTask]:
        for claim in self._digests:
            if not claim.serial and claim not in self._found:
                yield partial(self._digest, claim)

    def _payload(self) -> Iterator[ChunkTask]:
        # Indivisible tasks come first, the longest one foremost, so that no thread is left working alone.
        for number in range(len(self._archives)):
            yield partial(self._read_archive, number)
        in_order = {ordered.claim for ordered in self._ordered.values()}
        for claim in sorted(self._digests, key=lambda claim: -claim.span.size):
            if claim.serial and claim not in in_order and claim not in self._found:
                yield partial(self._digest, claim)
        for chunk in self._chunks:
            stripe = max(self._stripe(chunk) // chunk.chunk_size, 1) * chunk.chunk_size
            for start in range(chunk.span.start, chunk.span.stop, stripe):
                yield partial(self._compare, chunk, Span(start=start, stop=min(start + stripe, chunk.span.stop)))
        for tree in self._trees:
            yield from tree.tasks()
        for zero in self._zeros:
            yield partial(self._look_for_nonzero, zero)

    def _stripe(self, chunk: ChunkClaim) -> int:
        """Bytes of one task. A digest in order takes its bytes from few threads at once, so its tasks stay small."""
        if chunk in self._ordered or not (threads := readers(stream_of(self._source, chunk.span))):
            return STRIPE
        return min(max(chunk.span.size // (4 * threads), STRIPE), REMOTE_STRIPE)

    def _pieces(self, span: Span, buffer: memoryview) -> Iterator[memoryview]:
        """The bytes of ``span``, in one buffer that is refilled repeatedly."""
        source = stream_of(self._source, span)
        will_read(source, span.start, span.stop)
        for at in range(span.start, span.stop, len(buffer)):
            piece = buffer[: min(len(buffer), span.stop - at)]
            source.readinto(at, piece)
            yield piece
            self._pool.advance(len(piece))

    def _digest(self, claim: DigestClaim, buffer: memoryview) -> None:
        algorithm = algorithm_of(claim)
        state = new_state(algorithm)
        if claim.of != "checksum" and claim.span.size > BUFFER and claim.span in self._summed:
            buffer = pages(LARGE_BUFFER)
        kept = None if claim.serial else self._kept.get(claim.span)
        for piece in self._pieces(claim.span, buffer):
            state.update(piece)
            if kept is not None:  # the chunks are compared with the verified index, not with a second reading
                kept += piece
        self._found[claim] = f"{algorithm}:{state.hexdigest()}"

    def _read_archive(self, number: int, _: memoryview) -> None:
        from bundlekit.integrity.archive import read_archive

        self._read[number] = read_archive(self._source, self._archives[number], self._pool)

    def _look_for_nonzero(self, claim: ZeroClaim, buffer: memoryview) -> None:
        self._nonzero[claim] = None
        at = claim.span.start
        other = first_other(claim.fill)
        for piece in self._pieces(claim.span, buffer):
            if found := other.match(piece):
                self._nonzero[claim] = at + found.end() - 1
                self._pool.advance(claim.span.stop - at)  # the remaining bytes need not be read
                return
            at += len(piece)

    def _compare(self, claim: ChunkClaim, stripe: Span, buffer: memoryview) -> None:
        """Mark with a 1 the chunks of ``stripe`` that differ from the index.

        The stripe begins at the start of a chunk.
        """
        ordered, damaged = self._ordered.get(claim), self._damaged[claim]
        new = getattr(hashlib, claim.algorithm)
        size = new().digest_size
        number = (stripe.start - claim.span.start) // claim.chunk_size
        wanted = Span(start=number * size, stop=(number - (-stripe.size // claim.chunk_size)) * size)
        if claim.index in self._kept:
            index = bytes(self._kept[claim.index][wanted.start : wanted.stop])
        else:  # no digest covers this index, so it was not read before
            index = read(
                self._source, Span(start=claim.index.start + wanted.start, stop=claim.index.start + wanted.stop)
            )
        expected = (index[at : at + size] for at in range(0, len(index), size))

        source, state = stream_of(self._source, claim.span), new()
        will_read(source, stripe.start, stripe.stop)
        for start in range(stripe.start, stripe.stop, BUFFER):
            piece = (ordered.buffer(start) if ordered else buffer)[: min(BUFFER, stripe.stop - start)]
            source.readinto(start, piece)
            at = 0
            while at < len(piece):
                missing = claim.chunk_size - (start + at - stripe.start) % claim.chunk_size
                part = piece[at : at + missing]
                state.update(part)
                at += len(part)
                if len(part) == missing or start + at == stripe.stop:
                    damaged[number] = state.digest() != next(expected)
                    number, state = number + 1, new()
            if ordered:
                ordered.leave(start, piece)
            self._pool.advance(len(piece))


def _readable(claims: list[ArchiveClaim]) -> list[ArchiveClaim]:
    """The archives that this Python can decode. The reader of the format reports the others as unread."""
    if not claims:
        return claims
    from bundlekit.integrity.decoding import readable

    return [claim for claim in claims if readable(claim.compression)]


def _chunk_evidence(claim: ChunkClaim, damaged: bytearray) -> ChunkEvidence:
    """Count the marks, and find the first runs of them."""
    start, size = claim.span.start, claim.chunk_size
    spans = (
        Span(
            start=start + run.start() * size,
            stop=min(start + run.end() * size, claim.span.stop),
            stream=claim.span.stream,
        )
        for run in re.finditer(rb"\x01+", damaged)
    )
    return ChunkEvidence(
        subject=claim.subject,
        span=claim.span,
        chunks=len(damaged),
        damaged=tuple(islice(spans, MAX_REPORTED)),
        damaged_count=damaged.count(1),
    )
