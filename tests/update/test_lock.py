"""Locks: one controller for a pair, whatever became of the one before and of its hooks."""

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

from bundlekit.update.engine.errors import JournalError
from bundlekit.update.engine.records import Started
from bundlekit.update.state.lock import PairBusyError, PairLock
from bundlekit.update.state.sqlite_journal import SqliteJournal
from tests.waiting import LIMIT

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "state"


def test_a_second_controller_is_told_who_is_at_work_and_another_pair_is_free(folder):
    with PairLock(folder, "p", "run 1, pid 7"):
        with pytest.raises(PairBusyError, match="another controller is at work") as busy:
            PairLock(folder, "p", "run 2").__enter__()
        assert busy.value.holder == "run 1, pid 7"
        with PairLock(folder, "q", "run 3"):
            pass
    with PairLock(folder, "p", "run 4"):
        pass


def hook(lock, code):
    """A hook process that inherits the lock, says that it started, and does ``code``."""
    script = f"import fcntl, os, signal, sys; fd = {lock.hook_fd}; print(1, flush=True); {code}"
    command = [sys.executable, "-c", script]
    pipe = subprocess.PIPE
    child = subprocess.Popen(command, pass_fds=[lock.hook_fd], stdin=pipe, stdout=pipe, text=True)
    child.stdout.readline()
    return child


def ended(child):
    child.kill()
    child.wait()
    child.stdin.close()
    child.stdout.close()


def test_an_orphan_hook_keeps_the_next_controller_out_for_a_bounded_time_and_is_named(folder):
    with PairLock(folder, "p", "run 1") as lock:
        child = hook(lock, "signal.pause()")
    with pytest.raises(PairBusyError, match="a hook of an earlier controller still runs") as busy:
        PairLock(folder, "p", "run 2", wait=0.2).__enter__()
    assert child.poll() is None, "it was waited for to its end"
    assert busy.value.holder == "run 1"
    ended(child)
    with PairLock(folder, "p", "run 3", wait=LIMIT):
        pass


def test_an_orphan_that_ends_in_time_is_waited_for(folder, monkeypatch):
    looks = []

    def sleep(seconds):
        looks.append(seconds)
        if len(looks) == 3:
            child.stdin.close()  # which ends the hook
        real(seconds)

    real = time.sleep
    with PairLock(folder, "p", "run 1") as lock:
        child = hook(lock, "sys.stdin.read()")
    monkeypatch.setattr("bundlekit.update.state.lock.time.sleep", sleep)
    with PairLock(folder, "p", "run 2", wait=LIMIT):
        child.wait()
    assert len(looks) >= 3
    ended(child)


def test_an_orphan_is_waited_for_as_long_as_was_asked_and_no_longer(folder, monkeypatch):
    now = 1000.0

    def sleep(seconds):
        nonlocal now
        now += seconds

    with PairLock(folder, "p", "run 1") as lock:
        child = hook(lock, "signal.pause()")
    monkeypatch.setattr("bundlekit.update.state.lock.time", SimpleNamespace(monotonic=lambda: now, sleep=sleep))
    with pytest.raises(PairBusyError, match="a hook of an earlier controller still runs"):
        PairLock(folder, "p", "run 2", wait=45.0).__enter__()
    assert 1045 <= now < 1045.1
    ended(child)


def test_a_hook_that_unlocks_what_it_inherited_lets_nobody_in_while_its_controller_lives(folder):
    with PairLock(folder, "p", "run 1") as lock:
        child = hook(lock, "fcntl.flock(fd, fcntl.LOCK_UN)")
        child.wait()
        with pytest.raises(PairBusyError, match="another controller"):
            PairLock(folder, "p", "run 2", wait=0.0).__enter__()
        ended(child)


@pytest.mark.parametrize("suffix", ["lock", "hooks.lock"])
def test_a_lock_file_that_is_a_link_is_refused(folder, tmp_path, suffix):
    folder.mkdir(mode=0o700)
    (folder / f"p.{suffix}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(JournalError, match="cannot be opened"):
        PairLock(folder, "p", "run 1").__enter__()
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("what", ["folder", "file"])
def test_a_lock_of_another_owner_is_refused(folder, monkeypatch, what):
    with PairLock(folder, "p", "run 1"):
        pass
    if what == "folder":
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    else:
        monkeypatch.setattr("bundlekit.update.state.lock.open_private_folder", lambda _folder: None)
        monkeypatch.setattr("bundlekit.update.state.lock.os.geteuid", lambda: os.getuid() + 1)
    with pytest.raises(JournalError, match="belongs to another user"):
        PairLock(folder, "p", "run 2").__enter__()


class Racer:
    def __init__(self, folder, name):
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests/update/racer.py"), str(folder), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )

    def __enter__(self):
        assert self.hear() == "ready"
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(LIMIT)
        self.process.stdout.close()

    def say(self, word):
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def hear(self):
        return self.process.stdout.readline().strip()


@pytest.mark.parametrize("races", [10, pytest.param(400, marks=pytest.mark.sweep)])
def test_of_two_controllers_that_race_exactly_one_wins(memory_folder, races):
    folder = memory_folder / "state"
    journal = SqliteJournal(folder)
    wins = []
    with ExitStack() as stack:
        racers = {name: stack.enter_context(Racer(folder, name)) for name in ("one", "two")}
        for number in range(races):
            pair = f"pair-{number}"
            for racer in racers.values():
                racer.say(pair)
            for racer in racers.values():
                racer.say("go")
            heard = {name: racer.hear() for name, racer in racers.items()}
            assert sorted(word.split()[0] for word in heard.values()) == ["busy", "inside"], number
            winner = next(name for name, word in heard.items() if word == "inside")
            loser = next(word for word in heard.values() if word != "inside")
            assert loser.removeprefix("busy ") in {winner, "it left no name"}
            racers[winner].say("go on")
            assert racers[winner].hear() == "succeeded"
            wins.append(winner)
            assert sum(isinstance(record, Started) for record in journal.read(pair)) == 1
    journal.close()
    assert len(wins) == races
