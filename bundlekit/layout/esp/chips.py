"""The chips of the ESP32 family: what their loaders accept. Source: ESP-IDF, ``components/soc`` and its Kconfig files.

A loader refuses a segment outside the memory of its chip, and a signature scheme that its ROM does not have.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

AddressRange = tuple[int, int]
"""Addresses, the second one excluded."""

Scheme = Literal["rsa", "ecdsa-p192", "ecdsa-p256", "ecdsa-p384"]
"""A signature scheme of secure boot v2."""

KIB: Final = 1024
PAGE: Final = 64 * KIB
"""The page of the flash cache, unless the chip can be configured."""

NOT_LOADED: Final = 0x10000000
"""A segment below this address is padding in the file. The loader neither maps nor copies it."""


class EspChip(NamedTuple):
    """A chip: its name, the addresses of flash and memory, its smallest page, and its secure boot.

    ``mapped`` are the addresses at which the flash cache shows the image. Segments at ``memory`` are copied there.
    ``schemes`` are those of secure boot v2. ``blocks`` is how many signature blocks the ROM reads.
    ``preview``: the chip is only announced, so that its memory and its ROM are not settled.
    """

    name: str
    mapped: tuple[AddressRange, ...]
    memory: tuple[AddressRange, ...]
    page: int = PAGE
    schemes: tuple[Scheme, ...] = ("rsa",)
    blocks: int = 3
    preview: bool = False


_RSA_OR_P256: Final[tuple[Scheme, ...]] = ("rsa", "ecdsa-p192", "ecdsa-p256")
_ALL: Final[tuple[Scheme, ...]] = (*_RSA_OR_P256, "ecdsa-p384")
_P256: Final[tuple[Scheme, ...]] = ("ecdsa-p192", "ecdsa-p256")

CHIPS: Final = {
    0: EspChip(
        "esp32",
        mapped=((0x3F400000, 0x3F800000), (0x400D0000, 0x40400000)),
        memory=(
            (0x3FF80000, 0x3FF82000),
            (0x3FFAE000, 0x40000000),
            (0x40078000, 0x400C2000),
            (0x50000000, 0x50002000),
        ),
        blocks=1,
    ),
    2: EspChip(
        "esp32s2",
        mapped=((0x3F000000, 0x3FF80000), (0x40080000, 0x40800000)),
        memory=((0x3FF9E000, 0x40000000), (0x40020000, 0x40072000), (0x50000000, 0x50002000)),
    ),
    5: EspChip(
        "esp32c3",
        mapped=((0x3C000000, 0x3C800000), (0x42000000, 0x42800000)),
        memory=((0x3FC80000, 0x3FD00000), (0x4037C000, 0x403E0000), (0x50000000, 0x50002000)),
    ),
    9: EspChip(
        "esp32s3",
        mapped=((0x3C000000, 0x3E000000), (0x42000000, 0x44000000)),
        memory=(
            (0x3FC88000, 0x3FD00000),
            (0x40370000, 0x403E0000),
            (0x50000000, 0x50002000),
            (0x600FE000, 0x60100000),
        ),
    ),
    12: EspChip(
        "esp32c2",
        mapped=((0x3C000000, 0x3C400000), (0x42000000, 0x42400000)),
        memory=((0x3FCA0000, 0x3FCE0000), (0x4037C000, 0x403C0000)),
        page=16 * KIB,
        schemes=_P256,
        blocks=1,
    ),
    13: EspChip(
        "esp32c6",
        mapped=((0x42000000, 0x43000000),),
        memory=((0x40800000, 0x40880000), (0x50000000, 0x50004000)),
        page=8 * KIB,
        schemes=_RSA_OR_P256,
    ),
    16: EspChip(
        "esp32h2",
        mapped=((0x42000000, 0x43000000),),
        memory=((0x40800000, 0x40850000), (0x50000000, 0x50001000)),
        page=8 * KIB,
        schemes=_RSA_OR_P256,
    ),
    18: EspChip(
        "esp32p4",
        mapped=((0x40000000, 0x44000000), (0x48000000, 0x4C000000)),
        memory=((0x30100000, 0x30102000), (0x4FF00000, 0x4FFC0000), (0x50108000, 0x50110000)),
        schemes=_ALL,
    ),
    20: EspChip(
        "esp32c61",
        mapped=((0x42000000, 0x44000000),),
        memory=((0x40800000, 0x40850000),),
        page=8 * KIB,
        schemes=_P256,
    ),
    23: EspChip(
        "esp32c5",
        mapped=((0x42000000, 0x44000000),),
        memory=((0x40800000, 0x40860000), (0x50000000, 0x50004000)),
        schemes=_ALL,
    ),
    25: EspChip(
        "esp32h21",
        mapped=((0x42000000, 0x43000000),),
        memory=((0x40800000, 0x40850000), (0x50000000, 0x50001000)),
        page=8 * KIB,
        preview=True,
    ),
    28: EspChip(
        "esp32h4",
        mapped=((0x42000000, 0x44000000),),
        memory=((0x40800000, 0x40860000), (0x50000000, 0x50004000)),
        page=8 * KIB,
        schemes=_ALL,
        preview=True,
    ),
    31: EspChip(
        "esp32e22",
        mapped=((0x3C000000, 0x40000000),),
        memory=((0x30FE0000, 0x31200000), (0xC0000000, 0xC0008000)),
        schemes=_ALL,
        preview=True,
    ),
    32: EspChip(
        "esp32s31",
        mapped=((0x40000000, 0x44000000), (0x50000000, 0x54000000)),
        memory=((0x2E000000, 0x2E008000), (0x2F000000, 0x2F080000)),
        page=32 * KIB,
        schemes=_ALL,
        preview=True,
    ),
}
"""By the chip id in the header of an image. For chips in preview the list is generous where ESP-IDF is undecided.

The values of ESP32-E22, which ESP-IDF does not have yet, are those of esptool 5.6."""


def lies_in(ranges: tuple[AddressRange, ...], start: int, stop: int) -> bool:
    """Whether all addresses from ``start`` to before ``stop`` are in one of the ranges."""
    return any(low <= start and stop <= high for low, high in ranges)
