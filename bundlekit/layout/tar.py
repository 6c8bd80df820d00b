"""A strict reader of tar archives: POSIX ustar, with the records of pax that long names and large sizes need.

Programs that read tar differ in what they forgive. This reader forgives nothing, so that all of them see the same
members. A header has exactly one form, which is that of the archive library of Go. Source: POSIX.1-2017, pax, "ustar
Interchange Format" and "pax Header Block". Only regular files are members.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from bundlekit.errors import LayoutError
from bundlekit.model.bundle import Problem, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK: Final = 512
"""Bytes of a block: a header has one, and content is padded to whole ones."""

END_SIZE: Final = 2 * BLOCK
"""Bytes of zeros that end an archive."""

MAX_RECORDS: Final = 16 * BLOCK
"""Bytes of the pax records of one member. A name has at most 4096 bytes, and the other values are numbers."""

MAX_OCTAL: Final = 8**11
"""Sizes from here on do not fit into the octal field, so pax records hold them."""

_CHECKSUM: Final = Span(start=148, stop=156)
_PAX_FREE: Final = frozenset({"mtime", "atime", "ctime", "uid", "gid", "uname", "gname"})
"""Keys of pax records that concern neither the name nor the content of a member."""


def _number(field: bytes) -> bool:
    """Octal digits and a zero."""
    return field[-1:] == b"\0" and not field[:-1].strip(b"01234567")


def _text(field: bytes) -> bool:
    """Any bytes, and zeros after the first zero."""
    return not any(field.partition(b"\0")[2])


def _zeros(field: bytes) -> bool:
    return not any(field)


def _magic(field: bytes) -> bool:
    return field == b"ustar\x0000"


def _devices(field: bytes) -> bool:
    """Two numbers that are zero."""
    return field == b"0000000\0" * 2


_FIELDS: Final = (
    ("name", 0, 100, _text),
    ("mode", 100, 108, _number),
    ("user number", 108, 116, _number),
    ("group number", 116, 124, _number),
    ("size", 124, 136, _number),
    ("time", 136, 148, _number),
    ("link name", 157, 257, _zeros),
    ("magic", 257, 265, _magic),
    ("user name", 265, 297, _text),
    ("group name", 297, 329, _text),
    ("device numbers", 329, 345, _devices),
    ("prefix of the name", 345, 500, _text),
    ("unused part", 500, 512, _zeros),
)
"""The fields of a header that have only these forms. Checksum and type are read on their own."""

FREE: Final = (Span(start=100, stop=124), Span(start=136, stop=156), Span(start=265, stop=329))
"""The parts of a header whose values mean nothing: mode and numbers of owners, time and checksum, names of owners."""


class BlockInput(Protocol):
    """Bytes that are read as blocks, one after another. ``at`` is the position of the next one."""

    at: int

    def block(self) -> bytes:
        """The next block; shorter than `BLOCK` if the bytes end before."""


class TarInput(BlockInput, Protocol):
    """An archive that is read as a stream."""

    def take(self, size: int) -> Iterator[memoryview]:
        """The next ``size`` bytes, piece by piece; fewer if the stream ends earlier."""

    def ended(self) -> bool:
        """Whether no byte is left."""


class TarMember(NamedTuple):
    """A regular file in the archive. ``header`` are all its header blocks, and ``content`` its bytes."""

    name: str
    header: Span
    content: Span

    @property
    def padding(self) -> Span:
        """The zeros between the content and the next block."""
        stop = self.content.start - (-self.content.size // BLOCK) * BLOCK
        return Span(start=self.content.stop, stop=stop, stream=self.content.stream)


class _Header(NamedTuple):
    name: str
    size: int
    records: bool


def next_member(source: BlockInput, stream: str = "") -> TarMember | None:
    """The next member, whose header is at the position of ``source``; None at the end of the archive.

    At the end only the first of the two blocks of zeros has been read; `check_end` reads the other. ``stream`` names
    the archive in spans. Raises LayoutError ``structure-malformed``.
    """
    start = source.at
    block = _block(source, stream)
    if not any(block):
        return None
    header = _header(block, start, stream)
    name, size = header.name, header.size
    if header.records:
        records = _records(source, header.size, stream)
        at = source.at
        header = _header(_block(source, stream), at, stream)
        if header.records:
            raise tar_fault("two headers with pax records follow each other", at, at + BLOCK, stream)
        name, size = records.get("path", header.name), int(records.get("size", header.size))
        if header.size not in (0, size):
            raise tar_fault(f"the header states {header.size} bytes, its pax record {size}", at, at + BLOCK, stream)
    content = Span(start=source.at, stop=source.at + size, stream=stream)
    return TarMember(name, Span(start=start, stop=source.at, stream=stream), content)


def check_end(source: BlockInput, stream: str = "") -> None:
    """Read the second of the two blocks of zeros that end an archive. Raises LayoutError as `next_member` does."""
    at = source.at
    if any(_block(source, stream)):
        raise tar_fault("a header follows a single block of zeros", at - BLOCK, at, stream)


def tar_fault(message: str, start: int, stop: int, stream: str = "") -> LayoutError:
    """The fault ``structure-malformed`` at these bytes."""
    return LayoutError(
        Problem(rule="structure-malformed", message=message, where=Span(start=start, stop=stop, stream=stream))
    )


def _block(source: BlockInput, stream: str) -> bytes:
    at = source.at
    block = source.block()
    if len(block) < BLOCK:
        raise tar_fault("the archive ends within a header", at, at + len(block), stream)
    return block


def _header(block: bytes, at: int, stream: str) -> _Header:
    """Check every field of a header. Raises LayoutError."""

    def wrong(message: str, start: int, stop: int) -> LayoutError:
        return tar_fault(f"tar header at 0x{at:x}: {message}", at + start, at + stop, stream)

    stated = block[_CHECKSUM.start : _CHECKSUM.stop]
    found = sum(block) - sum(stated) + 8 * ord(" ")
    if stated != b"%06o\0 " % found:
        raise wrong("its checksum does not match", 0, BLOCK)
    for field, start, stop, form in _FIELDS:
        if not form(block[start:stop]):
            raise wrong(f"wrong form of the {field}", start, stop)
    kind = block[156:157]
    if kind not in (b"0", b"x"):
        raise wrong(f"its type is {kind.decode('latin-1')!r}, but only regular files are allowed", 156, 157)
    size = int(block[124:135], 8)
    if kind == b"x" and not 0 < size <= MAX_RECORDS:
        raise wrong(f"it has {size} bytes of pax records, but 1 to {MAX_RECORDS} are allowed", 124, 136)
    last, prefix = block[:100].rstrip(b"\0"), block[345:500].rstrip(b"\0")
    if prefix and len(prefix) + 1 + len(last) <= len(block[:100]):
        raise wrong("the name is split in two, although it fits the first field", 345, 500)
    name = (prefix + b"/" + last if prefix else last).decode("utf-8", "backslashreplace")
    if not last:
        raise wrong("it has no name", 0, 100)
    return _Header(name, size, records=kind == b"x")


def _records(source: BlockInput, size: int, stream: str) -> dict[str, str]:
    """The pax records that follow a header, with all of their padding. Raises LayoutError."""
    start = source.at
    blocks = b"".join(_block(source, stream) for _ in range(-(-size // BLOCK)))
    where = start, start + size, stream
    if any(blocks[size:]):
        raise tar_fault("the padding of pax records is not zero", start + size, start + len(blocks), stream)
    found: dict[str, str] = {}
    for key, value in _split_records(blocks[:size], where):
        if key in found:
            raise tar_fault(f"the pax record {key} is given twice", *where)
        if key not in ("path", "size") and key not in _PAX_FREE:
            raise tar_fault(f"the pax record {key[:32]!r} is not allowed", *where)
        if key == "path" and (not value or "\0" in value):
            raise tar_fault("the name in a pax record has a wrong form", *where)
        if key == "size" and not (re.fullmatch("0|[1-9][0-9]{0,18}", value) and int(value) < 2**63):
            raise tar_fault("the size in a pax record has a wrong form", *where)
        found[key] = value
    return found


def _split_records(data: bytes, where: tuple[int, int, str]) -> Iterator[tuple[str, str]]:
    """Each record is its own length in decimal digits, a blank, the key, ``=``, the value and a line end."""
    at = 0
    while at < len(data):
        length = re.match(rb"([1-9][0-9]{0,4}) ", data[at : at + 6])
        size = int(length[1]) if length else 0
        key, equals, value = data[at : at + size].partition(b" ")[2].partition(b"=")
        if not size or at + size > len(data) or not (equals and key and value.endswith(b"\n")):
            raise tar_fault("the pax records have a wrong form", *where)
        yield key.decode("utf-8", "backslashreplace"), value[:-1].decode("utf-8", "backslashreplace")
        at += size
