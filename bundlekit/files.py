"""Write files that are whole or not there."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from bundlekit.errors import BundlekitError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that appears as ``path``, durably, when the block ends well, and not at all otherwise.

    An existing file is replaced only then; through a link, the file that it leads to. A pipe or a terminal gets
    the bytes at the end. Raises BundlekitError if the system refuses, or if it is a folder or a block device.
    """
    target = Path(os.path.realpath(path))
    try:
        status = os.stat(path)
    except OSError:
        status = None  # not there yet; whatever else is wrong with it, making it says
    if status is None or stat.S_ISREG(status.st_mode):
        with _replaced(target) as file:
            yield file
    elif stat.S_ISCHR(status.st_mode) or stat.S_ISFIFO(status.st_mode):
        with _written_to(path) as file:
            yield file
    else:
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "a device or socket"
        raise BundlekitError(f"{path}: is {what}; name a file to write")


@contextlib.contextmanager
def _replaced(path: Path) -> Iterator[BinaryIO]:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        where = path.parent if error.filename == os.fspath(temporary) else error.filename or path
        raise BundlekitError(f"{where}: {error.strerror}; nothing was written") from error
    finally:
        with contextlib.suppress(OSError):  # it was never made, or has its name by now
            temporary.unlink()


@contextlib.contextmanager
def _written_to(path: Path) -> Iterator[BinaryIO]:
    from shutil import copyfileobj  # few write to pipes
    from tempfile import TemporaryFile

    try:
        with TemporaryFile() as file:
            yield file
            file.seek(0)
            with path.open("wb", buffering=0) as stream:
                copyfileobj(file, stream)
    except OSError as error:
        raise BundlekitError(f"{path}: {error.strerror}") from error


def sync_folder(folder: Path) -> None:
    """Make new names in a folder durable; Windows cannot open folders and needs no such thing."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def changeable_by_others(path: Path) -> str:
    """The part of ``path`` that somebody other than its owner, root or us may change; empty if there is none.

    Links are followed first. Every folder above counts, for who may rename a folder may replace what is in
    it; a folder with the sticky bit lets only owners do so (inode(7)).
    """
    real = path.resolve()
    for part in (real, *real.parents):
        status = part.stat()
        sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
        if status.st_uid not in {0, os.geteuid()} or (status.st_mode & 0o022 and not sticky):
            return str(part)
    return ""
