"""The advisories file, version 1: magic, version, size, one document in canonical JSON, signatures.

The signed part begins with a magic of its own and ends with the document. A signature over an advisory is therefore
never one over a bundle, and vice versa. Signatures have the format of the signature area of a bundle (entries of
``length ‖ DER``). A length of zero ends them, and the file ends there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import construct as c
import msgspec

from bundlekit.errors import LayoutError
from bundlekit.layout import canonical, update_bin
from bundlekit.layout.places import Places
from bundlekit.model.advisory import Advisory
from bundlekit.model.bundle import Problem, Span
from bundlekit.model.primitives import Frozen
from bundlekit.schema_errors import explain, place_of

if TYPE_CHECKING:
    from collections.abc import Sequence

MAGIC: Final = b"\x8aBKA\r\n\x1a\n"
"""Like the magic of a bundle, with another letter. It reveals a transfer in text mode, and distinguishes the two."""

VERSION: Final = 1
MAX_DOCUMENT: Final = update_bin.MAX_MANIFEST
END: Final = bytes(4)
MAX_FILE: Final = 16 + MAX_DOCUMENT + update_bin.MAX_SIGNATURES * (4 + 65536) + len(END)
"""Bytes of a file with the largest document and the maximum number of the largest signatures."""

_HEADER = c.Struct(
    "magic" / c.Bytes(len(MAGIC)),
    "version" / c.Int32ub,
    "document_size" / c.Int32ub,  # bytes; the document follows the header
)
HEADER_SIZE: Final = 16


class SignedAdvisory(Frozen, frozen=True, kw_only=True):
    """An advisories file as read, not verified. ``spans`` are the positions of the signatures."""

    advisory: Advisory
    signed: bytes
    signatures: tuple[bytes, ...]
    spans: tuple[Span, ...]


def encode(advisory: Advisory) -> bytes:
    """The signed bytes: header and document."""
    document = canonical.encode(msgspec.to_builtins(advisory))
    header: bytes = _HEADER.build({"magic": MAGIC, "version": VERSION, "document_size": len(document)})
    return header + document


def write(signed: bytes, signatures: Sequence[bytes]) -> bytes:
    """The whole file."""
    return signed + update_bin.encode_area(signatures, sum(4 + len(one) for one in signatures)) + END


def read(data: bytes) -> SignedAdvisory:
    """Read an advisories file. LayoutError ``advisory-malformed`` gives the fault and its position."""
    if len(data) < HEADER_SIZE or not data.startswith(MAGIC):
        raise _malformed("it does not begin like an advisories file", 0)
    header = _HEADER.parse(data)
    stop = HEADER_SIZE + header.document_size
    if header.version != VERSION:
        raise _malformed(f"it is of version {header.version}, but this bundlekit supports {VERSION}", 8)
    if header.document_size > MAX_DOCUMENT or stop + len(END) > len(data):
        raise _malformed(f"its document claims {header.document_size} bytes", 12)
    try:
        document = canonical.decode(data[HEADER_SIZE:stop])
    except canonical.NotCanonicalError as error:
        raise _malformed(f"its document is not canonical JSON: {error}", HEADER_SIZE + error.offset) from error
    try:
        advisory = msgspec.convert(document, Advisory, strict=True)
    except msgspec.ValidationError as error:
        wrong = f"its document cannot be used: {explain(error, Advisory, document)}"
        places = Places(document, Span(start=HEADER_SIZE, stop=stop))
        raise _malformed(wrong, places.at(place_of(error, Advisory, document))) from error
    try:
        entries, rest = update_bin.decode_area(data[stop:], stop)
    except LayoutError as error:
        raise _malformed(error.problem.message, stop) from error
    if data[rest.start :] != END:
        raise _malformed("data follows its last signature", rest.start)
    return SignedAdvisory(
        advisory=advisory,
        signed=data[:stop],
        signatures=tuple(blob for _, blob in entries),
        spans=tuple(span for span, _ in entries),
    )


def _malformed(message: str, at: int | Span) -> LayoutError:
    where = at if isinstance(at, Span) else Span(start=at, stop=at + 1)
    return LayoutError(Problem(rule="advisory-malformed", message=message, where=where))
