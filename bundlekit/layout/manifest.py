"""The manifest between its bytes and its values."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

import msgspec

from bundlekit.errors import LayoutError
from bundlekit.layout import canonical
from bundlekit.layout.update_bin import MAX_CHUNKS
from bundlekit.mistakes import explain
from bundlekit.model.bundle import Problem, Span
from bundlekit.model.manifest import Features, FormatVersion, Manifest, labelled

KNOWN_FORMAT: Final = FormatVersion(major=1, minor=0)
KNOWN_FEATURES: Final[frozenset[str]] = frozenset()
"""What a manifest may demand in ``requires``. Version 1.0 is understood whole and has no named feature."""


def encode(manifest: Manifest) -> bytes:
    """The canonical bytes of a manifest."""
    return canonical.encode(msgspec.to_builtins(manifest))


def decode_document(data: bytes, where: Span) -> dict[str, Any]:
    """The manifest as plain values; LayoutError ``manifest-not-canonical`` with the place in the file."""
    try:
        document = canonical.decode(data)
    except canonical.NotCanonicalError as error:
        at = min(where.start + error.offset, where.stop - 1)
        raise _wrong("manifest-not-canonical", str(error), Span(start=at, stop=at + 1)) from error
    if not isinstance(document, dict):
        raise _wrong("manifest-not-canonical", "not a JSON object", where)
    return document


def decode(document: dict[str, Any], where: Span) -> Manifest:
    """The manifest as typed values; LayoutError ``tool-too-old`` or ``manifest-schema`` says what is wrong.

    Whether the format is newer than us is asked before the schema, for a newer schema may have grown.
    """
    if newer := _newer_than_us(document):
        raise _wrong("tool-too-old", newer, where)
    try:
        manifest = msgspec.convert(document, Manifest, strict=True)
    except msgspec.ValidationError as error:
        raise _wrong("manifest-schema", explain(error, Manifest, document), where) from error
    for key, day in (("released", manifest.released), ("expires", manifest.expires)):
        if day is not None and not is_day(day):
            raise _wrong("manifest-schema", f"at {key!r}: {day} is no day of the calendar", where)
    for item in labelled(manifest):
        label, stored = item.label, item.stored
        if stored.chunk_size & (stored.chunk_size - 1):
            wrong = f"{label!r} has chunks of {stored.chunk_size} bytes, which is not a power of two"
            raise _wrong("manifest-schema", wrong, where)
        if (chunks := -(-stored.size // stored.chunk_size)) > MAX_CHUNKS:
            wrong = f"{label!r} has {chunks} chunks, allowed are {MAX_CHUNKS}"
            raise _wrong("manifest-schema", wrong, where)
    return manifest


def is_day(text: str) -> bool:
    """Whether a Date, which a pattern bounds to 31 days a month, is one of the Gregorian calendar."""
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _newer_than_us(document: dict[str, Any]) -> str | None:
    try:
        version = msgspec.convert(document.get("format"), FormatVersion, strict=True)
        requires = msgspec.convert(document.get("requires", []), Features, strict=True)
    except msgspec.ValidationError:
        return None  # the schema says so better
    if (version.major, version.minor) > (KNOWN_FORMAT.major, KNOWN_FORMAT.minor):
        known = f"{KNOWN_FORMAT.major}.{KNOWN_FORMAT.minor}"
        return f"it is of format {version.major}.{version.minor}, this bundlekit knows {known}"
    if unknown := sorted(set(requires) - KNOWN_FEATURES):
        return f"it requires the feature {unknown[0]!r}, which this bundlekit does not know"
    return None


def _wrong(rule: str, message: str, where: Span) -> LayoutError:
    return LayoutError(Problem(rule=rule, message=f"the manifest cannot be used: {message}", where=where))
