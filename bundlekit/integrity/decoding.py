"""Decode one compressed stream, piece by piece: gzip, xz, and zstd where Python has it. Anything after it is a fault.

The decoders of the standard library stop at the end of the first stream, and some programs go on with a second one.
Such a file would be read in two ways, so exactly one stream is allowed.
"""

from __future__ import annotations

import lzma
import zlib
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.model.bundle import Compression

FED: Final = 128 * 1024
"""Bytes given to a decoder at once. It copies what it could not use yet, so larger pieces cost more."""

DECODED: Final = 1024 * 1024
"""Bytes of one decoded piece, at most: input that expands a thousandfold is decoded in steps."""

XZ_MEMORY: Final = 96 * 1024 * 1024
"""Bytes that decoding xz can use. The largest preset of xz needs 65 MiB, for its window of 64 MiB."""

_ZSTD: Final = "compression.zstd"

_GZIP_TIMES: Final = (bytes(4), bytes.fromhex("00096e88"))
_GZIP_START: Final = b"\x1f\x8b\x08\x00"
_GZIP_ENDS: Final = (b"\x00\xff", b"\x02\xff")
_GZIP_HEADER: Final = 10


class StreamError(Exception):
    """The stream cannot be decoded, or is not the only one."""


def readable(compression: str) -> bool:
    """Whether this Python can decode it. zstd came with Python 3.14."""
    return compression != "zstd" or _has_zstd()


def _has_zstd() -> bool:
    return find_spec("compression") is not None and find_spec(_ZSTD) is not None


class Decoder(Protocol):
    """A decoder that has seen some of its input."""

    def feed(self, data: memoryview) -> Iterator[memoryview]:
        """The bytes that ``data`` adds. Raises StreamError."""

    def finish(self) -> None:
        """Raise StreamError if the stream has not ended."""


def decoder(compression: Compression) -> Decoder | None:
    """A new decoder; None if nothing is to be decoded."""
    match compression:
        case "none":
            return None
        case "gzip":
            return _Gzip()
        case "xz":
            return _WithTail(lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY), lzma.LZMAError)
        case "zstd":
            zstd = import_module(_ZSTD)
            return _WithTail(zstd.ZstdDecompressor(), zstd.ZstdError)


def decoded(data: bytes, compression: Compression) -> Iterator[memoryview]:
    """The decoded bytes of ``data``, as far as they are asked for. Raises StreamError."""
    decode, view = decoder(compression), memoryview(data)
    for start in range(0, len(data), FED):
        piece = view[start : start + FED]
        if decode is None:
            yield piece
        else:
            yield from decode.feed(piece)
    if decode is not None:
        decode.finish()


class _Gzip:
    """One member of a gzip file (RFC 1952), with the header that the libraries of Go write for a stream.

    No signature covers the header, so only what mender-artifact writes is allowed: no optional field, an unknown
    system, and the time zero, which is the year 1 in some libraries. The effort is the default one (0), or the best
    one (2) from version 3.10 of mender-artifact on.
    """

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        self._start = b""

    def feed(self, data: memoryview) -> Iterator[memoryview]:
        if len(self._start) < _GZIP_HEADER:
            self._start += bytes(data[: _GZIP_HEADER - len(self._start)])
            if len(self._start) == _GZIP_HEADER:
                self._check_header()
        if self._inflate.eof:
            raise StreamError("bytes follow the end of its gzip stream")
        rest: bytes | memoryview = data
        full = False
        while len(rest) or full:
            try:
                piece = self._inflate.decompress(rest, DECODED)
            except zlib.error as error:
                raise StreamError("its gzip stream is damaged") from error
            if piece:
                yield memoryview(piece)
            if self._inflate.unused_data:
                raise StreamError("bytes follow the end of its gzip stream")
            rest = self._inflate.unconsumed_tail
            full = len(piece) == DECODED  # then a part of the output can still be in the decoder

    def finish(self) -> None:
        if not self._inflate.eof:
            raise StreamError("its gzip stream is not complete")

    def _check_header(self) -> None:
        start = self._start
        if not (start.startswith(_GZIP_START) and start[4:8] in _GZIP_TIMES and start[8:] in _GZIP_ENDS):
            raise StreamError("its gzip header has optional fields, a time, or a wrong value")


class _WithTail:
    """A decoder of the standard library that keeps the input it has not used: xz and zstd have the same methods."""

    def __init__(self, decompressor: Any, error: type[Exception]) -> None:  # noqa: ANN401 - two unrelated classes
        self._decompressor = decompressor
        self._error = error

    def feed(self, data: memoryview) -> Iterator[memoryview]:
        rest: bytes | memoryview = data
        while not self._decompressor.eof and (len(rest) or not self._decompressor.needs_input):
            try:
                piece = self._decompressor.decompress(rest, DECODED)
            except (self._error, EOFError) as error:
                raise StreamError("its compressed stream is damaged, or needs too much memory") from error
            rest = b""
            if piece:
                yield memoryview(piece)
        if rest or self._decompressor.unused_data:
            raise StreamError("bytes follow the end of its compressed stream")

    def finish(self) -> None:
        if not self._decompressor.eof:
            raise StreamError("its compressed stream is not complete")
