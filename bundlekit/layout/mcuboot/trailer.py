"""The rest of a flash slot after an MCUboot image: erased flash memory, and perhaps the trailer of the boot loader.

Source: ``docs/design.md`` of MCUboot 2.4, section *Image trailer*, and ``boot/bootutil/src/bootutil_public.c``.
"""

from __future__ import annotations

from operator import eq
from typing import TYPE_CHECKING, Final, NamedTuple

from bundlekit.layout.mcuboot.image import MAX_IMAGE, layout_fault, structure_fault
from bundlekit.model.bundle import FramingClaim, Span, ZeroClaim
from bundlekit.source import read
from bundlekit.wording import count

if TYPE_CHECKING:
    from bundlekit.model.bundle import ByteClaim
    from bundlekit.source import Source

MAGIC_8: Final = bytes.fromhex("77c295f360d2ef7f3552500f2cb67980")
"""The end of a slot whose largest write unit is 8 bytes."""

MAGIC_OTHER: Final = bytes.fromhex("2de15d29410b8d77679c110f1f8a")
"""The last 14 bytes of the magic otherwise. The write unit in bytes precedes them, in 16 bits."""

WRITE_UNITS: Final = (16, 32, 64, 128, 256, 512)
"""imgtool writes 8, 16 and 32. The boot loader can be built for larger ones."""

SECTOR: Final = 1024
"""A slot has whole sectors. Smaller sectors exist, but slots are multiples of this size nevertheless."""

ERASED: Final = (0xFF, 0x00)
"""What erased flash memory reads as, by its kind."""

SET: Final = 0x01
SWAPS: Final = {2: "test", 3: "permanent", 4: "revert"}


class SlotRest(NamedTuple):
    """The rest of a slot: the claims about its bytes, and its fields as plain JSON values."""

    claims: tuple[ByteClaim, ...] = ()
    document: dict[str, object] | None = None


def read_slot(source: Source, end: int, *, fill: int | None = None) -> SlotRest:
    """The bytes after the image, which ends at ``end``.

    ``fill`` is the value of erased memory, if it is known. Raises LayoutError for bytes that are neither padding nor a
    trailer, and for a trailer with impossible values.
    """
    if end == source.size:
        return SlotRest()
    last = read(source, Span(start=max(end, source.size - 16), stop=source.size))
    unit = _write_unit(last)
    erased = read(source, Span(start=end, stop=end + 1))[0] if fill is None else fill
    if erased not in ERASED or source.size > MAX_IMAGE or source.size % SECTOR:
        surplus = source.size - end
        layout_fault(
            "trailing-data", f"{count(surplus, 'byte')} after the {count(end, 'byte')} of the image", end, source.size
        )
    if not unit and _is_damaged_magic(last):
        structure_fault("the magic of the trailer is damaged, or names no write unit", source.size - 16, source.size)
    if not unit:
        whole = Span(start=end, stop=source.size)
        padding = ZeroClaim(subject="padding", span=whole, fill=erased)
        return SlotRest((padding,), {"size": source.size, "erased": erased})
    return _trailer(source, end, unit, erased)


def _write_unit(magic: bytes) -> int:
    """The write unit that the magic at the end of a slot stands for, in bytes; 0 if these are other bytes."""
    if magic == MAGIC_8:
        return 8
    unit = int.from_bytes(magic[:2], "little")
    return unit if magic[2:] == MAGIC_OTHER and unit in WRITE_UNITS else 0


def _is_damaged_magic(last: bytes) -> bool:
    """Whether the end of a slot resembles a magic more than it does erased memory."""
    return any(sum(map(eq, last[-len(magic) :], magic)) > len(magic) // 2 for magic in (MAGIC_8, MAGIC_OTHER))


def _trailer(source: Source, end: int, unit: int, erased: int) -> SlotRest:
    size = source.size
    magic = size - max(unit, 16)
    places = {"swap-info": magic - 3 * unit, "copy-done": magic - 2 * unit, "image-ok": magic - unit}
    if places["swap-info"] < end:
        message = "the trailer of the slot overlaps the image"
        structure_fault(message, places["swap-info"], size)
    document: dict[str, object] = {"size": size, "erased": erased, "write-unit": unit}
    claims: list[ByteClaim] = []
    at = end
    for name, place in (*places.items(), ("magic", size - 16)):
        stop = place + 1 if name in places else size
        claims.append(ZeroClaim(subject="padding", span=Span(start=at, stop=place), fill=erased))
        claims.append(FramingClaim(subject=f"slot trailer: {name}", span=Span(start=place, stop=stop)))
        if name in places:
            value = read(source, Span(start=place, stop=stop))[0]
            document[name] = _field(name, value, erased, place)
        at = stop
    return SlotRest(tuple(claims), document)


def _field(name: str, value: int, erased: int, place: int) -> object:
    """The value of a field of the trailer. The boot loader takes any other value for a broken trailer."""
    if value == erased:
        return None if name == "swap-info" else False
    if name != "swap-info" and value == SET:
        return True
    if name == "swap-info" and value % 16 in SWAPS:
        return {"swap": SWAPS[value % 16], "image": value // 16}
    return structure_fault(
        f"{name} in the trailer of the slot is 0x{value:02x}, which is not one of its values", place, place + 1
    )
