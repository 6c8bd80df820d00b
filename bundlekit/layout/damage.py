"""Recognise what happened to a file that does not begin as an update.bin."""

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
"""What becomes of the magic, and how; listed on the page about the format, too."""

_OTHERS: Final = (
    (b"hsqs", "a SquashFS image"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzip-compressed data"),
    (b"\xfd7zXZ\0", "xz-compressed data"),
    (b"\x28\xb5\x2f\xfd", "Zstandard-compressed data"),
    (b"070701", "a cpio archive, perhaps a SWUpdate image"),
    (b"070702", "a cpio archive, perhaps a SWUpdate image"),
    (b"\x7fELF", "an ELF executable"),
    (b"\x27\x05\x19\x56", "a U-Boot legacy image"),
    (b"\xd0\x0d\xfe\xed", "a device tree, perhaps a U-Boot FIT image"),
    (b"\x3d\xb8\xf3\x96", "an MCUboot image"),
    (b"-----BEGIN", "a PEM file"),
    (b"<!DOCTYPE html", "a web page, perhaps the login page of a download site"),
    (b"<html", "a web page, perhaps the login page of a download site"),
)


def text_mode(start: bytes) -> str | None:
    """How a text-mode transfer changed the magic, if that is what ``start`` shows."""
    return next((how for changed, how in TEXT_MODE if start.startswith(changed)), None)


def swapped(start: bytes) -> int | None:
    """The width in bytes (2, 4 or 8) of the units whose bytes are reversed, if that is what happened."""
    first = start[: len(MAGIC)]
    for width in (2, 4, 8):
        units = (first[at : at + width][::-1] for at in range(0, len(first), width))
        if b"".join(units) == MAGIC:
            return width
    return None


def looks_like(start: bytes) -> str | None:
    """What else a file with these first bytes is, if it is one of the well-known."""
    if not start.strip(b"\0"):
        return "nothing but zeros, as a download that was allocated and never filled"
    return next((what for magic, what in _OTHERS if start.lower().startswith(magic.lower())), None)
