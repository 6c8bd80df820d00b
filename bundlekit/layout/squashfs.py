"""A SquashFS image (version 4.0): its superblock. `unsquashfs` reads a file of it."""

from __future__ import annotations

from typing import Final, NamedTuple

MAGIC: Final = b"hsqs"
SUPERBLOCK: Final = 96
"""Bytes of the superblock."""
VERSION: Final = (4, 0)
BLOCK: Final = 4096
"""``mksquashfs`` pads an image to a multiple of these bytes."""


class Superblock(NamedTuple):
    """The version and the size in bytes, without padding, of an image."""

    version: tuple[int, int]
    size: int

    @property
    def padded(self) -> int:
        """The size with the padding of ``mksquashfs``."""
        return -(-self.size // BLOCK) * BLOCK


def superblock(start: bytes) -> Superblock | None:
    """The superblock at the beginning of ``start``; None if there is none, or not all of it."""
    if len(start) < SUPERBLOCK or not start.startswith(MAGIC):
        return None
    major, minor = (int.from_bytes(start[at : at + 2], "little") for at in (28, 30))
    return Superblock((major, minor), int.from_bytes(start[40:48], "little"))
