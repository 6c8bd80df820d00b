"""Recognise the format of a document, and give the artifacts that it names."""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

from bundlekit.evidence import cyclonedx, intoto, openvex, spdx
from bundlekit.evidence.artifact import MalformedDocumentError, object_of
from bundlekit.evidence.budget import DocumentBudget

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.evidence.artifact import Artifact, JsonObject

DECLARED: Final = (
    (re.compile(r"application/vnd\.cyclonedx\+json"), "CycloneDX"),
    (re.compile(r"application/spdx3?\+json"), "SPDX"),
    (re.compile(r"application/vnd\.in-toto([.+].*)?"), "in-toto"),
    (re.compile(r"application/(ld\+)?json|application/vnd\.dev\.sigstore\.bundle.*"), ""),
)
"""Media types of documents that are read, and the format that they declare. Other JSON is recognised by its content.

Sources: the registry of IANA; in-toto Attestation Framework v1; Sigstore bundle.
"""

LINES: Final = "application/vnd.in-toto.bundle"
"""The media type of attestations, one on each line."""


class NamedArtifacts(NamedTuple):
    """The format of a document, and the artifacts that it names. Reading them can raise MalformedDocumentError.

    ``failed``: the document is the result of a test or of a check that failed.
    """

    format: str
    artifacts: Iterator[Artifact]
    failed: bool = False


def is_read(media_type: str) -> bool:
    """Whether documents of this media type are read."""
    return any(pattern.fullmatch(essence(media_type)) for pattern, _ in DECLARED)


def essence(media_type: str) -> str:
    """The media type in lower case and without parameters (RFC 9110, section 8.3.1)."""
    return media_type.partition(";")[0].strip().lower()


def read(media_type: str, data: bytes) -> NamedArtifacts | None:
    """The artifacts that the document ``data`` names; None for JSON of another format.

    Raises MalformedDocumentError if it is not JSON that all readers read alike, or not of the declared format. Raises
    LargeDocumentError if it has too many values.
    """
    budget = DocumentBudget()
    kind = essence(media_type)
    declared = next(name for pattern, name in DECLARED if pattern.fullmatch(kind))
    if kind == LINES:
        found_in_lines = [one for one in _lines(data, budget) if one is not None]
        artifacts = chain.from_iterable(one.artifacts for one in found_in_lines)
        return NamedArtifacts("in-toto bundle", artifacts, any(one.failed for one in found_in_lines))
    found = recognise(budget.decode(data), budget)
    if declared and (found is None or not found.format.startswith(declared)):
        raise MalformedDocumentError(
            f"it is declared as {declared}, but it is {found.format if found else 'another format'}"
        )
    return found


def recognise(document: object, budget: DocumentBudget) -> NamedArtifacts | None:
    """The artifacts of a decoded document, by its content; None if the format is not known.

    What is decoded within it counts for the same ``budget``.
    """
    if not isinstance(document, dict):
        return None
    context = document.get("@context")
    if document.get("bomFormat") == "CycloneDX":
        return NamedArtifacts(cyclonedx.identify(document), cyclonedx.artifacts(document))
    if "spdxVersion" in document:
        return NamedArtifacts(spdx.identify_2(document), spdx.artifacts_2(document))
    if version := spdx.version_3(document):
        return NamedArtifacts(f"SPDX {version}", spdx.artifacts_3(document))
    if isinstance(context, str) and context.startswith(openvex.CONTEXT):
        return NamedArtifacts("OpenVEX", openvex.artifacts(document))
    if "_type" in document and "predicateType" in document:
        return _statement(document, budget)
    if "payloadType" in document:
        return _envelope(document, budget)
    if "dsseEnvelope" in document:
        return _envelope(object_of(document, "dsseEnvelope"), budget)
    return None


def _envelope(envelope: JsonObject, budget: DocumentBudget) -> NamedArtifacts | None:
    if (payload := intoto.payload_of(envelope)) is None:
        return None
    statement = budget.decode(payload)
    if not isinstance(statement, dict):
        raise MalformedDocumentError("the payload of the envelope is not a statement")
    return _statement(statement, budget)


def _statement(statement: JsonObject, budget: DocumentBudget) -> NamedArtifacts:
    form = intoto.identify(statement)
    return NamedArtifacts(form, _attested(statement, budget), intoto.has_failed(statement))


def _attested(statement: JsonObject, budget: DocumentBudget) -> Iterator[Artifact]:
    yield from intoto.artifacts(statement)
    if (sbom := intoto.sbom_of(statement)) is not None and (inside := recognise(sbom, budget)) is not None:
        yield from inside.artifacts


def _lines(data: bytes, budget: DocumentBudget) -> Iterator[NamedArtifacts | None]:
    """What each line is. Lines of an unknown format are ignored, as the specification demands."""
    at = 0
    for line in data.split(b"\n"):
        try:
            if line.strip():
                yield recognise(budget.decode(line), budget)
        except MalformedDocumentError as error:
            raise MalformedDocumentError(str(error), None if error.offset is None else at + error.offset) from error
        at += len(line) + 1
