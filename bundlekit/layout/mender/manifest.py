"""The ``manifest`` of a Mender artifact: a line of digest and name for each file. It is what the signature covers.

The device reads each line by one pattern. mender-artifact forgives blank lines, and it verifies the signature over what
it would have written itself. Here each byte counts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from bundlekit.errors import LayoutError
from bundlekit.model.bundle import Problem, Span

if TYPE_CHECKING:
    from bundlekit.model.bundle import Compression

MAX_NAME: Final = 100
"""Characters of a name. The client on the device refuses longer lines."""

PAYLOAD: Final = "data/0000"
"""The archive of the only payload, without ending, and the folder of its files in the manifest."""

ENDINGS: Final[dict[str, Compression]] = {"": "none", ".gz": "gzip", ".xz": "xz", ".zst": "zstd"}
"""The compressions of an archive, by the ending of its name."""

HEADERS: Final = {f"header.tar{ending}": compression for ending, compression in ENDINGS.items()}
PAYLOADS: Final = {f"{PAYLOAD}.tar{ending}": compression for ending, compression in ENDINGS.items()}

_DIGITS: Final = 64
_WEAK: Final = (0, 8, 32, 40, 56)
"""Hex digits of no digest, CRC-32, MD5, SHA-1 and SHA-224."""

_NAME: Final = re.compile(rb"[A-Za-z0-9_.,-]+(?:/[A-Za-z0-9_.,-]+)*")
_FILE: Final = r"data/[0-9]{4}/[A-Za-z0-9_.,-]+"


class ManifestEntry(NamedTuple):
    """A line: the name, the digest (``algorithm:hex``), and where the line is."""

    name: str
    digest: str
    where: Span

    @property
    def file(self) -> str:
        """The name of a file in the payload, without its folder; empty for other entries."""
        folder, _, file = self.name.rpartition("/")
        return file if folder == PAYLOAD else ""


def manifest_entries(data: bytes, start: int) -> dict[str, ManifestEntry]:
    """The entries by name. ``start`` is the position of ``data`` in the file. Raises LayoutError."""
    entries: dict[str, ManifestEntry] = {}
    at = start
    for line in data.split(b"\n")[:-1]:
        where = Span(start=at, stop=at + len(line) + 1)
        entry = _entry(line, where)
        if entry.name in entries:
            raise _wrong("metadata-malformed", f"{entry.name!r} is listed twice", where)
        entries[entry.name] = entry
        at = where.stop
    if not data.endswith(b"\n"):
        message = "the last line of the manifest has no line end" if data else "the manifest is empty"
        raise _wrong("metadata-malformed", message, Span(start=at, stop=start + len(data)))
    return entries


def _entry(line: bytes, where: Span) -> ManifestEntry:
    digest, blanks, name = line.partition(b"  ")
    if not blanks or not name:
        raise _wrong("metadata-malformed", "a line of the manifest is not a digest, two blanks and a name", where)
    if len(digest) in _WEAK and not digest.strip(b"0123456789abcdefABCDEF"):
        shown = name.decode("ascii", "replace")
        message = f"the digest of {shown!r} has {4 * len(digest)} bits, but SHA-256 has 256"
        raise _wrong("digest-weak", message if digest else f"{shown!r} has no digest", where)
    if len(digest) != _DIGITS or digest.strip(b"0123456789abcdef"):
        raise _wrong("metadata-malformed", "a digest in the manifest is not 64 lower-case hex digits", where)
    if not _NAME.fullmatch(name) or len(name) > MAX_NAME:
        message = "a name in the manifest has other characters than letters, digits and _-.,/ or is too long"
        raise _wrong("metadata-malformed", message, where)
    text = name.decode("ascii")
    if {".", ".."} & set(text.split("/")) or (text.startswith("data/") and not re.fullmatch(_FILE, text)):
        raise _wrong("member-misplaced", f"{text!r} is not a file of a payload (data/0000/NAME)", where)
    return ManifestEntry(text, f"sha256:{digest.decode('ascii')}", where)


def _wrong(rule: str, message: str, where: Span) -> LayoutError:
    return LayoutError(Problem(rule=rule, message=message, where=where))
