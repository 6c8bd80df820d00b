"""A hash tree, computed again: every block of the data, and every block of the tree itself (dm-verity, hash type 1).

The levels above the lowest are read first, from the top down, and kept: one byte for each 16 KiB of data if digests
have 32 bytes and blocks 4 KiB. The lowest level is read together with the data that it describes. Each byte is thus
read once, and every digest is verified before anything is compared with it.
"""

from __future__ import annotations

import hashlib
import re
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final

from bundlekit.integrity.worker_pool import BUFFER
from bundlekit.layout.hash_tree import level_sizes, slot_size
from bundlekit.model.bundle import Span
from bundlekit.model.evidence import TreeEvidence
from bundlekit.source import read, will_read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.integrity.worker_pool import ChunkTask, WorkerPool
    from bundlekit.model.bundle import TreeClaim
    from bundlekit.source import Source

STRIPE: Final = 4 * BUFFER
"""Bytes of data in one task."""

MAX_REPORTED: Final = 256
"""Damaged spans kept; any others are only counted."""


class TreeMeasurement:
    """The measurement of one tree: what it reads before the tasks, the tasks, and the evidence after them."""

    def __init__(self, claim: TreeClaim, source: Source, pool: WorkerPool) -> None:
        self.claim = claim
        self._source = source
        self._pool = pool
        algorithm, _, root = claim.root.partition(":")
        self._salted = hashlib.new(algorithm, claim.salt)
        self._root = bytes.fromhex(root)
        self._slot = slot_size(self._salted.digest_size)
        self._levels = self._spans_of_levels()
        self._blocks = claim.span.size // claim.block_size
        self._damaged = bytearray(self._blocks)  # untouched pages of it take no memory
        self._tree_damaged: list[Span] = []
        self._above = b""  # the digests of the blocks of the lowest level
        self._all_known = True  # whether all of these are verified; otherwise zeros stand for those that are not

    def _spans_of_levels(self) -> list[Span] | None:
        """The spans of the levels, the lowest first. None if the tree is not one over this data."""
        claim, spans = self.claim, []
        sizes = level_sizes(claim.span.size, claim.block_size, self._salted.digest_size)
        stop = claim.tree.stop
        for count in sizes:
            spans.append(Span(start=stop - count * claim.block_size, stop=stop))
            stop = spans[-1].start
        whole = claim.span.size >= claim.block_size and claim.span.size % claim.block_size == 0
        return spans if whole and stop == claim.tree.start else None

    def prepare(self) -> None:
        """Read and verify the levels above the lowest one. Their digests under a damaged block count as unknown."""
        if self._levels is None:
            self._tree_damaged.append(self.claim.tree)
            self._pool.advance(self.claim.span.size + self.claim.tree.size)
            return
        digests = self._root + bytes(self._slot - len(self._root))
        for level in reversed(self._levels[1:]):
            blocks = bytearray(read(self._source, level))
            self._all_known = self._verify(level, blocks, digests, all_known=self._all_known)
            self._pool.advance(len(blocks))
            digests = bytes(blocks)
        self._above = digests

    def tasks(self) -> Iterator[ChunkTask]:
        """The tasks, each over a part of the data and the part of the lowest level that describes it."""
        if self._levels is None:
            return
        block, span = self.claim.block_size, self.claim.span
        # A whole number of blocks of the lowest level describes the data of one task.
        under = block // self._slot * block
        stripe = max(STRIPE // under, 1) * under
        for start in range(span.start, span.stop, stripe):
            yield partial(self._compare, Span(start=start, stop=min(start + stripe, span.stop)))

    def evidence(self) -> TreeEvidence:
        """What was found, once all tasks have run."""
        claim, size = self.claim, self.claim.block_size
        count = self._damaged.count(1)
        runs = re.finditer(rb"\x01+", self._damaged) if count else iter(())
        spans = (
            Span(start=claim.span.start + run.start() * size, stop=claim.span.start + run.end() * size) for run in runs
        )
        return TreeEvidence(
            subject=claim.subject,
            span=claim.span,
            blocks=self._blocks,
            damaged=tuple(islice(spans, MAX_REPORTED)),
            damaged_count=count,
            tree_damaged=tuple(_joined(sorted(self._tree_damaged))[:MAX_REPORTED]),
        )

    def _digest(self, block: memoryview | bytearray | bytes) -> bytes:
        state = self._salted.copy()
        state.update(block)
        return state.digest()

    def _verify(self, level: Span, blocks: bytearray, digests: bytes, *, all_known: bool) -> bool:
        """Compare ``blocks``, the part of a level at ``level``, with their ``digests``. Erase the blocks that differ.

        Returns whether everything in ``blocks`` is now verified. Under a damaged block nothing can be compared, so
        the blocks there are erased as well. Without a damaged block above, a digest of zeros is one like any other.
        """
        size, slot, digest_size = self.claim.block_size, self._slot, self._salted.digest_size
        for number, at in enumerate(range(0, len(blocks), size)):
            expected = digests[number * slot : number * slot + digest_size]
            if not (all_known or any(expected)):
                blocks[at : at + size] = bytes(size)
            elif self._digest(memoryview(blocks)[at : at + size]) != expected:
                blocks[at : at + size] = bytes(size)
                all_known = False
                where = Span(start=level.start + at, stop=level.start + at + size)
                with self._pool.changed:
                    self._tree_damaged.append(where)
        return all_known

    def _lowest(self, stripe: Span) -> tuple[bytes, bool]:
        """The digests of the blocks of ``stripe``, and whether all of them are verified."""
        claim = self.claim
        number = (stripe.start - claim.span.start) // claim.block_size * self._slot
        size = stripe.size // claim.block_size * self._slot
        if not self._levels:  # one block of data, and its digest is the root
            return self._above[number : number + size], self._all_known
        lowest = self._levels[0]
        first, last = number // claim.block_size, -(-(number + size) // claim.block_size)
        part = Span(start=lowest.start + first * claim.block_size, stop=lowest.start + last * claim.block_size)
        blocks = bytearray(read(self._source, part))
        above = self._above[first * self._slot : last * self._slot]
        known = self._verify(part, blocks, above, all_known=self._all_known)
        self._pool.advance(len(blocks))
        return bytes(blocks), known

    def _compare(self, stripe: Span, buffer: memoryview) -> None:
        """Mark with a 1 the blocks of ``stripe`` whose digests are not those of the tree."""
        size, slot, salted = self.claim.block_size, self._slot, self._salted
        (expected, all_known), copy = self._lowest(stripe), salted.copy
        padding = bytes(slot - salted.digest_size)
        step = BUFFER // size * size
        at = 0
        will_read(self._source, stripe.start, stripe.stop)
        for start in range(stripe.start, stripe.stop, step):
            piece = buffer[: min(step, stripe.stop - start)]
            self._source.readinto(start, piece)
            found = bytearray()
            for offset in range(0, len(piece), size):
                state = copy()
                state.update(piece[offset : offset + size])
                found += state.digest()
                found += padding
            if found != expected[at : at + len(found)]:
                number = (start - self.claim.span.start) // size
                self._mark(number, found, expected[at : at + len(found)], all_known=all_known)
            at += len(found)
            self._pool.advance(len(piece))

    def _mark(self, first: int, found: bytearray, expected: bytes, *, all_known: bool) -> None:
        slot = self._slot
        for number, at in enumerate(range(0, len(found), slot), first):
            known = all_known or any(expected[at : at + slot])
            self._damaged[number] = known and found[at : at + slot] != expected[at : at + slot]


def _joined(spans: list[Span]) -> list[Span]:
    """``spans`` in their order, with adjacent ones joined."""
    joined: list[Span] = []
    for span in spans:
        if joined and joined[-1].stop >= span.start:
            joined[-1] = Span(start=joined[-1].start, stop=max(joined[-1].stop, span.stop))
        else:
            joined.append(span)
    return joined
