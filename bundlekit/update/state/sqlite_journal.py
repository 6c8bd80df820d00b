"""The journal in a sqlite file: one per controller, readable with nothing but the ``sqlite3`` shell.

Records are rows of JSON, chained by SHA-256 per pair. The chain finds damage, not tampering: a tail that was cut off is
a shorter valid chain. So the journal's view of the appliance is never trusted without a probe.
"""

from __future__ import annotations

import os
import shlex
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Final

from bundlekit.update.engine.errors import FenceLostError, JournalDamagedError, JournalError, StateFolderError
from bundlekit.update.engine.journal import LEAP
from bundlekit.update.engine.records import Record, encode
from bundlekit.update.state.private_files import no_link
from bundlekit.update.state.record_chain import GENESIS, checked, link
from bundlekit.update.state.space import device_of
from bundlekit.wording import command, fill

FILE: Final = "journal.db"

SIDE_FILES: Final = (f"{FILE}-wal", f"{FILE}-shm")
"""SQLite's files next to the journal while a controller is at work, or after one died: the log and its index."""

MIGRATIONS: Final = (
    (
        """CREATE TABLE journal (
            pair TEXT NOT NULL,
            seq  INTEGER NOT NULL,
            body TEXT NOT NULL CHECK (json_valid(body)),
            hash TEXT NOT NULL,
            PRIMARY KEY (pair, seq)
        ) WITHOUT ROWID""",
        "CREATE TABLE locks (pair TEXT PRIMARY KEY, fence INTEGER NOT NULL, holder TEXT NOT NULL)",
    ),
    (
        """CREATE TRIGGER never_changed BEFORE UPDATE ON journal
            BEGIN SELECT raise(ABORT, 'the journal is append-only'); END""",
        """CREATE TRIGGER never_removed BEFORE DELETE ON journal
            BEGIN SELECT raise(ABORT, 'the journal is append-only'); END""",
    ),
)
"""The schema, as the steps that led to it; ``PRAGMA user_version`` counts those a file has taken."""

KEEP_IT: Final = "Keep the file, move it away, and start again: every run probes first."

NAME_ANOTHER: Final = "Name a folder of your own with {state_dir}."

BUSY_SECONDS: Final = 5.0
"""How long a write waits for another process that reads or writes the file."""


class SqliteJournal:
    """A journal in ``folder``, which is made with mode 0700 if it is missing.

    Raises StateFolderError if the folder is a link, belongs to another user, or is open to other users. Raises
    JournalDamagedError if the file is no journal. A file of an older schema is upgraded.
    """

    def __init__(self, folder: Path) -> None:
        open_private_folder(folder)
        no_links(folder)
        self.path = folder / FILE
        try:
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            pass
        except OSError as error:
            raise JournalError(f"The journal {self.path} cannot be made: {error.strerror}.") from error
        self._heads: dict[str, tuple[int, str]] = {}
        with self._errors(), ExitStack() as undo:
            self._db = sqlite3.connect(self.path, isolation_level=None, timeout=BUSY_SECONDS)
            undo.callback(self._db.close)  # a caller that gets no journal cannot close it
            self._write_ahead()
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("BEGIN IMMEDIATE")
            self._migrate()
            self._db.execute("COMMIT")
            undo.pop_all()

    def _write_ahead(self) -> None:
        """Switch a new file to a write-ahead log. Two processes that do so at once are refused without any wait."""
        until = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
                time.sleep(0.01)
            else:
                return

    def claim(self, pair: str, holder: str, *, at_least: int = 0) -> int:
        """Take the pair over: a new fence, higher than any before and than ``at_least``."""
        with self._errors():
            self._plausible(pair, at_least)
            row = self._db.execute(
                "INSERT INTO locks VALUES (:pair, :floor + 1, :holder) ON CONFLICT (pair) DO UPDATE "
                "SET fence = max(fence, :floor) + 1, holder = :holder RETURNING fence",
                {"pair": pair, "floor": at_least, "holder": holder},
            ).fetchall()
        self._heads.pop(pair, None)
        return int(row[0][0])

    def _plausible(self, pair: str, known: int) -> None:
        """Refuse a fence that no claim can have left: it is outside the hash chain, and would go to the target."""
        row = self._db.execute("SELECT fence FROM locks WHERE pair = ?", (pair,)).fetchone()
        if row is not None and not (isinstance(row[0], int) and 0 <= row[0] <= known + LEAP):
            raise JournalDamagedError(
                f"The journal {self.path} holds fence {row[0]!r} for pair {pair}; records and appliance know {known}.",
                next_step=KEEP_IT,
            )

    def append(self, pair: str, fence: int, record: Record) -> None:
        """Add a record, in one statement that also looks at the fence; durable when this returns."""
        # Kept before the attempt: another one after it finds this very record, if it was written without an answer.
        seq, previous = self._heads[pair] = self._heads.get(pair) or self._head(pair)
        body = encode(record).decode()
        digest = link(previous, pair, seq + 1, body)
        with self._errors():
            try:
                added = self._db.execute(
                    "INSERT INTO journal SELECT ?, ?, ?, ? "
                    "WHERE EXISTS (SELECT 1 FROM locks WHERE pair = ? AND fence = ?)",
                    (pair, seq + 1, body, digest, pair, fence),
                ).rowcount
            except sqlite3.IntegrityError:
                self._heads.pop(pair, None)
                if self._head(pair) != (seq + 1, digest):
                    raise
                added = 1  # an earlier attempt failed after it had written this very record
        if not added:
            raise FenceLostError(
                f"Another controller has taken over pair {pair}.",
                next_step=f"See {command('update status', pair=pair)}.",
            )
        self._heads[pair] = seq + 1, digest

    def read(self, pair: str) -> tuple[Record, ...]:
        """All records of the pair, oldest first, their chain checked."""
        return checked(f"The journal {self.path}", pair, self.rows(pair), next_step=KEEP_IT)

    def rows(self, pair: str) -> list[tuple[int, str, str]]:
        """Sequence number, JSON and hash of each record, unchecked."""
        with self._errors():
            return self._db.execute(
                "SELECT seq, body, hash FROM journal WHERE pair = ? ORDER BY seq", (pair,)
            ).fetchall()

    def pairs(self) -> tuple[str, ...]:
        """The pairs that have records, by name."""
        with self._errors():
            rows = self._db.execute("SELECT DISTINCT pair FROM journal ORDER BY pair").fetchall()
        return tuple(name for (name,) in rows)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _head(self, pair: str) -> tuple[int, str]:
        with self._errors():
            row = self._db.execute(
                "SELECT seq, hash FROM journal WHERE pair = ? ORDER BY seq DESC LIMIT 1", (pair,)
            ).fetchone()
        return (int(row[0]), str(row[1])) if row else (0, GENESIS)

    def _migrate(self) -> None:
        """Upgrade the schema, in one transaction."""
        version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        known_schema(self.path, version)
        for statement in (statement for step in MIGRATIONS[version:] for statement in step):
            self._db.execute(statement)
        self._db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")

    def _errors(self) -> AbstractContextManager[None]:
        return as_journal_errors(self.path)


def no_links(folder: Path) -> None:
    """Refuse a journal of which a file is a link or no file."""
    if wrong := no_link(folder, FILE, *SIDE_FILES, f"{FILE}-journal"):
        raise JournalError(f"{wrong}; a journal is a file.")


def known_schema(path: Path, version: int) -> None:
    """Refuse the schema of a newer bundlekit."""
    if version > len(MIGRATIONS):
        raise JournalError(
            f"The journal {path} has schema {version}; this bundlekit knows {len(MIGRATIONS)}.",
            next_step="Use the newer bundlekit that wrote it.",
        )


@contextmanager
def as_journal_errors(path: Path) -> Iterator[None]:
    """Convert SQLite's exceptions: to an error of the store now, or of a file that is no journal."""
    try:
        yield
    except OSError as error:
        raise JournalError(f"The journal {path} cannot be used: {error.strerror}.") from error
    except sqlite3.OperationalError as error:
        full = f" ({device_of(path.parent)})" if error.sqlite_errorcode == sqlite3.SQLITE_FULL else ""
        raise JournalError(
            f"The journal {path} cannot be used: {error}{full}.",
            next_step="Check the disk and which other processes have the file open, then try again.",
        ) from error
    except sqlite3.DatabaseError as error:
        raise JournalDamagedError(
            f"The journal {path} is damaged: {error}.",
            next_step=KEEP_IT,
        ) from error


def open_private_folder(folder: Path) -> None:
    """Make or check a folder that only its owner can enter; raises StateFolderError."""
    if has_private_folder(folder):
        return
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(folder, error) from error
    has_private_folder(folder)  # another user can have made it meanwhile


def has_private_folder(folder: Path) -> bool:
    """Whether the folder exists; makes none. Raises StateFolderError if other users can access it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _unusable(folder, error) from error
    try:
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid != os.geteuid():
        raise StateFolderError(f"The state folder {folder} belongs to another user.", next_step=fill(NAME_ANOTHER))
    if mode & stat.S_ISVTX:  # a folder like /tmp is not to be closed
        raise StateFolderError(f"The folder {folder} is shared (mode {mode:o}).", next_step=fill(NAME_ANOTHER))
    if mode & 0o077:
        raise StateFolderError(
            f"The state folder {folder} can be entered by other users (mode {mode:o}); only its owner can have access.",
            next_step=f"chmod 700 {shlex.quote(str(folder))}",
        )
    return True


def _unusable(folder: Path, error: OSError) -> StateFolderError:
    return StateFolderError(f"{folder} cannot be used as state folder: {error.strerror}.", next_step=fill(NAME_ANOTHER))
