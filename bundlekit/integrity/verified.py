"""Verified reading of a component: only verified bytes leave this module."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from bundlekit.errors import ChangedWhileReadError
from bundlekit.model.bundle import Span
from bundlekit.source import pages, read, stream_of, will_read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.model.bundle import ChunkClaim, DigestClaim
    from bundlekit.source import Source


def verified_chunks(source: Source, claim: ChunkClaim, index_claim: DigestClaim) -> Iterator[memoryview]:
    """The bytes of a component, chunk by chunk, each verified *before* it is returned.

    The chunk index is read once, verified and kept, so chunks are compared with the verified index. A view is valid
    until the next one is requested. Raises ChangedWhileReadError at the first byte that does not match the claims.
    """
    index = read(source, claim.index)
    algorithm, _, expected = index_claim.expected.partition(":")
    if hashlib.new(algorithm, index).hexdigest() != expected:
        raise ChangedWhileReadError(f"{source.name}: the chunk index of {claim.subject!r} is damaged")
    size = hashlib.new(claim.algorithm).digest_size
    buffer = pages(min(claim.chunk_size, claim.span.size))
    stored = stream_of(source, claim.span)
    will_read(stored, claim.span.start, claim.span.stop)
    for number, start in enumerate(range(claim.span.start, claim.span.stop, claim.chunk_size)):
        chunk = buffer[: min(claim.chunk_size, claim.span.stop - start)]
        stored.readinto(start, chunk)
        if hashlib.new(claim.algorithm, chunk).digest() != index[number * size : (number + 1) * size]:
            where = Span(start=start, stop=start + len(chunk), stream=claim.span.stream)
            raise ChangedWhileReadError(f"{source.name}: {claim.subject!r} is damaged at {where}")
        yield chunk
