"""The image that the loaders of the ESP32 family read: header, segments, checksum, appended digest, descriptions.

Source: ESP-IDF, ``esp_app_format.h``, ``esp_app_desc.h``, ``esp_bootloader_desc.h``, ``esp_image_format.c``. What the
loader on the chip refuses is a fault here, also if the tools on a host accept it. All numbers are little-endian.
"""

from __future__ import annotations

import struct
from functools import reduce
from operator import xor
from typing import TYPE_CHECKING, Final, NamedTuple

from bundlekit.errors import LayoutError
from bundlekit.layout.esp.chips import CHIPS, NOT_LOADED, PAGE, EspChip, lies_in
from bundlekit.model.bundle import Problem, Span
from bundlekit.source import read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.source import Source

UNSUPPORTED: Final = "loader-unsupported"
"""The rule about an image that the chip refuses."""

UNCERTAIN: Final = "loader-uncertain"
"""The rule about a part that the chip ignores, and about chips that are announced only."""

MAGIC: Final = 0xE9
HEADER: Final = struct.Struct("<BBBBI4sHBHH4sB")
SEGMENT: Final = struct.Struct("<II")
MAX_SEGMENTS: Final = 16
"""``ESP_IMAGE_MAX_SEGMENTS``."""

MAX_SEGMENT: Final = 16 * 1024 * 1024
"""A segment is shorter than this. Only loaders for flash with addresses of 32 bits read longer ones."""

ALIGNMENT: Final = 16
"""The checksum is the last byte of a unit of this size."""

CHECKSUM_START: Final = 0xEF
DIGEST: Final = 32
FLASH_MODES: Final = ("qio", "qout", "dio", "dout", "fast-read", "slow-read")
FLASH_SIZES: Final = ("1MB", "2MB", "4MB", "8MB", "16MB", "32MB", "64MB", "128MB")
FLASH_SPEEDS: Final = {0: "1/2", 1: "1/3", 2: "1/4", 15: "1/1"}
"""The clock of the flash, as a part of that of its source."""

ANY_REVISION: Final = (0, 0xFFFF)
"""Values of a highest revision that mean that there is none."""

APP_MAGIC: Final = 0xABCD5432
APP: Final = struct.Struct("<II8s32s32s16s16s32s32sHHBB2s72s")
BOOTLOADER_MAGIC: Final = 80
BOOTLOADER: Final = struct.Struct("<B2sBI32s24s16s")
PAGE_BITS: Final = range(13, 19)
"""The page sizes that a description can state, as powers of two. Loaders ignore any other value."""


class EspHeader(NamedTuple):
    """The header of an image. Revisions are ``major * 100 + minor``."""

    segments: int
    flash_mode: int
    flash_size: int
    flash_speed: int
    entry: int
    chip_id: int
    min_revision: int
    max_revision: int
    digest_appended: bool

    @property
    def chip(self) -> EspChip | None:
        """The chip that the image is for; None if it is not known here."""
        return CHIPS.get(self.chip_id)


class EspSegment(NamedTuple):
    """A segment: the address it is for, and its bytes in the file."""

    address: int
    data: Span

    @property
    def header(self) -> Span:
        """The eight bytes before the data."""
        return Span(start=self.data.start - SEGMENT.size, stop=self.data.start)


class EspLayout(NamedTuple):
    """Where the parts of an image are. ``checksum`` is the span of the padding and the checksum byte.

    ``folded`` is the XOR of all bytes after the header, up to the checksum, if the checksum is right.
    ``digest`` is the span of the appended digest, and ``stop`` the end of the image, which the loader computes too.
    """

    segments: tuple[EspSegment, ...]
    checksum: Span
    folded: int
    digest: Span | None
    stop: int


class EspDescription(NamedTuple):
    """The claims of an image about itself. ``kind`` is ``app`` or ``bootloader``. Texts are empty if they are missing.

    ``page`` is the page of the flash cache in bytes; 0 if it is not stated.
    """

    kind: str
    described: bool = False
    project: str = ""
    version: str = ""
    counter: int | None = None
    built: str = ""
    idf: str = ""
    elf_digest: str = ""
    min_efuse: int = 0
    max_efuse: int = 0
    page: int = 0


def fault(message: str, where: Span, rule: str = "structure-malformed") -> LayoutError:
    """The exception for a fault at ``where``."""
    return LayoutError(Problem(rule=rule, message=message, where=where))


def need(source: Source, stop: int, what: str) -> None:
    """Raise LayoutError if the file ends before ``stop``."""
    if source.size < stop:
        message = f"the file ends after {source.size} bytes, within {what}, which ends at byte {stop}"
        raise fault(message, Span(start=source.size, stop=stop), "truncated")


def read_esp_header(source: Source) -> EspHeader:
    """The header of the image, within its limits. Raises LayoutError."""
    need(source, HEADER.size, "the header")
    fields = HEADER.unpack(read(source, Span(start=0, stop=HEADER.size)))
    _, segments, mode, flash, entry, _, chip_id, _, lowest, highest, _, appended = fields
    header = EspHeader(segments, mode, flash >> 4, flash & 15, entry, chip_id, lowest, highest, appended == 1)
    limits = (
        (
            1 <= segments <= MAX_SEGMENTS,
            1,
            2,
            f"the image has {segments} segments, but 1 to {MAX_SEGMENTS} are allowed",
        ),
        (mode < len(FLASH_MODES), 2, 3, f"the flash mode {mode} does not exist"),
        (header.flash_size < len(FLASH_SIZES), 3, 4, f"the flash size {header.flash_size} does not exist"),
        (header.flash_speed in FLASH_SPEEDS, 3, 4, f"the flash frequency {header.flash_speed} does not exist"),
        (appended in (0, 1), 23, 24, f"the flag for the appended digest is {appended}, but must be 0 or 1"),
        (
            highest in ANY_REVISION or lowest <= highest,
            15,
            19,
            f"the image needs a chip of revision {revision(lowest)} or later and {revision(highest)} or earlier",
        ),
    )
    for fine, start, stop, message in limits:
        if not fine:
            raise fault(message, Span(start=start, stop=stop))
    return header


def revision(number: int) -> str:
    """A revision of a chip or of its eFuse blocks, as people write it."""
    return f"v{number // 100}.{number % 100}"


def read_esp_layout(source: Source, header: EspHeader) -> EspLayout:
    """Where the parts of the image are, as a loader finds them. Raises LayoutError."""
    segments: list[EspSegment] = []
    at, folded = HEADER.size, CHECKSUM_START
    for number in range(header.segments):
        need(source, at + SEGMENT.size, f"the header of segment {number}")
        raw = read(source, Span(start=at, stop=at + SEGMENT.size))
        address, size = SEGMENT.unpack(raw)
        segment = EspSegment(address, Span(start=at + SEGMENT.size, stop=at + SEGMENT.size + size))
        _check_length(number, segment)
        need(source, segment.data.stop, f"segment {number}")
        segments.append(segment)
        at, folded = segment.data.stop, reduce(xor, raw, folded)
    stop = (at + ALIGNMENT) // ALIGNMENT * ALIGNMENT
    need(source, stop, "the padding before the checksum")
    checksum = Span(start=at, stop=stop)
    folded = reduce(xor, read(source, checksum)[:-1], folded)
    digest = Span(start=stop, stop=stop + DIGEST) if header.digest_appended else None
    stop = digest.stop if digest else stop
    need(source, stop, "the appended digest")
    return EspLayout(tuple(segments), checksum, folded, digest, stop)


def _check_length(number: int, segment: EspSegment) -> None:
    size = segment.data.size
    where = Span(start=segment.header.start + 4, stop=segment.header.stop)
    if size % 4:
        raise fault(f"segment {number} has {size} bytes, which is not a multiple of 4", where)
    if size >= MAX_SEGMENT:
        message = f"segment {number} has {size} bytes, but fewer than {MAX_SEGMENT} are allowed"
        raise fault(message, where, "header-out-of-bounds")


def unloadable(header: EspHeader, layout: EspLayout, page: int) -> Iterator[Problem]:
    """The segments that the chip cannot load. ``page`` is that of the description.

    A mapped segment has the same offset within a page in the file and in memory. The loader assumes that the image
    begins at the start of a page, as every application partition does.
    """
    chip = header.chip
    if chip is None:
        return
    rule = UNCERTAIN if chip.preview else UNSUPPORTED
    page = max(page or chip.page, chip.page) if chip.page < PAGE else PAGE
    for number, segment in enumerate(layout.segments):
        address, data = segment
        stop = address + data.size
        if not data.size or address < NOT_LOADED:
            continue
        where = Span(start=segment.header.start, stop=segment.header.start + 4)
        if not lies_in(chip.mapped, address, stop) and not lies_in(chip.memory, address, stop):
            message = f"segment {number} is for 0x{address:08x}..0x{stop:08x}, which the {chip.name} does not have"
            yield Problem(rule=rule, message=message, where=where)
        elif lies_in(chip.mapped, address, stop) and (data.start - address) % page:
            message = f"segment {number} is mapped to 0x{address:08x}, but is at 0x{data.start:x} in the file: "
            message += f"both need the same offset in a page of {page} bytes"
            yield Problem(rule=rule, message=message, where=where)


def read_esp_description(source: Source, header: EspHeader, layout: EspLayout) -> EspDescription:
    """The description at the start of the first segment. Raises LayoutError."""
    first = layout.segments[0]
    raw = read(source, Span(start=first.data.start, stop=min(first.data.stop, first.data.start + APP.size)))
    if raw.startswith(APP_MAGIC.to_bytes(4, "little")):
        if len(raw) < APP.size:
            message = f"the first segment has {len(raw)} bytes, but the description of an application has {APP.size}"
            raise fault(message, first.header)
        return _app(raw, first.data.start)
    mapped = header.chip.mapped if header.chip else ()
    kind = "app" if any(lies_in(mapped, one.address, one.address + 1) for one in layout.segments) else "bootloader"
    if kind == "bootloader" and len(raw) >= BOOTLOADER.size and raw[:3] == bytes((BOOTLOADER_MAGIC, 0, 0)):
        return _bootloader(raw[: BOOTLOADER.size], first.data.start)
    return EspDescription(kind)


def _app(raw: bytes, start: int) -> EspDescription:
    _, counter, _, version, project, time, date, idf, elf, lowest, highest, page, *_ = APP.unpack(raw)
    if highest not in ANY_REVISION and lowest > highest:
        message = (
            f"the image needs eFuse blocks of revision {revision(lowest)} or later and {revision(highest)} or earlier"
        )
        raise fault(message, Span(start=start + 176, stop=start + 180), "metadata-malformed")
    return EspDescription(
        "app",
        described=True,
        project=_text("project name", project, start + 48),
        version=_text("version", version, start + 16),
        counter=counter,
        built=" ".join(filter(None, (_text("date", date, start + 96), _text("time", time, start + 80)))),
        idf=_text("version of ESP-IDF", idf, start + 112),
        elf_digest=elf.hex(),
        min_efuse=lowest,
        max_efuse=highest,
        page=1 << page if page in PAGE_BITS else 0,
    )


def _bootloader(raw: bytes, start: int) -> EspDescription:
    _, _, counter, version, idf, built, _ = BOOTLOADER.unpack(raw)
    return EspDescription(
        "bootloader",
        described=True,
        version=str(version),
        counter=counter,
        built=_text("date", built, start + 40),
        idf=_text("version of ESP-IDF", idf, start + 8),
    )


def _text(name: str, raw: bytes, start: int) -> str:
    """The text before the first zero byte. Raises LayoutError if it has no end, or characters that cannot be shown."""
    where = Span(start=start, stop=start + len(raw))
    text, end, _ = raw.partition(b"\0")
    if not end:
        raise fault(f"the {name} in the description has no final zero byte", where, "metadata-malformed")
    try:
        decoded = text.decode()
    except UnicodeDecodeError as error:
        raise fault(f"the {name} in the description is not UTF-8", where, "metadata-malformed") from error
    if not decoded.isprintable():
        raise fault(f"the {name} in the description has a control character", where, "metadata-malformed")
    return decoded
