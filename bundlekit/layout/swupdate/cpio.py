"""The cpio archive of a SWUpdate image, in the formats newc (070701) and crc (070702), read without leniency.

The header fields are hexadecimal numbers of eight digits (cpio(5), *New ASCII Format*). Each field with a meaning has
exactly one allowed value, or is compared with the content later. `FREE` lists the bytes that remain. Only the headers
are read, so the cost depends on the number of members and not on their size.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from bundlekit.errors import LayoutError
from bundlekit.escape import escape
from bundlekit.model.bundle import Problem, Span
from bundlekit.source import read
from bundlekit.wording import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.source import Source

HEADER: Final = 110
"""Bytes of a header: a magic of six bytes, and thirteen numbers."""
NEWC, CRC = b"070701", b"070702"
FIELDS: Final = (
    *("ino", "mode", "uid", "gid", "nlink", "mtime", "filesize", "devmajor", "devminor"),
    *("rdevmajor", "rdevminor", "namesize", "check"),
)
PLACES: Final = {name: Span(start=6 + 8 * at, stop=14 + 8 * at) for at, name in enumerate(FIELDS)}
"""The position of each field in the header."""

FREE: Final = (
    Span(start=6, stop=14),  # ino
    Span(start=19, stop=38),  # the nine permission bits of mode, then uid and gid
    Span(start=42, stop=54),  # the low half of nlink, then mtime
    Span(start=67, stop=70),  # the low twelve bits of devmajor
    Span(start=73, stop=78),  # the low twenty bits of devminor
)
"""The bytes of a header that can have several values. No device uses them, and the tools write what `stat` reports."""

TRAILER: Final = "TRAILER!!!"
BLOCK: Final = 512
"""The size of the file is a multiple of this: cpio, swugenerator and bsdcpio fill the last block with zeros."""
MAX_FILL: Final = 64 * 1024
"""Bytes after the last block that are read to find out whether they are zeros. ``cpio -B`` fills blocks of 5 KiB."""
MAX_MEMBERS: Final = 1024
"""Members of an archive. Releases have a few dozen. Each member costs a read and some memory."""
MAX_NAME: Final = 255
"""Bytes of a name. The name in SWUpdate is an array of 256 bytes (``MAX_IMAGE_FNAME``), with a zero at the end."""

_DIGITS: Final = re.compile(rb"[0-9A-F]{104}|[0-9a-f]{104}")
_FIELD: Final = re.compile(rb"[0-9A-F]{8}|[0-9a-f]{8}")
_REGULAR: Final = 0o100000
_LINKS_AT_END: Final = (1, 16)
"""``nlink`` of the trailer: cpio and bsdcpio write 1. swugenerator writes 16."""


class CpioMember(NamedTuple):
    """A member of the archive: its header with the name, its content, and the zeros after both.

    ``check`` is the sum of the bytes of the content; None in the format newc, which has none.
    """

    name: str
    header: Span
    data: Span
    padding: tuple[Span, ...]
    check: int | None

    def field(self, name: str) -> Span:
        """The position of a field of the header in the file."""
        return _moved(PLACES[name], self.header.start)

    def framing(self) -> Iterator[tuple[Span, bool]]:
        """The parts of the header, in order, and whether each of them is free."""
        free = [_moved(one, self.header.start) for one in FREE]
        edges = sorted({edge for one in (self.header, *free) for edge in (one.start, one.stop)})
        for start, stop in pairwise(edges):
            span = Span(start=start, stop=stop)
            yield span, span in free


class CpioArchive(NamedTuple):
    """What an archive consists of, as far as it could be read.

    ``end`` is the header of the trailer with its name, and ``padding`` the zeros after it; None if the end was not
    reached. ``size`` is the size that the file should have.
    """

    members: tuple[CpioMember, ...]
    problems: tuple[Problem, ...]
    end: Span | None = None
    padding: Span | None = None
    size: int | None = None


class _Header(NamedTuple):
    """A header as it is in the file."""

    magic: bytes
    digits: bytes
    numbers: dict[str, int]
    start: int


def walk(source: Source) -> CpioArchive:
    """The members of the archive, up to the first header that cannot be read. The content is not read."""
    members: list[CpioMember] = []
    problems: list[Problem] = []
    headers: list[_Header] = []
    at = 0
    try:
        while len(members) <= MAX_MEMBERS:
            header, name, stop = _read_header(source, at)
            headers.append(header)
            where = Span(start=at, stop=stop)
            if name == TRAILER:
                problems += [*_trailer_faults(header), *_archive_faults(headers, members)]
                return _ended(source, members, problems, where)
            problems += [*_member_faults(header, name), *_name_faults(name, where)]
            members.append(_member(header, name, where))
            at = _aligned(members[-1].data.stop)
            if at > source.size:
                message = f"the file ends within the member {escape(name)!r}"
                problems.append(_fault(message, Span(start=source.size, stop=at), rule="truncated"))
                break
        else:
            message = f"the archive has more than {MAX_MEMBERS} members"
            problems.append(_fault(message, Span(start=at, stop=at + HEADER), rule="header-out-of-bounds"))
    except LayoutError as error:
        problems.append(error.problem)
    return CpioArchive(tuple(members), tuple(problems))


def _moved(span: Span, by: int) -> Span:
    return Span(start=span.start + by, stop=span.stop + by)


def _aligned(at: int, unit: int = 4) -> int:
    return -(-at // unit) * unit


def _fault(message: str, where: Span, *, rule: str = "structure-malformed") -> Problem:
    return Problem(rule=rule, message=message, where=where)


def _read_header(source: Source, at: int) -> tuple[_Header, str, int]:
    """The header at ``at``, the name after it, and the end of the name."""
    if source.size < at + HEADER:
        message = "the file is empty" if not source.size else "the file ends before the end of the archive"
        raise LayoutError(_fault(message, Span(start=source.size, stop=at + HEADER), rule="truncated"))
    start = read(source, Span(start=at, stop=min(at + HEADER + MAX_NAME + 1, source.size)))
    magic, digits = start[:6], start[6:HEADER]
    if magic not in (NEWC, CRC):
        message = "a header of a member was expected here, in the cpio format newc or crc"
        raise LayoutError(_fault(message, Span(start=at, stop=at + 6)))
    if not _DIGITS.fullmatch(digits):
        fields = (one for one in PLACES.values() if not _FIELD.fullmatch(start[one.start : one.stop]))
        wrong = next(fields, Span(start=6, stop=HEADER))  # or two fields, each of them in one case
        message = "a field of the header is not a hexadecimal number, or mixes upper and lower case"
        raise LayoutError(_fault(message, _moved(wrong, at)))
    numbers = {name: int(start[place.start : place.stop], 16) for name, place in PLACES.items()}
    stop = at + HEADER + numbers["namesize"]
    if not 2 <= numbers["namesize"] <= MAX_NAME + 1:
        message = f"a name has {numbers['namesize']} bytes with its final zero, but 2 to {MAX_NAME + 1} are allowed"
        raise LayoutError(_fault(message, _moved(PLACES["namesize"], at)))
    if stop > source.size:
        raise LayoutError(
            _fault("the file ends within the name of a member", Span(start=source.size, stop=stop), rule="truncated")
        )
    name, where = start[HEADER : HEADER + numbers["namesize"]], Span(start=at + HEADER, stop=stop)
    if name.find(b"\0") != len(name) - 1:
        raise LayoutError(_fault("a name does not end with its only zero byte", where))
    try:
        return _Header(magic, digits, numbers, at), name[:-1].decode(), stop
    except UnicodeDecodeError as error:
        raise LayoutError(_fault("a name is not UTF-8", where)) from error


def _member(header: _Header, name: str, where: Span) -> CpioMember:
    start = _aligned(where.stop)
    data = Span(start=start, stop=start + header.numbers["filesize"])
    gaps = Span(start=where.stop, stop=start), Span(start=data.stop, stop=_aligned(data.stop))
    check = header.numbers["check"] if header.magic == CRC else None
    return CpioMember(name, where, data, tuple(one for one in gaps if one.size), check)


def _member_faults(header: _Header, name: str) -> Iterator[Problem]:
    """The fields of a member's header that have a meaning, and a value that no tool writes for a file in an image."""
    number = header.numbers
    kind = "not that of a regular file without special bits"
    links = "not a number of links from 1 to 65,535"
    device = "not the number of a device"
    for field, wrong, what in (
        ("mode", number["mode"] & ~0o777 != _REGULAR, kind),
        ("nlink", not 1 <= number["nlink"] <= 0xFFFF, links),
        ("devmajor", number["devmajor"] > 0xFFF, device),
        ("devminor", number["devminor"] > 0xFFFFF, device),
        ("rdevmajor", number["rdevmajor"] != 0, "not zero"),
        ("rdevminor", number["rdevminor"] != 0, "not zero"),
        ("check", header.magic == NEWC and number["check"] != 0, "not zero, as the format newc has no checksum"),
    ):
        if wrong:
            message = f"the {field} of the member {escape(name)!r} is {number[field]:#x}, {what}"
            yield _fault(message, _moved(PLACES[field], header.start))


def _name_faults(name: str, where: Span) -> Iterator[Problem]:
    """A name is that of a file in the one folder that SWUpdate unpacks to, and looks the same to everyone."""
    if name in (".", "..") or name.startswith("-") or re.search(r"[/\\]", name) or escape(name) != name:
        message = f"the name {escape(name)!r} is not a plain file name"
        yield _fault(message, Span(start=where.start + HEADER, stop=where.stop), rule="member-misplaced")


def _trailer_faults(header: _Header) -> Iterator[Problem]:
    for field, number in header.numbers.items():
        allowed = _LINKS_AT_END if field == "nlink" else (len(TRAILER) + 1,) if field == "namesize" else (0,)
        if number not in allowed:
            message = f"the {field} of the last header of the archive is {number:#x}"
            yield _fault(message, _moved(PLACES[field], header.start))


def _archive_faults(headers: list[_Header], members: list[CpioMember]) -> Iterator[Problem]:
    """What must be the same, or different, in all headers. The last one always has a letter in its digits."""
    last = headers[-1]
    lower = last.digits.islower()
    linked: dict[tuple[int, ...], str] = {}
    for header, member in zip(headers, members, strict=False):
        if header.magic != last.magic:
            message = "the headers of the archive have two formats, newc and crc"
            yield _fault(message, Span(start=header.start, stop=header.start + 6))
        if header.digits != (header.digits.lower() if lower else header.digits.upper()):
            message = "the headers of the archive mix upper-case and lower-case hexadecimal digits"
            yield _fault(message, Span(start=header.start + 6, stop=header.start + HEADER))
        one = tuple(header.numbers[field] for field in ("ino", "devmajor", "devminor"))
        if header.numbers["nlink"] > 1 and one in linked:
            message = f"the members {escape(linked[one])!r} and {escape(member.name)!r} are links to one file"
            yield _fault(message, member.field("ino"))
        linked.setdefault(one, member.name)


def _ended(source: Source, members: list[CpioMember], problems: list[Problem], end: Span) -> CpioArchive:
    size = _aligned(end.stop, BLOCK)
    if source.size < size:
        message = f"the file ends within its last block; {size - source.size} bytes are missing"
        problems.append(_fault(message, Span(start=source.size, stop=size), rule="truncated"))
    if source.size > size:
        rest = Span(start=size, stop=source.size)
        message = f"{count(rest.size, 'byte')} after the last block of the archive"
        if rest.size <= MAX_FILL and not any(read(source, rest)):
            message += f", all zero: `cpio -B` and `-C` fill larger blocks than the {BLOCK} bytes that are allowed"
        problems.append(_fault(message, rest, rule="trailing-data"))
    padding = Span(start=end.stop, stop=min(size, source.size))
    return CpioArchive(tuple(members), tuple(problems), end, padding if padding.size else None, size)
