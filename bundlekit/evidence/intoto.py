"""in-toto attestations: a Statement, in a DSSE envelope or a bundle of Sigstore or without one.

The signature of an envelope is not verified. The signature of the bundle covers the document.
Sources: in-toto Attestation Framework v1 (Statement, Envelope, Test Result), DSSE 1.0, Sigstore bundle 0.3, SLSA 1.1.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Final

from bundlekit.evidence.artifact import MalformedDocumentError, artifact, object_of, objects_of, shown, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.evidence.artifact import Artifact, JsonObject

STATEMENT: Final = re.compile(r"https://in-toto\.io/Statement/v(0\.1|1)")
PAYLOAD: Final = re.compile(r"application/vnd\.in-toto(\.[\w.-]+)?\+json")
SBOM: Final = ("https://cyclonedx.org/bom", "https://spdx.dev/Document")
"""How the types of predicates begin that are SBOMs."""


def payload_of(envelope: JsonObject) -> bytes | None:
    """The statement in a DSSE envelope; None for content of another type."""
    if not PAYLOAD.fullmatch(text_of(envelope, "payloadType")):
        return None
    payload = text_of(envelope, "payload").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(payload + "=" * (-len(payload) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedDocumentError("the payload of the envelope is not base64") from error


def identify(statement: JsonObject) -> str:
    """The name of the format, with the type of the predicate."""
    if not STATEMENT.fullmatch(text_of(statement, "_type")):
        raise MalformedDocumentError(f"the type of the statement is {shown(text_of(statement, '_type'))}")
    if not (predicate := text_of(statement, "predicateType")):
        raise MalformedDocumentError("the statement has no type of a predicate")
    return f"in-toto ({predicate[:80]})"


def artifacts(statement: JsonObject) -> Iterator[Artifact]:
    """The subjects."""
    subjects = objects_of(statement, "subject")
    if not subjects:
        raise MalformedDocumentError("the statement has no subject")
    for subject in subjects:
        digests = object_of(subject, "digest")
        yield artifact(text_of(subject, "name"), "", [(name, text_of(digests, name)) for name in digests], main=True)


RESULTS: Final = {
    "https://in-toto.io/attestation/test-result/": ("result", frozenset({"PASSED", "WARNED", "FAILED"})),
    "https://slsa.dev/verification_summary/": ("verificationResult", frozenset({"PASSED", "FAILED"})),
}
"""How the types of predicates begin that state a result, the field that has it, and its values."""


def has_failed(statement: JsonObject) -> bool:
    """Whether the statement is the result of a test or of a check that failed."""
    kind = text_of(statement, "predicateType")
    for beginning, (name, values) in RESULTS.items():
        if kind.startswith(beginning):
            result = text_of(object_of(statement, "predicate"), name)
            if result not in values:
                raise MalformedDocumentError(f"the {name} is {shown(result)}")
            return result == "FAILED"
    return False


def sbom_of(statement: JsonObject) -> JsonObject | None:
    """The predicate, if its type is that of an SBOM."""
    if not text_of(statement, "predicateType").startswith(SBOM):
        return None
    return object_of(statement, "predicate")
