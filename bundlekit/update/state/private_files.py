"""Files in the state folder: written and read by name in an open folder, and never through a link.

Who can place a link in the folder, or restores a backup that holds one, must not choose what an update overwrites.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from bundlekit.errors import BundlekitError
from bundlekit.file_kind import kind_of

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def held(folder: Path) -> Iterator[int]:
    """The descriptor of a folder that is no link itself. Raises OSError."""
    descriptor = os.open(folder, _FOLDER)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def write(folder: Path, name: str, data: bytes) -> None:
    """Put a whole file into the folder, durably. A link of that name is replaced, and what it leads to stays.

    Raises BundlekitError.
    """
    try:
        with held(folder) as at:
            replace(at, name, data)
    except OSError as error:
        raise BundlekitError(f"{folder / name}: cannot be written: {error.strerror}") from error


def replace(folder: int, name: str, data: bytes) -> None:
    """The same in an open folder. At any moment the old or the new file exists, whole. Raises OSError.

    The temporary name is random, because process ids repeat between containers, and a file at a fixed name can be a
    link.
    """
    temporary = f".{os.urandom(12).hex()}.tmp"
    try:
        with open(os.open(temporary, _NEW, 0o600, dir_fd=folder), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise
    os.fsync(folder)


def new_file(folder: Path, name: str) -> int:
    """The descriptor of a new file in a folder, which is made if it does not exist. Raises OSError."""
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700, parents=True)
    with held(folder) as at:
        return os.open(name, _NEW, 0o600, dir_fd=at)


def end_of(folder: Path, name: str, limit: int) -> bytes | None:
    """The last ``limit`` bytes of a regular file in the folder. None for a link, another kind, or a missing file."""
    try:
        with held(folder) as at, open(os.open(name, _READ, dir_fd=at), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return None
            file.seek(max(0, status.st_size - limit))
            return file.read(limit)
    except OSError:
        return None


def no_link(folder: Path, *names: str) -> str:
    """The fault of the first of ``names`` that exists and is not a regular file. Empty if all are sound."""
    for name in names:
        try:
            status = os.lstat(folder / name)
        except FileNotFoundError:
            continue
        if stat.S_ISLNK(status.st_mode):
            return f"{folder / name} is a symbolic link"
        if kind := kind_of(status.st_mode):
            return f"{folder / name} is {kind}"
    return ""


def opened_again(descriptor: int, flags: int) -> int:
    """Another descriptor of an open file, with a position of its own. BundlekitError where ``/proc`` is not mounted."""
    try:
        return os.open(f"/proc/self/fd/{descriptor}", flags | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise BundlekitError(
            "/proc is not mounted, and an update needs it to open a file a second time.",
            next_step="Mount it: `mount -t proc proc /proc`.",
        ) from error
