"""Controllers that can be killed for real: one process for each line of JSON on stdin, its end as one on stdout.

A controller takes the pair's lock and a journal on disk, goes on with a run that has not ended or begins one,
and dies by SIGKILL where it is told to. It is forked, not started anew, so that a thousand deaths take seconds.
"""

import json
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

from bundlekit.update.engine.clock import SystemClock
from bundlekit.update.engine.executor import Engine, latest
from bundlekit.update.engine.hooks import Hooks
from bundlekit.update.state.lock import PairBusyError, PairLock
from bundlekit.update.state.sqlite_journal import SqliteJournal
from bundlekit.update.targets.command import Command, CommandHooks
from bundlekit.update.targets.slots import SlotHooks
from tests.update.folders import COMPONENTS
from tests.update.target import FileBundle, job_for
from tests.update.world import Overridden
from tests.waiting import LIMIT

PAIR = "pair-0"


def die():
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


class Mortal(SqliteJournal):
    """A journal whose controller dies at the n-th append, before or after the record is durable."""

    def __init__(self, folder, nth, *, durable):
        super().__init__(folder)
        self.left, self.durable = nth, durable

    def append(self, pair, fence, record):
        self.left -= 1
        if self.left or self.durable:
            super().append(pair, fence, record)
        if not self.left:
            die()


def die_at_call(nth):
    """Die before the n-th system call that changes something durable inside a hook."""
    left = nth

    def counting(call):
        def counted(*args, **options):
            nonlocal left
            left -= 1
            if not left:
                die()
            return call(*args, **options)

        return counted

    for name in ("rename", "fsync", "pwrite", "ftruncate", "posix_fallocate", "unlink"):
        setattr(os, name, counting(getattr(os, name)))


def unhealthy(step, root):
    """Hooks under which the new software of ``step`` does not work, however often it is asked."""

    def verify(hooks, request):
        if request.step == step:
            owner = "shared" if request.target.role == "shared" else request.target.identity
            (root / PAIR / owner / request.target.component / "b.unhealthy").write_text("it does not start")
        return hooks.verify(request)

    return {"verify": verify}


def tell(pipe, **said):
    json.dump(said, pipe)


def control(ask, answer):
    folder = Path(ask["folder"])
    wait = ask.get("wait", LIMIT)
    try:
        with PairLock(folder / "state", PAIR, ask["holder"], wait=wait) as lock:
            journal = Mortal(folder / "state", ask.get("append", 0), durable=ask.get("durable", True))
            if ask["hooks"] == "slots":
                root = folder / "target"
                hooks: Hooks = Overridden(SlotHooks(root), **unhealthy(ask["fails"], root))
            else:
                command = Command(argv=tuple(ask["hooks"]))
                hooks = CommandHooks(dict.fromkeys((*COMPONENTS, "ha-formed"), command), lock_fd=lock.hook_fd)
            engine = Engine(journal=journal, hooks=hooks, clock=SystemClock(), holder=ask["holder"])
            bundle = FileBundle(folder / f"update-{os.getpid()}.bin")
            if ask.get("call"):
                die_at_call(ask["call"])
            begun = latest(journal, PAIR) is not None
            outcome = engine.resume(PAIR, bundle) if begun else engine.run(job_for(), bundle)
            answer(kind=outcome.kind, hold=outcome.hold, states=outcome.states, why=outcome.why, run=outcome.run)
    except PairBusyError as error:
        answer(kind="busy", holder=error.holder, why=error.message)


def main():
    for line in sys.stdin:
        ask = json.loads(line)
        read, write = os.pipe()
        child = os.fork()
        if not child:
            os.close(read)
            with os.fdopen(write, "w") as pipe:
                control(ask, partial(tell, pipe))
                pipe.flush()
                os._exit(0)
        os.close(write)
        if "after" in ask:
            time.sleep(ask["after"])
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        with os.fdopen(read) as pipe:
            said = "" if os.WIFSIGNALED(status) else pipe.read()
        sys.stdout.write((said or json.dumps({"kind": "killed" if os.WIFSIGNALED(status) else "crashed"})) + "\n")
        sys.stdout.flush()


main()
