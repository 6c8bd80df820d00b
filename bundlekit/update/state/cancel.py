"""Ask a run of another process to stop: a file with the run's name, which its controller looks for."""

from __future__ import annotations

import os
from pathlib import Path

from bundlekit.update.engine.errors import JournalError
from bundlekit.update.state.lock import pair_file
from bundlekit.update.state.sqlite_journal import open_private_folder


class CancelRequest:
    """The request to cancel a run of ``pair``. It names the run, so that it can never meet a later one."""

    def __init__(self, folder: Path, pair: str) -> None:
        self._folder = folder
        self._path = pair_file(folder, pair, "cancel")

    def ask(self, run: str) -> None:
        """Leave the request, durably."""
        open_private_folder(self._folder)
        self.withdraw()
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(descriptor, "w", encoding="ascii") as file:
                file.write(run)
                file.flush()
                os.fsync(descriptor)
        except OSError as error:
            raise JournalError(f"The request {self._path} cannot be written: {error.strerror}.") from error

    def asked(self) -> str:
        """The run that is to be cancelled; empty if none is."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return ""
        try:
            return os.read(descriptor, 64).decode("ascii", errors="replace")
        except OSError:  # a folder, or a disk that fails: it holds no request that anyone has written
            return ""
        finally:
            os.close(descriptor)

    def withdraw(self) -> None:
        """Take the request away, whatever run it names."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise JournalError(f"The request {self._path} cannot be removed: {error.strerror}.") from error
