"""Workers over simulated appliances: each pair ends once, whatever ends the workers."""

import shutil
import threading
from collections import Counter

import pytest

from bundlekit.database.connection import Database
from bundlekit.database.schema import make_tables
from bundlekit.fleet.starting import start_rollout
from bundlekit.fleet.store import RolloutStore
from bundlekit.fleet.worker import FleetWorker
from bundlekit.update.engine.records import Ended, Started, decode
from fixtures import appliances
from fixtures.appliance_fleet import ApplianceFleet, ApplianceHooks
from tests.waiting import LIMIT

NEW = ("3.0",) * 3
OPEN = '[[waves]]\nname = "all"\n[[abort]]\nfailures = ["needs-operator"]\npercent = 100\n'


@pytest.fixture
def store(database_url):
    database = Database(database_url)
    make_tables(database)
    yield RolloutStore(database)
    database.close()


@pytest.fixture
def fleet(memory_folder):
    return ApplianceFleet(memory_folder / "fleet")


class Worker(FleetWorker):
    """A worker that keeps what it has to tell, and that can work without threads."""

    def __init__(self, store, fleet, name="one", **options):
        self.told = []
        options.setdefault("hooks", ApplianceHooks(fleet.root))
        super().__init__(store.database.url, fleet.folder / name, tell=self.told.append, **options)

    def turn(self):
        """Decide once, and advance the pairs that are due. The leases of a worker that died have ended."""
        self._idle = 0
        self._look()
        for lease in self._state.take_due(9):
            self._advance(lease)


worker = Worker


def run(*workers):
    threads = [threading.Thread(target=one.run, kwargs={"until_finished": True}) for one in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
        assert not thread.is_alive()


def ends(store):
    return dict(store.database.rows("SELECT pair, outcome FROM bundlekit.rollout_pair"))


def runs(store, pair):
    """The runs of a pair as its journal has them: the version, and how they ended."""
    statement = "SELECT body FROM bundlekit.journal WHERE pair = %(pair)s ORDER BY seq"
    records = [decode(body) for (body,) in store.database.rows(statement, {"pair": pair})]
    started = [one.job.version for one in records if isinstance(one, Started)]
    return list(zip(started, [one.outcome.kind for one in records if isinstance(one, Ended)], strict=True))


def test_two_workers_finish_a_rollout_with_two_stops(store, fleet):
    fleet.make(6, two_stops=6, program=False, more=OPEN)
    appliances.put_fault(fleet.root, "pair-000001", "apply standby", "kill")
    start_rollout(store, fleet.file, by="Ada")
    workers = worker(store, fleet, slots=2), worker(store, fleet, "two", slots=2)
    run(*workers)
    assert [one.told for one in workers] == [[], []]
    assert Counter(ends(store).values()) == {"succeeded": 5, "degraded": 1}
    assert fleet.count() == {NEW: 5, ("3.0", "3.0", "2.0?"): 1}
    assert runs(store, "pair-000003") == [("2.0", "succeeded"), ("3.0", "succeeded")]
    assert not list(fleet.violations())
    assert not store.unfinished()
    assert store.database.rows("SELECT count(*) FROM bundlekit.due WHERE lease_owner IS NOT NULL") == [(0,)]


class KilledError(BaseException):
    """No part of the worker handles it."""


def test_a_queue_of_the_integrator_hears_of_each_pair(store, fleet):
    """It gets hints, and nothing depends on them: here no NOTIFY is sent for a start."""
    fleet.make(2, two_stops=0, program=False, more=OPEN)
    start_rollout(store, fleet.file, by="Ada")
    heard = list[tuple[object, ...]]()

    class Queue:
        def wake(self, pair, at):
            heard.append(("wake", pair, at > 0))

        def forget(self, pair):
            heard.append(("forget", pair))

    store.database.execute("INSERT INTO bundlekit.due (pair, not_before) VALUES ('stray', clock_timestamp())")
    run(worker(store, fleet, slots=2, dispatcher=Queue()))
    assert ends(store) == {"pair-000000": "succeeded", "pair-000001": "succeeded"}
    assert sorted(heard) == [("forget", "stray"), ("wake", "pair-000000", True), ("wake", "pair-000001", True)]
    assert store.database.rows("SELECT not_before FROM bundlekit.due WHERE pair = 'stray'") == [(None,)]


@pytest.fixture
def kill(monkeypatch, store):
    """Let the worker die before its n-th statement about rollouts, leases or due pairs, counted from now on."""
    left = [-1]

    def counted(method):
        def call(self, statement, *values, **options):
            of_worker = self is not store.database
            if of_worker and any(word in statement for word in ("rollout", "advisory", "not_before")):
                if left[0] == 0:
                    raise KilledError
                left[0] -= 1
            return method(self, statement, *values, **options)

        return call

    for name in ("rows", "execute"):
        monkeypatch.setattr(Database, name, counted(getattr(Database, name)))

    def after(count):
        left[0] = count

    return after


def all_with_two_stops(fleet):
    """Let every pair of the fleet have version 1.0."""
    states = fleet.folder / "states.jsonl"
    states.write_text(states.read_text().replace('"2.0"', '"1.0"'))
    for pair in fleet.pairs:
        shutil.rmtree(fleet.root / pair)
        appliances.put_pair(fleet.root, pair, "1.0")


@pytest.mark.exhaustive
def test_a_worker_that_dies_between_any_two_statements_ends_each_pair_once(store, fleet, kill, monkeypatch):
    """The worker of the n-th pair dies at its n-th statement, and another one goes on."""
    monkeypatch.setattr("bundlekit.fleet.worker.LOOK_SECONDS", 0.0)
    fleet.make(60, in_flight=1, program=False, more=OPEN)
    all_with_two_stops(fleet)
    for pair in fleet.pairs[::2]:
        appliances.put_fault(fleet.root, pair, "apply standby", "kill", version="3.0")
    start_rollout(store, fleet.file, by="Ada")

    def work(one, pairs):
        try:
            while sum(end is not None for end in ends(store).values()) < pairs:
                one.turn()
        finally:
            kill(-1)
            one._close()

    number, died = 0, True
    while died:
        died = False
        kill(number)
        number += 1
        try:
            work(Worker(store, fleet), number)
        except KilledError:
            died = True
            store.database.execute("UPDATE bundlekit.due SET lease_until = '-infinity' WHERE lease_owner IS NOT NULL")
            store.database.execute("UPDATE bundlekit.rollout SET decider_until = '-infinity'")
            work(Worker(store, fleet, "two"), number)
    assert number > 20
    ended = {pair: end for pair, end in ends(store).items() if end is not None}
    assert len(ended) == number
    for pair, end in ended.items():
        assert end == ("degraded" if pair in fleet.pairs[::2] else "succeeded")
        assert runs(store, pair) == [("2.0", "succeeded"), ("3.0", end)]
    records = store.database.rows(
        "SELECT pair, kind, count(*) FROM bundlekit.rollout_record WHERE kind IN ('start', 'end') GROUP BY 1, 2"
    )
    assert {count for _, _, count in records} == {1}
    assert not list(fleet.violations())
