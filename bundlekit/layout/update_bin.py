"""update.bin, format version 1: header, manifest, signature area, chunk indexes, payload.

The byte layout is declared here once, for the reader and the writer. ``bundlekit explain format`` describes it in
prose. Positions that can be computed are not stored. The manifest follows the header, and the signature area follows
the manifest. The sizes in the manifest determine the positions of indexes and images.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from bundlekit.errors import LayoutError
from bundlekit.model.bundle import Problem, Span
from bundlekit.model.manifest import labelled
from bundlekit.model.primitives import MAX_INTEGER, Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import construct as c

    from bundlekit.model.manifest import Manifest, Stored

FORMAT: Final = "update.bin/1"
MAGIC: Final = b"\x8aBKU\r\n\x1a\n"
"""A byte with the high bit set, a name, CR LF, Control-Z and LF: bytes that a text-mode transfer would damage."""

VERSION: Final = 1
DETACHED_VERSION: Final = 2
"""The version of a detached head: no payload follows the chunk indexes. Each component is in a file of its own."""

MAX_VERSION: Final = 255
"""The highest version that will ever exist. A higher number means damage, and is no reason to update bundlekit."""
HEADER_SIZE: Final = 32
ALIGNMENT: Final = 4096
MAX_MANIFEST: Final = 1024 * 1024
MIN_CAPACITY: Final = 4096
DEFAULT_CAPACITY: Final = 64 * 1024
MAX_CAPACITY: Final = 256 * 1024
MAX_SIGNATURES: Final = 16
MAX_CHUNKS: Final = 2**20
"""The maximum number of chunks of one image: no index is then larger than 64 MiB (SHA-512)."""

LENGTH_SIZE: Final = 4

DIGEST_SIZES: Final = {"sha256": 32, "sha384": 48, "sha512": 64}


@cache
def _codecs() -> tuple[c.Construct[Any, Any], c.Construct[Any, Any]]:
    """The header, and an entry of the signature area.

    construct is loaded here: that takes 10 ms, a twentieth of the check of a bundle in another format.
    """
    import construct as c

    header = c.Struct(
        "magic" / c.Bytes(len(MAGIC)),
        "version" / c.Int32ub,
        "manifest_size" / c.Int32ub,  # bytes; the manifest follows the header
        "signature_capacity" / c.Int64ub,  # bytes; the signature area follows the manifest
        "file_size" / c.Int64ub,  # bytes of the whole file, so that a receiver knows the expected size after 32 bytes
    )
    entry = c.Prefixed(c.Int32ub, c.GreedyBytes)  # one DER SignedData; the area ends at a length of zero
    return header, entry


class Header(Frozen, frozen=True, kw_only=True):
    """The first 32 bytes, all integers big-endian and in bytes."""

    magic: bytes = MAGIC
    version: int = VERSION
    manifest_size: int
    signature_capacity: int = DEFAULT_CAPACITY
    file_size: int

    @property
    def head(self) -> Span:
        """The signed span: the header and the manifest."""
        return Span(start=0, stop=HEADER_SIZE + self.manifest_size)

    @property
    def area(self) -> Span:
        """The signature area."""
        return Span(start=self.head.stop, stop=self.head.stop + self.signature_capacity)


class Placed(Frozen, frozen=True, kw_only=True):
    """The position of a stored item: its chunk index, and its bytes."""

    label: str
    stored: Stored
    index: Span
    data: Span


class Map(Frozen, frozen=True, kw_only=True):
    """The positions of everything after the signature area. ``padding`` is zero; ``end`` is the size of the file."""

    placed: tuple[Placed, ...]
    padding: tuple[Span, ...]
    end: int


def decode_header(data: bytes) -> Header:
    """The header in the first 32 bytes. The reader validates it; this function does not."""
    raw = _codecs()[0].parse(data)
    return Header(
        magic=raw.magic,
        version=raw.version,
        manifest_size=raw.manifest_size,
        signature_capacity=raw.signature_capacity,
        file_size=raw.file_size,
    )


def encode_header(header: Header) -> bytes:
    """The 32 bytes of the header."""
    fields: dict[str, Any] = {name: getattr(header, name) for name in header.__struct_fields__}
    return bytes(_codecs()[0].build(fields))


def decode_area(data: bytes, start: int) -> tuple[tuple[tuple[Span, bytes], ...], Span]:
    """The entries of a signature area that begins at ``start`` in the file, and the span left over.

    Returns each entry as the span of its DER bytes, and these bytes. Raises LayoutError for a length that passes the
    end of the area, for a repeated entry, and for more than 16 entries. The span left over is measured as zeros like
    all padding.
    """
    entries: list[tuple[Span, bytes]] = []
    at = 0
    while at + 4 <= len(data) and (length := int.from_bytes(data[at : at + 4], "big")):
        wrong = None
        if (left := len(data) - at - 4) < length:
            wrong = f"entry {len(entries)} claims {length} bytes, but {left} are left in the signature area"
        elif len(entries) == MAX_SIGNATURES:
            wrong = f"the signature area has more than {MAX_SIGNATURES} entries"
        elif any(data[at + 4 : at + 4 + length] == blob for _, blob in entries):
            wrong = f"entry {len(entries)} repeats an earlier one"
        if wrong:
            where = Span(start=start + at, stop=start + at + 4)
            raise LayoutError(Problem(rule="signature-area-malformed", message=wrong, where=where))
        blob = bytes(_codecs()[1].parse(data[at : at + 4 + length]))
        entries.append((Span(start=start + at + 4, stop=start + at + 4 + length), blob))
        at += 4 + length
    return tuple(entries), Span(start=start + at, stop=start + len(data))


def encode_area(blobs: Iterable[bytes], capacity: int) -> bytes:
    """A signature area of ``capacity`` bytes. Raises ValueError if the entries do not fit."""
    entries = b"".join(_codecs()[1].build(blob) for blob in blobs)
    if len(entries) > capacity:
        raise ValueError(f"signatures need {len(entries)} bytes, but the signature area has {capacity}")
    return entries.ljust(capacity, b"\0")


def index_size(stored: Stored) -> int:
    """Bytes of the chunk index: one raw digest per chunk. The last chunk can be shorter."""
    return -(-stored.size // stored.chunk_size) * DIGEST_SIZES[algorithm(stored.index)]


def algorithm(digest: str) -> str:
    """``sha256`` of ``sha256:…``."""
    return digest.partition(":")[0]


def place(manifest: Manifest, start: int, *, detached: bool = False) -> Map:
    """Arrange the payload of ``manifest`` after a signature area that ends at ``start``.

    First come all chunk indexes, one after another. Then each image and document begins on a multiple of 4096. The
    bytes in between are zero. The last item is padded as well, so that a file consists of whole blocks.

    A ``detached`` head ends with the chunk indexes, padded as well. Each item is then the whole of a stream that has
    its label.
    """
    padding: list[Span] = []

    def align(at: int) -> int:
        aligned = -(-at // ALIGNMENT) * ALIGNMENT
        if aligned > at:
            padding.append(Span(start=at, stop=aligned))
        return aligned

    stored = labelled(manifest)
    at = align(start)
    indexes: list[Span] = []
    for item in stored:
        indexes.append(Span(start=at, stop=at + index_size(item.stored)))
        at = indexes[-1].stop
    placed: list[Placed] = []
    for item, index in zip(stored, indexes, strict=True):
        if detached:
            data = Span(start=0, stop=item.stored.size, stream=item.label)
            placed.append(Placed(label=item.label, stored=item.stored, index=index, data=data))
            continue
        at = align(at)
        data = Span(start=at, stop=at + item.stored.size)
        placed.append(Placed(label=item.label, stored=item.stored, index=index, data=data))
        at = data.stop
    end = align(at)
    return Map(placed=tuple(placed), padding=tuple(padding), end=end)


def bounds_problems(header: Header) -> Iterator[tuple[str, Span]]:
    """The fields of a header outside the limits of the format, as a sentence and the bytes of the field."""
    limits = (
        ("version", header.version, 8, 12, 1, MAX_VERSION),
        ("manifest size", header.manifest_size, 12, 16, 2, MAX_MANIFEST),
        ("signature capacity", header.signature_capacity, 16, 24, MIN_CAPACITY, MAX_CAPACITY),
        ("file size", header.file_size, 24, 32, header.area.stop, MAX_INTEGER),
    )
    for name, value, start, stop, low, high in limits:
        if not low <= value <= high:
            yield f"the {name} is {value}, but {low} to {high} are allowed", Span(start=start, stop=stop)
