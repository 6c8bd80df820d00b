"""Recognise the damage to a file that does not begin like an update.bin."""

from __future__ import annotations

from typing import Final

from bundlekit.layout.update_bin import MAGIC

TEXT_MODE: Final = (
    (MAGIC.replace(b"\r\n", b"\n"), "CR LF was turned into LF"),
    (MAGIC.replace(b"\n", b"\r\n"), "LF was turned into CR LF"),
    (MAGIC.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"), "line ends were turned into CR LF"),
    (MAGIC.replace(b"\r\n", b"\r").replace(b"\n", b"\r"), "line ends were turned into CR"),
    (bytes(byte & 0x7F for byte in MAGIC), "the high bit of each byte was stripped"),
    (MAGIC.decode("latin-1").encode(), "the file was taken for Latin-1 text and rewritten as UTF-8"),
    (MAGIC.decode("utf-8", "replace").encode(), "the file was taken for UTF-8 text and rewritten"),
    (MAGIC.partition(b"\x1a")[0] + b"\n", "the file was cut at Control-Z"),
)
"""The damaged forms of the magic, and the cause of each. The page about the format lists them too."""


def text_mode(start: bytes) -> str | None:
    """How a text-mode transfer changed the magic, if ``start`` shows that."""
    return next((how for changed, how in TEXT_MODE if start.startswith(changed)), None)


def swapped(start: bytes) -> int | None:
    """The width in bytes (2, 4 or 8) of the units whose bytes are reversed; None if that is not the damage."""
    first = start[: len(MAGIC)]
    for width in (2, 4, 8):
        units = (first[at : at + width][::-1] for at in range(0, len(first), width))
        if b"".join(units) == MAGIC:
            return width
    return None


def leading_zeros(start: bytes, size: int) -> str | None:
    """The number of leading zeros of a file of ``size`` bytes, as far as ``start`` shows; None if hardly any."""
    zeros = len(start) - len(start.lstrip(b"\0"))
    if zeros < min(len(MAGIC), len(start)) or not zeros:
        return None
    if zeros == size:
        return f"all its {size:,} bytes are zeros, as of a download that was allocated and never filled"
    if zeros == len(start):
        return f"the first {zeros:,} of its {size:,} bytes are zeros, and the rest was not read"
    return f"it begins with {zeros:,} zeros"
