"""A file that is read, verified and written through one descriptor, whatever becomes of its name meanwhile."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bundlekit.errors import SigningError
from bundlekit.files import sync_folder
from bundlekit.layout.update_bin import MAX_CAPACITY
from bundlekit.source import FileSource

if TYPE_CHECKING:
    from collections.abc import Iterator

NOFOLLOW: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
MAX_RECORD: Final = MAX_CAPACITY + 256
"""Bytes of the record of a signing: two digests in hex, and a signature area."""


class InPlace(FileSource):
    """A file that is open to be read and written. A link is followed once, when it is opened.

    Use as a context manager. Meanwhile no other process can sign the file, where the system has flock. A file that is
    not ``writable`` is only read, and not locked.
    """

    def __init__(self, path: Path, *, writable: bool = True) -> None:
        self._access = (os.O_RDWR if writable else os.O_RDONLY) | NOFOLLOW
        self.real = Path(os.path.realpath(path))
        super().__init__(path)
        try:
            if writable:
                self._lock_it()
        except BaseException:
            self.close()
            raise

    def _where(self) -> str:
        return os.fspath(self.real)

    def _lock_it(self) -> None:
        try:
            import fcntl  # not there on Windows
        except ImportError:
            return
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        except OSError as error:
            raise SigningError(
                f"{self.name}: cannot be locked: {error.strerror}",
                next_step="Sign on a file system that has locks, then copy the file.",
            ) from error
        self.demand_name()
        self._stat = os.fstat(self._fd)  # the previous holder of the lock can have written
        self.size = self.held = self._stat.st_size

    def demand_name(self) -> None:
        """SigningError if the path leads to another file by now."""
        try:
            there = os.lstat(self.real)
        except OSError:
            there = None
        if there is None or (there.st_dev, there.st_ino) != (self._stat.st_dev, self._stat.st_ino):
            raise SigningError(
                f"{self.name}: another file took this name during signing; that file was not changed",
                next_step="Wait until the file is no longer replaced, then run again.",
            )

    def demand_content(self, offset: int, expected: bytes) -> None:
        """SigningError if the bytes at ``offset`` are not ``expected``, or another file has the name."""
        self.demand_name()
        if os.fstat(self._fd).st_size != self.size:
            raise self._changed()
        found = bytearray(len(expected))
        self.readinto(offset, memoryview(found))
        if found != expected:
            raise self._changed()

    def _changed(self) -> SigningError:
        return SigningError(
            f"{self.name}: was changed while it was signed",
            next_step="Wait until the file is no longer written, and check it before signing it again.",
        )

    def overwrite(self, offset: int, data: bytes) -> None:
        """Write ``data`` at ``offset``, durably. Raises OSError."""
        done = 0
        while done < len(data):
            done += _write_at(self._fd, data[done:], offset + done)
        os.fsync(self._fd)
        self._stat = os.fstat(self._fd)


def _write_at(descriptor: int, data: bytes, offset: int) -> int:
    if hasattr(os, "pwrite"):
        return os.pwrite(descriptor, data, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)  # Windows has no positional write
    return os.write(descriptor, data)


class InplaceRecord:
    """``NAME.signing``: what is going to be written into a file. It lets the next signer finish interrupted work.

    Only a regular file counts as a record, and no link is followed.
    """

    def __init__(self, file: InPlace) -> None:
        self.path = file.real.with_name(f"{file.real.name}.signing")

    def read(self) -> tuple[str, bytes] | None:
        """The bundle id and the signature area; None if there is no record, or one that was cut off."""
        with self._opened(os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)) as descriptor:
            if descriptor is None:
                return None
            with open(descriptor, "rb", closefd=False) as file:
                data = file.read(MAX_RECORD + 1)
        if len(data) > MAX_RECORD:
            raise self._foreign("it is larger than any record")
        checksum, _, content = data.partition(b"\n")
        if hashlib.sha256(content).hexdigest().encode() != checksum:
            return None  # it was cut off before the bundle was touched: there is nothing to finish
        identity, _, area = content.partition(b"\n")
        return identity.decode("ascii", "replace"), area

    @contextlib.contextmanager
    def _opened(self, flags: int) -> Iterator[int | None]:
        try:
            descriptor = os.open(self.path, flags | NOFOLLOW)
        except FileNotFoundError:
            yield None
            return
        except OSError as error:
            why = "it is a link" if self.path.is_symlink() else str(error.strerror)
            raise self._foreign(why) from error
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise self._foreign("it is not a regular file")
            yield descriptor
        finally:
            os.close(descriptor)

    def _foreign(self, why: str) -> SigningError:
        return SigningError(
            f"{self.path}: has the name of a signing record, but is not one: {why}",
            next_step="Examine and remove it. Then run the same command again.",
        )

    def write(self, identity: str, area: bytes) -> None:
        """Write a record, durably. Raises OSError, also where something has that name."""
        content = identity.encode() + b"\n" + area
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | NOFOLLOW
        with open(os.open(self.path, flags, 0o666), "wb") as file:
            file.write(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(self.path.parent)

    def remove(self) -> None:
        """Remove it, if it exists. A folder or a pipe of that name stays."""
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISREG(os.lstat(self.path).st_mode):
                self.path.unlink()
