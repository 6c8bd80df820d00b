"""Everything at once: workers, hooks and the server die while a rollout goes on. The appliances are the judge.

Each pair has to end as the table of single faults says. Its appliance must never see two hooks at once on a component,
a fence that falls, or an action that contradicts its state.
"""

import os
import random
import shutil
import subprocess
import time
from contextlib import suppress

import pytest

from bundlekit.database.connection import Database
from bundlekit.database.schema import make_tables
from bundlekit.fleet.starting import start_rollout
from bundlekit.fleet.store import RolloutStore
from bundlekit.update.state.postgres_state import PostgresState
from fixtures import appliances
from fixtures.appliance_fleet import ApplianceFleet
from tests.fleet.hosts_of_workers import Onlooker, WorkerHost, kill_hook, running_hooks, tracebacks
from tests.waiting import wait_for

pytestmark = pytest.mark.sweep

LEASE = 3.0
CLOCKS = (0, 420, -300)
"""Seconds by which the clocks of the hosts are wrong."""

FAULTS = {
    ("prepare standby", "fail"): {"rejected"},
    ("apply storage", "kill"): {"reverted"},
    ("verify active", "fail"): {"reverted"},
    ("apply active", "kill"): {"reverted"},
    ("apply standby", "kill"): {"degraded"},
    ("verify standby", "fail"): {"degraded"},
    ("commit active", "fail"): {"succeeded"},
}
"""Faults of one pair, and how it has to end."""

KILLED = {
    "prepare": {"rejected", "succeeded"},
    "apply": {"reverted", "degraded", "succeeded"},
    "commit": {"succeeded"},
    "cleanup": {"succeeded"},
}
"""The ends of a pair one of whose hooks was killed at any moment. It succeeds if the hook had done its work."""

WAVES = """\
[[waves]]
name = "all"
[[abort]]
percent = 100
minimum-ended = 1000
"""


class Storm:
    """A rollout over ``pairs`` pairs on three hosts, and what happens to it."""

    def __init__(self, folder, server, pairs, seed, **told):
        self.chance = random.Random(seed)  # noqa: S311 -- no secret
        self.server = server
        self.fleet = ApplianceFleet(folder / "fleet").make(
            pairs, in_flight=60, more=WAVES, seconds={"apply": 0.2, "prepare": 0.05}
        )
        self.expected = {pair: {"succeeded"} for pair in self.fleet.pairs}
        for pair in self.chance.sample(self.fleet.pairs, pairs // 5):
            (call, kind), self.expected[pair] = self.chance.choice(list(FAULTS.items()))
            once = {"left": 1} if kind == "kill" else {}
            appliances.put_fault(self.fleet.root, pair, call, kind, **once)
        self.untouched = {pair for pair, ends in self.expected.items() if ends == {"succeeded"}}
        told = {"url": server.url(), "fleet": str(self.fleet.folder), "lease": LEASE, "slots": 8} | told
        self.hosts = [
            WorkerHost(folder / f"host-{number}", ahead=ahead, programs=number != 2, **told)
            for number, ahead in enumerate(CLOCKS)
        ]
        database = Database(server.url())
        make_tables(database)
        start_rollout(RolloutStore(database), self.fleet.file, by="Ada")
        database.close()
        self.onlooker = Onlooker(server.url())
        self.log: list[str] = []
        self.killed: dict[str, str] = {}

    def close(self):
        for host in self.hosts:
            with suppress(Exception):
                host.end()
        self.onlooker.close()

    # What happens

    def kill_a_worker(self):
        host = self.chance.choice(self.hosts)
        host.kill()
        host.start()

    def stop_a_worker(self):
        """Longer than its lease, while the others go on."""
        host = self.chance.choice(self.hosts)
        host.stop()
        time.sleep(LEASE + self.chance.uniform(0.5, 2))
        host.go_on()

    def kill_a_hook(self):
        """At most one of a pair, so that the table of single faults says what comes of it."""
        for pid, pair, verb, _ in list(running_hooks(self.fleet)):
            if pair in self.untouched and kill_hook(pid, self.fleet):
                self.untouched.discard(pair)
                self.killed[pair] = verb
                self.expected[pair] = KILLED[verb]
                return

    def restart_the_server(self):
        self.server.restart(self.chance.choice(["fast", "immediate"]))

    def empty_the_queue(self):
        """What says which pair is due is lost, as the tables of an engine can be; once, since that costs a minute."""
        if self.log.count("empty_the_queue") == 1:
            self.onlooker.rows("TRUNCATE bundlekit.due")

    def rage(self, actions, pause=1.0):
        """Let ``actions`` happen by chance until the rollout has finished."""
        for host in self.hosts:
            host.start()
        while not self.onlooker.finished():
            time.sleep(self.chance.uniform(0.2, 2 * pause))
            name = self.chance.choice(actions)
            self.log.append(name)
            getattr(self, name)()
            for host in self.hosts:
                host.start_again()

    def judge(self):
        """Hold the ends, the appliances and the journals against what was promised."""
        ends = self.onlooker.ends()
        assert set(ends) == set(self.fleet.pairs)
        wrong = {pair: end for pair, end in ends.items() if end not in self.expected[pair]}
        assert not wrong, [self.story(pair) for pair in wrong]
        assert not list(self.fleet.violations())
        for pair, end in ends.items():
            self.compare(pair, end)
        state = PostgresState(self.server.url(), self.fleet.folder / "reader")
        try:
            with state.reading() as journal:
                assert sum(len(journal.read(pair)) > 0 for pair in self.fleet.pairs) == len(self.fleet.pairs)
        finally:
            state.close()
        assert [host.end() for host in self.hosts] == [0] * len(self.hosts)
        assert not [line for host in self.hosts for line in tracebacks(host)]

    def story(self, pair):
        """What is known about a pair that did not end as it has to."""
        notes = self.onlooker.rows("SELECT pair, outcome, note FROM bundlekit.rollout_pair")
        return [one for one in notes if one[0] == pair], self.expected[pair], appliances.events(self.fleet.root, pair)

    def compare(self, pair, end):
        """What the end states, and what is true of the pair."""
        storage, active, standby = self.fleet.versions(pair)
        records = appliances.components(self.fleet.root, pair).values()
        if self.killed.get(pair) != "cleanup":  # a cleanup that fails is noted, and changes nothing
            assert not any(one["run"] or one["staged"] for one in records), (pair, end)
        if end == "succeeded":
            assert {storage, active, standby} == {"3.0"}, pair
        elif end == "degraded":
            assert active in {"2.0", "3.0"}, pair
        else:
            assert active == standby, (pair, end)
            assert "?" not in storage + active, (pair, end)
        assert bool([one for one in records if one["hold"]]) == (end == "degraded" or "storage" in self.failed(pair))

    def failed(self, pair):
        with suppress(FileNotFoundError):
            return (self.fleet.root / pair / "faults.json").read_text()
        return ""


@pytest.fixture
def storm(memory_folder, own_postgres_server):
    made = []

    def make(pairs, **told):
        seed = int(os.environ.get("CHAOS_SEED", random.randrange(2**32)))  # noqa: S311 -- no secret
        print(f"CHAOS_SEED={seed}")  # noqa: T201 -- pytest shows it with a failure
        made.append(Storm(memory_folder, own_postgres_server, pairs, seed, **told))
        return made[-1]

    yield make
    for one in made:
        print({name: one.log.count(name) for name in set(one.log)})  # noqa: T201
        one.close()


ALL = ["kill_a_worker", "stop_a_worker", "kill_a_hook", "restart_the_server", "empty_the_queue"]
OFTEN = [*ALL, "kill_a_worker", "kill_a_hook", "kill_a_hook"]


def test_a_rollout_gets_through_everything_at_once(storm):
    one = storm(int(os.environ.get("CHAOS_PAIRS", "500")))
    one.rage(OFTEN)
    one.judge()


@pytest.mark.parametrize("action", ALL)
def test_a_rollout_gets_through(storm, action):
    one = storm(60)
    one.rage([action])
    one.judge()


ENDS = {"succeeded", "rejected", "reverted", "degraded", "needs-operator"}


def test_a_database_of_an_hour_ago_causes_no_action_that_the_appliances_contradict(storm):
    """All workers lose their power, and the database is put back to an earlier copy of its folder."""
    one = storm(60)
    copy = one.server.folder / "copy"

    def ended(number):
        rows = one.onlooker.rows("SELECT count(outcome) FROM bundlekit.rollout_pair")
        return rows[0][0] >= number

    for host in one.hosts:
        host.start()
    wait_for(lambda: ended(15), "the first ends")
    one.server.stop()
    subprocess.run(["cp", "-a", one.server.data, copy], check=True)
    one.server.start()
    wait_for(lambda: ended(35), "more ends")
    for host in one.hosts:
        host.kill()
    wait_for(lambda: not list(running_hooks(one.fleet)), "the end of the hooks")
    one.server.stop("immediate")
    shutil.rmtree(one.server.data)
    copy.rename(one.server.data)
    one.server.start()
    for host in one.hosts:
        host.start()
    left = "SELECT pair FROM bundlekit.rollout_pair WHERE outcome IS NULL AND note NOT LIKE '%%of another controller%%'"
    wait_for(lambda: not one.onlooker.rows(left), "the end of every pair that no foreign run has")
    assert not list(one.fleet.violations())
    for pair, end in one.onlooker.ends().items():
        storage, active, standby = one.fleet.versions(pair)
        if end == "succeeded":
            assert {storage, active, standby} == {"3.0"}, pair
        elif end in {"rejected", "reverted"}:
            assert active == standby, (pair, end)
    found = one.onlooker.rows("SELECT outcome, note, count(*) FROM bundlekit.rollout_pair GROUP BY 1, 2")
    assert {end for end in one.onlooker.ends().values() if end} <= ENDS, found
    assert sum(end == "succeeded" for end in one.onlooker.ends().values()) >= 10, found
