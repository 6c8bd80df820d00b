"""Real kills with two state folders: controllers of two hosts over one pair at once, killed at random."""

import random
from itertools import pairwise

import pytest

from bundlekit.update.engine.records import CallFinished, CallStarted, ModeChanged, Started
from bundlekit.update.state.sqlite_journal import SqliteJournal
from tests.update.folders import make_folders
from tests.update.target import ALL_NEW, ALL_OLD
from tests.update.test_kills import Controllers, versions_of_folders
from tests.waiting import LIMIT

ALL_OTHER = ("3.5.0", "5.41.00", "5.41.00")
NEW = {"this": ALL_NEW, "other": ALL_OTHER}
LOST = {"rejected", "superseded", "busy"}
CHANGING = {"prepare", "apply", "commit", "revert", "cleanup"}
STAGED = 21
"""The record of the answer to the first *prepare*: the start, and two for each of nine calls before it and for it."""

SPAN = {"slots": 0.25, "template": 4.0}
"""Seconds after which a controller is killed, at most: somewhat more than a run takes."""


class Hosts:
    """Two hosts, each with a state folder, a process that forks its controllers, and one of two bundles."""

    def __init__(self, servers, chance, kind):
        self.chance, self.kind = chance, kind
        first, second = servers
        if kind == "slots":
            first.begin()
        else:
            folder = first.base / str(first.stories + 1) / "pairs"
            first.begin([str(folder / "hook.sh"), str(folder)])
            make_folders(folder)
        second.folder, second.said = first.folder, first.said
        self.bundles = {"one": "this", "two": chance.choice(["this", "other", "other"])}
        self.servers = {"one": first, "two": second}
        self.claims = {name: chance.choice([0, 0, 3]) for name in self.servers}
        self.named = dict.fromkeys(self.servers, "")

    def asked(self, name):
        """What the next controller of the host is told; one that met a run under way may take it over by name."""
        take_over = self.named[name] if self.chance.random() < 0.7 else ""
        claims, self.claims[name] = self.claims[name], 0
        return {"state": name, "bundle": self.bundles[name], "claims": claims, "take-over": take_over, "wait": LIMIT}

    def heard(self, name):
        said = self.servers[name].hear()
        assert said["kind"] != "crashed", said
        self.named[name] = said.get("ways", {}).get("take-over", "")
        return said

    def at_once(self):
        """A controller on each host, killed if it has not come to its end by then."""
        names = self.chance.sample(["one", "two"], self.chance.choice([1, 2, 2]))
        for name in names:
            self.servers[name].send(name, **self.death(), **self.asked(name))
        for name in names:
            self.heard(name)

    def death(self):
        """When a controller is killed: after a while, or at a record, however long that takes on this machine."""
        if self.chance.random() < 0.4:
            return {"after": self.chance.uniform(0, SPAN[self.kind])}
        return {"append": self.chance.randrange(1, 70), "durable": self.chance.random() < 0.5}

    def to_the_end(self):
        """Each host goes on until its run has an end, one after the other."""
        ends = {}
        for name in self.chance.sample(["one", "two"], 2):
            self.servers[name].send(name, **self.asked(name))
            ends[name] = self.heard(name)
        return ends

    def one_after_the_other(self):
        """Each way to end, once, whatever the machine's other work is: the first host dies when it has staged storage.

        The second one then finds a run under way, and the first one finishes it.
        """
        server, ask = self.servers["one"], {"wait": LIMIT, "bundle": "this"}
        server.send("one", state="one", append=STAGED, durable=True, **ask)
        dead = server.hear()["kind"]
        return [dead, *(self.servers[name].ask(name, state=name, **ask)["kind"] for name in ("two", "one", "two"))]

    def operator(self):
        """A third host, where someone runs the update for the pair as it is, and takes over what is named."""
        ask = {"state": "three", "as-found": True, "wait": LIMIT, "bundle": "other"}
        server = self.servers["one"]
        said = server.ask("three", **ask)
        return server.ask("three", **ask | {"take-over": said["ways"]["take-over"]}) if said["kind"] == "busy" else said

    def versions(self):
        first = self.servers["one"]
        return first.versions() if self.kind == "slots" else versions_of_folders(first)

    def records(self, name):
        journal = SqliteJournal(self.servers["one"].folder / name)
        try:
            return journal.read("pair-0")
        finally:
            journal.close()


def applies(records):
    """When each apply that a hook answered with *ok* began and ended, in seconds of the boot clock."""
    began = None
    for record in records:
        match record:
            case CallStarted(verb="apply"):
                began = record
            case CallFinished(verb="apply") if record.answer.kind == "ok":
                yield began.at.ticks, record.at.ticks, record.step
            case _:
                pass


def check(hosts, ends):
    """What must hold whatever was killed, and whichever of the two was first."""
    versions = hosts.versions()
    kinds = {name: end["kind"] for name, end in ends.items()}
    winners = [name for name, kind in kinds.items() if kind == "succeeded"]
    assert len(winners) <= 1, kinds
    assert set(kinds.values()) <= LOST | {"succeeded"}, ends
    spans = sorted(span for name in ends for span in applies(hosts.records(name)))
    assert all(a[1] <= b[0] for a, b in pairwise(spans)), spans
    for name, end in ends.items():
        records = hosts.records(name)
        assert sum(isinstance(record, Started) for record in records) <= 1
        lost = next(
            (n for n, record in enumerate(records) if isinstance(record, ModeChanged) and record.to == "lost"), None
        )
        if lost is not None:
            assert not any(isinstance(r, CallStarted) and r.verb in CHANGING for r in records[lost:]), (
                "it touches nothing"
            )
            assert "controller" in end["reason"] or end["reason"].startswith("state-changed"), end
    if winners:
        assert versions == NEW[hosts.bundles[winners[0]]]
    elif "superseded" not in kinds.values():
        assert versions == ALL_OLD, "both were rejected, so nothing was changed"
    assert set(versions) <= {*ALL_OLD, *ALL_NEW, *ALL_OTHER}


def race(servers, kind, rounds, seed):
    chance = random.Random(seed)  # noqa: S311 -- no secret
    for number in range(rounds):
        hosts = Hosts(servers, chance, kind)
        for _ in range(chance.randrange(2, 7)):
            hosts.at_once()
        ends = hosts.to_the_end()
        try:
            check(hosts, ends)
            end = hosts.operator()
            if hosts.versions() != ALL_OTHER or end["kind"] not in {"succeeded", "rejected"}:
                pytest.fail(f"the way out leads to {end}")
        except BaseException as error:
            error.add_note(f"seed {seed}, round {number}, ends {ends}")
            raise


@pytest.fixture
def servers(memory_folder):
    for name in ("one", "two"):
        (memory_folder / name).mkdir()
    made = [Controllers(memory_folder / name) for name in ("one", "two")]
    yield made
    for server in made:
        server.close()


@pytest.mark.parametrize("kind", ["slots", "template"])
def test_two_hosts_meet_each_way_to_end(servers, kind):
    """By turns, not by chance: what a race meets depends on how fast the machine is."""
    hosts = Hosts(servers, random.Random(0), kind)  # noqa: S311 -- no secret
    assert hosts.one_after_the_other() == ["killed", "busy", "succeeded", "rejected"]
    assert hosts.versions() == ALL_NEW


def test_two_hosts_race_for_a_pair_and_are_killed(servers):
    race(servers, "slots", 4, seed=2)


@pytest.mark.sweep
@pytest.mark.parametrize(("kind", "rounds"), [("slots", 150), ("template", 40)])
def test_two_hosts_race_for_pair_after_pair_and_are_killed(servers, kind, rounds):
    race(servers, kind, rounds, seed=random.randrange(2**32))  # noqa: S311 -- no secret
