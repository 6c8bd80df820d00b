"""Checksums that formats have besides digests. They find accidents, and an attacker can compute them."""

from __future__ import annotations

import hashlib
from functools import reduce
from operator import xor
from typing import Final, Protocol

ROW: Final = 4096
"""Bytes that are combined at a time, as one large number."""


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


def new_state(algorithm: str) -> DigestState:
    """The state of a digest or checksum. ``algorithm`` is ``xor8``, or a name that `hashlib` has."""
    return Xor8() if algorithm == "xor8" else hashlib.new(algorithm)
