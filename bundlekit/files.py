"""Read files up to a limit, and write files that appear completely or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from bundlekit.errors import BundlekitError, ConfigError
from bundlekit.file_kind import kind_of, reason

if TYPE_CHECKING:
    from collections.abc import Iterator


KIB: Final = 1024
MIB: Final = 1024 * KIB

LIMITS: Final = {
    "toml": 4 * MIB,
    "project": 256 * KIB,
    "json": 16 * MIB,
    "advisories": 16 * MIB,
    "graph": 64 * MIB,
    "head": 2 * MIB,
    "pieces": 16 * MIB,
    "pem": MIB,
    "crl": 16 * MIB,
    "signature": MIB,
}
"""The maximum number of bytes read from each kind of file. ``bundlekit explain files`` lists them."""

ON_A_LOCAL_DISK: Final = "Use a folder on a local disk, or mount the file system with locks."


class LockError(BundlekitError):
    """The system refuses a lock, and not because another process holds it."""


FOR_A_READER: Final = 10.0
"""Seconds that the reader of a named pipe has to open it once data is ready."""

PIECE: Final = 256 * KIB
"""Bytes read at once."""

_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a FIFO without a writer must not hang the call
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
)


def read_bounded(path: Path, limit: int, *, error: type[BundlekitError] = ConfigError) -> bytes:
    """The bytes of a regular file, or of a pipe that was passed on (``/dev/stdin``, ``<(...)``).

    A file of more than ``limit`` bytes is rejected before it is read. A pipe is read up to the limit. So is a file
    whose size the system does not report (``/proc``). A folder, a device, a socket and a named FIFO are rejected at
    once. Raises ``error`` with one sentence that names the file.
    """
    try:
        descriptor = os.open(path, _FLAGS)
    except (OSError, ValueError) as fault:
        raise error(f"{named(path)}: cannot be read: {reason(fault, path)}") from fault
    try:
        status = os.fstat(descriptor)
        if problem := _unreadable(path, status.st_mode):
            raise error(f"{path}: cannot be read: {problem}")
        if status.st_size > limit and stat.S_ISREG(status.st_mode):
            raise error(f"{path}: is larger than {limit:,} bytes")
        if hasattr(os, "set_blocking"):
            os.set_blocking(descriptor, True)
        data = _read_up_to(descriptor, limit + 1)
    except OSError as fault:
        raise error(f"{path}: cannot be read: {reason(fault)}") from fault
    finally:
        os.close(descriptor)
    if len(data) > limit:
        raise error(f"{path}: is larger than {limit:,} bytes")
    return data


def named(path: Path) -> str:
    """The path, or only its beginning if it is longer than any system allows."""
    text = str(path)
    return text if len(text) <= 4096 else f"{text[:256]}…"


def _unreadable(path: Path, mode: int) -> str:
    """Why a file of this kind is not read; empty if it can be read."""
    kind = kind_of(mode)
    if stat.S_ISFIFO(mode):
        # The shell passes on pipes without a name. A FIFO with a name might never get a writer.
        return "it is a named pipe" if os.path.exists(os.path.realpath(path)) else ""
    return f"it is {kind}" if kind else ""


def _read_up_to(descriptor: int, limit: int) -> bytes:
    data = bytearray()
    while len(data) < limit and (piece := os.read(descriptor, min(PIECE, limit - len(data)))):
        data += piece
    return bytes(data)


@contextlib.contextmanager
def whole_file(path: Path | BinaryIO) -> Iterator[BinaryIO]:
    """A file that appears at ``path``, durably, when the block ends normally. Otherwise it does not appear.

    An existing file is replaced only at the end. If ``path`` is a link, the file that it leads to is replaced. A pipe,
    a terminal or a stream such as standard output gets the bytes at the end. Raises BundlekitError if the system
    refuses, or if ``path`` is a folder or a block device.
    """
    if not isinstance(path, os.PathLike):
        with _handed_to(path) as file:
            yield file
        return
    target = Path(os.path.realpath(path))
    try:
        status = os.stat(path)
    except OSError:
        status = None  # the file does not exist yet; any other fault is reported when the file is created
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
    temporary = None
    try:
        _demand_short(path)
        temporary, file = _temporary_beside(path)
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        temporary = None
        sync_folder(path.parent)
    except OSError as error:
        where = error.filename if error.filename not in (None, os.fspath(temporary or "")) else path
        raise BundlekitError(f"{where}: {error.strerror}; nothing was written") from error
    finally:
        if temporary is not None:  # created by this call, and not renamed
            with contextlib.suppress(OSError):
                temporary.unlink()


def _temporary_beside(path: Path) -> tuple[Path, BinaryIO]:
    """A new file in the folder of ``path``. Its name is random: process ids repeat between containers."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    while True:
        temporary = path.with_name(f".bundlekit-{os.urandom(12).hex()}.tmp")
        try:
            descriptor = os.open(temporary, flags, 0o666)
        except FileExistsError:
            continue
        except OSError as error:
            # The folder refuses a new file; a folder that does not exist is named itself.
            missing = error.errno in {errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EROFS}
            raise OSError(error.errno, error.strerror, os.fspath(path.parent if missing else path)) from error
        return temporary, open(descriptor, "w+b")


def _demand_short(path: Path) -> None:
    """Raise OSError for a name that is too long for the folder. The short temporary name would not exceed the limit."""
    try:
        longest = os.pathconf(path.parent, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):
        longest = 255
    if len(os.fsencode(path.name)) > longest:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), os.fspath(path))


@contextlib.contextmanager
def _written_to(path: Path) -> Iterator[BinaryIO]:
    from shutil import copyfileobj  # rarely needed: only for pipes
    from tempfile import TemporaryFile

    try:
        with TemporaryFile() as file:
            yield file
            file.seek(0)
            with open(_read_by_another(path), "wb", buffering=0) as stream:
                copyfileobj(file, stream)
    except OSError as error:
        why = "no process reads this pipe" if error.errno == errno.ENXIO else error.strerror
        raise BundlekitError(f"{path}: {why}") from error


def _read_by_another(path: Path) -> int:
    """The descriptor of a pipe or a device. Raises OSError if no process opens a pipe within `FOR_A_READER`."""
    import time

    flags = os.O_WRONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    last = time.monotonic() + FOR_A_READER
    while True:
        try:
            descriptor = os.open(path, flags)
        except OSError as error:
            if error.errno != errno.ENXIO or time.monotonic() > last:
                raise
            time.sleep(0.05)
            continue
        if hasattr(os, "set_blocking"):
            os.set_blocking(descriptor, True)
        return descriptor


@contextlib.contextmanager
def _handed_to(stream: BinaryIO) -> Iterator[BinaryIO]:
    from shutil import copyfileobj
    from tempfile import TemporaryFile

    with TemporaryFile() as file:
        yield file
        file.seek(0)
        copyfileobj(file, stream)
        stream.flush()


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold an exclusive lock on ``path``, which is created if it is missing. Waits for the process that holds the lock.

    Without ``wait``, raises BlockingIOError if another process holds it. Raises BundlekitError that names the file,
    also on a file system without locks.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666)
    except OSError as error:
        raise BundlekitError(f"{path}: the lock file cannot be opened: {_why_no_lock(error)}") from error
    try:
        lock(descriptor, wait=wait)
        yield
    except LockError as error:
        raise BundlekitError(f"{path}: cannot be locked: {error.message}", next_step=error.next_step) from error
    finally:
        os.close(descriptor)


def lock(descriptor: int, *, wait: bool = True, shared: bool = False) -> None:
    """Lock an open file. Raises BlockingIOError without ``wait`` if another process has the lock.

    Raises LockError if the file system has no locks.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError as error:
        raise LockError(_why_no_lock(error), next_step=ON_A_LOCAL_DISK) from error


def _why_no_lock(error: OSError) -> str:
    if error.errno in {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}:
        return f"the file system does not support locks, as with NFS ({error.strerror})"
    return "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror or str(error)


def sync_folder(folder: Path) -> None:
    """Make new names in a folder durable. Windows cannot open folders and does not need this."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def changeable_by_others(path: Path) -> str:
    """The part of ``path`` that users other than its owner, root or this user can change; empty if there is none.

    Links are followed first. Every parent folder counts, because a user who can rename a folder can replace its
    contents. In a folder with the sticky bit, only owners can do so (inode(7)).
    """
    real = Path(os.path.realpath(path))  # Path.resolve raises RuntimeError for a loop of links
    for part in (real, *real.parents):
        status = part.stat()
        sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
        if status.st_uid not in {0, os.geteuid()} or (status.st_mode & 0o022 and not sticky):
            return str(part)
    return ""
