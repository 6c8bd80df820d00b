"""Where runs are kept: the journal and what belongs to it, in a folder of this host or for many hosts in PostgreSQL.

A controller needs the same of both: to hold a pair, to read the journal, to leave and find a request to cancel. The
folder on this host is part of both. Copies of components, logs of hooks and local locks are in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final, Protocol

from bundlekit.files import MIB
from bundlekit.update.engine.clock import Clock, SystemClock
from bundlekit.update.engine.journal import Journal
from bundlekit.update.state import private_files
from bundlekit.update.state.cancel import CancelRequest
from bundlekit.update.state.lock import PairLock, at_work, holder, pair_file
from bundlekit.update.state.read_only_journal import ReadOnlyJournal, journal_of, stamp
from bundlekit.update.state.sqlite_journal import FILE, SqliteJournal, has_private_folder

MAX_KEPT: Final = 16 * MIB
"""Bytes that are read of a kept input: a report of the largest bundle is smaller."""


class CancelMark(Protocol):
    """The request to cancel a run of one pair. It names the run, so that it can never meet a later one."""

    def ask(self, run: str) -> None:
        """Leave the request, durably."""

    def asked(self) -> str:
        """The run that is to be cancelled; empty if none is."""

    def withdraw(self) -> None:
        """Take the request away, whatever run it names."""


class UpdateState(Protocol):
    """Where the runs of pairs are kept. Close it at the end.

    ``name`` is for messages: the path of the folder, or the URL without its password. ``noun`` is what kind it is, and
    ``parameter`` selects another one. ``folder`` is a private folder on this host. All methods raise JournalError if
    the store fails, and several threads can use one object for several pairs.
    """

    @property
    def name(self) -> str:
        """What messages call it."""

    @property
    def noun(self) -> str:
        """A folder or a database."""

    @property
    def parameter(self) -> str:
        """The name of the parameter that selects it."""

    @property
    def folder(self) -> Path:
        """The folder on this host: copies of components, logs of hooks, local lock files."""

    @property
    def clock(self) -> Clock:
        """The clock for its runs: that of this host, or one that all hosts share."""

    def held(self, pair: str) -> AbstractContextManager[tuple[Journal, int]]:
        """Hold ``pair`` alone while the block runs: its journal, and the descriptor that each hook has to inherit.

        Raises PairBusyError if another controller has the pair.
        """

    def is_ours(self, pair: str) -> bool:
        """Whether no other controller can have ``pair`` for some time from now on. Only while it is held."""

    def reading(self) -> AbstractContextManager[Journal]:
        """The journal, to be read. A missing one is read as empty, and nothing is made or changed."""

    def rows(self, pair: str) -> list[tuple[int, str, str]]:
        """Sequence number, JSON and hash of each record of ``pair``, unchecked. Nothing is made or changed."""

    def stamp(self, pair: str) -> object:
        """A value that changes with almost every record of ``pair``, and costs less than reading them."""

    def cancel_request(self, pair: str) -> CancelMark:
        """The request to cancel a run of ``pair``."""

    def at_work(self, pair: str) -> str:
        """The controller that works on the pair now, as it named itself. Empty if none does."""

    def keep(self, pair: str, suffix: str, data: bytes) -> None:
        """Keep an input of the latest decision about ``pair``, for support bundles. An earlier one is replaced."""

    def kept(self, pair: str, suffix: str) -> bytes | None:
        """What is kept of ``pair`` by this name; None if nothing is."""

    def close(self) -> None:
        """Give up what was opened. A held pair must not be left open."""


class FolderState:
    """The state of runs in one folder of this host, whose owner alone can enter it (``SqliteJournal``)."""

    noun = "folder"
    parameter = "state_dir"

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.clock: Clock = SystemClock()

    @property
    def name(self) -> str:
        """The path of the folder."""
        return str(self.folder)

    @contextmanager
    def held(self, pair: str) -> Iterator[tuple[Journal, int]]:
        """The pair's lock, and the journal."""
        with PairLock(self.folder, pair, holder()) as lock:
            journal = SqliteJournal(self.folder)
            try:
                yield journal, lock.hook_fd
            finally:
                journal.close()

    def is_ours(self, pair: str) -> bool:
        """The lock lasts as long as the process."""
        return True

    def reading(self) -> AbstractContextManager[Journal]:
        """The journal, to be read."""
        return journal_of(self.folder)

    def rows(self, pair: str) -> list[tuple[int, str, str]]:
        """Sequence number, JSON and hash of each record of ``pair``, unchecked."""
        if has_private_folder(self.folder) and (self.folder / FILE).exists():
            return ReadOnlyJournal(self.folder).rows(pair)
        return []

    def stamp(self, pair: str) -> object:
        """Size and time of each file of the journal."""
        return stamp(self.folder)

    def cancel_request(self, pair: str) -> CancelRequest:
        """The request to cancel, as a file."""
        return CancelRequest(self.folder, pair)

    def at_work(self, pair: str) -> str:
        """The controller that works on the pair now, as it signed the lock file."""
        return at_work(self.folder, pair)

    def keep(self, pair: str, suffix: str, data: bytes) -> None:
        """Keep an input as a file next to the journal."""
        private_files.write(self.folder, pair_file(self.folder, pair, suffix).name, data)

    def kept(self, pair: str, suffix: str) -> bytes | None:
        """The content of that file, or None."""
        return private_files.end_of(self.folder, pair_file(self.folder, pair, suffix).name, MAX_KEPT)

    def close(self) -> None:
        """Nothing is open between the calls."""


def open_state(where: Path | str, *, folder: Path | str | None = None) -> UpdateState:
    """The state at ``where``: the URL of a PostgreSQL database (``postgresql://…``), or the path of a folder.

    ``folder`` is the folder on this host that a database needs as well. It defaults to ``/var/lib/bundlekit``. Raises
    ConfigError for a URL that cannot be used. Nothing is opened before the first call.
    """
    from bundlekit.database.connection import PREFIXES

    if isinstance(where, str) and where.startswith(PREFIXES):
        from bundlekit.update.state.postgres_state import PostgresState

        return PostgresState(where, folder if folder is not None else DEFAULT_FOLDER)
    return FolderState(where)


DEFAULT_FOLDER: Final = Path("/var/lib/bundlekit")
"""The folder on this host if none is named."""
