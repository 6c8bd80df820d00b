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

from msgspec.structs import replace

from bundlekit.update.engine.clock import SystemClock
from bundlekit.update.engine.executor import Engine, latest
from bundlekit.update.engine.hooks import Hooks
from bundlekit.update.engine.plan import PAIR as PLAN
from bundlekit.update.engine.plan import IfIncompatible
from bundlekit.update.inventory import as_found, described
from bundlekit.update.state.lock import PairBusyError, PairLock
from bundlekit.update.state.sqlite_journal import SqliteJournal
from bundlekit.update.targets.command import Command, CommandHooks
from bundlekit.update.targets.slots import SlotHooks
from tests.update.folders import COMPONENTS
from tests.update.target import IMAGES, FileBundle, job_for
from tests.update.world import Overridden
from tests.waiting import LIMIT

PAIR = "pair-0"
OTHER_IMAGES = {"storage": b"STORAGE" * 31_000, "appliance": b"APPLIANCE" * 21_000}
FIRST = PLAN.groups[0]
IN_ORDER = replace(FIRST.on_failure["active"], if_incompatible=IfIncompatible(revert=("storage", "active")))
QUICK = replace(
    PLAN,
    groups=(replace(FIRST, on_failure=FIRST.on_failure | {"active": IN_ORDER}), *PLAN.groups[1:]),
    gates={name: replace(gate, poll="1 s", deadline="5 s") for name, gate in PLAN.gates.items()},
    deadlines=replace(PLAN.deadlines, settle="4 s"),
)
"""The pair, with a patience that suits real time; old software comes up only over old storage."""


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


def at_hand(ask):
    """The job and the bytes that a controller was given: one of two bundles, for the pair as it was or as it is."""
    if ask.get("bundle") != "other":
        plan = QUICK if "state" in ask else PLAN
        plan = replace(plan, deadlines=replace(plan.deadlines, apply=ask.get("apply", plan.deadlines.apply)))
        return job_for(plan, compatible=ask.get("compatible", True)), IMAGES, "0" * 64
    job = job_for(QUICK, images=OTHER_IMAGES)
    targets = {s: replace(t, new="3.5.0" if t.role == "shared" else "5.41.00") for s, t in job.targets.items()}
    return replace(job, targets=targets, bundle_id="1" * 64, version="5.41.00"), OTHER_IMAGES, "1" * 64


def tell(pipe, **said):
    json.dump(said, pipe)


def control(ask, answer):
    folder = Path(ask["folder"])
    wait = ask.get("wait", LIMIT)
    try:
        state = folder / ask.get("state", "state")
        with PairLock(state, PAIR, ask["holder"], wait=wait) as lock:
            journal = Mortal(state, ask.get("append", 0), durable=ask.get("durable", True))
            if ask["hooks"] == "slots":
                root = folder / "target"
                hooks: Hooks = Overridden(SlotHooks(root), **unhealthy(ask["fails"], root))
            else:
                command = Command(argv=tuple(ask["hooks"]))
                hooks = CommandHooks(dict.fromkeys((*COMPONENTS, "ha-formed"), command), lock_fd=lock.hook_fd)
            engine = Engine(journal=journal, hooks=hooks, clock=SystemClock(), holder=ask["holder"])
            job, images, bundle_id = at_hand(ask)
            if ask.get("as-found"):
                job = as_found(job, described(job, hooks, engine.clock))
            bundle = FileBundle(folder / f"update-{os.getpid()}.bin", images)
            bundle.bundle_id = bundle_id
            for _ in range(ask.get("claims", 0)):
                journal.claim(PAIR, "a controller that died before its first record")
            if ask.get("call"):
                die_at_call(ask["call"])
            begun = latest(journal, PAIR) is not None
            take_over = ask.get("take-over", "")
            outcome = engine.resume(PAIR, bundle) if begun else engine.run(job, bundle, take_over=take_over)
            ways = {way.verb: way.run for way in outcome.recovery}
            answer(
                kind=outcome.kind,
                hold=outcome.hold,
                states=outcome.states,
                reason=outcome.reason,
                run=outcome.run,
                ways=ways,
            )
    except PairBusyError as error:
        answer(kind="busy", holder=error.holder, reason=error.message)


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
