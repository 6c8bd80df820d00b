"""``bundlekit update`` over a simulated pair: the vendor's table, and the operator's days and nights."""

import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import click
import msgspec
import pytest

from bundlekit.cli import naming
from bundlekit.cli.update import command as update
from bundlekit.cli.update import common as shared
from bundlekit.cli.update.commands import VERBS
from bundlekit.model.appliance import Appliance
from bundlekit.update.engine.clock import ManualClock
from bundlekit.update.engine.hooks import ANSWERS, Hooks
from bundlekit.update.engine.outcome import EXIT_CODES
from bundlekit.update.engine.plan import PAIR
from bundlekit.update.engine.records import Answer
from bundlekit.update.rehearsal.faults import ControllerKilled, FaultyHooks
from bundlekit.update.rehearsal.rehearse import calm
from bundlekit.update.rehearsal.simulator import SimulatedPair, simulated_job
from bundlekit.update.state.lock import PairLock
from tests.update import shelf
from tests.update.test_plan import EXAMPLE
from tests.update.world import Overridden, fault

ROOT = Path(__file__).parents[2]
TRUST = ("--trust", "root.pem")
STATE_DIR = ("--state-dir", "state")
PLAN = EXAMPLE.replace('"30 s"', '"30 min"')
RUN = ("update", "run", "update.bin", "--appliance", "STATE.json", *TRUST, *STATE_DIR)


class Room:
    """An operator's room: the command line, a simulated pair behind it, and a clock."""

    def __init__(self, cli):
        self.cli = cli
        self.clock = ManualClock()
        self.pair = SimulatedPair(simulated_job(PAIR), self.clock)
        self.hooks = self.pair
        self.asked = []

    def faults(self, *faults):
        self.hooks = FaultyHooks(self.pair, self.clock, faults)

    def hooks_of(self, plan, *, lock_fd=None, log_dir=None, progress=None):
        self.asked.append((lock_fd, log_dir))
        return self.hooks

    def run(self, *options):
        return self.cli(*RUN, *options)

    def plan(self, *options):
        return self.cli(*("plan" if word == "run" else word for word in RUN), *options)

    def update(self, verb, *options):
        return self.cli("update", verb, "--pair", "pair-0", *STATE_DIR, *options)

    def resume(self, *options):
        return self.update("resume", *TRUST, *options)

    def read_state(self):
        done = self.cli("update", "state", "--appliance", "STATE.json", "-o", "STATE.json")
        assert done.code == 0, done.err

    def clear(self, *options):
        return self.update("clear", "--by", "Ada", "--reason", "disk replaced", *options)

    @property
    def versions(self):
        return tuple(self.pair.versions().values())

    @property
    def records(self):
        return [json.loads(line) for line in self.update("log", "--json").out.splitlines()]


OLD = ("3.2.1", "5.20.03", "5.20.03")
NEW = ("3.4.0", "5.40.00", "5.40.00")


@pytest.fixture(scope="session")
def update_desk(tmp_path_factory):
    return shelf.fill(tmp_path_factory.mktemp("update-desk"))


@pytest.fixture
def room(cli, update_desk, memory_folder, monkeypatch):
    shutil.copytree(update_desk, memory_folder / "room")
    monkeypatch.chdir(memory_folder / "room")
    made = Room(cli)
    monkeypatch.setattr(shared, "hooks_of", made.hooks_of)
    monkeypatch.setattr(shared, "clock", lambda: made.clock)
    monkeypatch.setattr(shared, "PAIR", calm(PAIR))
    return made


# --- the vendor's table -------------------------------------------------------------------------------------


def test_all_succeed(room):
    result = room.run()
    assert result.code == 0
    assert room.versions == NEW
    assert result.out.splitlines()[0].startswith("succeeded: Every component is on the new version")
    assert "HA           yes, the cluster has formed" in result.out
    assert "data served  yes, by the pair" in result.out


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        (lambda: os.truncate("update.bin", 100_000), "corrupted"),
        (lambda: write_state(components={"storage": {"version": "3.4.0"}}, version="5.40.00"), "not-newer"),
        (lambda: write_state(version="5.10.00"), "unsupported-source"),
    ],
    ids=["corrupted", "not-newer", "unsupported-source"],
)
def test_a_validation_error_touches_nothing_and_names_its_cause(room, spoil, cause):
    spoil()
    result = room.run()
    assert result.code == 10
    assert cause in result.out
    assert "rejected: Nothing was changed." in result.out
    assert room.versions == OLD
    assert not room.asked, "no hook was made"
    assert [r["record"] for r in room.records] == ["rejected"]


def write_state(version=None, **changes):
    state = json.loads(Path("STATE.json").read_text()) | changes
    for member in state["members"].values():
        member["version"] = version or member["version"]
    Path("STATE.json").write_text(json.dumps(state))


def test_active_fails_and_the_new_storage_is_kept(room):
    room.faults(fault("apply", "active", "F"))
    result = room.run()
    assert result.code == 20
    assert room.versions == ("3.4.0", "5.20.03", "5.20.03")
    assert "storage (shared): 3.4.0, new version, kept intentionally" in result.out
    assert "on hold" not in result.out
    assert room.run().code == 10, "the state still says the old storage"
    assert "next 1       write the state of the pair again: " in result.out
    assert "next 2       run the update again: " in result.out
    Path("PLAN.toml").write_text(PLAN)
    assert room.cli(*state_again(result.out)).code == 0
    assert room.run().code == 0
    assert room.versions == NEW


def test_storage_fails_both_revert_and_the_pair_is_on_hold(room):
    room.faults(fault("verify", "storage", "F"))
    result = room.run()
    assert result.code == 20
    assert room.versions == OLD
    assert "The pair is on hold." in result.out
    assert (
        "next 1       release the pair from hold: bundlekit update clear --state-dir state --pair pair-0" in result.out
    )
    again = room.run()
    assert again.code == 12
    assert again.out.splitlines()[0] == "on-hold: Nothing was started, because the pair is on hold."
    assert "on hold since run" in again.out
    assert (
        room.clear().out
        == "pair pair-0 is released from its hold (storage old, active old, standby old, ha-formed ready)\n"
    )
    assert room.run().code == 0


def test_standby_fails_nothing_is_reverted_and_ha_is_lost(room):
    room.faults(fault("apply", "standby", "F"))
    result = room.run()
    assert result.code == 30
    assert room.versions[:2] == NEW[:2]
    assert "HA           no" in result.out
    assert "data served  yes, by one appliance; complete: active" in result.out
    assert "urgency      can wait until working hours" in result.out
    assert "vendor       call the vendor's support and quote run" in result.out
    assert (
        "send         the support bundle: bundlekit update log --state-dir state --pair pair-0 --export pair-0.zip"
        in result.out
    )
    assert "bundlekit update repair --state-dir state --pair pair-0 --trust root.pem" in result.out
    assert room.run().code == 12
    assert room.update("repair", *TRUST).code == 0
    assert room.versions == NEW
    assert room.pair.formed()


def test_a_repair_asks_each_component_once_what_it_is(room):
    room.faults(fault("verify", "standby", "F"))
    assert room.run().code == 30
    room.hooks = Overridden(room.pair, describe=lambda hooks, request: asked.append(request) or hooks.describe(request))
    asked = []
    assert room.update("repair", *TRUST).code == 0
    assert [request.step for request in asked] == ["storage", "active", "standby"]


def test_a_gate_that_never_passes_degrades(room):
    room.faults(fault("gate", "ha-formed", "T"))
    result = room.run()
    assert (result.code, "HA           no" in result.out) == (30, True)
    room.faults()
    assert room.update("repair", *TRUST).code == 0


def test_a_component_that_never_becomes_quiet_needs_an_operator(room):
    room.faults(fault("apply", "active", "B"))
    result = room.run()
    assert result.code == 40
    assert "urgency      urgent: inspect the pair now" in result.out
    assert "next 1       re-image active with version 5.20.03" in result.out
    refused = room.clear()
    assert (refused.code, "probe of active reports busy" in refused.err) == (3, True)
    assert room.clear("--without-probe").code == 0
    assert room.records[-1]["states"] == {}


@pytest.mark.parametrize("verb", ["run", "plan"])
@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('component = "storage"', 'component = "storag"', "did you mean 'storage'?"),
        ('"storage", "active"]\n', '"active"]\n', "has no step for storage 3.4.0, which the bundle contains"),
    ],
    ids=["typo", "left-out"],
)
def test_a_plan_that_does_not_fit_the_bundle_begins_nothing(room, verb, old, new, why):
    plan = PLAN.replace(old, new)
    if why.startswith("has no step"):
        plan = "\n".join(line for line in plan.splitlines() if not line.startswith(("storage ", "on-failure.storage")))
        plan = plan.replace(', keep = ["storage"]', "")
    Path("PLAN.toml").write_text(plan)
    result = getattr(room, verb)("--plan", "PLAN.toml")
    assert result.code == 3
    assert why in result.err
    assert (room.versions, room.update("log").code) == (OLD, 3)


def test_what_the_vendor_says_is_shown_with_the_outcome(room):
    Path("PLAN.toml").write_text(PLAN)
    room.faults(fault("apply", "standby", "F"))
    assert "vendor       Data is served by one appliance. Leave it running." in room.run("--plan", "PLAN.toml").out


# --- the pair is not what its state says --------------------------------------------------------------------


def test_a_state_that_is_stale_ends_the_run_before_prepare(room):
    room.pair.components["active"].version = "5.30.02"
    result = room.run()
    assert result.code == 10
    assert "state-changed: the state has version 5.20.03, the appliance reports 5.30.02" in result.out
    assert not [r for r in room.records if r.get("verb") == "prepare"]
    assert "found        storage (shared): not probed, not changed" in result.out


def state_again(told):
    """The command in a ``next`` that writes the state of the pair again, as words to be given to the command line."""
    (line,) = [line for line in told.splitlines() if "bundlekit update state" in line]
    return shlex.split(line.partition(": bundlekit ")[2])


@pytest.mark.parametrize("verb", ["run", "plan"])
def test_after_a_stale_state_the_next_step_is_to_write_it_again(room, verb):
    room.pair.components["active"].version = room.pair.components["standby"].version = "5.30.02"
    Path("the pair").mkdir()
    Path("STATE.json").rename("the pair/STATE.json")
    Path("PLAN.toml").write_text(PLAN)
    words = [word if word != "STATE.json" else "the pair/STATE.json" for word in RUN]
    words[1] = verb
    result = room.cli(*words, "--plan", "PLAN.toml")
    assert result.code == 10
    again = state_again(result.out)
    assert again == [
        "update", "state", "--plan", "PLAN.toml", "--appliance", "the pair/STATE.json", "--pair", "pair-0",
        "-o", "the pair/STATE.json",
    ]  # fmt: skip
    assert "next 1       write the state of the pair again: " in result.out
    assert "next 2       run the update again: " in result.out
    assert room.cli(*again).code == 0
    words[1] = "run"
    assert room.cli(*words, "--plan", "PLAN.toml").code == 0
    assert room.versions == NEW


def test_status_knows_the_names_of_the_files(room):
    """But not of those that the run was not given."""
    room.pair.components["active"].version = "5.30.02"
    room.run()
    state = Path("STATE.json").resolve()
    assert state_again(room.update("status").out)[2:] == shlex.split(
        f"--plan PLAN.toml --appliance {state} --pair pair-0 -o {state}"
    )


def test_what_to_do_instead_of_a_repair_can_be_pasted(room):
    Path("PLAN.toml").write_text(PLAN)
    room.pair.components["active"].version = room.pair.components["standby"].version = "5.30.02"
    assert room.run("--plan", "PLAN.toml").code == 10
    result = room.update("repair", *TRUST)
    assert (result.code, "needs no repair: its latest run ended rejected" in result.err) == (3, True)
    again, run = commands(result.err)
    assert room.cli(*again).code == 0
    assert room.cli(*run).code == 0
    assert room.versions == NEW
    result = room.update("repair", *TRUST)
    assert (result.code, "next:" in result.err) == (3, False)


def test_a_degraded_pair_that_was_taken_off_hold_is_not_sent_to_repair_again(room):
    room.faults(fault("apply", "standby", "F"))
    assert room.run().code == 30
    room.clear("--without-probe")
    result = room.update("repair", *TRUST)
    assert result.code == 3
    assert [command[1] for command in commands(result.err)] == ["state", "run"]


def test_the_state_is_read_from_the_pair(room):
    room.pair.components["storage"].version = "3.3.0"
    done = room.cli("update", "state", "--pair", "p", "--product", "imager", "--model", "im-200")
    seen = msgspec.json.decode(done.out, type=Appliance)
    assert seen.components["storage"].version == "3.3.0"
    assert {serial: m.role for serial, m in seen.members.items()} == {"SN-active": "active", "SN-standby": "standby"}
    assert (seen.counter, seen.hold) == (6, None)
    room.read_state()
    seen = msgspec.json.decode(Path("STATE.json").read_bytes(), type=Appliance)
    assert seen.members["SN-active"].released == "2024-02-10", "kept, for the version is the same"
    assert seen.components["storage"].released is None


def test_a_state_has_the_roles_that_the_members_say(room):
    """They have moved, and these hooks find a member by its serial only."""

    def describe(hooks, request):
        if request.target.identity in {"active", "standby"}:
            return Answer(kind="rejected", reason="which one?")
        role = {"active": "standby", "standby": "active"}.get(request.step, "shared")
        return msgspec.structs.replace(hooks.describe(request), role=role)

    room.hooks = Overridden(room.pair, describe=describe)
    room.read_state()
    seen = msgspec.json.decode(Path("STATE.json").read_bytes(), type=Appliance)
    assert {serial: m.role for serial, m in seen.members.items()} == {"SN-active": "standby", "SN-standby": "active"}


def test_without_an_older_state_the_pair_has_to_be_named(room):
    result = room.cli("update", "state", "--pair", "p")
    assert result.code == 2
    assert "required: --product, --model" in result.err


def test_facts_come_from_the_hooks_and_old_ones_are_dropped(room):
    write_state(facts={"backup.age": "5 h"})

    def describe(hooks, request):
        return msgspec.structs.replace(hooks.describe(request), facts={"ha.state": "synchronised"})

    room.hooks = Overridden(room.pair, describe=describe)
    room.read_state()
    assert json.loads(Path("STATE.json").read_text())["facts"] == {"ha.state": "synchronised"}


def test_a_hold_in_the_state_that_the_pair_does_not_remember_is_stale(room):
    """A state written before `update clear` must not undo it: nothing is written back to the pair."""
    write_state(hold="fan broken")
    result = room.run()
    assert result.code == 10
    assert "state-changed: the state contains a hold (fan broken), the appliance does not" in result.out
    assert [line.split()[1] for line in result.out.splitlines() if "  next " in line] == ["1", "2"]
    assert "next 1       write the state of the pair again: " in result.out
    assert not any(component.hold or component.fence for component in room.pair.components.values())
    room.read_state()
    assert room.run().code == 0


def test_reverts_that_failed_are_tried_again_by_name_and_reason(room):
    room.faults(fault("verify", "active", "F"), fault("revert", "active", "F"))
    result = room.run()
    assert result.code == 40
    assert "next 1       retry the reverts after fixing the cause: bundlekit update revert " in result.out
    assert room.update("revert", "--by", "Ada").code == 2
    result = room.update("revert", "--by", "Ada", "--reason", "disk 3 replaced")
    assert result.code == 20
    assert "The pair is on hold" in result.out
    assert "Ada: disk 3 replaced" in room.update("log").out
    result = room.update("revert", "--by", "Ada", "--reason", "once more")
    assert result.code == 3
    assert "pair pair-0 is unchanged: The latest run of pair pair-0 has no revert that failed." in result.err
    assert room.clear().code == 0
    room.read_state()
    assert room.run().code == 0


# --- crashes, detaching, windows ----------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["resume", "run"])
@pytest.mark.parametrize("at", [("apply", "active"), ("commit", "storage"), ("gate", "ha-formed")], ids="-".join)
def test_a_controller_that_died_is_resumed(room, at, verb):
    room.faults(fault(*at, "C"))
    with pytest.raises(ControllerKilled):
        room.run()
    status = room.update("status")
    assert "no controller works on it: bundlekit update resume --state-dir state --pair pair-0" in status.out
    assert f"now: {at[0]} {at[1]}" in status.out
    result = room.resume() if verb == "resume" else room.run()
    assert result.code == 0
    assert room.versions == NEW
    assert sum(r["record"] == "started" for r in room.records) == 1


def test_without_its_bundle_a_run_takes_no_step_forward(room):
    room.faults(fault("apply", "storage", "K"))
    with pytest.raises(ControllerKilled):
        room.run()
    Path("update.bin").rename("moved.bin")
    result = room.resume()
    assert result.code == 75
    where = Path("update.bin").resolve()
    assert f"to apply storage, the bundle is needed: {where}: cannot be opened: No such file" in result.out
    (resume,) = commands(result.out)
    assert resume[-4:] == ["--bundle", "NEWPATH", *TRUST]
    assert room.cli(*("moved.bin" if word == "NEWPATH" else word for word in resume)).code == 0


@pytest.mark.parametrize(("step", "code"), [(None, 0), ("storage", 20), ("standby", 30)])
def test_a_resume_of_a_run_that_has_ended_is_not_answered_with_its_outcome(room, step, code):
    if step:
        room.faults(fault("apply", step, "F"))
    first = room.run()
    assert first.code == code
    (run,) = {r["run"] for r in room.records if r["record"] == "started"}
    kind = {0: "succeeded", 20: "reverted", 30: "degraded"}[code]
    again = room.resume()
    assert again.code == 4
    assert again.out.splitlines()[:2] == [
        "nothing-to-resume: No run of this pair is waiting to be resumed.",
        f"  reason       the latest run, {run}, has ended: {kind}",
    ]
    assert "  data served  unknown\n" in again.out, "no component was probed, so none is called incomplete"
    assert json.loads(room.resume("--json").out)["kind"] == "nothing-to-resume"


def test_without_trust_a_run_takes_no_step_forward(room):
    room.faults(fault("apply", "storage", "K"))
    with pytest.raises(ControllerKilled):
        room.run()
    result = room.update("resume")
    assert result.code == 75
    assert "to apply storage, the bundle and trust anchors are needed (--bundle, --trust)" in result.out
    (resume,) = commands(result.out)
    assert room.cli(*resume).code == 0, "the run knows what it was started with"


@pytest.mark.parametrize("verb", ["status", "cancel"])
def test_the_resume_that_is_told_later_can_be_pasted_anywhere(room, verb, monkeypatch):
    assert room.run("--until", "prepared").code == 75
    state = Path("state").resolve()
    monkeypatch.chdir("/")
    told = room.cli("update", verb, "--pair", "pair-0", "--state-dir", state)
    resume = commands(told.out)[-1]
    assert resume[:2] == ["update", "resume"]
    assert room.cli(*resume).code == (11 if verb == "cancel" else 0)


def test_a_bundle_that_is_no_longer_trusted_reverts(room, tmp_path):
    room.faults(fault("apply", "active", "K"))
    with pytest.raises(ControllerKilled):
        room.run()
    (tmp_path / "other").mkdir()
    other = shelf.fill(tmp_path / "other")
    result = room.update("resume", "--trust", other / "root.pem")
    assert result.code == 20
    assert "the bundle is no longer accepted" in result.out
    assert room.versions == ("3.4.0", "5.20.03", "5.20.03")


@pytest.mark.parametrize("verb", ["run", "resume"])
def test_staged_on_friday_switched_on_saturday(room, verb):
    result = room.run("--until", "prepared")
    assert result.code == 75
    assert "everything is prepared, nothing is changed" in result.out
    assert "urgency      can wait: nothing was changed yet" in result.out
    assert "found        active (active): 5.20.03, old version" in result.out
    assert "now: everything is prepared; waiting for the operator" in room.update("status").out
    assert room.versions == OLD
    room.clock.reboot(down=86_400)
    assert room.cli("update", "resume", *TRUST, *STATE_DIR).code == 75, "a resume by a timer keeps to the window"
    assert (room.run() if verb == "run" else room.resume()).code == 0
    assert room.versions == NEW
    assert sum(r["record"] == "call-finished" and r["verb"] == "prepare" for r in room.records) == 3


def test_a_resume_before_everything_is_staged_does_not_begin_to_switch(room):
    room.faults(fault("prepare", "active", "K"))
    with pytest.raises(ControllerKilled):
        room.run("--until", "prepared")
    assert room.resume().code == 75
    assert room.versions == OLD
    assert room.resume().code == 0


@pytest.mark.parametrize("verb", ["run", "run-prepared", "resume"])
@pytest.mark.parametrize("when", ["2020-01-01", "2027-01-14", "2027-01-15T07:59:59Z"])
def test_a_window_that_has_passed_is_refused_before_anything_is_staged(room, verb, when):
    """The clock of the room stands at 2027-01-15 08:00 UTC."""
    if verb == "resume":
        assert room.run("--until", "prepared").code == 75
        result = room.resume("--not-after", when)
    else:
        result = room.run("--not-after", when, *(["--until", "prepared"] if verb == "run-prepared" else []))
    assert result.code == 2
    assert "'--not-after'" in result.err
    assert "has already passed" in result.err
    assert room.versions == OLD
    assert verb == "resume" or not any(component.staged for component in room.pair.components.values())


@pytest.mark.parametrize(
    ("zone", "instant", "shown"),
    [
        ("UTC", 1800057599, "Fri 2027-01-15 23:59:59 +0000"),
        ("Asia/Kathmandu", 1800036899, "Fri 2027-01-15 23:59:59 +0545"),
        ("America/New_York", 1800075599, "Fri 2027-01-15 23:59:59 -0500"),
    ],
)
def test_a_date_means_the_end_of_that_day_where_the_operator_is(room, zone, instant, shown):
    with pytest.MonkeyPatch.context() as here:
        here.setenv("TZ", zone)
        time.tzset()
        result = room.run("--not-after", "2027-01-15", "--until", "prepared")
        status = room.update("status").out
        found = json.loads(room.update("status", "--json").out)
    time.tzset()
    assert result.code == 75
    assert f"the switch can start until {shown}" in result.err
    assert f"  the switch can start until {shown}" in status.splitlines()
    assert found["window"] == {"until": "prepared", "not-after": float(instant)}
    assert room.resume().code == 0


def test_a_resume_keeps_the_time_by_which_it_has_to_begin(room):
    room.faults(fault("prepare", "active", "K"))
    with pytest.raises(ControllerKilled):
        room.run("--not-after", "2027-02-01T00:00:00Z")
    room.clock.wall += 365 * 86_400
    assert room.resume().code == 10
    assert room.versions == OLD


def test_detached_the_gate_is_polled_by_resumes_of_every_pair(room):
    assert room.run("--detach").code == 75
    assert "waiting for ha-formed" in room.update("status").out
    everything = ("update", "resume", "--detach", *TRUST, *STATE_DIR)
    polled = room.cli(*everything)
    assert polled.code == 75
    assert " begins (" not in polled.err, "what was shown before is not shown again"
    assert "gate ha-formed: not-yet" in polled.err
    room.clock.sleep(46 * 60)
    assert room.cli(*everything).code == 0
    assert room.cli(*everything) == (4, "nothing-to-resume: No run of this pair is waiting to be resumed.\n", "")


# --- several processes --------------------------------------------------------------------------------------


def test_a_second_host_names_the_run_under_way_and_takes_over_only_when_told(room):
    """Two state folders, one pair: the first has staged, the second must neither clean up nor overtake it."""
    elsewhere = [word if word != "state" else "elsewhere" for word in RUN]
    room.faults(fault("apply", "active", "C"))
    with pytest.raises(ControllerKilled):
        room.run()
    room.hooks = room.pair
    [run] = {component.run for component in room.pair.components.values()}
    was = {step: (c.staged, c.fence, c.owner) for step, c in room.pair.components.items()}

    result = room.cli(*elsewhere)
    assert result.code == 13
    assert f"run {run} of another controller is in progress" in result.out
    assert f"--take-over {run}" in result.out
    assert {step: (c.staged, c.fence, c.owner) for step, c in room.pair.components.items()} == was
    assert room.cli("update", "status", "--state-dir", "elsewhere").code == 0

    room.read_state()
    assert room.cli(*elsewhere, "--take-over", run).code == 0
    result = room.resume()
    assert result.code == 14
    assert "superseded: Another controller has taken over the pair" in result.out
    assert room.versions == NEW
    assert not any(component.hold for component in room.pair.components.values())


def test_a_second_controller_is_busy_and_says_who_is_first(room):
    with PairLock(Path("state"), "pair-0", "Grace's shell"):
        result = room.run()
        assert result.code == 13
        assert "another controller is at work (Grace's shell)" in result.out
        assert room.resume().code == 13
    assert room.versions == OLD


def test_another_bundle_waits_until_the_run_has_ended(room):
    assert room.run("--until", "prepared").code == 75
    spec = Path("SPEC.toml").read_text().replace("5.40.00", "5.41.00")
    Path("SPEC.toml").write_text(spec)
    signer = ("--cert", "signer.pem", "--key", "signer.key")
    assert room.cli("build", "SPEC.toml", "-o", "update.bin", *signer).code == 0
    result = room.run()
    assert result.code == 13
    assert "has not ended" in result.out


def asks_to_cancel(step):
    """Hooks during whose apply of ``step`` another process asks to cancel."""

    def apply(hooks, request):
        if request.step == step:
            command = [
                sys.executable,
                "-m",
                "bundlekit",
                "update",
                "cancel",
                "--pair",
                "pair-0",
                "--state-dir",
                str(Path("state").resolve()),
            ]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
            assert "cancels it after the current step" in done.stdout or "passed its commit point" in done.stdout
        return hooks.apply(request)

    return apply


@pytest.mark.parametrize(("step", "code", "versions"), [("active", 11, OLD), ("standby", 0, NEW)])
def test_a_cancel_from_another_process(room, step, code, versions):
    room.hooks = Overridden(room.pair, apply=asks_to_cancel(step))
    result = room.run()
    assert (result.code, room.versions) == (code, versions)
    assert not Path("state/pair-0.cancel").exists()
    room.hooks = room.pair
    if code:
        assert room.run().code == 0, "the request was for that run only"


def test_a_cancel_while_nobody_works_is_met_by_the_resume(room):
    assert room.run("--until", "prepared").code == 75
    assert (
        "no controller works on it now: bundlekit update resume --state-dir state --pair pair-0"
        in room.update("cancel").out
    )
    assert "the operator requested a cancel" in room.update("status").out
    assert room.resume().code == 11
    again = room.update("cancel")
    assert (again.code, "Pair pair-0 has no run in state that could be cancelled." in again.err) == (3, True)


def test_asking_twice_is_asking_once(room):
    assert room.run("--until", "prepared").code == 75
    assert room.update("cancel").code == room.update("cancel").code == 0
    assert room.resume().code == 11


def test_a_request_that_came_too_late_does_not_meet_the_next_run(room):
    assert room.run("--until", "prepared").code == 75
    assert room.update("cancel").code == 0
    late = Path("state/pair-0.cancel").read_bytes()
    assert room.resume().code == 11
    Path("state/pair-0.cancel").write_bytes(late)
    assert room.run().code == 0


def test_a_run_goes_above_the_fence_that_another_host_has_left(room):
    room.pair.components["active"].fence = 41
    assert room.run().code == 0
    assert room.records[0]["fence"] == 42


def test_ctrl_c_asks_to_cancel_and_the_change_is_awaited(room):
    def apply(hooks, request):
        if request.step == "active":
            os.kill(os.getpid(), 2)
        return hooks.apply(request)

    room.hooks = Overridden(room.pair, apply=apply)
    result = room.run()
    assert (result.code, room.versions) == (11, OLD)
    assert "cancelling after the current step" in result.err


def test_ctrl_c_twice_leaves_a_run_to_be_resumed(room):
    def apply(hooks, request):
        os.kill(os.getpid(), 2)
        os.kill(os.getpid(), 2)
        return hooks.apply(request)

    room.hooks = Overridden(room.pair, apply=apply)
    assert room.run().code == 130
    room.hooks = room.pair
    assert room.resume().code == 0


# --- plan, status, log --------------------------------------------------------------------------------------


def test_the_plan_is_shown_and_no_hook_but_describe_is_run(room):
    calls = []

    class Describing(Hooks):
        def describe(self, request):
            calls.append(request.step)
            return room.pair.describe(request)

    def never(self, request):
        pytest.fail(f"{request.verb} was called")

    for verb in ANSWERS.keys() - {"describe"}:
        setattr(Describing, verb, never)
    room.hooks = Describing()
    result = room.plan()
    assert result.code == 0
    assert calls == ["storage", "active", "standby"]
    assert "  2. active (active, SN-active): 5.20.03 -> 5.40.00\n     -- commit point" in result.out
    assert "forward: about 95 min; back: about 60 min" in result.out
    assert "    reverted (storage kept new)\n      after active apply: F T X; active verify: F T" in result.out
    assert not Path("state").exists()


def test_the_plan_says_why_the_pair_would_be_refused_now(room):
    room.pair.counter = 9
    result = room.plan()
    assert result.code == 10
    assert "NOT NOW: describe of storage failed: state-changed: the state has counter 6" in result.out
    as_json = room.plan("--json")
    assert json.loads(as_json.out.splitlines()[0])["targets"]["storage"]["new"] == "3.4.0"


@pytest.mark.parametrize("missing", ["trust", "facts"])
@pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "json"])
def test_the_plan_of_a_bundle_that_could_not_be_judged_says_so(room, missing, options):
    words = ["plan" if word == "run" else word for word in RUN if missing != "trust" or word not in TRUST]
    if missing == "facts":
        write_state(counter=None)
    result = room.cli(*words, *options)
    assert result.code == 3
    assert "rejected" not in result.out
    assert not room.asked


def test_the_plan_of_a_pair_on_hold_is_on_hold(room):
    room.faults(fault("apply", "storage", "F"))
    room.run()
    assert room.plan().code == 12


def test_status_without_any_run(room):
    Path("state").mkdir(mode=0o700)
    result = room.cli("update", "status", *STATE_DIR)
    assert (result.code, result.out) == (0, "no pair was ever updated with the state folder state\n")
    assert room.update("status").code == 3


@pytest.mark.parametrize("options", [(), ("--pair", "pair-0"), ("--json",)], ids=["all", "one", "json"])
def test_the_status_of_a_folder_that_is_not_there_is_an_error(room, options):
    result = room.cli("update", "status", "--state-dir", "nowhere", *options)
    assert (result.code, result.out) == (3, "")
    assert "No state folder exists at nowhere." in result.err
    assert not Path("nowhere").exists()


def test_status_says_the_outcome_again(room):
    room.faults(fault("apply", "standby", "F"))
    told = room.run()
    status = room.cli("update", "status", *STATE_DIR)
    out = told.out.replace("root.pem", str(Path("root.pem").resolve()))  # it may be asked from any folder
    told = [line.strip() for line in status.out.splitlines()]
    assert [line.split()[0] for line in told[1:3]] == ["started", "ended"]
    assert [line.strip() for line in out.splitlines()] == told[3:]
    (found,) = [json.loads(line) for line in room.update("status", "--json").out.splitlines()]
    assert (found["hold"], found["controller"], found["outcome"]["kind"]) == (True, "", "degraded")
    room.clear("--without-probe")
    assert "hold cleared by Ada: disk replaced" in room.update("status").out


def test_json_lines_are_the_records_and_the_outcome(room):
    lines = [json.loads(line) for line in room.run("--json").out.splitlines()]
    assert lines[0]["record"] == "started"
    assert lines[-2]["record"] == "ended"
    assert lines[-1]["kind"] == "succeeded"


def test_a_refusal_in_json_is_the_report_and_the_outcome(room):
    os.truncate("update.bin", 100_000)
    report, outcome = (json.loads(line) for line in room.run("--json").out.splitlines())
    assert (report["verdict"], report["causes"]) == ("reject", ["corrupted"])
    assert (outcome["kind"], outcome["ha"]) == ("rejected", "as-before")


def test_the_vendors_words_are_there_after_a_resume_too(room):
    Path("PLAN.toml").write_text(PLAN)
    room.faults(fault("apply", "standby", "F"), fault("cleanup", "storage", "C"))
    with pytest.raises(ControllerKilled):
        room.run("--plan", "PLAN.toml")
    assert "vendor       Data is served by one appliance. Leave it running." in room.resume().out


def test_plain_lines_tell_what_happens(room):
    err = room.run().err
    assert "2027-01-15T08:00:00Z run " in err
    assert "Z apply storage\n" in err
    assert "Z commit point: from here on nothing is reverted\n" in err
    assert err.endswith("ends succeeded\n")


def test_the_log_is_followed_to_the_end_of_the_run(room):
    room.run()
    assert room.update("log", "--follow").out == room.update("log").out
    assert room.update("log").out.splitlines()[-1].endswith("ends succeeded")


def test_the_case_file_holds_everything_but_secrets(room):
    Path("PLAN.toml").write_text(PLAN.replace('["/opt/imager/hook"]', '["/opt/imager/hook", "--password=hunter2"]'))
    room.faults(fault("apply", "standby", "F"))
    assert room.run("--plan", "PLAN.toml").code == 30
    Path("state/logs").mkdir()
    Path("state/logs/pair-0-run-active-apply-1.log").write_bytes(b"x" * 1_000_000 + b"the end\n")
    Path("state/logs/pair-1-run-active-apply-1.log").write_bytes(b"another pair's")
    result = room.update("log", "--export", "case.zip")
    assert [line.removeprefix("added ") for line in result.out.splitlines()] == [
        "README.txt", "journal.jsonl", "chain.txt", "pair-0.state.json", "pair-0.report.json",
        "logs/pair-0-run-active-apply-1.log",
    ]  # fmt: skip
    assert all(line.startswith("added ") for line in result.out.splitlines()), "no line begins with a foreign name"
    with zipfile.ZipFile("case.zip") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    assert b"hunter2" not in b"".join(parts.values())
    assert json.loads(parts["journal.jsonl"].splitlines()[0])["job"]["plan"]["steps"]["storage"]["hook"] == [
        "/opt/imager/hook", "(1 arguments omitted)",
    ]  # fmt: skip
    assert json.loads(parts["pair-0.report.json"])["verdict"] == "accept"
    assert json.loads(parts["pair-0.state.json"])["pair"] == "pair-0"
    assert parts["README.txt"].startswith(b"degraded: The pair is operational but needs manual repair.")
    log = parts["logs/pair-0-run-active-apply-1.log"]
    assert (len(log), log[:4], log[-8:]) == (256 * 1024 + 2, b"| xx", b"the end\n")


# --- a journal that is not what was written -----------------------------------------------------------------


def damage_journal():
    with sqlite3.connect("state/journal.db") as db:
        db.execute("DROP TRIGGER never_changed")
        db.execute("UPDATE journal SET body = '{}' WHERE seq = 3")
    db.close()


def test_a_damaged_journal_is_for_people_and_still_exported(room):
    room.run()
    damage_journal()
    result = room.run()
    assert result.code == 40
    assert "is damaged at record 3 of pair pair-0" in result.out
    assert "Keep the file, move it away, and start again" in result.out
    assert room.update("status").code == 40
    assert room.cli("update", "resume", *TRUST, *STATE_DIR).code == 40
    assert room.cli("update", "resume", "--pair", "pair-0", *TRUST, *STATE_DIR).code == 40
    assert room.update("log", "--export", "case.zip").code == 0
    with zipfile.ZipFile("case.zip") as archive:
        assert b"is damaged" in archive.read("README.txt")
        assert len(archive.read("journal.jsonl").splitlines()) > 20


def test_a_state_folder_that_others_can_enter_is_not_used(room):
    Path("state").mkdir()
    Path("state").chmod(0o755)
    for result in (room.run(), room.plan(), room.resume(), room.update("status"), room.update("cancel")):
        assert (result.code, result.out) == (3, "")
        assert (
            "state folder state can be entered by other users (mode 755); only its owner can have access" in result.err
        )
        assert "next: chmod 700 state\n" in result.err
    assert not room.asked, "no hook was made"
    assert not list(Path("state").iterdir())
    Path("state").chmod(0o700)
    assert room.plan().code == room.run().code == 0


def test_a_journal_that_somebody_else_keeps_locked_is_waited_for(room, monkeypatch):
    """There may be a run in it: whether the pair is between two versions cannot be said."""
    assert room.run("--until", "prepared").code == 75
    monkeypatch.setattr("bundlekit.update.state.sqlite_journal.BUSY_SECONDS", 0.0)
    with sqlite3.connect("state/journal.db") as db:
        db.execute("BEGIN EXCLUSIVE")
        result = room.run()
    db.close()
    assert result.code == 75
    assert "cannot be used: database is locked" in result.out
    assert room.run().code == 0


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Path("state").touch(), "Not a directory"),
        (lambda: Path("state").symlink_to("."), "Not a directory"),
        (lambda: (Path("state").mkdir(), Path("state").chmod(0o1777)), "is shared (mode 1777)"),
    ],
    ids=["file", "link", "like-tmp"],
)
def test_what_can_be_no_state_folder_is_met_by_the_plan_already(room, make, why):
    """Nor is the operator told to close a folder that others live in, such as /tmp."""
    make()
    for result in (room.plan(), room.run()):
        assert result.code == 3
        assert why in result.err
        assert "next: Name a folder of your own with --state-dir.\n" in result.err


def test_a_state_folder_of_somebody_else_is_met_by_the_plan_already(room, monkeypatch):
    Path("state").mkdir(mode=0o700)
    monkeypatch.setattr("bundlekit.update.state.sqlite_journal.os.geteuid", lambda: os.getuid() + 1)
    result = room.plan()
    assert (result.code, "belongs to another user" in result.err) == (3, True)


# --- what is next can be pasted ------------------------------------------------------------------------------


def commands(told):
    """The commands of ``bundlekit update`` in what was told, as words for the command line."""
    return [shlex.split(line) for line in re.findall(r"bundlekit (update [a-z]+ [^`\n]*)", told)]


def test_a_state_folder_with_a_blank_in_its_name_is_repeated_as_a_shell_takes_it(room):
    folder = ("--state-dir", "the states")
    room.faults(fault("apply", "storage", "F"))
    assert room.cli(*("the states" if word == STATE_DIR[1] else word for word in RUN)).code == 20
    told = room.cli("update", "status", *folder).out
    clear, run, log = commands(told)
    assert all(command[2:4] == list(folder) for command in (clear, run, log))
    assert room.cli(*log).code == 0
    assert room.cli(*clear).code == 0
    bundle, state, root = (str(Path(name).resolve()) for name in ("update.bin", "STATE.json", "root.pem"))
    assert run[4:] == [bundle, "--plan", "PLAN.toml", "--appliance", state, "--trust", root]
    assert room.cli(*(word for word in run if word not in {"--plan", "PLAN.toml"})).code == 0


def test_the_files_of_this_call_are_repeated_too(room):
    Path("PLAN.toml").write_text(PLAN)
    room.faults(fault("apply", "storage", "F"))
    shutil.copy("root.pem", "the root.pem")
    result = room.run("--plan", "PLAN.toml", "--trust", "the root.pem")
    clear, run, _ = commands(result.out)
    assert run[4:] == shlex.split(
        "update.bin --plan PLAN.toml --appliance STATE.json --trust root.pem --trust 'the root.pem'"
    )
    assert room.cli(*clear).code == room.cli(*run).code == 0


def test_a_resume_that_is_told_can_be_pasted(room):
    result = room.run("--until", "prepared")
    (resume,) = commands(result.out)
    assert resume[2:4] == list(STATE_DIR)
    assert room.cli(*resume).code == 0


@pytest.mark.parametrize("how", ["option", "environment"])
def test_the_default_folder_is_not_repeated(room, monkeypatch, how):
    """Where it comes from the environment it is, for what is told may be read in another shell than this."""
    monkeypatch.setattr(naming, "STATE_DIR", "state" if how == "option" else "elsewhere")
    monkeypatch.setenv("BUNDLEKIT_STATE_DIR", "state")
    options = STATE_DIR if how == "option" else ()
    result = room.cli(*(word for word in RUN if word not in STATE_DIR), *options, "--until", "prepared")
    (resume,) = commands(result.out)
    assert ("--state-dir" in resume) == (how == "environment")


@pytest.mark.parametrize("verb", VERBS)
def test_the_folder_is_repeated_to_a_verb_that_takes_one_and_to_no_other(verb):
    one = update.get_command(None, verb)
    takes = any("--state-dir" in option.opts for option in one.params)
    with click.Context(one) as context:
        naming.remember(context, one.params[0], Path("the states"))
        line = naming.shell_command(f"update {verb}", "a bundle", pair="p", trust=("a", "b c"), by="", bundle=None)
    folder = "--state-dir 'the states' " if takes else ""
    assert line == f"bundlekit update {verb} {folder}'a bundle' --pair p --trust a --trust 'b c'"


# --- the command line ---------------------------------------------------------------------------------------


def test_the_state_of_another_pair_is_a_usage_error(room):
    result = room.run("--pair", "pair-1")
    assert (result.code, "is the state of pair 'pair-0', not of 'pair-1'" in result.err) == (2, True)


@pytest.mark.parametrize("verb", ["status", "cancel", "log", "resume", "repair"])
def test_a_name_that_is_a_path_is_refused(room, verb):
    room.run()
    result = room.cli("update", verb, "--pair", "../state/pair-0", *STATE_DIR)
    assert result.code == 3
    assert not list(Path().glob("*.lock"))


@pytest.mark.parametrize("verb", ["resume", "repair", "clear"])
def test_a_pair_without_a_run_has_nothing_to_go_on_with(room, verb):
    more = ("--by", "Ada", "--reason", "x") if verb == "clear" else ()
    result = room.update(verb, *more)
    if verb == "resume":
        assert result.code == 4
        assert "reason       the journal has no run of this pair\n" in result.out
        return
    assert result.code == 3
    assert "No run exists for pair pair-0 in state." in result.err
    assert (
        "next: `bundlekit update status --state-dir state` lists the pairs. Give another folder with --state-dir."
        in result.err
    )


def test_a_pair_that_is_well_needs_no_repair(room):
    room.run()
    assert (room.update("repair", *TRUST).code, room.versions) == (3, NEW)


def test_repair_takes_the_bundle_of_the_run_only(room):
    room.faults(fault("apply", "standby", "F"))
    room.run()
    Path("SPEC.toml").write_text(Path("SPEC.toml").read_text().replace("counter  = 7", "counter  = 8"))
    assert room.cli("build", "SPEC.toml", "-o", "b.bin", "--cert", "signer.pem", "--key", "signer.key").code == 0
    result = room.update("repair", *TRUST, "--bundle", "b.bin")
    assert (result.code, "Repair with the bundle of the run" in result.err) == (3, True)


@pytest.mark.parametrize("verb", ["run", "plan"])
def test_a_plan_that_is_not_there_is_no_internal_error(room, verb):
    result = getattr(room, verb)("--plan", "PLAN.tmol")
    assert (result.code, result.err) == (3, "bundlekit: PLAN.tmol: cannot be read: No such file or directory\n")


def test_a_plan_without_hooks_says_so(cli, update_desk, tmp_path, monkeypatch):
    shutil.copytree(update_desk, tmp_path / "room")
    monkeypatch.chdir(tmp_path / "room")
    result = cli(*RUN)
    assert result.code == 3
    assert "next: " in result.err


def test_hooks_are_given_the_lock_and_the_folder_of_logs(room):
    room.run()
    lock, logs = room.asked[-1]
    assert (lock >= 0, logs) == (True, Path("state/logs"))


def test_every_outcome_has_been_given_through_the_command_line():
    """Each exit code of the table is asserted above: a code without a test is a promise without one."""
    text = Path(__file__).read_text()
    for code in EXIT_CODES.values():
        assert f"code == {code}" in text or f"({code}," in text or f", {code}," in text


@pytest.mark.parametrize(("by", "reason"), [("", "why"), ("me", " ")])
def test_a_hold_is_not_cleared_by_nobody_or_for_nothing(cli, tmp_path, by, reason):
    result = cli("update", "clear", "--pair", "p", "--by", by, "--reason", reason, "--state-dir", tmp_path)
    assert result.code == 2
    assert "is empty" in result.err


# --- a detached head whose components are elsewhere ---------------------------------------------------------


@pytest.fixture
def elsewhere(room):
    """A detached head. Its storage image is in another folder, and the other components are next to it."""
    signer = ["--cert", "signer.pem", "--key", "signer.key"]
    assert room.cli("build", "SPEC.toml", "--detached", "-o", "update.bin", *signer).code == 0
    Path("images").mkdir()
    Path("storage.img").rename("images/moved.img")
    return "--component", "storage=images/moved.img"


def test_an_update_takes_components_from_where_the_operator_names_them(room, elsewhere):
    missing = room.run()
    assert (missing.code, "component-missing" in missing.out, room.versions) == (10, True, OLD)
    assert room.plan(*elsewhere).code == 0
    assert room.run(*elsewhere).code == 0
    assert room.versions == NEW


@pytest.mark.parametrize("named", [True, False], ids=["named again", "as the run had it"])
@pytest.mark.parametrize("verb", ["resume", "run"])
def test_a_resume_knows_where_the_components_are(room, elsewhere, verb, named, tmp_path, monkeypatch):
    room.faults(fault("prepare", "storage", "K"))
    with pytest.raises(ControllerKilled):
        room.run(*elsewhere)
    options = elsewhere if named else ()
    if named:
        Path("images/moved.img").rename("images/again.img")
        options = ("--component", "storage=images/again.img")
    assert (room.resume(*options) if verb == "resume" else room.run(*options)).code == 0
    assert room.versions == NEW


def test_the_next_step_names_the_components(room, elsewhere):
    Path("PLAN.toml").write_text(PLAN)
    room.pair.components["active"].version = "5.30.02"
    told = room.run("--plan", "PLAN.toml", *elsewhere)
    again, run = commands(told.out)
    place = Path("images/moved.img").resolve()
    assert run[run.index("--component") + 1] in {f"storage={place}", "storage=images/moved.img"}
    assert room.cli(*again).code == 0
    assert room.cli(*run).code == 0
    assert room.versions == NEW


def test_a_component_needs_a_pair_to_resume(room, elsewhere):
    done = room.cli("update", "resume", *STATE_DIR, *TRUST, *elsewhere)
    assert (done.code, "--component needs --pair or --run" in done.err) == (2, True)
