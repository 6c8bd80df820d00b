"""Hosts with a worker each, and all that can happen to them, to their hooks and to the server of their database."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from bundlekit.database.connection import Database, DatabaseError
from tests.waiting import LIMIT, lines_of, wait_for

ROOT = Path(__file__).parents[2]


class WorkerHost:
    """A host: its folder, and the worker that runs on it. ``log`` is what all of its workers have printed."""

    def __init__(self, folder, **told):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.log = folder / "log"
        self.told = {"folder": str(folder / "state")} | told
        self.process = None
        self.stopped_until = 0.0

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.fleet.worker_process", json.dumps(self.told)],
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        return self

    def start_again(self):
        """Start the worker if it has ended, as a service manager does: one whose server is away ends at its start."""
        if self.process.poll() is not None:
            self.start()

    def _listens(self):
        """Whether the worker has come so far that it ends when it is asked to, or has ended."""
        return self.process.poll() is not None or f"worker {self.process.pid} begins" in self.log.read_text()

    def kill(self):
        """A power cut of the worker; its hooks go on, as they do at the far end of a connection."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def end(self):
        """Ask it to end, as an administrator does, and return its exit code."""
        if self.process is None:
            return 0
        wait_for(self._listens, "a worker that can be asked to end")
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        return self.process.wait(LIMIT)


def running_hooks(fleet):
    """The processes of hooks: process id, pair, verb and step."""
    for folder in Path("/proc").iterdir():
        with suppress(OSError, ValueError, KeyError):  # it can end meanwhile
            words = (folder / "cmdline").read_bytes().decode().split("\0")[:-1]
            if str(fleet.hook) in words:
                environment = dict(
                    one.partition("=")[::2] for one in (folder / "environ").read_bytes().decode().split("\0")
                )
                yield int(folder.name), words[-2], words[-3], environment["BUNDLEKIT_STEP"]


def kill_hook(pid, fleet):
    """Kill the hook, if it still is one. Whether it was killed."""
    with suppress(OSError):
        handle = os.pidfd_open(pid)
        try:
            if any(pid == found for found, *_ in running_hooks(fleet)):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                return True
        finally:
            os.close(handle)
    return False


class Onlooker:
    """Reads the tables of a rollout, and asks again while the server is away."""

    def __init__(self, url):
        self.database = Database(url)

    def rows(self, statement, values=None):
        def ask():
            with suppress(DatabaseError):
                return [self.database.rows(statement, values)]
            return None

        return wait_for(ask, "an answer of the server")[0]

    def finished(self):
        return self.rows("SELECT finished IS NOT NULL FROM bundlekit.rollout") == [(True,)]

    def phase(self):
        return self.rows("SELECT phase FROM bundlekit.rollout")[0][0]

    def ends(self):
        return dict(self.rows("SELECT pair, outcome FROM bundlekit.rollout_pair"))

    def close(self):
        self.database.close()


def tracebacks(host):
    """Errors that a worker has printed and that it should not have met."""
    return [line for line in lines_of(host.log) if line.startswith("Traceback")]
