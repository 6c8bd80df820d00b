"""A command that is run leaves no descriptor and no process behind, whatever ends it."""

import errno
import os
import selectors
import signal

import pytest

from bundlekit.errors import BundlekitError
from bundlekit.update.targets import process

SLEEP = ["/bin/sleep", "1000"]


@pytest.fixture
def call():
    """Run a command; afterwards the same descriptors are open as before, and no child is left."""
    before = set(os.listdir("/proc/self/fd"))

    def run(argv, *, deadline=60.0, **options):
        return process.run(argv, env={}, stdin=b"", deadline=deadline, grace=60.0, **options)

    yield run
    assert set(os.listdir("/proc/self/fd")) == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.parametrize(
    ("argv", "deadline", "code"), [(["/bin/true"], 60.0, 0), (["/bin/false"], 60.0, 1), (SLEEP, 0.0, -signal.SIGTERM)]
)
def test_a_command_that_ends(call, argv, deadline, code):
    assert call(argv, deadline=deadline).code == code


def test_a_command_that_cannot_be_started(call):
    with pytest.raises(FileNotFoundError):
        call(["/bin/none"])


def test_input_that_breaks_off(call):
    def feed():
        yield memoryview(b"a piece")
        msg = "the bundle changed"
        raise BundlekitError(msg)

    assert call(["/bin/cat"], feed=feed()).damage == "the bundle changed"


@pytest.mark.parametrize("failing", ["selector", "pidfd", "first pipe", "last pipe"])
def test_a_system_without_descriptors(call, monkeypatch, failing):
    """The command runs already, and would not be awaited by anything."""
    count = 0

    def fail(*_):
        raise OSError(errno.EMFILE, "Too many open files")

    class Selector(selectors.DefaultSelector):
        def register(self, *args):
            nonlocal count
            count += 1
            if count == {"first pipe": 2, "last pipe": 4}.get(failing):
                fail()
            return super().register(*args)

    monkeypatch.setattr(selectors, "DefaultSelector", fail if failing == "selector" else Selector)
    if failing == "pidfd":
        monkeypatch.setattr(os, "pidfd_open", fail)
    with pytest.raises(OSError, match="Too many open files"):
        call(SLEEP)


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_an_operator_who_leaves_a_running_command():
    """It goes on, and is the next controller's: only the pipes are closed."""
    before = set(os.listdir("/proc/self/fd"))
    pids = []

    def heard(line):
        pids.append(int(line.strip(b"{}")))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process.run(
            ["/bin/sh", "-c", "echo {$$}; exec sleep 1000"], env={}, stdin=b"", deadline=60.0, grace=60.0, heard=heard
        )
    assert set(os.listdir("/proc/self/fd")) == before
    (pid,) = pids
    os.kill(pid, signal.SIGKILL)  # it was running
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
