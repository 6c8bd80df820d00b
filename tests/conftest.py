"""Settings for all tests, and what tests of several folders share."""

import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# A time limit per example says more about the machine's other work than about the code.
settings.register_profile("bundlekit", deadline=None)
settings.load_profile("bundlekit")


@pytest.fixture(autouse=True)
def _every_journal_is_closed(monkeypatch):
    """Under every Python: before 3.13 none warns of a database that was left open."""
    made, connect = [], sqlite3.connect

    def connecting(database, *args, **options):
        connection = connect(database, *args, **options)
        if str(database).endswith("journal.db"):
            made.append(connection)
        return connection

    monkeypatch.setattr(sqlite3, "connect", connecting)
    yield
    for connection in made:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.cursor()


@pytest.fixture
def memory_folder(tmp_path):
    """A folder where fsync costs nothing, for tests that write thousands of records and kill no power."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as folder:
        yield Path(folder)
