"""OpenVEX in JSON: the products with their hashes. Their versions are not compared.

A VEX document is often about several versions of a product. Source: OpenVEX Specification 0.2.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bundlekit.evidence.artifact import MalformedDocumentError, artifact, list_of, object_of, objects_of, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.evidence.artifact import Artifact, JsonObject

CONTEXT: Final = "https://openvex.dev/ns"


def artifacts(document: JsonObject) -> Iterator[Artifact]:
    """The products of all statements."""
    if "statements" not in document:
        raise MalformedDocumentError("'statements' is missing")
    for statement in objects_of(document, "statements"):
        if not text_of(statement, "status"):
            raise MalformedDocumentError("a statement has no status")
        for product in list_of(statement, "products"):
            if isinstance(product, dict):
                hashes = object_of(product, "hashes")
                name = text_of(product, "@id")
                yield artifact(name, "", [(one, text_of(hashes, one)) for one in hashes])
