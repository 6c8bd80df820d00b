"""Settings for all tests, and what tests of several folders share."""

import datetime as dt
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import settings

from bundlekit import wall_clock

ROOT = Path(__file__).parents[1]


LOOKS = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
"""Variables that change how text is broken and coloured."""


MEMORY = Path("/dev/shm")
ROOM_FOR_ALL, ROOM_FOR_ONE = 4 * 2**30, 256 * 2**20
"""Bytes that all tests together, or one, never need at once. Many containers offer 64 MiB in memory."""


TODAY = dt.datetime(2026, 11, 28, 12, tzinfo=dt.UTC)
"""The day of all tests, with the keys that they make, and of the release that they test.

Bundles, advisories and certificates have dates, so that a test would end with one of them. Other processes have the
clock of the machine: what they judge is valid for twenty years, or they are given a time.
"""


def _has_memory(room):
    """Whether files in memory can be written, run as hooks, and have room."""
    if not MEMORY.is_mount() or not os.access(MEMORY, os.W_OK | os.X_OK):
        return False
    found = os.statvfs(MEMORY)
    return not found.f_flag & os.ST_NOEXEC and found.f_bavail * found.f_frsize >= room


def _in_memory():
    """Let temporary files be in memory, where there is room. Half of the time of the tests was spent in fsync."""
    if _has_memory(ROOM_FOR_ALL):
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def pytest_configure(config):
    """What the tests expect of their surroundings, whatever those of the one who runs them are.

    The source is compiled once for all processes that they start, where it cannot be kept beside the source.
    """
    _in_memory()
    here = pytest.MonkeyPatch()
    config.add_cleanup(here.undo)
    here.setattr(wall_clock, "now", lambda: TODAY)
    here.setattr("bundlekit.pipeline.__released__", "2026-11-01")
    here.setattr("bundlekit.trust.test_pki.LIFETIME", dt.timedelta(days=20 * 365))
    for name in LOOKS:
        os.environ.pop(name, None)
    if sys.pycache_prefix is None and (sys.dont_write_bytecode or not os.access(ROOT / "bundlekit", os.W_OK)):
        folder = tempfile.TemporaryDirectory(prefix="bundlekit-compiled-")
        config.add_cleanup(folder.cleanup)
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = folder.name


# A time limit per example says more about the machine's other work than about the code.
settings.register_profile("bundlekit", deadline=None)
settings.load_profile("bundlekit")


# Ignored signals are handed down to each process that a test starts, and a shell ignores SIGINT and SIGQUIT for what it
# starts in the background, nohup SIGHUP. With a handler the children get the default again, and a hang-up ends nothing.
for _number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:
        _ours = signal.default_int_handler if _number == signal.SIGINT else lambda *_: None
        signal.signal(_number, _ours)


@pytest.fixture(autouse=True)
def _every_journal_is_closed(monkeypatch):
    """Under every Python: before 3.13 none warns of a database that was left open."""
    made, connect = [], sqlite3.connect

    class Watched(sqlite3.Connection):
        """Another thread than its own cannot ask a connection whether it is closed."""

        closed = False

        def close(self):
            super().close()
            self.closed = True

    def connecting(database, *args, **options):
        connection = connect(database, *args, factory=Watched, **options)
        if str(database).endswith("journal.db"):
            made.append(connection)
        return connection

    monkeypatch.setattr(sqlite3, "connect", connecting)
    yield
    assert [connection.closed for connection in made] == [True] * len(made)


@pytest.fixture
def in_utc(monkeypatch):
    """Local times are those of UTC, in this process and in those that it starts."""
    with monkeypatch.context() as here:
        here.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def memory_folder(tmp_path):
    """A folder where fsync costs nothing, if there is one: for tests that write thousands of records."""
    with tempfile.TemporaryDirectory(dir=MEMORY if _has_memory(ROOM_FOR_ONE) else tmp_path) as folder:
        yield Path(folder)


@contextmanager
def a_postgres_server(**options):
    """A running server in a folder of its own, in memory where there is room. Nothing of it is left afterwards.

    Its folder is not inside that of a test, where the user of the server could not enter.
    """
    from fixtures.postgres import PostgresServer

    folder = tempfile.mkdtemp(prefix="bundlekit-postgres-", dir=MEMORY if _has_memory(ROOM_FOR_ONE) else None)
    try:
        with closing(PostgresServer(Path(folder), **options)) as server:
            server.start()
            yield server
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_server():
    """A server for all tests of this process, started when the first one needs it. Tests never stop this one."""
    with a_postgres_server(durable=False) as server:
        yield server


@pytest.fixture
def _every_connection_is_closed(monkeypatch):
    """Each connection to PostgreSQL that this process makes is closed by its maker."""
    import psycopg

    made, connect = [], psycopg.connect

    def connecting(*args, **options):
        made.append(connect(*args, **options))
        return made[-1]

    monkeypatch.setattr(psycopg, "connect", connecting)
    yield
    assert [connection.closed for connection in made] == [True] * len(made)


@pytest.fixture
def own_postgres_server(_every_connection_is_closed):
    """A server that a test can stop and kill: what it has confirmed is on disk."""
    with a_postgres_server(durable=True) as server:
        yield server


@pytest.fixture
def database_url(postgres_server, _every_connection_is_closed):
    """The URL of an empty database for one test. The test closes every connection that it makes."""
    with postgres_server.new_database() as url:
        yield url


@pytest.fixture(scope="module")
def module_database_url(postgres_server):
    """The URL of an empty database for the tests of one module."""
    with postgres_server.new_database() as url:
        yield url
