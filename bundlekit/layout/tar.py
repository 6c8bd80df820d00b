"""A strict reader of tar archives: POSIX ustar, with the records of pax that long names and large sizes need.

Programs that read tar differ in what they forgive. This reader forgives nothing, so that all of them see the same
members. Sources: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block"; GNU tar manual, "Basic Tar
Format". Only regular files are members.
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
"""Sizes from here on do not fit into the octal field, so pax records or the base-256 form of GNU tar hold them."""

_CHECKSUM: Final = Span(start=148, stop=156)
_PAX_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_PAX_FREE: Final = frozenset({"mtime", "atime", "ctime", "uid", "gid", "uname", "gname"})
"""Keys of pax records that concern neither the name nor the content of a member."""

_NUMBER: Final = re.compile(rb"[0-7]{7}\0|[0-7]{6} \0")
_LARGE: Final = re.compile(rb"[0-7]{11}[\0 ]")
_TEXT: Final = re.compile(rb"[^\0]*\0*")
_ZEROS: Final = re.compile(rb"\0*")

_FIELDS: Final = (
    ("name", 0, 100, _TEXT),
    ("mode", 100, 108, _NUMBER),
    ("user number", 108, 116, _NUMBER),
    ("group number", 116, 124, _NUMBER),
    ("time", 136, 148, _LARGE),
    ("checksum", 148, 156, re.compile(rb"[0-7]{6}\0 ")),
    ("link name", 157, 257, _ZEROS),
    ("magic", 257, 265, re.compile(rb"ustar\x0000|ustar  \0")),
    ("user name", 265, 297, _TEXT),
    ("group name", 297, 329, _TEXT),
    ("device numbers", 329, 345, re.compile(rb"(?:0{7}\0|0{6} \0|\0{8}){2}")),
    ("unused part", 500, 512, _ZEROS),
)
"""The fields of a header that have only these forms. Size, type and prefix are read on their own."""

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
        """The next ``size`` bytes, piece by piece; fewer if the stream ends before."""

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
        raise tar_fault("another header follows one block of zeros", at - BLOCK, at, stream)


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
        if not form.fullmatch(block, start, stop):
            raise wrong(f"the {field} has a wrong form", start, stop)
    kind = block[156:157]
    if kind not in (b"0", b"x"):
        raise wrong(f"its type is {kind!r}, but only regular files are allowed", 156, 157)
    size = _size(block[124:136])
    if size is None:
        raise wrong("the size has a wrong form", 124, 136)
    if kind == b"x" and not 0 < size <= MAX_RECORDS:
        raise wrong(f"{size} bytes of pax records, more than {MAX_RECORDS} or none", 124, 136)
    prefix = block[345:500]
    form = _TEXT if block[257:265] == b"ustar\x0000" else _ZEROS  # GNU tar has times there
    if not form.fullmatch(prefix):
        raise wrong("the prefix of the name has a wrong form", 345, 500)
    parts = [part.rstrip(b"\0") for part in (prefix, block[:100])]
    name = b"/".join(part for part in parts if part).decode("utf-8", "backslashreplace")
    if not name:
        raise wrong("it has no name", 0, 100)
    return _Header(name, size, records=kind == b"x")


def _size(field: bytes) -> int | None:
    """The value of a size field; None if it has no valid form. Base-256 is only for what does not fit otherwise."""
    if field[:1] == b"\x80":
        size = int.from_bytes(field[1:], "big")
        return size if MAX_OCTAL <= size < 2**63 else None
    return int(field[:11], 8) if _LARGE.fullmatch(field) else None


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
        if key == "size" and not (_PAX_SIZE.fullmatch(value) and int(value) < 2**63):
            raise tar_fault("the size in a pax record has a wrong form", *where)
        found[key] = value
    return found


def _split_records(data: bytes, where: tuple[int, int, str]) -> Iterator[tuple[str, str]]:
    """Each record is its own length in decimal digits, a blank, the key, ``=``, the value and a line end."""
    at = 0
    while at < len(data):
        digits = re.compile(rb"([1-9][0-9]{0,4}) ").match(data, at)
        record = data[digits.end() : at + int(digits[1])] if digits else b""
        key, equals, value = record.partition(b"=")
        if digits is None or at + int(digits[1]) > len(data) or not (equals and key and value.endswith(b"\n")):
            raise tar_fault("the pax records have a wrong form", *where)
        yield key.decode("utf-8", "backslashreplace"), value[:-1].decode("utf-8", "backslashreplace")
        at += int(digits[1])
