"""PEM as text: the blocks of a file (RFC 7468), and what is between them."""

from __future__ import annotations

import re
from base64 import b64decode
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from typing import TYPE_CHECKING, Final

from bundlekit.errors import TrustError
from bundlekit.files import LIMITS, read_bounded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_FILE: Final = LIMITS["pem"]
"""Bytes of one trust file."""

MAX_BLOCKS: Final = 4096
"""PEM blocks in one file."""


def words(data: bytes) -> bytes:
    """The text outside the blocks of a PEM file that `blocks` has read."""
    before, *parts = data.split(BEGIN)
    return b"\n".join([before, *(part.partition(b"-----END ")[2].partition(b"-----")[2] for part in parts)])


def read_pem(file: Path, limit: int = MAX_FILE) -> bytes:
    """The bytes of a file, or of a pipe that was passed on, of at most ``limit`` bytes. Raises TrustError."""
    return read_bounded(file, limit, error=TrustError)


def blocks(file: Path, data: bytes, *, notes: bool = True) -> Iterator[tuple[str, bytes, bytes]]:
    """Label, block, and the text before it. Raises TrustError for content that would be ignored.

    Text before a block explains it (RFC 7468 section 2), as `openssl x509 -text` writes it. After the last block only
    comments are allowed. Text that looks like data is allowed nowhere, because it would not be used. ``notes=False``:
    the caller reads the text between the blocks itself.
    """
    if not data.strip():
        raise TrustError(f"{file} is empty.", next_step="Give the certificate of a CA, or a public key, as PEM.")
    before, *parts = data.split(BEGIN)
    if len(parts) > MAX_BLOCKS:
        msg = f"{file} has more than {MAX_BLOCKS} PEM blocks."
        raise TrustError(msg)
    if not parts:
        raise _no_pem(file, data)
    for part in parts:  # each ends before the next begins, so this takes one pass
        label = LABEL.match(part)
        end = part.find(b"-----END " + label[1] + b"-----") if label else -1
        if label is None or end < 0:
            raise _no_pem(file, data)
        if notes and (stray := _stray(before, LIKE_DATA)):
            raise _left_out(file, stray)
        stop = end + len(b"-----END ") + len(label[0])
        yield label[1].decode("ascii"), BEGIN + part[:stop], before
        before = part[stop:]
    if notes and (stray := _stray(before, ANYTHING)):
        raise _left_out(file, stray)


BEGIN: Final = b"-----BEGIN "
LABEL: Final = re.compile(rb"([A-Z0-9 ]{1,40})-----")

LIKE_DATA: Final = re.compile(rb"sha-?[0-9]+ *[:=]|[A-Za-z0-9+/]{40,}={0,2}$|-{4,} *(BEGIN|END)", re.IGNORECASE)
"""The beginning of a line that is an id, encoded bytes, or a damaged mark of a block, and no comment."""

ANYTHING: Final = re.compile(rb".")


def _stray(words: bytes, pattern: re.Pattern[bytes]) -> bytes:
    """The first line that matches the pattern, without blanks around it. Comments begin with ``#``."""
    lines = (line.strip() for line in words.splitlines())
    return next((line for line in lines if not line.startswith(b"#") and pattern.match(line)), b"")


def utf_16(data: bytes) -> str:
    """The next step for text in UTF-16, as the redirection of some shells writes it; empty for any other text."""
    return "It is text in UTF-16. Save it as ASCII or UTF-8." if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else ""


def _no_pem(file: Path, data: bytes) -> TrustError:
    if advice := utf_16(data):
        return TrustError(f"{file} is not a PEM file.", next_step=advice)
    return TrustError(
        f"{file} is not a PEM file, or a damaged one.",
        next_step="A DER file is turned into PEM by `openssl x509 -inform DER -in FILE -out FILE.pem`.",
    )


def _left_out(file: Path, line: bytes) -> TrustError:
    text = line[:64].decode(errors="replace")
    return TrustError(
        f"{file} holds {text!r} outside its PEM blocks, which would not be used.",
        next_step="Remove it, or make it a comment that begins with #.",
    )


def block_bytes(file: Path, block: bytes) -> bytes:
    """The bytes that one PEM block of ``file`` encodes. Raises TrustError."""
    try:
        return b64decode(b"".join(line.strip() for line in block.splitlines()[1:-1]), validate=True)
    except ValueError as error:
        msg = f"A block in {file} cannot be used: it is not base64."
        raise TrustError(msg) from error
