"""An artifact that a document names, in one shape for all formats, and how fields of a document are read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

JsonObject = dict[str, Any]
"""An object of a document, as it was decoded."""

ALGORITHMS: Final = {"sha256": 64, "sha384": 96, "sha512": 128}
"""The digests that can be compared with those of a manifest, and the number of their hex digits."""

_DIGEST: Final = re.compile("(sha256|sha384|sha512):([0-9a-fA-F]+)")


class MalformedDocumentError(ValueError):
    """The document does not follow the format that it has, or is declared to have.

    ``offset`` is the first byte that shows it; None if it is not known.
    """

    def __init__(self, message: str, offset: int | None = None) -> None:
        super().__init__(message)
        self.offset = offset


class Artifact(NamedTuple):
    """An artifact that a document names. ``digests`` are in hex, by the names in `ALGORITHMS`.

    ``main``: the document is about this artifact. ``by_name``: the name can be that of a component. A library in an
    SBOM can have the name of a component by chance.
    """

    name: str
    version: str
    digests: dict[str, str]
    main: bool
    by_name: bool


def artifact(
    name: str, version: str, hashes: Iterable[tuple[str, str]], *, main: bool = False, by_name: bool = False
) -> Artifact:
    """An artifact with the digests that can be compared. MalformedDocumentError for a digest of the wrong length.

    Some scanners give a digest in the place of a version.
    """
    if as_digest := _DIGEST.fullmatch(version):
        version, hashes = "", (*hashes, (as_digest[1], as_digest[2]))
    digests: dict[str, str] = {}
    for spelled, value in hashes:
        algorithm = re.sub("[^a-z0-9]", "", spelled.lower())
        if algorithm not in ALGORITHMS:
            continue
        if not re.fullmatch(f"[0-9a-fA-F]{{{ALGORITHMS[algorithm]}}}", value):
            raise MalformedDocumentError(f"the {algorithm} of {shown(name)} is not {ALGORITHMS[algorithm]} hex digits")
        digests[algorithm] = value.lower()
    return Artifact(name, version, digests, main, by_name or main)


def shown(text: str) -> str:
    """Text from a document in a message: quoted, and not too long."""
    return repr(text if len(text) <= 80 else f"{text[:80]}…")


def text_of(node: JsonObject, key: str) -> str:
    """The text ``key`` of an object, or empty text if it is missing. MalformedDocumentError for another type."""
    value = node.get(key, "")
    if not isinstance(value, str):
        raise MalformedDocumentError(f"{shown(key)} is not text")
    return value


def list_of(node: JsonObject, key: str) -> list[Any]:
    """The list ``key`` of an object, empty if it is missing. MalformedDocumentError for another type."""
    value = node.get(key, [])
    if not isinstance(value, list):
        raise MalformedDocumentError(f"{shown(key)} is not a list")
    return value


def objects_of(node: JsonObject, key: str) -> list[JsonObject]:
    """The list ``key`` of objects, empty if it is missing. MalformedDocumentError for another type."""
    value = list_of(node, key)
    if not all(isinstance(one, dict) for one in value):
        raise MalformedDocumentError(f"{shown(key)} contains a value that is not an object")
    return value


def object_of(node: JsonObject, key: str) -> JsonObject:
    """The object ``key``, empty if it is missing. MalformedDocumentError for another type."""
    value = node.get(key, {})
    if not isinstance(value, dict):
        raise MalformedDocumentError(f"{shown(key)} is not an object")
    return value
