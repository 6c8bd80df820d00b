"""The embedded server of the tests: one for all, fresh databases in it, and one that a test can kill."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from bundlekit.database.connection import Database, DatabaseError
from bundlekit.database.schema import STEPS, make_tables
from tests.waiting import wait_for


def test_a_database_is_empty_and_takes_the_tables(database_url):
    with closing(Database(database_url)) as database:
        assert database.rows("SELECT to_regclass('bundlekit.journal')") == [(None,)]
        make_tables(database)
        assert database.rows("SELECT version FROM bundlekit.schema_version") == [(len(STEPS),)]


@pytest.mark.usefixtures("_every_connection_is_closed")
def test_a_database_is_gone_with_its_context_also_from_under_a_session(postgres_server):
    with postgres_server.new_database() as url:
        database = Database(url)
        assert database.rows("SELECT 1") == [(1,)]
    with closing(database), pytest.raises(DatabaseError):
        database.rows("SELECT 1")


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_what_a_server_confirmed_is_there_after_it_was_stopped(own_postgres_server, mode):
    with closing(Database(own_postgres_server.url())) as database:
        make_tables(database)
        database.execute("INSERT INTO bundlekit.due (pair) VALUES ('pair-1')")
        own_postgres_server.restart(mode)
        with pytest.raises(DatabaseError, match=r"terminat|closed"):
            database.rows("SELECT 1")
        assert database.rows("SELECT pair FROM bundlekit.due") == [("pair-1",)]


def test_a_server_ends_with_a_process_that_is_killed():
    code = """
import sys, time
from pathlib import Path
from fixtures.postgres import PostgresServer
server = PostgresServer(Path(sys.argv[1]) / "server", durable=False)
server.start()
print((server.data / "postmaster.pid").read_text().split()[0], server.url(), flush=True)
time.sleep(3600)
"""
    folder = tempfile.mkdtemp(prefix="bundlekit-postgres-")  # not inside that of a test: see conftest.a_postgres_server
    Path(folder).chmod(0o755)
    with subprocess.Popen([sys.executable, "-c", code, folder], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid, url = process.stdout.readline().split()
        with closing(Database(url)) as database:
            assert database.rows("SELECT 1") == [(1,)]
        os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: not Path("/proc", pid).exists(), "the server ends")
    sockets = url.partition("host=")[2].partition("&")[0].replace("%2F", "/")
    wait_for(lambda: not Path(sockets).exists(), "its sockets are removed")
    shutil.rmtree(folder)
