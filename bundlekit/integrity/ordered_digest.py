"""A digest over a whole component, computed while other threads compare its chunks: each byte is read once."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from bundlekit.integrity.worker_pool import BUFFER
from bundlekit.source import pages

if TYPE_CHECKING:
    from bundlekit.integrity.worker_pool import WorkerPool
    from bundlekit.model.bundle import DigestClaim

WINDOW: Final = 8 * BUFFER
"""Bytes that can be read ahead of the digest: the maximum that a component keeps in memory."""


class OrderedDigest:
    """A digest takes its bytes in order, so only one thread at a time can advance it.

    Threads read the pieces of a component in any order, and leave them here. A thread that leaves a piece also advances
    the digest as far as the pieces reach, unless another thread is doing so. A thread therefore waits for the digest
    only when it is a whole window ahead. No work remains at the end.
    """

    def __init__(self, claim: DigestClaim, pool: WorkerPool) -> None:
        self.claim = claim
        self._state = hashlib.new(claim.expected.partition(":")[0])
        self._pool = pool
        self._at = claim.span.start  # every byte before this one is in the digest
        self._left: dict[int, memoryview] = {}
        self._spare: list[memoryview] = []
        self._busy = False

    @property
    def found(self) -> str:
        """The digest of all pieces left here."""
        return f"{self._state.name}:{self._state.hexdigest()}"

    def buffer(self, at: int) -> memoryview:
        """A buffer for the piece that begins at byte ``at``. Waits until the digest is within a window of that byte.

        All threads together must request pieces in order. The first one is then always within the window.
        """
        with self._pool.changed:
            self._pool.wait_until(lambda: at < self._at + WINDOW)
            return self._spare.pop() if self._spare else pages(BUFFER)

    def leave(self, at: int, piece: memoryview) -> None:
        """Hand over the ``piece`` that begins at byte ``at``, in a buffer from here.

        The caller must not use it again.
        """
        with self._pool.changed:
            self._left[at] = piece
            if self._busy or self._at not in self._left:
                return
            self._busy = True
            due: memoryview | None = self._left.pop(self._at)
        while due:
            self._state.update(due)
            self._pool.advance(len(due))
            due = self._following(due)

    def _following(self, piece: memoryview) -> memoryview | None:
        """The piece that follows ``piece``, which the digest has taken, if another thread has already left it here."""
        with self._pool.changed:
            self._at += len(piece)
            self._spare.append(memoryview(piece.obj))
            self._pool.changed.notify_all()
            following = self._left.pop(self._at, None)
            self._busy = following is not None
            return following
