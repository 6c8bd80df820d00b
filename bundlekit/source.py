"""A bounded, read-only view of the bytes of a file.

A file is opened once. The same descriptor is validated and used, so the file cannot be exchanged in between. Reads are
positional (``pread``), so threads share the descriptor without a lock. The file is never mapped, because the process
dies with SIGBUS when a mapped file is truncated.
"""

from __future__ import annotations

import mmap
import os
import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol, Self

from bundlekit.errors import ChangedWhileReadError, LayoutError, UnreadableError
from bundlekit.file_kind import kind_of, reason
from bundlekit.model.bundle import Problem, Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

MAX_REMEMBERED: Final = 96 * 1024 * 1024
"""Bytes that a reader can parse, and that are kept. Most descriptions have a few KiB, and Intel HEX up to 48 MiB.

A SquashFS image that is no file is copied for ``unsquashfs``, which is up to 64 MiB."""

PIECE_COST: Final = 256
"""Bytes that a piece takes in memory beyond its content, so that many small reads have a limit as well."""


class Source(Protocol):
    """Bytes ``0 .. size``; ``held`` is the number of them, from the start, that can be read."""

    name: str
    size: int
    held: int

    def readinto(self, offset: int, buffer: memoryview) -> None:
        """Fill ``buffer`` with the bytes from ``offset``. Raises ChangedWhileReadError if they are missing."""

    def ensure_unchanged(self) -> None:
        """Raise ChangedWhileReadError if the bytes read are possibly not the bytes of the file now."""


def read(source: Source, span: Span) -> bytes:
    """The bytes of ``span``. The caller limits its size."""
    data = bytearray(span.size)
    stream_of(source, span).readinto(span.start, memoryview(data))
    return bytes(data)


def stream_of(source: Source, span: Span) -> Source:
    """The source that has the bytes of ``span``. Raises UnreadableError if it was not found."""
    if not span.stream:
        return source
    if (found := streams_of(source).get(span.stream)) is None:
        kind = absent_of(source).get(span.stream)
        raise UnreadableError(
            f"{source.name}: the file of {span.stream!r} {f'cannot be read: {kind}' if kind else 'was not found'}",
            next_step="Put the file next to the detached head.",
        )
    return found


def streams_of(source: Source) -> Mapping[str, Source]:
    """Other sources that belong to ``source``, by the names that spans have for them: the files of a detached head."""
    streams: Mapping[str, Source] = getattr(source, "streams", {})
    return streams


def absent_of(source: Source) -> Mapping[str, str]:
    """What has the name of a stream that ``source`` lacks, as a clause such as ``it is a folder``."""
    absent: Mapping[str, str] = getattr(source, "absent", {})
    return absent


def pages(size: int) -> memoryview:
    """At least one byte of memory to read into, from the start of a page. It is freed when nothing refers to it.

    malloc puts a large block 16 bytes after the start of a page. A read from the page cache into such a block takes
    twice as long on processors that copy by ``rep movsb``: 7 GB/s instead of 14, a tenth of a whole check.
    """
    return memoryview(mmap.mmap(-1, max(size, 1)))


class NotAFileError(UnreadableError):
    """Something that is no regular file: a folder, a pipe, a socket or a device. ``kind`` is a clause about it."""

    def __init__(self, name: str, kind: str) -> None:
        super().__init__(f"{name}: cannot be read: {kind}", next_step="Name the bundle file itself.")
        self.kind = kind


class BytesSource:
    """Bytes in memory. They can be only the first bytes of a file of ``size`` bytes, such as a head for pre-flight."""

    def __init__(self, data: bytes, *, size: int | None = None, name: str = "<bytes>") -> None:
        self.name = name
        self.held = len(data)
        self.size = len(data) if size is None else size
        self._data = data

    def readinto(self, offset: int, buffer: memoryview) -> None:
        """Copy from the bytes in memory."""
        if offset + len(buffer) > self.held:
            needed = f"bytes up to 0x{offset + len(buffer):x} are needed"
            raise UnreadableError(
                f"{self.name}: {needed}, 0x{self.held:x} were given",
                next_step="Give at least the whole head of the file.",
            )
        buffer[:] = self._data[offset : offset + len(buffer)]

    def ensure_unchanged(self) -> None:
        """Memory does not change."""


class Joined:
    """A source, together with the sources of its streams, and with what was found instead of a file."""

    def __init__(self, source: Source, streams: Mapping[str, Source], absent: Mapping[str, str] | None = None) -> None:
        self.name, self.size, self.held = source.name, source.size, source.held
        self.streams, self.absent = streams, absent_of(source) if absent is None else absent
        self.source = source

    def readinto(self, offset: int, buffer: memoryview) -> None:
        """The same as for the source itself."""
        self.source.readinto(offset, buffer)

    def ensure_unchanged(self) -> None:
        """The same as for the source itself, and for each stream."""
        for one in (self.source, *self.streams.values()):
            one.ensure_unchanged()


def with_decoded(source: Source, streams: Mapping[str, bytes]) -> Source:
    """``source``, joined with streams that a reader has decoded."""
    if not streams:
        return source
    decoded = {name: BytesSource(data, name=name) for name, data in streams.items()}
    return Joined(source, {**streams_of(source), **decoded})


class Slice:
    """A span of a source, as a source of its own."""

    def __init__(self, source: Source, span: Span, *, name: str) -> None:
        self.name = name
        self.size = self.held = span.size
        self.source = stream_of(source, span)
        self.start = span.start

    def readinto(self, offset: int, buffer: memoryview) -> None:
        """Read from the span. Raises UnreadableError for bytes after its end."""
        if offset + len(buffer) > self.size:
            raise UnreadableError(f"{self.name}: ends at byte 0x{self.size:x}")
        self.source.readinto(self.start + offset, buffer)

    def ensure_unchanged(self) -> None:
        """The same as for the source itself."""
        self.source.ensure_unchanged()


class ReadOnce:
    """A source that gives the same bytes each time, for all bytes that a reader has parsed.

    What is parsed is then what is verified, printed and passed on, even if the file is rewritten meanwhile. Bytes that
    are read within `remembering` are kept in memory, at most `MAX_REMEMBERED`. Others are read on request. ``start``
    are the first bytes, read before.
    """

    def __init__(self, source: Source, start: bytes = b"") -> None:
        self.name, self.size, self.held, self.streams = source.name, source.size, source.held, streams_of(source)
        self.source, self.absent = source, absent_of(source)
        self._starts: list[int] = [0] if start else []
        self._pieces: dict[int, bytes] = {0: start} if start else {}
        self._room = MAX_REMEMBERED
        self._remembers = False

    @property
    def pieces(self) -> list[tuple[int, bytes]]:
        """The bytes that are kept, by their offsets. They are in order, and do not overlap."""
        return [(start, self._pieces[start]) for start in self._starts]

    def joined(self, streams: Mapping[str, Source], absent: Mapping[str, str] | None = None) -> ReadOnce:
        """This source with the sources of its streams. What was read is kept."""
        found = ReadOnce(Joined(self.source, streams, absent))
        found._starts, found._pieces, found._room = list(self._starts), dict(self._pieces), self._room
        return found

    @contextmanager
    def remembering(self) -> Iterator[None]:
        """Keep all bytes that are read meanwhile. Bytes in memory need no second copy, because they do not change."""
        before, self._remembers = self._remembers, not _in_memory(self.source)
        try:
            yield
        finally:
            self._remembers = before

    def readinto(self, offset: int, buffer: memoryview) -> None:
        """Copy the known bytes, and read the others. Raises LayoutError if more than the limit are to be kept."""
        at, stop = offset, offset + len(buffer)
        first = max(bisect_right(self._starts, offset) - 1, 0)
        for start in self._starts[first : bisect_left(self._starts, stop)]:
            known = memoryview(self._pieces[start])[max(at - start, 0) : stop - start]
            if not known:
                continue
            if at < start:
                self._read(at, buffer[at - offset : start - offset])
                at = start
            buffer[at - offset : at - offset + len(known)] = known
            at += len(known)
        if at < stop or not buffer:
            self._read(at, buffer[at - offset :])

    def _read(self, at: int, piece: memoryview) -> None:
        self.source.readinto(at, piece)
        if not self._remembers or not piece:
            return
        self._room -= len(piece) + PIECE_COST
        if self._room < 0:
            message = f"its description needs more than {MAX_REMEMBERED >> 20} MiB of memory"
            where = Span(start=at, stop=at + len(piece))
            raise LayoutError(Problem(rule="header-out-of-bounds", message=message, where=where))
        insort(self._starts, at)
        self._pieces[at] = bytes(piece)

    def ensure_unchanged(self) -> None:
        """The same as for the underlying source."""
        self.source.ensure_unchanged()


class Pieces:
    """Some pieces of a file of ``size`` bytes, from memory. They are in order, and do not overlap."""

    def __init__(self, pieces: Sequence[tuple[int, bytes]], *, size: int, name: str) -> None:
        self.name, self.size, self.held = name, size, size
        self._pieces = tuple(pieces)

    def readinto(self, offset: int, buffer: memoryview) -> None:
        """Copy from a piece. Raises UnreadableError for bytes that are in none."""
        for start, data in self._pieces:
            if start <= offset and offset + len(buffer) <= start + len(data):
                buffer[:] = data[offset - start : offset - start + len(buffer)]
                return
        raise UnreadableError(
            f"{self.name}: the bytes 0x{offset:x}..0x{offset + len(buffer):x} are needed, and the catalog lacks them",
            next_step="Add the bundle to the catalog again.",
        )

    def ensure_unchanged(self) -> None:
        """Memory does not change."""


def _in_memory(source: Source) -> bool:
    return _in_memory(source.source) if isinstance(source, Slice | Joined | ReadOnce) else type(source) is BytesSource


def file_of(source: Source) -> tuple[int, int] | None:
    """The descriptor of the file that ``source`` reads, and the offset of the source in it; None if there is no file.

    Another program can read the same open file with it. Pieces that a source has in memory are then read again.
    """
    if isinstance(source, FileSource):
        return source.fileno(), 0
    if isinstance(source, Slice):
        found = file_of(source.source)
        return found and (found[0], found[1] + source.start)
    return file_of(source.source) if isinstance(source, Joined | ReadOnce) else None


def will_read(source: Source, start: int, stop: int) -> None:
    """Announce that this thread will read these bytes of ``source`` next, all of them in order.

    A source on a server then requests them in advance. For other sources this does nothing.
    """
    if isinstance(source, Slice):
        will_read(source.source, source.start + start, source.start + stop)
    elif isinstance(source, Joined | ReadOnce):
        will_read(source.source, start, stop)
    elif (announce := getattr(source, "will_read", None)) is not None:
        announce(start, stop)


def interrupt(source: Source) -> None:
    """Let reads of other threads fail at once that wait for a server. ``source`` cannot be used any more."""
    if isinstance(source, Joined):
        for one in (source.source, *source.streams.values()):
            interrupt(one)
    elif isinstance(source, Slice | ReadOnce):
        interrupt(source.source)
    elif hasattr(source, "will_read") and (close := getattr(source, "close", None)) is not None:
        close()


def readers(source: Source) -> int:
    """Threads that can read from ``source`` at once with a gain, if it is on a server; 0 if it is not."""
    if isinstance(source, Joined):
        return max(readers(one) for one in (source.source, *source.streams.values()))
    if isinstance(source, Slice | ReadOnce):
        return readers(source.source)
    found: int = getattr(source, "readers", 0)
    return found


NO_SIZE: Final = "the system does not state its size, as for files in /proc"
WRONG_SIZE: Final = "it is shorter than the size that the system states, as for files in /sys"


def sizeless(path: Path) -> bool:
    """Whether the file has content although its size is reported as 0."""
    try:
        with path.open("rb") as file:
            return bool(file.read(1))
    except OSError:
        return False


class FileSource:
    """A regular file, opened once. Use it as a context manager."""

    _access = os.O_RDONLY

    def __init__(self, path: str | Path) -> None:
        self.name = os.fspath(path)
        # O_NONBLOCK: opening a FIFO must not wait for a writer; the FIFO is rejected below.
        flags = self._access | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
        try:
            self._fd = os.open(self._where(), flags)
        except (OSError, ValueError) as error:
            why = reason(error, self.name)
            if why.startswith("it is "):
                raise NotAFileError(self.name, why) from error
            raise UnreadableError(f"{self.name}: cannot be opened: {why}") from error
        self._stat = os.fstat(self._fd)
        if kind := kind_of(self._stat.st_mode):
            os.close(self._fd)
            raise NotAFileError(self.name, f"it is {kind}")
        self.size = self.held = self._stat.st_size
        if self.size == 0 and self._has_a_byte():
            os.close(self._fd)
            raise UnreadableError(f"{self.name}: {NO_SIZE}", next_step="Copy it to a disk, then use the copy.")
        self._lock = threading.Lock()

    def _where(self) -> str:
        return self.name

    def readinto(self, offset: int, buffer: memoryview) -> None:
        """Read exactly ``len(buffer)`` bytes. An early end means that the file was truncated meanwhile."""
        done = 0
        while done < len(buffer):
            try:
                count = self._read_some(offset + done, buffer[done:])
            except OSError as error:
                where = f"byte 0x{offset + done:x}"
                raise UnreadableError(f"{self.name}: cannot be read at {where}: {error.strerror}") from error
            if count == 0 and os.fstat(self._fd).st_size == self.size:
                raise UnreadableError(f"{self.name}: {WRONG_SIZE}", next_step="Copy it to a disk, then use the copy.")
            if count == 0:
                raise ChangedWhileReadError(
                    f"{self.name}: ends at byte 0x{offset + done:x}, but had 0x{self.size:x} when opened",
                    next_step="Wait until the file is no longer written, then run again.",
                )
            done += count

    def _has_a_byte(self) -> bool:
        try:
            return bool(self._read_some(0, memoryview(bytearray(1))))
        except OSError:
            return False

    if hasattr(os, "preadv"):

        def _read_some(self, offset: int, buffer: memoryview) -> int:
            return os.preadv(self._fd, [buffer], offset)

    else:  # Windows has no positional read

        def _read_some(self, offset: int, buffer: memoryview) -> int:
            with self._lock:
                os.lseek(self._fd, offset, os.SEEK_SET)
                data = os.read(self._fd, len(buffer))
            buffer[: len(data)] = data
            return len(data)

    def ensure_unchanged(self) -> None:
        """Compare size and modification time with those at opening.

        A file system with coarse times can hide a change within one tick. A process that can write the file can also
        reset its time. The change time of the inode shows that, but it also changes for a mere rename. The bytes that
        are *used* later are therefore verified again when they are passed on. This check only keeps reports correct.
        """
        now = os.fstat(self._fd)
        if (now.st_size, now.st_mtime_ns) != (self._stat.st_size, self._stat.st_mtime_ns):
            raise ChangedWhileReadError(
                f"{self.name}: changed while it was read",
                next_step="Wait until the file is no longer written, then run again.",
            )

    def fileno(self) -> int:
        """The open descriptor."""
        return self._fd

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
