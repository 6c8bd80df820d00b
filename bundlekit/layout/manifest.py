"""Conversion of the manifest between bytes and values."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bundlekit.errors import LayoutError
from bundlekit.layout import canonical
from bundlekit.layout.places import Places
from bundlekit.layout.update_bin import MAX_CHUNKS
from bundlekit.model.bundle import Problem, Span
from bundlekit.model.manifest import Features, FormatVersion, Manifest, labelled
from bundlekit.schema_errors import explain, place_of

if TYPE_CHECKING:
    from collections.abc import Iterator

KNOWN_FORMAT: Final = FormatVersion(major=1, minor=1)
SECOND: Final = FormatVersion(major=1, minor=1)
"""The first format with detached heads, and with components in other formats."""

KNOWN_FEATURES: Final[frozenset[str]] = frozenset()
"""The features that a manifest can demand in ``requires``. Version 1.1 is fully supported and has no named feature."""


def encode(manifest: Manifest) -> bytes:
    """The canonical bytes of a manifest."""
    return canonical.encode(msgspec.to_builtins(manifest))


def decode_document(data: bytes, where: Span) -> dict[str, Any]:
    """The manifest as plain values. LayoutError ``manifest-not-canonical`` gives the position in the file."""
    try:
        document = canonical.decode(data)
    except canonical.NotCanonicalError as error:
        at = min(where.start + error.offset, where.stop - 1)
        raise _wrong("manifest-not-canonical", str(error), Span(start=at, stop=at + 1)) from error
    if not isinstance(document, dict):
        raise _wrong("manifest-not-canonical", "not a JSON object", where)
    return document


def decode(document: dict[str, Any], where: Span) -> Manifest:
    """The manifest as typed values. LayoutError ``tool-too-old`` or ``manifest-schema`` gives the fault.

    The version of the format is checked before the schema, because a newer schema can have more fields.
    """
    for path, newer in _newer_than_us(document):
        raise _wrong("tool-too-old", newer, Places(document, where).at(path))
    try:
        manifest = msgspec.convert(document, Manifest, strict=True)
    except msgspec.ValidationError as error:
        place = Places(document, where).at(place_of(error, Manifest, document))
        raise _wrong("manifest-schema", explain(error, Manifest, document), place) from error
    for path, fault in _beyond_types(manifest):
        raise _wrong("manifest-schema", fault, Places(document, where).at(path))
    return manifest


def _beyond_types(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """The constraints on every manifest that a schema cannot express: the path, and the fault there."""
    for key, day in (("released", manifest.released), ("expires", manifest.expires)):
        if day is not None and not is_day(day):
            yield key, f"at {key!r}: {day} is not a calendar day"
    first = manifest.format.minor == 0
    for item in labelled(manifest):
        label, stored = item.label, item.stored
        if first and (stored.file is not None or item.format is not None):
            key = "file" if stored.file is not None else "format"
            yield item.path, f"{label!r} has the key {key!r}, which format 1.1 adds, but the manifest is of format 1.0"
        if stored.chunk_size & (stored.chunk_size - 1):
            wrong = f"{label!r} has chunks of {stored.chunk_size} bytes, which is not a power of two"
            yield f"{item.path}.chunk-size", wrong
        if (chunks := -(-stored.size // stored.chunk_size)) > MAX_CHUNKS:
            yield f"{item.path}.size", f"{label!r} has {chunks} chunks, but at most {MAX_CHUNKS} are allowed"


def is_day(text: str) -> bool:
    """Whether a Date, which a pattern limits to 31 days a month, exists in the Gregorian calendar."""
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _newer_than_us(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The parts that only a newer bundlekit understands: the path, and the text of the fault."""
    try:
        version = msgspec.convert(document.get("format"), FormatVersion, strict=True)
        requires = msgspec.convert(document.get("requires", []), Features, strict=True)
    except msgspec.ValidationError:
        return  # the schema reports this better
    if (version.major, version.minor) > (KNOWN_FORMAT.major, KNOWN_FORMAT.minor):
        known = f"{KNOWN_FORMAT.major}.{KNOWN_FORMAT.minor}"
        yield "format", f"it is of format {version.major}.{version.minor}, but this bundlekit supports {known}"
    if unknown := sorted(set(requires) - KNOWN_FEATURES):
        yield "requires", f"it requires the feature {unknown[0]!r}, which this bundlekit does not support"


def _wrong(rule: str, message: str, where: Span) -> LayoutError:
    return LayoutError(Problem(rule=rule, message=f"the manifest cannot be used: {message}", where=where))
