"""A digest over a whole component, taken while other threads compare its chunks: each byte is read once."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from bundlekit.integrity.crew import BUFFER
from bundlekit.source import pages

if TYPE_CHECKING:
    from bundlekit.integrity.crew import Crew
    from bundlekit.model.bundle import DigestClaim

WINDOW: Final = 8 * BUFFER
"""Bytes that may lie read before the digest has come to them: the most that a component keeps in memory."""


class Relay:
    """A digest takes its bytes in their order, so only one thread at a time can take it further.

    Threads that read the pieces of a component, in any order, leave them here. Whoever leaves one takes the
    digest as far as the pieces go, unless somebody is at it. So nobody waits for the digest but those who
    are a window ahead of it, and nothing has to be done in the end.
    """

    def __init__(self, claim: DigestClaim, crew: Crew) -> None:
        self.claim = claim
        self._state = hashlib.new(claim.expected.partition(":")[0])
        self._crew = crew
        self._at = claim.span.start  # every byte before this one has been taken
        self._left: dict[int, memoryview] = {}
        self._spare: list[memoryview] = []
        self._busy = False

    @property
    def found(self) -> str:
        """The digest of all that was left here."""
        return f"{self._state.name}:{self._state.hexdigest()}"

    def buffer(self, at: int) -> memoryview:
        """A buffer for the piece that begins at byte ``at``, as soon as the digest has come near enough to it.

        Pieces have to be asked for in their order, by all threads together: the first one is always near enough.
        """
        with self._crew.changed:
            self._crew.wait_until(lambda: at < self._at + WINDOW)
            return self._spare.pop() if self._spare else pages(BUFFER)

    def leave(self, at: int, piece: memoryview) -> None:
        """Leave the ``piece`` that begins at byte ``at``, in a buffer from here, and don't touch it again."""
        with self._crew.changed:
            self._left[at] = piece
            if self._busy or self._at not in self._left:
                return
            self._busy = True
            due: memoryview | None = self._left.pop(self._at)
        while due:
            self._state.update(due)
            self._crew.advance(len(due))
            due = self._following(due)

    def _following(self, piece: memoryview) -> memoryview | None:
        """The piece behind ``piece``, which the digest has taken, if somebody has left it here already."""
        with self._crew.changed:
            self._at += len(piece)
            self._spare.append(memoryview(piece.obj))
            self._crew.changed.notify_all()
            following = self._left.pop(self._at, None)
            self._busy = following is not None
            return following
