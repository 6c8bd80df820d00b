"""Recognise a merged flash image: bootloader, partition table and applications in one file, as for a new device.

Source: ESP-IDF, ``esp_flash_partitions.h`` and ``gen_esp32part.py``. The file is not one signed bundle, so it is only
named, with the place of the application in it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from bundlekit.errors import LayoutError
from bundlekit.layout.esp.image import MAGIC, read_esp_header, read_esp_layout
from bundlekit.layout.esp.signature import MAGIC as BLOCK_MAGIC
from bundlekit.layout.esp.signature import SECTOR
from bundlekit.model.bundle import Span
from bundlekit.source import read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.source import Source

ENTRY: Final = struct.Struct("<HBBII16sI")
ENTRY_MAGIC: Final = 0x50AA
MAX_ENTRIES: Final = 95
"""The entries of a table, which has one sector with its MD5 entry."""

MAX_TABLE_AT: Final = 0x40000
"""A table is looked for up to here. Its usual place is 0x8000; a large bootloader moves it."""

BOOTLOADERS: Final = (0, 0x1000, 0x2000)
"""Where the ROM of a chip finds the bootloader. A file can also begin there."""

APP_TYPE: Final = 0


class FlashPartition(NamedTuple):
    """An entry of a partition table: where it is in the flash."""

    kind: int
    offset: int
    size: int
    label: str


class FlashPart:
    """The bytes of ``source`` from ``start`` on, as a source of its own."""

    def __init__(self, source: Source, start: int) -> None:
        self.name = source.name
        self.size, self.held = max(source.size - start, 0), max(source.held - start, 0)
        self._source, self._start = source, start

    def readinto(self, offset: int, buffer: memoryview) -> None:
        """The same as for the whole source."""
        self._source.readinto(self._start + offset, buffer)

    def ensure_unchanged(self) -> None:
        """The same as for the whole source."""
        self._source.ensure_unchanged()


def find_table(source: Source, start: int) -> tuple[int, list[FlashPartition]] | None:
    """The first partition table in a sector from ``start`` on: its place, and its entries. None if there is none."""
    first = -(-start // SECTOR) * SECTOR
    for at in range(first, min(source.size, MAX_TABLE_AT) - SECTOR + 1, SECTOR):
        if entries := list(_entries(read(source, Span(start=at, stop=at + SECTOR)))):
            return at, entries
    return None


def _entries(sector: bytes) -> Iterator[FlashPartition]:
    for at in range(0, MAX_ENTRIES * ENTRY.size, ENTRY.size):
        magic, kind, _, offset, size, label, _ = ENTRY.unpack_from(sector, at)
        if magic != ENTRY_MAGIC or offset % SECTOR or not size:
            return
        text = label.partition(b"\0")[0].decode("ascii", "replace")
        yield FlashPartition(kind, offset, size, text if text.isprintable() else "")


def applications(source: Source, entries: list[FlashPartition]) -> Iterator[tuple[FlashPartition, Span]]:
    """The applications that are in the file: their partitions, and their spans with the signature sector if any."""
    apps = [one for one in entries if one.kind == APP_TYPE]
    for base in BOOTLOADERS:
        found = [(one, _image_at(source, one.offset - base)) for one in apps]
        if any(span for _, span in found):
            yield from ((one, span) for one, span in found if span)
            return


def _image_at(source: Source, start: int) -> Span | None:
    """The span of the image at ``start``; None if no image begins there, or if it is damaged."""
    if start <= 0 or start + 1 > source.size or read(source, Span(start=start, stop=start + 1))[0] != MAGIC:
        return None
    part = FlashPart(source, start)
    try:
        stop = start + read_esp_layout(part, read_esp_header(part)).stop
    except LayoutError:
        return None
    sector = start + -(-(stop - start) // SECTOR) * SECTOR
    if sector + SECTOR <= source.size and read(source, Span(start=sector, stop=sector + 1))[0] == BLOCK_MAGIC:
        stop = sector + SECTOR
    return Span(start=start, stop=stop)
