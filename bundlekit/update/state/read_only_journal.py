"""Read the journal and change nothing: no folder is made, no schema is upgraded, no file is touched.

So it works on a disk that is full or mounted read-only. SQLite itself writes even if it only reads a file in WAL mode:
it creates or updates the file of the shared index. Which way of opening writes nothing depends on the existing files.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import quote

from bundlekit.update.engine.errors import JournalError
from bundlekit.update.engine.journal import Journal, MemoryJournal
from bundlekit.update.engine.records import Record
from bundlekit.update.state.record_chain import checked
from bundlekit.update.state.sqlite_journal import (
    BUSY_SECONDS,
    FILE,
    KEEP_IT,
    SIDE_FILES,
    has_private_folder,
    known_schema,
    no_links,
)
from bundlekit.update.state.sqlite_journal import as_journal_errors as errors

MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder in it is made with mode 0700 and a name of its own
"""Where a copy is made if it exists: it needs no disk."""

LOOKS: Final = 5
"""How often a file is read again that a controller has begun to write meanwhile."""


class ReadOnlyJournal:
    """The journal in ``folder``, which holds one. Raises what ``SqliteJournal`` raises."""

    def __init__(self, folder: Path) -> None:
        no_links(folder)
        self.path = folder / FILE
        self._sides = [folder / name for name in SIDE_FILES]
        with self._opened() as db:
            known_schema(self.path, int(db.execute("PRAGMA user_version").fetchone()[0]))

    def read(self, pair: str) -> tuple[Record, ...]:
        """All records of the pair, oldest first, their chain checked."""
        return checked(f"The journal {self.path}", pair, self.rows(pair), next_step=KEEP_IT)

    def rows(self, pair: str) -> list[tuple[int, str, str]]:
        """Sequence number, JSON and hash of each record, unchecked."""
        return self._all("SELECT seq, body, hash FROM journal WHERE pair = ? ORDER BY seq", pair)

    def pairs(self) -> tuple[str, ...]:
        """The pairs that have records, by name."""
        return tuple(name for (name,) in self._all("SELECT DISTINCT pair FROM journal ORDER BY pair"))

    def claim(self, pair: str, holder: str, *, at_least: int = 0) -> int:
        """Refused: who reads takes nothing over."""
        raise JournalError(f"The journal {self.path} is open for reading only.")

    def append(self, pair: str, fence: int, record: Record) -> None:
        """Refused: who reads writes nothing."""
        raise JournalError(f"The journal {self.path} is open for reading only.")

    def _all(self, statement: str, *given: str) -> list[Any]:
        for left in reversed(range(LOOKS)):
            before = stamp(self.path.parent)
            try:
                found = self._once(statement, given)
            except JournalError:
                if not left or before == stamp(self.path.parent):
                    raise
            else:
                if not left or before == stamp(self.path.parent):
                    return found
        raise AssertionError  # pragma: no cover - the last look returns or raises

    def _once(self, statement: str, given: tuple[str, ...]) -> list[Any]:
        with self._opened() as db:
            made = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'journal'").fetchall()
            return db.execute(statement, given).fetchall() if made else []  # its first controller died very early

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with errors(self.path), self._source() as (path, options):
            name = f"file:{quote(str(path.absolute()))}?{options}"
            with closing(sqlite3.connect(name, uri=True, timeout=BUSY_SECONDS, isolation_level=None)) as db:
                yield db

    @contextmanager
    def _source(self) -> Iterator[tuple[Path, str]]:
        """What to open, and how: the file, or a copy."""
        log, index = self._sides
        if index.exists() and log.exists():  # a controller is at work, or one died: SQLite follows both
            yield self.path, "mode=ro&readonly_shm=1"
        elif log.exists() and log.stat().st_size:  # to follow the log, SQLite would make an index next to it
            with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
                for path in (self.path, log):
                    shutil.copyfile(path, Path(folder) / path.name)
                yield Path(folder) / FILE, "mode=rw"
        else:
            yield self.path, "immutable=1"


def stamp(folder: Path) -> list[tuple[int, int] | None]:
    """Size and time of each file of the journal in ``folder``; almost every write changes it.

    The time has the resolution of the kernel's clock tick: two writes within one tick can leave the same stamp.
    """
    states: list[tuple[int, int] | None] = []
    for name in (FILE, *SIDE_FILES):
        try:
            status = (folder / name).stat()
        except OSError:
            states.append(None)
        else:
            states.append((status.st_size, status.st_mtime_ns))
    return states


@contextmanager
def journal_of(folder: Path) -> Iterator[Journal]:
    """The journal in ``folder``, to be read. A missing journal is read as an empty one, and none is created.

    Raises StateFolderError if a run would, so that a status or a plan shows the fault before a run.
    """
    yield ReadOnlyJournal(folder) if has_private_folder(folder) and (folder / FILE).exists() else MemoryJournal()
