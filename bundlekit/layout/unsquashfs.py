"""One file of a SquashFS image, which the program ``unsquashfs`` reads (squashfs-tools, version 4.5 or later).

It reads bytes that nothing has verified yet, so its time, its memory and its output are limited.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from bundlekit.escape import escape
from bundlekit.model.bundle import Span
from bundlekit.source import file_of, read

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO

    from bundlekit.source import Source

DEADLINE: Final = 20.0
"""Seconds for ``unsquashfs``. It reads one file of a few KiB in a hundredth of one."""
SLOWEST: Final = 4 * 1024 * 1024
"""Bytes in a second that even a slow machine decompresses: a large file gets as much more time."""
PIECE: Final = 1024 * 1024
"""Bytes of its output that are kept at once."""
MAX_MEMORY: Final = 512 * 1024 * 1024
"""Bytes of address space for ``unsquashfs``, where the system can limit them."""
MAX_ERRORS: Final = 4096
"""Bytes of its messages that are read."""
MAX_LINKS: Final = 2
"""Symbolic links from a name to a file that are followed. ``rauc bundle`` keeps links within the folder."""
MAX_LISTING: Final = 4096
"""Bytes of the listing of one name."""
MAX_COPY: Final = 64 * 1024 * 1024
"""Bytes of an image that is not a file, and is copied to a temporary one."""

LINK: Final = "symbolic link"
_LINKS: Final = ("symbolic link", "directory loop detected")
"""Messages about a link that the program does not follow. The second one is a fault of version 4.5."""

TOOL: Final = "unsquashfs"
INSTALL: Final = "Install unsquashfs (squashfs-tools 4.5 or later), for example with `apt-get install squashfs-tools`."


class MemberFault(NamedTuple):
    """Why a file of the image cannot be read: the image is at fault (``damaged``), or this machine.

    ``next`` is what would let this machine read it.
    """

    reason: str
    damaged: bool
    next: str = ""


def read_member(source: Source, size: int, name: str, limit: int) -> bytes | MemberFault:
    """The file ``name`` in the root of the image in the first ``size`` bytes of ``source``, at most ``limit`` bytes."""
    pieces: list[bytes] = []
    fault = read_through(source, size, name, limit, pieces.append)
    return fault or b"".join(pieces)


def read_through(
    source: Source, size: int, name: str, limit: int, consume: Callable[[bytes], None]
) -> MemberFault | None:
    """Read a file as `read_member` does, and call ``consume`` with each piece. None if all of it was read."""
    program = _found()
    if program is None or not os.path.isdir("/dev/fd"):
        reason = f"{TOOL} is not installed, so {name} cannot be read from the SquashFS image"
        return MemberFault(reason, damaged=False, next=INSTALL)
    if place := file_of(source):
        fault = _follow(program, *place, name, limit, consume)
        source.ensure_unchanged()
        return fault
    if size > MAX_COPY:
        reason = f"{name} cannot be read: the bundle is not a file, and its image is larger than {MAX_COPY} bytes"
        return MemberFault(reason, damaged=False, next="Give the bundle as a file.")
    import tempfile

    with tempfile.TemporaryFile() as file:
        file.write(read(source, Span(start=0, stop=size)))
        file.flush()
        return _follow(program, file.fileno(), 0, name, limit, consume)


def _follow(
    program: str, fd: int, offset: int, name: str, limit: int, consume: Callable[[bytes], None]
) -> MemberFault | None:
    """Read the file, also through a symbolic link to another file of the root, which version 4.5 cannot follow.

    The device mounts the image, and follows such a link. Any other link leads to what is not in the payload.
    """
    linked = name
    for _ in range(MAX_LINKS + 1):
        count, code, errors = _run(program, fd, offset, ("-cat", linked), limit, consume)
        if count > limit:
            return MemberFault(f"{name} has more than {limit} bytes", damaged=True)
        if code == 0:
            return None
        target = _target(program, fd, offset, linked) if any(one in errors for one in _LINKS) else None
        if target is None:
            fault = _fault(linked, code, errors, _deadline(limit))
            return fault if linked == name else fault._replace(reason=f"{name} is a {LINK}, and {fault.reason}")
        if "/" in target or target in (".", ".."):
            what = f"{linked} is a {LINK} to {escape(target)!r}, and not to a file next to it"
            return MemberFault(what, damaged=True)
        linked = target
    return MemberFault(f"{name} is a {LINK} in a circle, or a chain of more than {MAX_LINKS} links", damaged=True)


def _target(program: str, fd: int, offset: int, name: str) -> str | None:
    """What the symbolic link ``name`` in the root leads to; None if it is none, or if its listing is not one line."""
    pieces: list[bytes] = []
    _, code, _ = _run(program, fd, offset, ("-dest", "root", "-lln", name), MAX_LISTING, pieces.append)
    lines = b"".join(pieces).decode("utf-8", "replace").split("\n")
    mode, _, target = lines[1].partition(f" root/{name} -> ") if len(lines) == 3 else ("", "", "")
    return target if code == 0 and mode.startswith("l") and target else None


class _FoundError(Exception):
    """The file exists, so nothing more has to be read."""


def find_member(source: Source, size: int, name: str) -> MemberFault | None:
    """None if the image has the file, of any size. It is not read. ``damaged`` is only set if there is no such file."""

    def found(_: bytes) -> None:
        raise _FoundError

    try:
        fault = read_through(source, size, name, PIECE, found)
    except _FoundError:
        return None
    if fault is None or not fault.damaged or "no matches for" in fault.reason or LINK in fault.reason:
        return fault
    return fault._replace(damaged=False)  # such as a folder


def _deadline(limit: int) -> float:
    return DEADLINE + limit / SLOWEST


def _found() -> str | None:
    """The path of the program; None if it is not installed. ``shutil.which`` takes 2 ms more to load."""
    paths = (os.path.join(folder, TOOL) for folder in os.get_exec_path() if folder)
    return next((path for path in paths if os.path.isfile(path) and os.access(path, os.X_OK)), None)


def _fault(name: str, code: int, errors: str, deadline: float) -> MemberFault:
    if code < 0:
        ended = f"did not finish within {deadline:.0f} seconds" if code == -9 else f"was ended by signal {-code}"
        return MemberFault(f"{TOOL} {ended}, so {name} was not read", damaged=False)
    if "unsupported by this version" in errors or "SYNTAX" in errors:
        reason = f"this version of {TOOL} cannot read {name}: {_first(errors)}"
        return MemberFault(reason, damaged=False, next=INSTALL)
    if "memory" in errors.lower():
        reason = f"{TOOL} needs more than {MAX_MEMORY // 2**20} MiB of memory to read {name}"
        return MemberFault(reason, damaged=False)
    return MemberFault(f"{TOOL} finds no {name} in the payload: {_first(errors)}", damaged=True)


def _first(errors: str) -> str:
    """The line of the messages that names the fault."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    return next((line for line in lines if line.startswith("FATAL ERROR")), lines[0] if lines else "no reason given")


def _run(
    program: str, fd: int, offset: int, action: tuple[str, ...], limit: int, consume: Callable[[bytes], None]
) -> tuple[int, int, str]:
    """The size of the output of ``unsquashfs``, its exit code, and its messages. ``action`` ends with a name.

    ``consume`` gets the output. It ends after more than ``limit`` bytes, which are then not part of it.
    """
    few = ["-no-progress", "-quiet", "-processors", "1", "-data-queue", "4", "-frag-queue", "4", "-offset", str(offset)]
    command = [program, *few, "-no-wildcards", *action[:-1], f"/dev/fd/{fd}", action[-1]]
    with subprocess.Popen(  # noqa: S603 - the command is a constant, and the file is given by its descriptor
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=(fd,),
        env={"LC_ALL": "C"},
        close_fds=True,
        start_new_session=True,
    ) as process:
        _limit_memory(process.pid)
        timer = threading.Timer(_deadline(limit), _kill, (process.pid,))
        timer.start()
        output, messages = cast("IO[bytes]", process.stdout), cast("IO[bytes]", process.stderr)
        errors: list[bytes] = []
        reader = threading.Thread(target=_read_errors, args=(messages, errors), daemon=True)
        reader.start()
        count = 0
        try:
            while piece := output.read(min(PIECE, limit + 1 - count)):
                count += len(piece)
                if count > limit:
                    break
                consume(piece)
        except BaseException:
            _kill(process.pid)
            raise
        finally:
            if count > limit:
                _kill(process.pid)
            reader.join()
            timer.cancel()
            timer.join()  # after this the process is waited for, and its number can be that of another
            code = _ended(process)
    return count, code, b"".join(errors).decode("utf-8", "replace")


def _ended(process: subprocess.Popen[bytes]) -> int:
    """The exit code of the program, which has closed its output."""
    try:
        return process.wait(DEADLINE)
    except subprocess.TimeoutExpired:
        _kill(process.pid)
        return process.wait()


def _kill(pid: int) -> None:
    """Kill the program, and what it started, which would keep its output open."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _read_errors(file: IO[bytes], errors: list[bytes]) -> None:
    errors.append(file.read(MAX_ERRORS))


def _limit_memory(pid: int) -> None:
    try:
        import resource

        resource.prlimit(pid, resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    except (ImportError, AttributeError, OSError):  # other systems, or it has ended already
        pass
