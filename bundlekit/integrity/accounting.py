"""Byte coverage: which claim covers each byte of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundlekit.model.bundle import (
    ArchiveClaim,
    ChunkClaim,
    DigestClaim,
    FramingClaim,
    Span,
    TreeClaim,
    ZeroClaim,
)
from bundlekit.model.primitives import Frozen

if TYPE_CHECKING:
    from bundlekit.model.bundle import Bundle


class Covered(Frozen, frozen=True, kw_only=True):
    """A span and the kind of claim that covers it.

    The kinds are signed, signature, digest, chunks, tree, archive, zero, framing, and nothing.
    """

    span: Span
    by: str
    subject: str = ""


def coverage(bundle: Bundle) -> tuple[Covered, ...]:
    """The coverage of each byte of the file, in the order of the file, without gap or overlap.

    This is what is *claimed*; the rules decide whether the claims are true. A signature entry covers itself: the
    profile determines every byte of the entry that its signature does not cover.
    """
    spans: list[Covered] = []
    for signature in bundle.signatures or ():
        spans += [Covered(span=span, by="signed") for span in signature.signed]
        spans.append(Covered(span=signature.entry, by="signature"))
    for claim in bundle.claims:
        match claim:
            case DigestClaim(serial=False):
                spans.append(Covered(span=claim.span, by="digest", subject=claim.subject))
            case ChunkClaim():
                spans.append(Covered(span=claim.span, by="chunks", subject=claim.subject))
            case ZeroClaim():
                spans.append(Covered(span=claim.span, by="zero", subject=claim.subject))
            case TreeClaim():
                spans.append(Covered(span=claim.span, by="tree", subject=claim.subject))
                spans.append(Covered(span=claim.tree, by="tree", subject=f"{claim.subject} (hash tree)"))
            case ArchiveClaim():
                spans.append(Covered(span=claim.span, by="archive", subject=claim.subject))
            case FramingClaim():
                spans.append(Covered(span=claim.span, by="framing", subject=claim.subject))
            case DigestClaim():
                pass  # the chunk index covers the same bytes
    result: list[Covered] = []
    at = 0
    own = {item for item in spans if not item.span.stream}
    for item in sorted(own, key=lambda item: item.span):
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
