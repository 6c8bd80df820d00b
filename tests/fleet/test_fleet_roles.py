"""The role that the page about fleets gives to workers: it can do its work, and cannot rewrite history."""

import os
import re
from pathlib import Path

import pytest

import bundlekit.docs
from bundlekit.database.connection import Database, DatabaseError, DatabaseRefusalError
from bundlekit.database.schema import make_tables
from bundlekit.fleet.requests import ask_rollout
from bundlekit.fleet.rollout_status import status_of_rollout
from bundlekit.fleet.starting import start_rollout
from bundlekit.fleet.store import RolloutStore
from bundlekit.fleet.worker import FleetWorker
from fixtures.appliance_fleet import ApplianceFleet, ApplianceHooks

PAGE = (Path(bundlekit.docs.__file__).parent / "fleet.md").read_text()
(GRANTS,) = re.findall(r"((?:    (?:CREATE|GRANT|    ON) .*\n)+)", PAGE)
OPEN = '[[waves]]\nname = "all"\n[[abort]]\npercent = 100\n'


@pytest.fixture
def owner(database_url):
    database = Database(database_url)
    make_tables(database)
    yield database
    database.close()


@pytest.fixture
def role(owner):
    """The role of the page, with a name of its own."""
    name = f"bundlekit_worker_{os.getpid()}"
    owner.script(GRANTS.replace("bundlekit_worker", name))
    yield name
    owner.script(f"DROP OWNED BY {name}; DROP ROLE {name};")


def test_a_worker_without_rights_does_not_begin(owner, role, memory_folder):
    owner.script(f"REVOKE UPDATE ON bundlekit.due FROM {role}; REVOKE INSERT ON bundlekit.journal FROM {role};")
    worker = FleetWorker(owner.url.replace("//postgres@", f"//{role}@"), memory_folder / "work")
    with pytest.raises(DatabaseRefusalError, match="the role cannot write the tables journal, due") as refused:
        worker.run(until_finished=True)
    assert "explain fleet" in refused.value.next_step
    worker._close()


def test_a_worker_with_the_role_of_the_page_finishes_a_rollout(owner, role, memory_folder):
    fleet = ApplianceFleet(memory_folder / "fleet").make(4, two_stops=4, program=False, more=OPEN)
    start_rollout(RolloutStore(owner), fleet.file, by="Ada")
    told = []
    url = owner.url.replace("//postgres@", f"//{role}@")
    hooks = ApplianceHooks(fleet.root)
    FleetWorker(url, memory_folder / "work", hooks=hooks, slots=2, tell=told.append).run(until_finished=True)
    assert told == []
    assert status_of_rollout(RolloutStore(owner), "simulated").ends == {"succeeded": 4}
    mine = Database(url)
    try:
        for statement in (
            "UPDATE bundlekit.journal SET body = body",
            "DELETE FROM bundlekit.rollout_record",
            "TRUNCATE bundlekit.journal",
            "UPDATE bundlekit.rollout SET fleet = ''",
            "UPDATE bundlekit.rollout_route SET stops = '[]'",
            "DELETE FROM bundlekit.due",
        ):
            with pytest.raises(DatabaseError, match="permission denied") as caught:
                mine.execute(statement)
            assert "Grant the role" in caught.value.next_step
        with pytest.raises(Exception, match="has finished"):
            ask_rollout(RolloutStore(mine), "simulated", "pause", by="Ada", reason="")
    finally:
        mine.close()
    with pytest.raises(DatabaseError, match="append-only"):
        owner.execute("UPDATE bundlekit.rollout_record SET reason = ''")
