"""The digests of files inside a SquashFS image, which ``unsquashfs`` reads as a stream."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from bundlekit.errors import CancelledError
from bundlekit.model.evidence import PackedEvidence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bundlekit.integrity.worker_pool import Cancel
    from bundlekit.model.bundle import PackedClaim
    from bundlekit.source import Source


def packed_digests(source: Source, claims: Iterable[PackedClaim], cancel: Cancel | None) -> Iterator[PackedEvidence]:
    """The evidence of each claim. Raises CancelledError if ``cancel`` returns true meanwhile."""
    from bundlekit.layout.unsquashfs import MemberFault, find_member, read_through

    for claim in claims:
        if claim.unread:
            yield PackedEvidence(subject=claim.subject, span=claim.span, reason=claim.unread)
            continue
        state, size = hashlib.sha256(), 0

        def consume(piece: bytes, state: hashlib._Hash = state) -> None:
            nonlocal size
            if cancel and cancel():
                raise CancelledError("cancelled before everything was read")
            state.update(piece)
            size += len(piece)

        if claim.expected:
            fault = read_through(source, claim.span.size, claim.name, claim.size, consume)
        else:
            fault = find_member(source, claim.span.size, claim.name)
        if isinstance(fault, MemberFault):
            yield PackedEvidence(
                subject=claim.subject,
                span=claim.span,
                damaged=fault.damaged,
                reason=fault.reason,
                next=fault.next,
            )
        elif claim.expected:
            yield PackedEvidence(
                subject=claim.subject,
                span=claim.span,
                size=size,
                expected_size=claim.size,
                expected=claim.expected,
                found=f"sha256:{state.hexdigest()}",
            )
