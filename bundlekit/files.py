"""Write files that are whole or not there."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING, BinaryIO

from bundlekit.errors import BundlekitError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that appears as ``path``, durably, when the block ends well, and not at all otherwise.

    Raises BundlekitError if the system refuses; an existing file is replaced only then.
    """
    if path.is_dir():
        raise BundlekitError(f"{path}: is a folder; name a file to write")
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
        temporary.unlink(missing_ok=True)


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
