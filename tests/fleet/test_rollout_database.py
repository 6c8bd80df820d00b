"""Rollouts over simulated appliances with a real server: what becomes of the pairs, as the appliances know it."""

import threading
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from bundlekit.database.connection import Database
from bundlekit.database.schema import make_tables
from bundlekit.fleet.requests import ask_rollout, retry_pairs
from bundlekit.fleet.starting import start_rollout
from bundlekit.fleet.store import RolloutStore
from bundlekit.fleet.worker import FleetWorker
from bundlekit.update.engine.records import CallStarted
from bundlekit.update.state import lease
from fixtures import appliances
from fixtures.appliance_fleet import ApplianceFleet, ApplianceHooks
from tests.fleet.hosts_of_workers import Onlooker, WorkerHost, running_hooks
from tests.waiting import wait_for

NEW = ("3.0",) * 3
OLD = ("2.0",) * 3

ONE_WAVE = """\
[[waves]]
name = "all"
[[abort]]
percent = 100
minimum-ended = 1000
"""

CANARY = """\
[[waves]]
name = "canary"
count = 10
[[waves]]
name = "rest"
[[abort]]
minimum-ended = 3
percent = 10
"""


class RolloutStory:
    """A fleet, its rollout in a database, and workers that a test starts."""

    def __init__(self, folder, url, pairs=12, *, more=ONE_WAVE, **options):
        self.folder, self.url = folder, url
        self.fleet = ApplianceFleet(folder / "fleet").make(pairs, two_stops=6, more=more, program=False, **options)
        self.onlooker = Onlooker(url)
        self.workers = 0

    def start(self):
        with self.store() as store:
            start_rollout(store, self.fleet.file, by="Ada")
        return self

    @contextmanager
    def store(self):
        database = Database(self.url)
        try:
            make_tables(database)
            yield RolloutStore(database)
        finally:
            database.close()

    @contextmanager
    def worker(self, **options):
        """A worker of this process, in a thread."""
        self.workers += 1
        folder = self.folder / f"host-{self.workers}"
        worker = FleetWorker(self.url, folder, hooks=ApplianceHooks(self.fleet.root), **{"slots": 4} | options)
        thread = threading.Thread(target=worker.run)
        thread.start()
        try:
            yield worker
        finally:
            worker.stop()
            thread.join()

    def until(self, phase):
        if phase == "finished":
            wait_for(self.onlooker.finished, "the end of the rollout")
        wait_for(lambda: self.onlooker.phase() == phase, f"the phase {phase}")

    def close(self):
        self.onlooker.close()


@pytest.fixture
def story(memory_folder, database_url):
    made = []

    def make(*args, **options):
        made.append(RolloutStory(memory_folder, database_url, *args, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_every_pair_takes_its_route_and_is_recorded(story):
    one = story().start()
    with one.worker():
        one.until("finished")
    assert set(one.onlooker.ends().values()) == {"succeeded"}
    assert one.fleet.count() == {NEW: 12}
    assert not list(one.fleet.violations())
    runs = one.onlooker.rows(
        "SELECT pair, count(*) FROM bundlekit.journal WHERE body::json->>'record' = 'started' GROUP BY 1 ORDER BY 1"
    )
    assert [count for _, count in runs] == [1, 1, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1], "one for each stop"
    assert not one.onlooker.rows(
        "SELECT pair FROM bundlekit.due WHERE not_before IS NOT NULL OR lease_owner IS NOT NULL"
    )


def test_several_workers_share_the_pairs(story):
    one = story(20).start()
    with one.worker(), one.worker(), one.worker():
        one.until("finished")
    assert one.fleet.count() == {NEW: 20}
    assert not list(one.fleet.violations())


def test_a_canary_with_wrong_images_stops_and_goes_on_after_the_fix(story):
    one = story(20, more=CANARY, in_flight=4)
    for pair in one.fleet.pairs[::2]:
        appliances.put_fault(one.fleet.root, pair, "verify active", "fail", version="3.0")
    one.start()
    with one.worker():
        one.until("aborted")
        wait_for(lambda: not one.onlooker.rows(IN_FLIGHT), "the end of the pairs in flight")
        ends = {pair: end for pair, end in one.onlooker.ends().items() if end}
        for pair, end in ends.items():
            assert (end, one.fleet.versions(pair)) in PROMISED
        assert "reverted" in ends.values()
        touched = {pair for pair in one.fleet.pairs if appliances.events(one.fleet.root, pair)}
        assert touched == set(ends)
        waves = one.onlooker.rows("SELECT pair FROM bundlekit.rollout_pair WHERE wave = 0")
        assert touched <= {pair for (pair,) in waves}
        bad = sum(end == "reverted" for end in ends.values())
        assert bad <= 1 + 4, "no pair starts after the outcome that meets the criterion"
        for pair in one.fleet.pairs:
            appliances.mend(one.fleet.root, pair)
        with one.store() as store:
            again = retry_pairs(store, "simulated", by="Ada", reason="the image was replaced", kinds=["reverted"])
            assert len(again) == bad
            ask_rollout(store, "simulated", "resume", by="Ada", reason="the image was replaced")
        one.until("finished")
    assert set(one.onlooker.ends().values()) == {"succeeded"}
    assert one.fleet.count() == {NEW: 20}
    assert not list(one.fleet.violations())


IN_FLIGHT = "SELECT pair FROM bundlekit.rollout_pair WHERE started IS NOT NULL AND outcome IS NULL"
PROMISED = {("succeeded", NEW), ("reverted", ("3.0", "2.0", "2.0"))}


@pytest.mark.exhaustive
def test_a_worker_that_is_killed_is_replaced(story):
    """Its hook goes on: the next worker of this host waits for it, and that of another one for the lease as well."""
    one = story(3, seconds={"apply": 0.5}).start()
    told = {"url": one.url, "fleet": str(one.fleet.folder), "lease": 2, "slots": 3, "programs": True}
    first = WorkerHost(one.folder / "first", **told).start()
    try:
        wait_for(lambda: [1 for hook in running_hooks(one.fleet) if hook[2] == "apply"], "a change of an appliance")
    finally:
        first.kill()
    second = WorkerHost(one.folder / "second", **told).start()
    try:
        one.until("finished")
    finally:
        assert second.end() == 0
    assert not one.onlooker.rows("SELECT pair, outcome, note FROM bundlekit.rollout_pair WHERE outcome <> 'succeeded'")
    assert one.fleet.count() == {NEW: 3}
    assert not list(one.fleet.violations())


NEWER = "SELECT 1 FROM bundlekit.schema_version WHERE version > usable_by"


@pytest.mark.exhaustive
def test_a_newer_worker_works_beside_an_older_one(story):
    one = story(16, seconds={"apply": 0.1})
    told = {"url": one.url, "fleet": str(one.fleet.folder), "slots": 2}
    with one.worker(slots=2):
        newer = WorkerHost(one.folder / "newer", newer=True, **told).start()
        try:
            wait_for(lambda: one.onlooker.rows(NEWER), "the tables of the later release")
            one.start()
            one.until("finished")
        finally:
            assert newer.end() == 0
    ended = one.onlooker.rows(
        "SELECT body::jsonb ? 'later' FROM bundlekit.journal WHERE body::jsonb->>'record' = 'ended'"
    )
    assert set(ended) == {(True,), (False,)}, "both have worked"
    assert one.fleet.count() == {NEW: 16}
    assert not list(one.fleet.violations())


@pytest.mark.parametrize("ended", [0, 5], ids=["from before the start", "from the middle"])
def test_a_database_from_an_hour_ago_causes_nothing_that_the_probes_contradict(story, postgres_server, ended):
    one = story(12).start()
    if ended:
        with one.worker():
            wait_for(lambda: sum(map(bool, one.onlooker.ends().values())) >= ended, "the first ends")
    one.onlooker.close()
    with postgres_server.new_database(urlsplit(one.url).path[1:]) as copy:
        with one.worker():
            one.until("finished")
        assert one.fleet.count() == {NEW: 12}
        one.onlooker.close()
        one.url, one.onlooker = copy, Onlooker(copy)
        with one.worker():
            one.until("finished")
            assert not list(one.fleet.violations())
            assert one.fleet.count() == {NEW: 12}
            with one.store() as store:
                retry_pairs(store, "simulated", by="Ada", reason="restored", kinds=["rejected", "needs-operator"])
            one.until("finished")
        notes = one.onlooker.rows(
            "SELECT pair, stop, outcome, note FROM bundlekit.rollout_pair WHERE outcome <> 'succeeded'"
        )
        assert not notes
        assert not list(one.fleet.violations())
        assert one.fleet.count() == {NEW: 12}
        one.onlooker.close()


def test_a_server_that_is_away_for_a_while_costs_time_only(memory_folder, own_postgres_server):
    one = RolloutStory(memory_folder, own_postgres_server.url(), 8, seconds={"apply": 0.1}).start()
    with one.worker():
        for mode in ("fast", "immediate"):
            wait_for(lambda: one.onlooker.rows(IN_FLIGHT), "pairs in flight")
            own_postgres_server.restart(mode)
        one.until("finished")
    assert one.fleet.count() == {NEW: 8}
    assert not list(one.fleet.violations())
    one.close()


def test_a_worker_that_was_stopped_after_a_record_does_not_make_the_call(story, monkeypatch):
    """It was stopped for longer than its lease between the two, and another worker has the pair."""
    one = story(1).start()
    real, stopped = lease.ticks, threading.Event()

    def stop(_pair, records):
        (record,) = records
        if (
            isinstance(record, CallStarted)
            and (record.verb, record.step) == ("apply", "active")
            and not stopped.is_set()
        ):
            with one.store() as store:
                store.database.execute("UPDATE bundlekit.due SET lease_owner = 'another worker'")
            monkeypatch.setattr(lease, "ticks", lambda: real() + 100)
            stopped.set()

    def applied():
        return [
            event["fence"]
            for event in appliances.events(one.fleet.root, "pair-000000")
            if (event["event"], event["verb"], event["step"]) == ("begin", "apply", "active")
        ]

    with one.worker(watch=stop) as worker:
        wait_for(stopped.is_set, "the stop")
        wait_for(worker._is_idle, "the end of the work on the pair")
        assert not applied()
        with one.store() as store:
            store.database.execute("UPDATE bundlekit.due SET lease_until = clock_timestamp()")
        one.until("finished")
    assert applied() == [2]
    assert one.fleet.count() == {NEW: 1}
    assert not list(one.fleet.violations())
