"""Real kills: SIGKILL of the controller at every record and inside every hook, then whoever comes next."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bundlekit.update.engine.hooks import ANSWERS
from bundlekit.update.targets.slot_folder import Place, read_pair
from tests.update.folders import COMPONENTS, make_folders
from tests.update.target import ALL_NEW, ALL_OLD, IMAGES, NEW, OLD, digest_of, make_pair
from tests.waiting import LIMIT, at_work, wait_for

ROOT = Path(__file__).parents[2]
MAX_POINTS = 400
"""More records or system calls than any run has: a sweep that gets here has lost count."""


class Controllers:
    """The process that forks controllers, and the folder they work in, made anew for each story."""

    def __init__(self, folder):
        self.base, self.stories = folder, 0
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.update.controller"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def begin(self, hooks="slots", fails=None):
        self.stories += 1
        self.folder = self.base / str(self.stories)
        self.folder.mkdir()
        self.said = {"hooks": hooks, "fails": fails, "folder": str(self.folder)}
        if hooks == "slots":
            make_pair(self.folder / "target")
        return self

    def send(self, holder="first", **ask):
        self.process.stdin.write(json.dumps(self.said | {"holder": holder} | ask) + "\n")
        self.process.stdin.flush()

    def hear(self):
        return json.loads(self.process.stdout.readline())

    def ask(self, holder="first", **ask):
        self.send(holder, **ask)
        return self.hear()

    def close(self):
        self.process.stdin.close()
        self.process.wait(LIMIT)
        self.process.stdout.close()

    # what is on the disk of the slots target

    def records(self):
        for _, where, _ in COMPONENTS.values():
            with Place(self.folder / "target" / "pair-0" / where) as place:
                yield place.path, place.read()

    def versions(self):
        return tuple(record.running.version for _, record in self.records())

    def check_bytes(self):
        """Whatever a record says is in a slot is in it."""
        for path, record in self.records():
            for letter in "ab":
                if said := record.slot(letter):
                    assert digest_of((path / letter).read_bytes()[: said.size]) == said.digest


@pytest.fixture
def controllers(memory_folder):
    made = Controllers(memory_folder)
    yield made
    made.close()


STORIES = {
    None: ("succeeded", False, ALL_NEW, 7),
    "storage": ("reverted", True, ALL_OLD, 6),
    "active": ("reverted", False, (ALL_NEW[0], OLD, OLD), 6),
    "standby": ("degraded", True, ALL_NEW, 7),
}
"""What fails, and what then must come out by the table of single faults, however often the controller dies."""


def kill_everywhere(controllers, fails, name, stride=1, **said):
    """Kill at every ``stride``-th point until the run ends before it gets there."""
    for nth in range(1, MAX_POINTS, stride):
        died = controllers.begin(fails=fails).ask(**{name: nth} | said)
        if died["kind"] != "killed":
            break
        controllers.check_bytes()
        end = controllers.ask("second")
        kind, hold, versions, counter = STORIES[fails]
        assert (end["kind"], end.get("hold"), controllers.versions()) == (kind, hold, versions), (name, nth, end)
        assert read_pair(controllers.folder / "target", "pair-0").counter == counter
        controllers.check_bytes()
    else:
        pytest.fail("the run does not get to its end")
    return nth


DURABLE = pytest.mark.parametrize("durable", [True, False], ids=["after-the-record", "before-the-record"])


@pytest.mark.exhaustive
@DURABLE
@pytest.mark.parametrize("fails", STORIES)
def test_a_death_at_a_record_changes_no_outcome(controllers, fails, durable):
    assert kill_everywhere(controllers, fails, "append", 13, durable=durable) > 40


@pytest.mark.parametrize("fails", STORIES)
def test_a_death_inside_a_hook_changes_no_outcome(controllers, fails):
    assert kill_everywhere(controllers, fails, "call", 23) > 60


@pytest.mark.sweep
@DURABLE
@pytest.mark.parametrize("fails", STORIES)
def test_a_death_at_every_record_changes_no_outcome(controllers, fails, durable):
    kill_everywhere(controllers, fails, "append", durable=durable)


@pytest.mark.sweep
@pytest.mark.parametrize("fails", STORIES)
def test_a_death_at_every_system_call_of_every_hook_changes_no_outcome(controllers, fails):
    kill_everywhere(controllers, fails, "call")


def soak(controllers, rounds, seed):
    """Controllers that die at random times, several to a run, until one gets to the end."""
    chance = random.Random(seed)  # noqa: S311 -- no secret
    for number in range(rounds):
        fails = chance.choice(list(STORIES))
        controllers.begin(fails=fails)
        for _ in range(chance.randrange(1, 6)):
            controllers.ask(after=chance.uniform(0, 0.15))
            controllers.check_bytes()
        end = controllers.ask("last")
        kind, hold, versions, _ = STORIES[fails]
        assert (end["kind"], end.get("hold"), controllers.versions()) == (kind, hold, versions), (seed, number, end)


def test_deaths_at_random_times(controllers):
    soak(controllers, 6, seed=1)


@pytest.mark.sweep
def test_deaths_at_random_times_for_long(controllers):
    soak(controllers, 300, seed=random.randrange(2**32))  # noqa: S311 -- no secret


# --- hooks that are processes, and outlive their controller ---------------------------------------------------------

WRAPPER = """#!/bin/sh
# The template, with a controller that dies in the middle of it, and a witness of what overlaps.
folder={folder}
mkdir "$folder/at-work" 2>/dev/null || echo "$2 $4 while another hook was at work" >>"$folder/overlaps"
trap 'rmdir "$folder/at-work"' EXIT
if [ "$2 $BUNDLEKIT_STEP" = "{where}" ] && mkdir "$folder/once" 2>/dev/null; then
    echo $$ >"$folder/orphan"
    kill -9 $PPID
    until [ -e "$folder/go-on" ]; do sleep 0.05; done
fi
"$folder/pairs/hook.sh" "$@"
"""


@pytest.fixture
def orphan(controllers):
    def make(where):
        wrapper = controllers.base / "wrapper"
        controllers.begin([str(wrapper), str(controllers.base / "1" / "pairs")])
        make_folders(controllers.folder / "pairs")
        wrapper.write_text(WRAPPER.format(folder=controllers.folder, where=where))
        wrapper.chmod(0o700)
        return controllers

    return make


def versions_of_folders(controllers):
    pair = controllers.folder / "pairs" / "pair-0"
    return tuple((pair / where / "current").read_text().strip() for _, where, _ in COMPONENTS.values())


OTHER_VERBS = {"revert", "reimage", "gate"}
"""The verbs that an update without fault does not call for a component."""
EVERY_HOOK = [
    *(f"{verb} {step}" for verb in ANSWERS if verb not in OTHER_VERBS for step in COMPONENTS),
    "gate ha-formed",
]
SOME_HOOKS = ["prepare storage", "apply active", "commit storage", "apply standby"]


@pytest.mark.parametrize(
    "where", [where if where in SOME_HOOKS else pytest.param(where, marks=pytest.mark.sweep) for where in EVERY_HOOK]
)
def test_an_orphan_hook_is_waited_for_and_never_overlapped(orphan, where):
    controllers = orphan(where)
    assert controllers.ask()["kind"] == "killed"
    controllers.send("second", wait=LIMIT)
    lock = controllers.folder / "state" / "pair-0.lock"
    wait_for(lambda: lock.read_text() == "second", "the second controller's look at the lock")
    (controllers.folder / "go-on").touch()
    end = controllers.hear()
    assert (end["kind"], versions_of_folders(controllers)) == ("succeeded", ALL_NEW), end
    assert not (controllers.folder / "overlaps").exists()
    assert (controllers.folder / "once").exists()


def test_an_orphan_hook_that_stays_keeps_the_next_controller_out_and_is_named(orphan):
    controllers = orphan("apply active")
    assert controllers.ask("Ada on host-1, pid 7")["kind"] == "killed"
    end = controllers.ask("second", wait=0.3)
    assert (end["kind"], end["holder"]) == ("busy", "Ada on host-1, pid 7")
    assert "a hook of an earlier controller still runs" in end["reason"]
    assert versions_of_folders(controllers) == (ALL_NEW[0], OLD, OLD), "nothing was done meanwhile"
    hook = int((controllers.folder / "orphan").read_text())
    assert at_work(hook), "the hook was not waited for"
    os.killpg(hook, signal.SIGKILL)
    (controllers.folder / "at-work").rmdir()
    assert controllers.ask("third")["kind"] == "succeeded"
    assert IMAGES["appliance"] in [path.read_bytes() for path in controllers.folder.glob(f"pairs/*/*/*/images/{NEW}")]
