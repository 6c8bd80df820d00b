"""The verbs of an update with their journal in PostgreSQL: the same words and exit codes as with a folder."""

import json
import os
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from bundlekit.cli.update import common as shared
from bundlekit.database.connection import Database
from bundlekit.update.state.postgres_state import PostgresState
from tests.cli.test_update import NEW, OLD, RUN, STATE_DIR, TRUST, room, update_desk  # noqa: F401
from tests.update.world import fault


@pytest.fixture
def desk(room, database_url, monkeypatch):  # noqa: F811
    """The operator's room, whose journal is in a database. The folder is only for what one host needs."""
    monkeypatch.setenv("BUNDLEKIT_STATE", database_url)
    monkeypatch.setattr(shared, "clock_of", lambda _kept_in: room.clock)
    return room


def test_a_run_is_told_by_status_and_log(desk):
    assert desk.run().code == 0
    assert desk.versions == NEW
    assert not Path("state/journal.db").exists()
    status = desk.update("status")
    assert (status.code, "pair pair-0: run" in status.out, "succeeded" in status.out) == (0, True, True)
    assert desk.cli("update", "status", *STATE_DIR).out == status.out
    assert [record["record"] for record in desk.records][:1] == ["started"]
    assert desk.update("log").code == 0
    assert desk.update("log", "--follow").out == desk.update("log").out
    assert desk.cli("update", "status", "--follow", *STATE_DIR).out == status.out


def test_before_the_first_run_there_is_nothing_and_reading_makes_nothing(desk, database_url):
    status = desk.cli("update", "status", *STATE_DIR)
    assert (status.code, "no pair was ever updated with the state database postgresql://" in status.out) == (0, True)
    assert desk.update("status").code == 3
    assert desk.cli("update", "resume", *TRUST, *STATE_DIR).code == 4
    for verb in ("log", "cancel"):
        assert desk.update(verb).code == 3
    assert "Give another database with --state." in desk.clear().err
    with closing(Database(database_url)) as database:
        assert database.rows("SELECT to_regclass('bundlekit.due') IS NULL") == [(False,)], "clear takes the lease first"


def test_a_hold_is_exported_and_cleared(desk):
    desk.faults(fault("apply", "standby", "F"))
    result = desk.run()
    assert result.code == 30
    assert desk.update("status", "--fail-on", "hold").code == 1
    assert desk.run().code == 12
    done = desk.update("log", "--export", "case.zip")
    assert done.code == 0
    with zipfile.ZipFile("case.zip") as archive:
        names = archive.namelist()
        assert {"README.txt", "journal.jsonl", "chain.txt", "pair-0.state.json", "pair-0.report.json"} <= set(names)
        assert f"The logs are those on host {os.uname().nodename}." in archive.read("README.txt").decode()
        assert json.loads(archive.read("pair-0.state.json"))["pair"] == "pair-0"
        assert len(archive.read("journal.jsonl").splitlines()) == len(desk.records)
    desk.hooks = desk.pair
    assert desk.update("repair", *TRUST).code == 0
    assert desk.clear().code == 3, "it is not on hold any more"


def test_a_hold_of_a_complete_pair_is_cleared(desk):
    desk.faults(fault("apply", "storage", "F"))
    assert desk.run().code == 20
    desk.hooks = desk.pair
    cleared = desk.clear()
    assert (cleared.code, "is released from its hold" in cleared.out) == (0, True)
    assert "hold cleared by Ada: disk replaced" in desk.update("status").out


def test_a_cancel_reaches_the_run_through_the_database(desk):
    assert desk.run("--until", "prepared").code == 75
    assert desk.update("cancel").code == 0
    assert "the operator requested a cancel" in desk.update("status").out
    assert desk.resume().code == 11
    assert desk.versions == OLD


def test_resume_without_a_pair_continues_each_run(desk):
    assert desk.run("--until", "prepared").code == 75
    assert desk.cli("update", "resume", "--until", "end", *TRUST, *STATE_DIR).code == 0
    assert desk.versions == NEW


def test_another_host_that_has_the_pair_is_named(desk, database_url, tmp_path):
    assert desk.run("--until", "prepared").code == 75
    with closing(PostgresState(database_url, tmp_path / "there")) as there, there.held("pair-0"):
        busy = desk.resume()
        status = desk.update("status")
    assert (busy.code, f"process {os.getpid()}" in busy.out) == (13, True)
    assert "in progress: bundlekit" in status.out
    assert desk.resume().code == 0


def test_the_next_step_names_the_database_and_never_its_password(desk, database_url, monkeypatch):
    monkeypatch.delenv("BUNDLEKIT_STATE")
    url = database_url.replace("postgres@", "postgres:hunter2@")
    result = desk.cli(*RUN, "--state", url, "--until", "prepared")
    assert result.code == 75
    (resume,) = [line for line in result.out.splitlines() if "bundlekit update resume" in line]
    assert f"--state '{database_url}'" in resume
    assert "hunter2" not in result.out + result.err


def test_a_state_that_is_no_database_is_refused(desk):
    result = desk.cli(*RUN, "--state", "a folder")
    assert (result.code, "--state-dir" in result.err) == (2, True)


@pytest.mark.parametrize("verb", ["run", "status", "log", "cancel", "clear", "resume", "plan"])
def test_without_the_server_the_message_names_it_and_no_password(desk, monkeypatch, verb, tmp_path):
    monkeypatch.setenv("BUNDLEKIT_STATE", f"postgresql://ada:hunter2@/fleet?host={tmp_path}")
    result = {
        "run": desk.run,
        "plan": desk.plan,
        "clear": desk.clear,
        "resume": desk.resume,
    }.get(verb, lambda: desk.update(verb))()
    assert result.code in {3, 75}
    assert "The database postgresql://ada@/fleet" in result.out + result.err
    assert "hunter2" not in result.out + result.err
    assert desk.versions == OLD
