"""The templates for integrators, as they are shipped: a whole update, faults, a rehearsal, and over ssh."""

import fcntl
import os
import signal
import threading

import pytest
from msgspec.structs import replace

from bundlekit.errors import ConfigError
from bundlekit.update.engine.clock import ManualClock
from bundlekit.update.engine.executor import Engine
from bundlekit.update.engine.hooks import Hooks, Request
from bundlekit.update.engine.journal import MemoryJournal
from bundlekit.update.engine.plan import PAIR, Group, OnFailure, Plan
from bundlekit.update.engine.records import Answer
from bundlekit.update.rehearsal.rehearse import over, rehearse
from bundlekit.update.rehearsal.sandbox import PAUSE, EmptyBundle, from_outside
from bundlekit.update.targets import process
from bundlekit.update.targets.slots import SlotHooks
from tests.update.folders import IN_PYTHON, SHELL, Folders
from tests.update.target import ALL_NEW, ALL_OLD, IMAGES, OLD, FileBundle, job_for, make_pair
from tests.update.world import Overridden


@pytest.fixture
def folders(memory_folder):
    made = []

    def make(**options):
        made.append(Folders(memory_folder / "pairs", **options))
        return made[0]

    yield make
    for one in made:
        one.bundle.source.close()


def run(folders, hooks=None):
    engine = Engine(journal=MemoryJournal(), hooks=hooks or folders.hooks, clock=ManualClock())
    return engine.run(folders.job, folders.bundle)


def failing(verb, step, act):
    def ask(hooks, request):
        if request.step == step:
            act()
        return getattr(hooks, request.verb)(request)

    return {verb: ask}


@pytest.mark.parametrize("argv", [SHELL, IN_PYTHON], ids=["sh", "py"])
def test_a_process_that_only_looks_stops_no_change(folders, argv):
    """A controller of another host probes, or is rejected, just when a change of this one begins."""
    pair = folders(argv=argv)
    with (pair.root / "pair-0" / "shared" / "storage" / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        threading.Timer(1.0, fcntl.flock, (lock, fcntl.LOCK_UN)).start()
        assert (
            pair.hooks.prepare(replace(from_outside(pair.job, "prepare", "storage"), bundle=pair.bundle)).kind == "ok"
        )


@pytest.mark.parametrize("argv", [SHELL, IN_PYTHON], ids=["sh", "py"])
@pytest.mark.parametrize("pipe", [False, True], ids=["file", "pipe"])
def test_a_whole_update(folders, argv, pipe):
    pair = folders(argv=argv, pipe=pipe)
    outcome = run(pair)
    assert (outcome.kind, outcome.notes) == ("succeeded", ())
    assert pair.versions() == ALL_NEW
    assert pair.image("storage") == IMAGES["storage"]
    assert pair.image("standby") == IMAGES["appliance"]
    assert (pair.root / "pair-0/counter").read_text() == "7\n"
    assert (pair.root / "pair-0/SN-active/appliance/committed").read_text().strip() == outcome.run


@pytest.mark.parametrize("argv", [SHELL, IN_PYTHON], ids=["sh", "py"])
def test_the_gate_is_not_ready_while_the_members_run_different_versions(folders, argv):
    pair = folders(argv=argv)
    gate = from_outside(pair.job, "gate", "ha-formed")
    assert pair.hooks.gate(gate).kind == "ready"
    for member in ("active", "standby"):
        current = pair.root / f"pair-0/SN-{member}/appliance/current"
        was = current.read_text()
        current.write_text("5.40.00\n")
        answer = pair.hooks.gate(gate)
        assert (answer.kind, answer.reason) == ("not-yet", "the members run different versions")
        assert pair.hooks.gate(replace(gate, after="group")).kind == "ready", "the standby is still to come"
        current.write_text(was)


@pytest.mark.parametrize("argv", [SHELL, IN_PYTHON], ids=["sh", "py"])
def test_a_storage_that_fails_reverts_and_leaves_its_hold_at_the_target(folders, argv):
    pair = folders(argv=argv)
    image = pair.root / "pair-0/shared/storage/images/3.4.0"
    outcome = run(pair, Overridden(pair.hooks, **failing("verify", "storage", lambda: image.write_bytes(b"spoilt"))))
    assert (outcome.kind, outcome.hold) == ("reverted", True)
    assert "the running image is not sha256:" in outcome.reason
    assert pair.versions() == ALL_OLD
    again = run(pair)
    assert again.kind == "rejected"
    assert outcome.reason in again.reason


@pytest.mark.parametrize("argv", [SHELL, IN_PYTHON], ids=["sh", "py"])
def test_a_bundle_changed_under_the_pipe_leaves_nothing_staged(folders, argv):
    pair = folders(argv=argv, pipe=True)
    outcome = run(pair, Overridden(pair.hooks, **failing("prepare", "active", lambda: pair.bundle.damage("appliance"))))
    assert outcome.kind == "rejected"
    assert "damaged" in outcome.reason
    assert pair.versions() == ALL_OLD
    assert not list(pair.root.glob("pair-0/*/*/images/5.40.00"))


@pytest.mark.parametrize("argv", [SHELL, IN_PYTHON], ids=["sh", "py"])
@pytest.mark.parametrize("step", ["active", "standby"])
def test_describe_finds_a_member_by_its_role(folders, argv, step):
    pair = folders(argv=argv)
    asked = Request(
        verb="describe", pair="pair-0", step=step, run="", fence=0, attempt=1, deadline=20, bundle_id="",
        target=replace(pair.job.targets[step], identity=step),
    )  # fmt: skip
    answer = pair.hooks.describe(asked)
    assert (answer.kind, answer.identity, answer.version, answer.counter) == ("ok", f"SN-{step}", OLD, 6)


# --- what goes wrong, from the hook to the outcome --------------------------------------------------------------

WRAPPER = """#!/bin/sh
# The template, with a fault of its own for one verb of one step.
root={root}
if [ "$2 $BUNDLEKIT_STEP" = "{where}" ]; then
    {fault}
fi
exec "$root/hook.sh" "$@"
"""
OUTCOMES = [
    ("apply storage", "exit 1", "reverted", ALL_OLD),
    ("apply storage", "kill -9 $$", "reverted", ALL_OLD),
    (
        "apply storage",
        "trap '' TERM; while :; do touch $root/late; sleep 0.05; done",
        "reverted",
        ALL_OLD,
    ),
    ("apply storage", '"$root/hook.sh" "$@"; while :; do touch $root/late; sleep 0.05; done', "succeeded", ALL_NEW),
    ("apply active", "exit 1", "reverted", (ALL_NEW[0], OLD, OLD)),
    ("apply active", '"$root/hook.sh" "$@"; kill -9 $$', "succeeded", ALL_NEW),
    ("apply standby", "exit 1", "degraded", (*ALL_NEW[:2], OLD)),
    ("verify standby", 'echo \'{{"result": "ok", "version": "9.9"}}\'; exit 0', "degraded", ALL_NEW),
    ("apply standby", 'echo \'{{"progress": 100, "message": "done"}}\'; exit 0', "degraded", (*ALL_NEW[:2], OLD)),
    ("describe standby", 'echo \'{{"result": "ok", "identity": "standby;id"}}\'; exit 0', "rejected", ALL_OLD),
    ("describe active", 'echo \'{{"result": "ok", "identity": "SN-other"}}\'; exit 0', "rejected", ALL_OLD),
    ("prepare standby", "exit 10", "rejected", ALL_OLD),
    ("commit active", "exit 1", "succeeded", ALL_NEW),
    ("cleanup active", "kill -9 $$", "succeeded", ALL_NEW),
    ("prepare active", 'setsid sleep 3600 & echo $! >>"$root/daemons"', "succeeded", ALL_NEW),
]


@pytest.fixture
def late_when_it_says(memory_folder, monkeypatch):
    """What a command is waited for, its deadline or its grace, is over when it makes the file ``late``.

    The command makes it again and again: once can be before anyone has begun to wait.
    """
    said, now = memory_folder / "pairs" / "late", 0.0

    def clock():
        nonlocal now
        if said.exists():
            said.unlink()
            now += 3600
        return now

    monkeypatch.setattr(process, "_now", clock)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("late_when_it_says")
@pytest.mark.parametrize(("where", "fault", "kind", "versions"), OUTCOMES)
def test_what_a_command_does_wrong_leads_where_the_table_says(folders, where, fault, kind, versions):
    quick = replace(PAIR, deadlines=replace(PAIR.deadlines, apply="1 s", settle="1 s", settle_poll="1 s"))
    pair = folders(argv=("{root}/wrapper", "{root}"), plan=quick, grace=0.2)
    wrapper = pair.root / "wrapper"
    wrapper.write_text(WRAPPER.format(root=pair.root, where=where, fault=fault.format()))
    wrapper.chmod(0o700)
    outcome = run(pair)
    if (pair.root / "daemons").exists():
        os.kill(int((pair.root / "daemons").read_text()), signal.SIGKILL)
    assert (outcome.kind, pair.versions()) == (kind, versions), outcome.reason


def test_a_revert_that_fails_too_needs_an_operator(folders):
    pair = folders(argv=("{root}/wrapper", "{root}"))
    wrapper = pair.root / "wrapper"
    fault = 'exit 1; fi; if [ "$2 $BUNDLEKIT_STEP" = "revert active" ]; then echo "the disk is gone" >&2; exit 1'
    wrapper.write_text(WRAPPER.format(root=pair.root, where="verify active", fault=fault))
    wrapper.chmod(0o700)
    outcome = run(pair)
    assert (outcome.kind, outcome.hold, pair.versions()) == ("needs-operator", True, (*ALL_NEW[:2], OLD))
    assert "the disk is gone" in outcome.reason
    assert [(way.verb, way.step) for way in outcome.recovery] == [
        ("revert", ""), ("clear", ""), ("state", ""), ("run", ""),
    ]  # fmt: skip


# --- over ssh ---------------------------------------------------------------------------------------------------

SSH = """#!/bin/sh
# As ssh does it: options and host are its own, the rest is joined by blanks and given to a shell over there,
# with an environment of its own; a forced command comes in the place of what was asked for.
forced=$1
shift 3
if [ "$forced" = - ]; then set -- "$*"; else set -- "$forced"; fi
exec env -i PATH=/usr/bin:/bin /bin/sh -c "$1"
"""


@pytest.fixture
def ssh(folders):
    def make(forced):
        over_there = " ".join(IN_PYTHON)
        told = ("-",) if not forced else (over_there,)
        asked = () if forced else IN_PYTHON
        pair = folders(argv=("{root}/ssh", *told, "-oBatchMode=yes", "imager-0042", *asked), pipe=True)
        (pair.root / "ssh").write_text(SSH)
        (pair.root / "ssh").chmod(0o700)
        return pair

    return make


@pytest.mark.parametrize("forced", [True, False], ids=["forced-command", "joined-arguments"])
def test_over_ssh_everything_comes_on_stdin(ssh, forced):
    pair = ssh(forced)
    assert run(pair).kind == "succeeded"
    assert pair.versions() == ALL_NEW
    assert pair.image("active") == IMAGES["appliance"]


def test_over_ssh_no_name_of_the_appliance_becomes_a_command(ssh):
    pair = ssh(forced=False)
    marker = pair.root / "executed"
    target = pair.job.targets["standby"]
    pair.job = replace(
        pair.job, targets=pair.job.targets | {"standby": replace(target, component=f"appliance;touch {marker}")}
    )
    assert run(pair).kind == "rejected"
    assert not marker.exists()
    assert pair.versions() == ALL_OLD


# --- rehearsed --------------------------------------------------------------------------------------------------


@pytest.mark.exhaustive
def test_a_rehearsal_over_the_command_in_its_sandbox(folders):
    alone = Group(steps=("storage",), on_failure={"storage": OnFailure(revert=("storage",), hold=True)})
    small = Plan(name="storage alone", steps={"storage": PAIR.steps["storage"]}, groups=(alone,))
    pair = folders(argv=SHELL, plan=small)
    found = rehearse(over(pair.job, pair.hooks, pair.bundle))
    assert found.broken == ()
    ends = {run.outcome.kind for run in found.runs}
    assert ends == {"succeeded", "rejected", "reverted", "needs-operator", "superseded"}


class Slow(Hooks):
    """A gate that is not ready before it was asked ``polls`` times, as one that takes real time."""

    def __init__(self, polls):
        self.left = self.polls = polls

    def describe(self, request):
        return Answer(kind="ok", sandbox=True)

    def gate(self, _request):
        self.left -= 1
        return Answer(kind="not-yet" if self.left >= 0 else "ready")

    def reimage(self, _request):
        self.left = self.polls
        return Answer(kind="ok")


def test_a_real_gate_is_waited_for_in_real_time_though_the_clock_is_simulated(monkeypatch):
    passed = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: sum(passed))
    monkeypatch.setattr("time.sleep", passed.append)
    job, slow = job_for(), Slow(3)
    box = over(job, slow, EmptyBundle(""), patience=1)(ManualClock())
    assert box.hooks.gate(from_outside(job, "gate", "ha-formed")).kind == "ready"
    assert (slow.left, sum(passed)) == (-1, pytest.approx(3 * PAUSE))

    hopeless = over(job, Slow(1000), EmptyBundle(""), patience=1)(ManualClock()).hooks
    assert [hopeless.gate(from_outside(job, "gate", "ha-formed")).kind for _ in range(3)] == ["not-yet"] * 3
    assert sum(passed) < 3 * PAUSE + 2, "what was in vain once is not waited for again"


def test_only_what_may_have_changed_is_put_back():
    job, asked = job_for(), []

    class Watched(Slow):
        def reimage(self, request):
            asked.append((request.step, request.target.new))
            return Answer(kind="ok")

        def apply(self, _request):
            return Answer(kind="ok")

    make = over(job, Watched(0), EmptyBundle(""))
    make(ManualClock())
    assert sorted(step for step, _ in asked) == sorted(job.targets)
    asked.clear()
    make(ManualClock()).hooks.apply(from_outside(job, "apply", "active"))
    assert asked == []
    make(ManualClock())
    assert asked == [("active", OLD)]


@pytest.mark.sweep
@pytest.mark.parametrize("argv", [SHELL, IN_PYTHON], ids=["sh", "py"])
def test_a_rehearsal_of_the_whole_pair_over_the_command(folders, argv):
    pair = folders(argv=argv)
    assert rehearse(over(pair.job, pair.hooks, pair.bundle)).broken == ()


EARLY_GATE = replace(PAIR.gates["ha-formed"], after=("group", "success", "revert"))


@pytest.mark.exhaustive
@pytest.mark.parametrize("plan", [PAIR, replace(PAIR, gates={"ha-formed": EARLY_GATE})], ids=["end", "between"])
def test_a_rehearsal_over_a_slots_sandbox(memory_folder, plan):
    root = make_pair(memory_folder / "target", sandbox=True)
    bundle = FileBundle(memory_folder / "update.bin")
    found = rehearse(over(job_for(plan), SlotHooks(root), bundle))
    bundle.source.close()
    assert found.broken == ()
    assert len(found.runs) > 100


def test_what_is_no_sandbox_is_not_rehearsed_over(folders, memory_folder):
    pair = folders(argv=SHELL)
    (pair.root / "sandbox").unlink()
    with pytest.raises(ConfigError, match=r"'storage' \(pair-0\) does not report that it is a sandbox"):
        over(pair.job, pair.hooks, pair.bundle)
    assert pair.versions() == ALL_OLD
    real = SlotHooks(make_pair(memory_folder / "target"))
    with pytest.raises(ConfigError, match="does not report that it is a sandbox"):
        over(job_for(), real, pair.bundle)
