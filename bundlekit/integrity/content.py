"""The bytes under a signature: a few that a reader has already read, or gigabytes that are read once, as a stream."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from bundlekit.errors import CancelledError
from bundlekit.integrity.worker_pool import BUFFER
from bundlekit.model.bundle import Span
from bundlekit.source import pages, read, stream_of, will_read, with_decoded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundlekit.integrity.worker_pool import Cancel, ReadProgress
    from bundlekit.model.bundle import Bundle, SignatureClaim
    from bundlekit.source import Source

MAX_WHOLE: Final = 16 * 1024 * 1024
"""Bytes that are kept in memory for a signature algorithm that needs the content as a whole (Ed25519)."""


KnownDigests = dict[tuple[Span, str], str]
"""Digests that were computed while signatures were verified (``algorithm:hex``), by span and algorithm."""


class SignedContent:
    """The content that a signature signs. Each digest is computed once, however many signatures need it."""

    def __init__(
        self,
        source: Source,
        spans: Sequence[Span],
        *,
        known: bytes | None = None,
        progress: ReadProgress | None = None,
        cancel: Cancel | None = None,
    ) -> None:
        """``known`` are the bytes of ``spans`` if the reader has them: they are what it parsed."""
        self._source = source
        self._spans = tuple(spans)
        self._known = known
        self._progress = progress
        self._cancel = cancel
        self._digests: dict[str, bytes] = {}

    @property
    def size(self) -> int:
        """Bytes of the content."""
        return len(self._known) if self._known is not None else sum(span.size for span in self._spans)

    def digest(self, algorithm: str) -> bytes:
        """The digest of the content. ``algorithm`` is a name that `hashlib` has."""
        if algorithm not in self._digests:
            self._digests[algorithm] = self._computed(algorithm)
        return self._digests[algorithm]

    def found(self) -> KnownDigests:
        """The digests that were computed so far, if the content is one span."""
        if len(self._spans) != 1:
            return {}
        return {(self._spans[0], name): f"{name}:{digest.hex()}" for name, digest in self._digests.items()}

    def whole(self) -> bytes | None:
        """The content itself; None if it is larger than `MAX_WHOLE`."""
        if self._known is None and self.size <= MAX_WHOLE:
            self._known = b"".join(read(self._source, span) for span in self._spans)
        return self._known

    def _computed(self, algorithm: str) -> bytes:
        if self._known is not None:
            return hashlib.new(algorithm, self._known).digest()
        state, buffer, done = hashlib.new(algorithm), pages(BUFFER), 0
        for span in self._spans:
            stored = stream_of(self._source, span)
            will_read(stored, span.start, span.stop)
            for at in range(span.start, span.stop, BUFFER):
                piece = buffer[: min(BUFFER, span.stop - at)]
                stored.readinto(at, piece)
                state.update(piece)
                done += len(piece)
                if self._progress:
                    self._progress(done, self.size)
                if self._cancel and self._cancel():
                    raise CancelledError("cancelled before everything was read")
        return state.digest()


def signed_contents(
    source: Source, bundle: Bundle, *, progress: ReadProgress | None = None, cancel: Cancel | None = None
) -> tuple[SignedContent, ...]:
    """The content of each signature of ``bundle``. Signatures over the same bytes share one."""
    made: dict[tuple[Span, ...], SignedContent] = {}
    source = with_decoded(source, bundle.streams)

    def content(claim: SignatureClaim) -> SignedContent:
        if claim.signed not in made:
            known = bundle.head_bytes if claim.signed == (bundle.head,) else None
            made[claim.signed] = SignedContent(source, claim.signed, known=known, progress=progress, cancel=cancel)
        return made[claim.signed]

    return tuple(content(claim) for claim in bundle.signatures or ())
