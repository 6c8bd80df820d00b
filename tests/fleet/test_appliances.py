"""The simulated appliances of the fleet tests behave as the table of single faults says, and notice what is wrong."""

import json
import subprocess
import sys
import threading

import pytest

from bundlekit.fleet.fleet_file import load_fleet
from bundlekit.fleet.inventory import read_inventory
from bundlekit.model.appliance import Appliance
from bundlekit.trust import load_trust
from bundlekit.update import Controller, load_plan
from bundlekit.update.engine.plan import seconds
from bundlekit.update.targets.select import hooks_for
from fixtures import appliances
from fixtures.appliance_fleet import ApplianceFleet, ApplianceHooks
from tests.waiting import LIMIT, wait_for

OLD, NEW = ("2.0",) * 3, ("3.0",) * 3


@pytest.fixture
def fleet(memory_folder):
    return ApplianceFleet(memory_folder / "fleet").make(4, two_stops=4)


def test_no_call_has_a_deadline_that_a_busy_machine_reaches(fleet):
    plan = load_plan(fleet.folder / "PLAN.toml")
    found = {name: seconds(getattr(plan.deadlines, name)) for name in plan.deadlines.__struct_fields__}
    del found["settle_poll"]
    assert {name: one for name, one in found.items() if one < LIMIT} == {}
    assert seconds(plan.gates["ha-formed"].deadline) >= LIMIT


def updates(fleet, *, program):
    """A function that updates a pair to a version, with the hooks in processes or called directly."""
    plan = load_plan(fleet.folder / "PLAN.toml")
    states = {state.pair: state for state in read_inventory(load_fleet(fleet.file)) if isinstance(state, Appliance)}

    def hooks(plan, descriptor):
        return hooks_for(plan, lock_fd=descriptor) if program else ApplianceHooks(fleet.root)

    controller = Controller(fleet.folder / "state", hooks)

    def update(pair="pair-000000", version="3.0", **options):
        states[pair] = controller.state(plan, before=states[pair])
        trust = load_trust([fleet.folder / "root.pem"])
        bundle = fleet.folder / "bundles" / f"{version}.bin"
        return controller.run(bundle, plan, trust=trust, appliance=states[pair], **options)

    return update


@pytest.mark.parametrize("program", [True, False], ids=["program", "in process"])
def test_a_pair_takes_two_bundles_in_a_row(fleet, program):
    update = updates(fleet, program=program)
    assert fleet.versions("pair-000003") == ("1.0",) * 3
    assert [update("pair-000003", version).kind for version in ("2.0", "3.0")] == ["succeeded", "succeeded"]
    assert fleet.versions("pair-000003") == NEW
    assert fleet.count() == {OLD: 3, NEW: 1}
    seen = [event["fence"] for event in appliances.events(fleet.root, "pair-000003")]
    assert seen == sorted(seen)
    assert seen[-1] > seen[0] > 0
    assert not list(fleet.violations())


@pytest.mark.parametrize(("call", "kind", "half"), [("verify standby", "fail", False), ("apply storage", "kill", True)])
def test_only_the_change_that_a_fault_interrupts_is_ever_half_done(fleet, monkeypatch, call, kind, half):
    """Otherwise a worker that is killed while it calls another hook of the pair would be a second fault."""
    write, seen = appliances._write, []
    monkeypatch.setattr(appliances, "_write", lambda path, value: seen.append(value) or write(path, value))
    appliances.put_fault(fleet.root, "pair-000000", call, kind)
    updates(fleet, program=False)()
    assert any(value.get("partial") for value in seen) == half


FAULTS = [
    ("prepare standby", "fail", "rejected", OLD),
    ("apply storage", "kill", "reverted", OLD),
    ("verify active", "fail", "reverted", ("3.0", "2.0", "2.0")),
    ("apply active", "kill", "reverted", ("3.0", "2.0", "2.0")),
    ("apply standby", "kill", "degraded", ("3.0", "3.0", "2.0?")),
    ("commit storage", "fail", "succeeded", NEW),
]


@pytest.mark.parametrize(("call", "kind", "end", "versions"), FAULTS)
def test_a_fault_ends_as_the_table_says(fleet, call, kind, end, versions):
    appliances.put_fault(fleet.root, "pair-000000", call, kind)
    assert (updates(fleet, program=False)().kind, fleet.versions("pair-000000")) == (end, versions)
    assert not list(fleet.violations())


def test_a_hook_that_is_a_process_kills_itself_in_the_middle(fleet):
    appliances.put_fault(fleet.root, "pair-000000", "apply active", "kill")
    outcome = updates(fleet, program=True)()
    assert (outcome.kind, fleet.versions("pair-000000")) == ("reverted", ("3.0", "2.0", "2.0"))
    assert "SIGKILL" in outcome.reason
    assert not list(fleet.violations())


def test_a_fault_happens_so_often_and_for_one_version_only(fleet):
    update = updates(fleet, program=False)
    appliances.put_fault(fleet.root, "pair-000003", "verify active", "fail", left=1, version="3.0")
    assert [update("pair-000003", version).kind for version in ("2.0", "3.0", "3.0")] == [
        "succeeded", "reverted", "succeeded",
    ]  # fmt: skip
    appliances.put_fault(fleet.root, "pair-000000", "verify active", "fail")
    appliances.mend(fleet.root, "pair-000000")
    assert update().kind == "succeeded"


def test_a_hook_that_comes_too_late_is_refused(fleet):
    update = updates(fleet, program=False)
    assert update().kind == "succeeded"
    told = asked(fleet, verb="apply", fence=0)
    with pytest.raises(appliances.AnsweredError) as refused:
        call(fleet, told)
    assert refused.value.args[0] == "fenced"
    assert appliances.events(fleet.root, "pair-000000")[-1]["event"] == "fenced"
    assert not list(fleet.violations())


def asked(fleet, **more):
    told = {
        "pair": "pair-000000",
        "step": "active",
        "component": "appliance",
        "role": "active",
        "run": "r1",
        "fence": 1,
    }
    told |= {"identity": "pair-000000-A", "owner": "o1", "old": "2.0", "new": "3.0", "counter": 8, "hold": ""}
    return told | more


def call(fleet, told):
    return appliances.Component(fleet.root, told, lambda: (), lambda: None).answer()


def test_two_hooks_at_once_are_noticed(fleet):
    """The first one is a process that is in the middle of its change."""
    (fleet.root / "settings.json").write_text(json.dumps({"seconds": {"apply": 1000}}))
    record = fleet.root / "pair-000000" / "pair-000000-A.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"staged": "3.0"}))
    hook = subprocess.Popen([sys.executable, "-IS", fleet.hook, fleet.root], stdin=subprocess.PIPE, text=True)
    try:
        hook.stdin.write(json.dumps(asked(fleet, verb="apply")) + "\n")
        hook.stdin.flush()
        wait_for(lambda: fleet.versions("pair-000000") == ("2.0", "2.0?", "2.0"), "the middle of the change")
        assert call(fleet, asked(fleet, verb="probe"))["result"] == "busy"
        second = threading.Thread(target=lambda: call(fleet, asked(fleet, verb="cleanup", fence=2)))
        second.start()
        wait_for(lambda: list(fleet.violations()), "the collision")
    finally:
        hook.kill()
        hook.stdin.close()
        hook.wait()
    second.join()
    kinds = [event["event"] for event in appliances.events(fleet.root, "pair-000000")]
    assert kinds == ["begin", "collision", "begin", "end"]


@pytest.mark.parametrize(
    ("change", "told", "event"),
    [
        ({"fence": 0, "highest": 5}, {"verb": "cleanup", "fence": 1}, "fell"),
        ({"version": "3.0", "staged": "3.0"}, {"verb": "apply"}, "wrong"),
        ({"committed": "r1"}, {"verb": "revert"}, "wrong"),
        ({"role": "standby", "staged": "3.0"}, {"verb": "apply", "role": "standby"}, "wrong"),
    ],
    ids=["fence", "needless", "revert", "order"],
)
def test_what_a_controller_must_not_do_is_noticed(fleet, change, told, event):
    record = fleet.root / "pair-000000" / "pair-000000-A.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | change))
    if "role" in change:
        other = record.with_name("pair-000000-B.json")
        other.write_text(json.dumps(json.loads(other.read_text()) | {"role": "active"}))
    call(fleet, asked(fleet, **told))
    assert [json.loads(one.partition(": ")[2])["event"] for one in fleet.violations()] == [event]


def test_what_a_pair_has_not_is_rejected(fleet):
    told = asked(fleet, verb="describe", role="standby", identity="standby")
    assert call(fleet, told)["identity"] == "pair-000000-B"
    with pytest.raises(appliances.AnsweredError, match="has no standby"):
        call(fleet, asked(fleet, verb="describe", role="standby", identity="somewhere-else"))
