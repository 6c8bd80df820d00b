"""One update per pair on one host: two lock files, because a hook can outlive its controller.

The controller's lock goes with the controller. The second lock's descriptor is inherited by every hook. So after ``kill
-9`` of the controller an orphan hook still holds it, and the next controller waits. A hook can unlock what it shares,
so neither lock alone would be enough. Between hosts only the fence keeps order.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bundlekit._version import __version__
from bundlekit.errors import ConfigError
from bundlekit.files import LockError, lock
from bundlekit.update.engine.errors import JournalError
from bundlekit.update.engine.plan import OutcomeKind
from bundlekit.update.state.sqlite_journal import open_private_folder
from bundlekit.wording import command

ORPHAN_SECONDS: Final = 30.0
"""How long a controller waits for an orphan hook before it reports the holder."""

GLANCE_SECONDS: Final = 0.2
"""How long it waits for the other lock: longer than ``at_work`` holds it, which only looks."""

PAIR: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""The alphabet of ``Name``: what a pair's name has to be before it becomes part of a path."""


class PairBusyError(JournalError):
    """Another controller has the pair. ``holder`` is the text that it wrote into the lock file."""

    ends: OutcomeKind | None = "busy"

    def __init__(self, pair: str, holder: str, what: str) -> None:
        super().__init__(
            f"Pair {pair} is busy: {what} ({holder}).",
            next_step=f"See {command('update status', pair=pair)}.",
        )
        self.holder = holder


class PairLock:
    """The lock on one pair, as a context manager. Raises PairBusyError, or JournalError for a foreign file.

    ``hook_fd`` is the descriptor that every hook process must be given (``pass_fds``). ``wait`` is the time in seconds
    to wait for an orphan hook. Another controller is not waited for.
    """

    def __init__(self, folder: Path, pair: str, holder: str, *, wait: float = ORPHAN_SECONDS) -> None:
        self.folder = folder
        self.pair = pair
        self.holder = holder
        self.wait = wait
        self.hook_fd = -1
        self._own_fd = -1

    def __enter__(self) -> Self:
        open_private_folder(self.folder)
        try:
            self._own_fd = self._open("lock")
            self._take(self._own_fd, GLANCE_SECONDS, "another controller is at work")
            self._sign(self._own_fd)
            self.hook_fd = self._open("hooks.lock")
            self._take(self.hook_fd, self.wait, "a hook of an earlier controller still runs")
            self._sign(self.hook_fd)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _open(self, suffix: str) -> int:
        path = pair_file(self.folder, self.pair, suffix)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
        except OSError as error:
            raise JournalError(f"The lock file {path} cannot be opened: {error.strerror}.") from error
        if os.fstat(descriptor).st_uid != os.geteuid():
            os.close(descriptor)
            raise JournalError(
                f"The lock file {path} belongs to another user.",
                next_step="Find out who made it, then remove it.",
            )
        return descriptor

    def _take(self, descriptor: int, wait: float, what: str) -> None:
        until = time.monotonic() + wait
        while True:
            try:
                return lock(descriptor, wait=False)
            except LockError as error:
                name = "lock" if descriptor == self._own_fd else "hooks.lock"
                path = pair_file(self.folder, self.pair, name)
                raise JournalError(
                    f"The lock file {path} cannot be locked: {error.message}.", next_step=error.next_step
                ) from error
            except BlockingIOError:
                if time.monotonic() >= until:
                    holder = os.pread(descriptor, 256, 0).decode(errors="replace").strip()
                    raise PairBusyError(self.pair, holder or "it left no name", what) from None
                time.sleep(0.05)

    def _sign(self, descriptor: int) -> None:
        """Write the holder's name, for people. Without space for it the lock still holds."""
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, self.holder.encode()[:256], 0)

    def _close(self) -> None:
        """Give both up. The files stay: removing one would let two controllers lock two files of one name."""
        for descriptor in (self.hook_fd, self._own_fd):
            if descriptor >= 0:
                os.close(descriptor)
        self.hook_fd = self._own_fd = -1


def pair_file(folder: Path, pair: str, suffix: str) -> Path:
    """The path of a file about ``pair``; ConfigError if that is no name of a pair."""
    if not PAIR.fullmatch(pair):
        raise ConfigError(
            f"{pair!r} is not the name of a pair.",
            next_step="Names have 1 to 64 letters, digits, dots, underscores and hyphens.",
        )
    return folder / f"{pair}.{suffix}"


def holder() -> str:
    """Name this process as the holder of a lock, for the operator who finds it taken."""
    return f"bundlekit {__version__}, process {os.getpid()} on {os.uname().nodename}"


def at_work(folder: Path, pair: str) -> str:
    """The controller that works on the pair now, as it signed the lock file. Empty if none does."""
    try:
        descriptor = os.open(
            pair_file(folder, pair, "lock"), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        )
    except OSError:
        return ""
    try:
        lock(descriptor, wait=False, shared=True)
    except BlockingIOError:
        return os.pread(descriptor, 256, 0).decode(errors="replace").strip() or "it left no name"
    except LockError:  # a run from here would fail; no controller can be at work
        return ""
    else:
        return ""
    finally:
        os.close(descriptor)
