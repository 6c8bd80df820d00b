"""Byte coverage: which claim covers each byte of a file."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

from bundlekit.model.bundle import (
    ArchiveClaim,
    ChunkClaim,
    DecodedClaim,
    DigestClaim,
    FramingClaim,
    Span,
    TreeClaim,
    ZeroClaim,
)
from bundlekit.model.primitives import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bundlekit.model.bundle import Bundle


_WITHOUT_DIGESTS: Final = frozenset({"signed", "signature", "zero", "checked", "framing", "decoded"})
"""Kinds of claims whose bytes need no digest besides that of the signature."""


class Covered(Frozen, frozen=True, kw_only=True):
    """A span and the kind of claim that covers it.

    The kinds are signed, signature, digest, chunks, tree, archive, zero, framing, checked, decoded, and nothing. The
    bytes of *framing* can have several values, and those of *checked* framing have one.
    """

    span: Span
    by: str
    subject: str = ""


def coverage(bundle: Bundle, stream: str = "") -> tuple[Covered, ...]:
    """The coverage of each byte of the file, in the order of the file, without gap or overlap.

    The files of a detached head follow. ``stream`` is the name of a decoded stream to examine instead.
    This is what is *claimed*; the rules decide whether the claims are true. A signature entry covers itself: the
    profile determines every byte of the entry that its signature does not cover.
    """
    spans: list[Covered] = []
    for signature in bundle.signatures or ():
        spans += [Covered(span=span, by="signed") for span in signature.signed]
        spans.append(Covered(span=signature.entry, by="signature"))
    for claim in bundle.claims:
        match claim:
            case DigestClaim(of="checksum"):
                pass  # it proves nothing
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
            case FramingClaim(checked=checked):
                by = "checked" if checked else "framing"
                spans.append(Covered(span=claim.span, by=by, subject=claim.subject))
            case DecodedClaim():
                spans.append(Covered(span=claim.span, by="decoded", subject=claim.subject))
            case DigestClaim():
                pass  # the chunk index covers the same bytes
    sizes = {stream: len(bundle.streams[stream])} if stream else {"": bundle.size} | bundle.files
    return tuple(chain.from_iterable(_of_stream(name, size, spans) for name, size in sizes.items()))


def _of_stream(stream: str, size: int, spans: Iterable[Covered]) -> Iterator[Covered]:
    """The coverage of the ``size`` bytes of one stream; the bundle file itself has no name."""
    at = 0
    own = [item for item in spans if item.span.stream == stream]
    # The longest span that begins at a byte counts. If two are the same, the first one does, such as a signature.
    for item in sorted(own, key=lambda item: (item.span.start, -item.span.stop)):
        start, stop = max(item.span.start, at), min(item.span.stop, size)
        if start >= stop:
            continue
        if start > at:
            yield Covered(span=Span(start=at, stop=start, stream=stream), by="nothing")
        yield Covered(span=Span(start=start, stop=stop, stream=stream), by=item.by, subject=item.subject)
        at = stop
    if at < size:
        yield Covered(span=Span(start=at, stop=size, stream=stream), by="nothing")


def signed_alone(covered: Iterable[Covered]) -> bool:
    """Whether no digest is needed for these bytes: signatures cover them, apart from those with one possible value."""
    kinds = {item.by for item in covered}
    return bool(kinds & {"signed", "decoded"}) and kinds <= _WITHOUT_DIGESTS
