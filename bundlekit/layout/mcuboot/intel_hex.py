"""Intel HEX: text with the bytes of a memory and their addresses. Decoded strictly, so that it has one meaning.

Source: Intel, *Hexadecimal Object File Format Specification*, revision A (1988), and its record types 04 and 05.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from bundlekit.layout.mcuboot.image import layout_fault, structure_fault
from bundlekit.model.bundle import Span
from bundlekit.source import read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.source import Source

MAX_TEXT: Final = 48 * 1024 * 1024
"""Bytes of text that are read: those of the largest memory, in records of 16 bytes, with CR LF."""

MAX_DECODED: Final = 16 * 1024 * 1024
"""Bytes from the first address to the last one. The flash memories of microcontrollers are smaller."""

MAX_RUNS: Final = 256
"""Ranges of addresses without a gap. An image with its trailer has three."""

MAGIC: Final = 16
"""Bytes of the magic at the end of a trailer."""

PIECE: Final = 256 * 1024
LINE: Final = re.compile(rb":((?:[0-9A-Fa-f]{2}){5,260})(?:\r\n|\n|\Z)")
CUT: Final = re.compile(rb":[0-9A-Fa-f]*+\r?\Z")
"""The start of a line, up to the end of the file."""

LONGEST: Final = 1 + 2 * 260 + 2
"""Bytes of a line: colon, 255 bytes of data, five others, and the end of the line."""


class Decoded(NamedTuple):
    """The bytes from the lowest address to the highest. ``gaps`` are the spans that no record contains, filled up."""

    data: bytes
    address: int
    gaps: tuple[Span, ...]
    fill: int


class _Record(NamedTuple):
    kind: int
    address: int
    data: bytes
    where: Span


class _Run(NamedTuple):
    """Bytes at consecutive addresses, and the line that the first of them are in."""

    address: int
    data: bytearray
    line: Span

    @property
    def stop(self) -> int:
        return self.address + len(self.data)


def first_bytes(start: bytes, size: int = 4) -> bytes:
    """The data of the first data records in ``start``, the beginning of a file: at least ``size`` bytes, or all."""
    at, found = 0, b""
    while len(found) < size and (line := LINE.match(start, at)):
        raw = bytes.fromhex(line[1].decode())
        if sum(raw) % 256 or raw[0] != len(raw) - 5:
            break
        found += raw[4:-1] if raw[3] == 0 else b""
        at = line.end()
    return found


def decode(source: Source) -> Decoded:
    """The memory that the text describes. Raises LayoutError at the first line that is wrong."""
    if source.size > MAX_TEXT:
        message = f"the HEX file has {source.size} bytes; bundlekit reads at most {MAX_TEXT}"
        structure_fault(message, MAX_TEXT, source.size)
    runs: list[_Run] = []
    base, ended, total = 0, False, 0
    for record in _records(source):
        start, stop = record.where.start, record.where.stop
        if ended:
            layout_fault("trailing-data", "a line follows the end record of the HEX file", start, source.size)
        match record.kind:
            case 0:
                if record.address + len(record.data) > 0x10000:
                    structure_fault("a record passes the end of its 64 KiB", start, stop)
                total += len(record.data)
                if total > MAX_DECODED:
                    structure_fault(f"the HEX file has more than {MAX_DECODED} bytes of data", start, stop)
                address = base + record.address
                if runs and runs[-1].stop == address:
                    runs[-1].data.extend(record.data)
                elif len(runs) == MAX_RUNS:
                    structure_fault(f"the HEX file has more than {MAX_RUNS} ranges of addresses", start, stop)
                elif record.data:
                    runs.append(_Run(address, bytearray(record.data), record.where))
            case 1:
                if record.data or record.address:
                    structure_fault("the end record has an address or data", start, stop)
                ended = True
            case 2 | 4:
                base = _base(record)
            case 3 | 5:
                if len(record.data) != 4 or record.address:
                    structure_fault(f"a start record (type {record.kind:02}) has the wrong size", start, stop)
            case _:
                structure_fault(f"a record has the unknown type {record.kind:02x}", start, stop)
    if not ended:
        layout_fault("truncated", "the HEX file has no end record", source.size, source.size + 1)
    return _joined(runs, source.size)


def _base(record: _Record) -> int:
    start, stop = record.where.start, record.where.stop
    if len(record.data) != 2 or record.address:
        structure_fault(f"an address record (type {record.kind:02}) has the wrong size", start, stop)
    return int.from_bytes(record.data, "big") << (16 if record.kind == 4 else 4)


def _records(source: Source) -> Iterator[_Record]:
    """The records, one for each line. The text is read in pieces. Raises LayoutError."""
    rest, at = b"", 0
    for begin in range(0, source.size, PIECE):
        text = rest + read(source, Span(start=begin, stop=min(begin + PIECE, source.size)))
        last = begin + PIECE >= source.size
        done = 0
        while done < len(text) and (last or len(text) - done > LONGEST):
            line = LINE.match(text, done)
            if last and CUT.match(text, done) and not (line and _is_whole(line)):
                layout_fault("truncated", "the HEX file ends within a line", source.size, source.size + 1)
            if line is None:
                stop = min([at + len(text) - done, at + LONGEST, *_end_of_line(text, done, at)])
                structure_fault("a line of the HEX file is not a record", at, stop)
            raw = bytes.fromhex(line[1].decode())
            where = Span(start=at, stop=at + line.end() - done)
            if raw[0] != len(raw) - 5:
                message = f"a record has {len(raw) - 5} bytes of data instead of {raw[0]}"
                structure_fault(message, where.start, where.stop)
            if sum(raw) % 256:
                structure_fault("the checksum of a record is wrong", where.start, where.stop)
            yield _Record(raw[3], raw[1] << 8 | raw[2], raw[4:-1], where)
            at, done = where.stop, line.end()
        rest = text[done:]


def _is_whole(line: re.Match[bytes]) -> bool:
    """Whether a record has at least the bytes that it states."""
    return len(line[1]) >= 2 * (int(line[1][:2], 16) + 5)


def _end_of_line(text: bytes, done: int, at: int) -> list[int]:
    found = text.find(b"\n", done)
    return [at + found + 1 - done] if found >= 0 else []


def _joined(runs: list[_Run], size: int) -> Decoded:
    """The runs in the order of their addresses, with the gaps between them filled up. Raises LayoutError."""
    if not runs:
        structure_fault("the HEX file contains no data", 0, size)
    runs.sort(key=lambda run: run.address)
    first, tail = runs[0], runs[-1]
    if tail.stop - first.address > MAX_DECODED:
        message = (
            f"the HEX file spans {tail.stop - first.address} bytes of addresses; bundlekit reads at most {MAX_DECODED}"
        )
        where = _later(first, tail)
        structure_fault(message, where.start, where.stop)
    fill = _erased(runs)
    data, gaps, before = first.data, [], first  # the first run is most of a large file, and is not copied
    for run in runs[1:]:
        gap = run.address - first.address - len(data)
        if gap < 0:
            where = _later(before, run)
            message = f"the HEX file gives the byte at address 0x{run.address:x} twice"
            structure_fault(message, where.start, where.stop)
        if gap:
            gaps.append(Span(start=len(data), stop=len(data) + gap))
            data += bytes([fill]) * gap
        data += run.data
        before = run
    return Decoded(bytes(data), first.address, tuple(gaps), fill)


def _erased(runs: list[_Run]) -> int:
    """The value of erased memory, which the gaps have. ``runs`` are in the order of their addresses.

    imgtool writes the flag before the magic with this value after it. With a write unit above 16 bytes, a gap separates
    both. Without the flag nothing shows the value, and it is the usual one.
    """
    trailer = b"".join(bytes(run.data[-MAGIC - 1 :]) for run in runs[1:][-2:])
    return 0x00 if trailer[-MAGIC - 1 : -MAGIC] == b"\0" else 0xFF


def _later(one: _Run, other: _Run) -> Span:
    """The line that begins the later one of two runs in the file."""
    return max(one.line, other.line, key=lambda line: line.start)
