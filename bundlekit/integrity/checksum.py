"""Checksums that formats have besides digests. They find accidents, and an attacker can compute them."""

from __future__ import annotations

import hashlib
from functools import reduce
from operator import xor
from struct import Struct
from typing import Final, Protocol
from zlib import adler32

ROW: Final = 4096
"""Bytes that are combined at a time, as one large number."""
SUMMED: Final = 256
"""Bytes that are summed at a time: 256 times 255 is less than 65,521."""
SLICES: Final = Struct(f"{SUMMED}s").iter_unpack


Bytes = bytes | bytearray | memoryview


class DigestState(Protocol):
    """A digest that is being computed."""

    def update(self, data: Bytes, /) -> None:
        """Add the bytes to it."""

    def hexdigest(self) -> str:
        """The value in lower-case hex."""


class Xor8:
    """The exclusive or of all bytes, as in the images of the ESP32 family."""

    def __init__(self) -> None:
        self._row = 0

    def update(self, data: Bytes, /) -> None:
        """Combine the bytes. The order of bytes does not matter, so rows of any length can be combined."""
        view = memoryview(data)
        for at in range(0, len(view), ROW):
            self._row ^= int.from_bytes(view[at : at + ROW], "little")

    def hexdigest(self) -> str:
        """The value in two hex digits."""
        return f"{reduce(xor, self._row.to_bytes(ROW, 'little')):02x}"


class Sum32:
    """The sum of all bytes modulo 2^32, as in cpio archives of the format crc."""

    def __init__(self) -> None:
        self._sum = 0

    def update(self, data: Bytes, /) -> None:
        """Add the bytes. The low half of an Adler-32 is the sum modulo 65,521, which 256 bytes cannot reach.

        This is nine times as fast as the function ``sum``.
        """
        view = memoryview(data)
        whole = len(view) - len(view) % SUMMED
        total = adler32(view[whole:], 0) & 0xFFFF
        for (part,) in SLICES(view[:whole]):
            total += adler32(part, 0) & 0xFFFF
        self._sum += total

    def hexdigest(self) -> str:
        """The value in eight hex digits."""
        return f"{self._sum & 0xFFFFFFFF:08x}"


CHECKSUMS: Final[dict[str, type[Xor8 | Sum32]]] = {"xor8": Xor8, "sum32": Sum32}
"""The checksums, by name."""


def new_state(algorithm: str) -> DigestState:
    """The state of a digest or checksum. ``algorithm`` is a name in `CHECKSUMS`, or one that `hashlib` has."""
    checksum = CHECKSUMS.get(algorithm)
    return checksum() if checksum else hashlib.new(algorithm)
