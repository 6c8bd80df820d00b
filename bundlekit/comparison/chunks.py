"""Comparison by chunk indexes: two components of any size, without reading them."""

from __future__ import annotations

import hashlib
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

from bundlekit.model.bundle import ChunkClaim, DigestClaim, Span
from bundlekit.report.comparison import ChunkChanges, ChunkRun
from bundlekit.source import read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.model.bundle import Bundle
    from bundlekit.source import Source

MAX_RUNS: Final = 256


class DamagedIndexError(Exception):
    """A chunk index that does not have the digest in the description. The caller makes an obstacle of it."""


class Indexed(NamedTuple):
    """A component with a chunk index, and the digest that the description states for that index."""

    source: Source
    chunks: ChunkClaim
    expected: str

    def like(self, other: Indexed) -> bool:
        """Whether the chunks of the two can be compared: the same size and algorithm."""
        return (self.chunks.chunk_size, self.chunks.algorithm) == (other.chunks.chunk_size, other.chunks.algorithm)

    def digests(self) -> list[bytes]:
        """The digests of the chunks. Raises DamagedIndexError if the index is not the one of the description."""
        data = read(self.source, self.chunks.index)
        algorithm, _, wanted = self.expected.partition(":")
        if hashlib.new(algorithm, data).hexdigest() != wanted:
            raise DamagedIndexError
        size = hashlib.new(self.chunks.algorithm).digest_size
        return [data[at : at + size] for at in range(0, len(data), size)]

    def span(self, start: int, stop: int) -> Span | None:
        """The bytes of chunks ``[start, stop)``; None if the component ends before them."""
        whole, size = self.chunks.span, self.chunks.chunk_size
        first, last = whole.start + start * size, min(whole.start + stop * size, whole.stop)
        return Span(start=first, stop=last, stream=whole.stream) if first < last else None


def indexed(source: Source, bundle: Bundle) -> dict[str, Indexed]:
    """The components with a chunk index, by label."""
    digests = {claim.span: claim.expected for claim in bundle.claims if isinstance(claim, DigestClaim)}
    chunks = [claim for claim in bundle.claims if isinstance(claim, ChunkClaim)]
    return {one.subject: Indexed(source, one, digests[one.index]) for one in chunks if one.index in digests}


def chunk_changes(old: Indexed, new: Indexed) -> ChunkChanges:
    """The chunks that differ between two components whose chunks are alike. Raises DamagedIndexError."""
    before, after = old.digests(), new.digests()
    changed = [at for at, digest in enumerate(after) if at >= len(before) or before[at] != digest]
    sizes = {at: span.size for at in changed if (span := new.span(at, at + 1))}
    known, needed = set(before), {after[at]: sizes[at] for at in changed}
    runs = list(_runs(changed, len(before), len(after)))
    return ChunkChanges(
        chunk_size=new.chunks.chunk_size,
        old_chunks=len(before),
        new_chunks=len(after),
        changed=len(changed),
        changed_bytes=sum(sizes.values()),
        delta_bytes=sum(size for digest, size in needed.items() if digest not in known),
        runs=tuple(
            ChunkRun(start=start, stop=stop, old=old.span(start, stop), new=new.span(start, stop))
            for start, stop in runs[:MAX_RUNS]
        ),
    )


def _runs(changed: list[int], before: int, after: int) -> Iterator[tuple[int, int]]:
    """The runs of chunks that differ, with those that only the old component has."""
    every = [*changed, *range(after, before)]
    for _, group in groupby(enumerate(every), lambda item: item[1] - item[0]):
        numbers = [number for _, number in group]
        yield numbers[0], numbers[-1] + 1
