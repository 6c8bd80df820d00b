"""One slot of an A/B pair: a file or a block device that is opened once, written, and read back from the medium.

All work uses one descriptor, so another file under the same name has no effect. Before the name is used again
(:meth:`SlotFile.still_named`) it is compared with the descriptor.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from types import TracebackType
from typing import BinaryIO, Final, Self

from bundlekit.source import pages
from bundlekit.update.engine.errors import UpdateError
from bundlekit.update.state.private_files import opened_again

PIECE: Final = 1024 * 1024
"""Bytes moved at once; a multiple of every block size, as O_DIRECT wants (open(2), NOTES)."""

HEAD: Final = 4096
"""Bytes at the start of a slot that are zeroed first and written last.

Boot loaders, file systems and RAID members know an image by something in its first 4 KiB. A half-written slot has zeros
there.
"""


class SlotError(UpdateError):
    """A slot, or the target it belongs to, is not fit for what was asked."""


class SlotFile:
    """A slot, held open. Use as a context manager.

    ``device`` means that the name must be a block device. It is then opened exclusively, which the kernel refuses while
    it is mounted or part of something (open(2), O_EXCL). Otherwise it must be a regular file of one name. Symbolic
    links are never followed. Raises SlotError.
    """

    def __init__(self, name: str, *, folder: int, device: bool = False, write: bool = False) -> None:
        self.name = name
        self._folder = folder
        flags = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | (os.O_RDWR if write else os.O_RDONLY)
        try:
            self.descriptor = os.open(name, flags | (os.O_EXCL if write and device else 0), dir_fd=folder)
        except OSError as error:
            why = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
            raise SlotError(f"slot {name} cannot be opened: {why}") from error
        status = os.fstat(self.descriptor)
        self.identity = _identity(status)
        if not (stat.S_ISBLK if device else stat.S_ISREG)(status.st_mode):
            self.close()
            raise SlotError(f"slot {name} is not a {'block device' if device else 'regular file'}")
        if not device and status.st_nlink != 1:
            self.close()
            raise SlotError(f"slot {name} has {status.st_nlink} names, so another program might use it")

    def still_named(self) -> None:
        """SlotError if the slot's name leads elsewhere by now."""
        try:
            status = os.stat(self.name, dir_fd=self._folder, follow_symlinks=False)
        except OSError as error:
            raise SlotError(f"slot {self.name} is gone: {error.strerror}") from error
        if _identity(status) != self.identity:
            raise SlotError(f"slot {self.name} was replaced while it was in use")

    def space(self) -> int | None:
        """Bytes of a block device; None for a file, which grows."""
        status = os.fstat(self.descriptor)
        return os.lseek(self.descriptor, 0, os.SEEK_END) if stat.S_ISBLK(status.st_mode) else None

    def size(self) -> int:
        """Bytes that can be read."""
        return os.lseek(self.descriptor, 0, os.SEEK_END)

    def invalidate(self) -> None:
        """Leave nothing that could be taken for an image, durably."""
        if self.space() is None:
            os.ftruncate(self.descriptor, 0)
        else:
            self._put(bytes(HEAD), 0)
        os.fsync(self.descriptor)

    def write(self, image: BinaryIO, size: int) -> None:
        """Write ``size`` bytes of ``image``, its first block last; durable when this returns.

        The space is taken first, so a full disk is met before a byte is written.
        """
        self.invalidate()
        if self.space() is None:
            os.posix_fallocate(self.descriptor, 0, size)
        head = image.read(min(HEAD, size))
        at = len(head)
        buffer = pages(PIECE)
        while at < size and (count := image.readinto(buffer[: size - at])):  # type: ignore[attr-defined]
            self._put(buffer[:count], at)
            at += count
        if at != size or image.read(1):
            raise SlotError(f"the component does not have the {size} announced bytes")
        os.fsync(self.descriptor)
        self._put(head, 0)
        os.fsync(self.descriptor)

    def ensure(self, digest: str, size: int) -> None:
        """SlotError unless the first ``size`` bytes, read from the medium, have ``digest`` (algorithm:hex)."""
        found = self._digest(digest.partition(":")[0], size)
        if found != digest:
            raise SlotError(f"slot {self.name} reads back as {found}, not {digest}")

    def _digest(self, algorithm: str, size: int) -> str:
        state = hashlib.new(algorithm)
        os.posix_fadvise(self.descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        reader = self._direct_reader()
        try:
            buffer, at = pages(PIECE), 0  # O_DIRECT takes whole pages only
            while at < size and (count := os.preadv(reader, [buffer], at)):
                state.update(buffer[: min(count, size - at)])
                at += count
        finally:
            os.close(reader)
        return f"{algorithm}:{state.hexdigest()}" if at >= size else f"only {at} bytes"

    def _direct_reader(self) -> int:
        """A descriptor on the same slot that bypasses the page cache, where the file system has such a thing."""
        try:
            return opened_again(self.descriptor, os.O_RDONLY | os.O_DIRECT)
        except OSError:
            return opened_again(self.descriptor, os.O_RDONLY)

    def _put(self, data: bytes | memoryview, at: int) -> None:
        view = memoryview(data)
        while view:
            count = os.pwrite(self.descriptor, view, at)
            view, at = view[count:], at + count

    def close(self) -> None:
        """Let go of the slot."""
        os.close(self.descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _identity(status: os.stat_result) -> tuple[int, ...]:
    """The value that makes two names one slot: the device of a node, or the inode of a file."""
    return (0, status.st_rdev) if stat.S_ISBLK(status.st_mode) else (1, status.st_dev, status.st_ino)
