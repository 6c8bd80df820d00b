"""Read the documents of a bundle whose format is known, and compare them. Only verified bytes are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from bundlekit.errors import CancelledError
from bundlekit.evidence import kinds
from bundlekit.evidence.artifact import MalformedDocumentError
from bundlekit.evidence.budget import LargeDocumentError
from bundlekit.evidence.comparison import Contents
from bundlekit.integrity import verified_chunks
from bundlekit.model.bundle import ChunkClaim, DigestClaim, Span
from bundlekit.model.evidence import DocumentEvidence
from bundlekit.wording import count

if TYPE_CHECKING:
    from bundlekit.integrity import Cancel
    from bundlekit.model.bundle import Bundle
    from bundlekit.model.evidence import Evidence
    from bundlekit.model.manifest import Manifest
    from bundlekit.source import Source

MAX_DOCUMENT: Final = 16 * 1024 * 1024
"""Bytes of a document that is read."""

MAX_ALL: Final = 4 * MAX_DOCUMENT
"""Bytes of all documents that are read, in the order of the manifest."""


def compared_documents(
    source: Source, bundle: Bundle, manifest: Manifest, measured: Evidence, cancel: Cancel | None
) -> tuple[DocumentEvidence, ...]:
    """The documents of `bundlekit.evidence.read_documents`. ``manifest`` is that of ``bundle``."""
    intact = {one.subject for one in measured.chunks or () if not one.damaged_count}
    chunks = {one.subject: one for one in bundle.claims if isinstance(one, ChunkClaim)}
    indexes = {one.span: one for one in bundle.claims if isinstance(one, DigestClaim) and one.of == "index"}
    contents, left, found = Contents(manifest), MAX_ALL, list[DocumentEvidence]()
    for document in manifest.documents:
        if document.name not in intact or not kinds.is_read(document.media_type):
            continue
        claim = chunks[document.name]
        if document.size > min(MAX_DOCUMENT, left):
            limit = MAX_DOCUMENT if document.size > MAX_DOCUMENT else MAX_ALL
            whose = "of one document" if limit == MAX_DOCUMENT else "of all documents"
            reason = f"it has {count(document.size, 'byte')}, and at most {limit:,} {whose} are read"
            found.append(DocumentEvidence(subject=document.name, span=claim.span, unread=reason))
            continue
        if cancel and cancel():
            raise CancelledError("cancelled before everything was read")
        left -= document.size
        data = b"".join(map(bytes, verified_chunks(source, claim, indexes[claim.index])))  # each view is reused
        if one := _compared(data, document.media_type, claim, contents):
            found.append(one)
    return tuple(found)


def _compared(data: bytes, media_type: str, claim: ChunkClaim, contents: Contents) -> DocumentEvidence | None:
    """The evidence of one document; None for JSON of a format that is not read."""
    evidence = DocumentEvidence(subject=claim.subject, span=claim.span)
    try:
        document = kinds.read(media_type, data)
        if document is None:
            return None
        result = contents.compare(document.artifacts)
    except MalformedDocumentError as error:
        where = claim.span if error.offset is None else _at(claim.span, error.offset)
        return replace(evidence, malformed=str(error), where=where)
    except LargeDocumentError as error:
        return replace(evidence, unread=str(error))
    return replace(
        evidence,
        format=document.format,
        failed=document.failed,
        compared=result.number,
        differences=result.differences,
    )


def _at(span: Span, offset: int) -> Span:
    start = min(span.start + offset, span.stop - 1)
    return Span(start=start, stop=start + 1, stream=span.stream)
