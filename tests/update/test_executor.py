"""The executor: resume, cancel, windows, clear, clocks, and hooks that lie."""

import json
from typing import get_args, get_type_hints

import msgspec
import pytest

from bundlekit.cli.update.message import MEANINGS, message, next_steps, text
from bundlekit.update.engine.actions import Call, End, Note
from bundlekit.update.engine.errors import JournalError
from bundlekit.update.engine.executor import BundleRejected, Declined, latest
from bundlekit.update.engine.journal import MemoryJournal
from bundlekit.update.engine.outcome import EXIT_CODES
from bundlekit.update.engine.plan import PAIR, Slots
from bundlekit.update.engine.planner import TRANSITIONS, next_action
from bundlekit.update.engine.records import (
    Answer,
    CallFinished,
    CallStarted,
    CommitPoint,
    Ended,
    Instant,
    Outcome,
    RecoveryStep,
    Window,
)
from bundlekit.update.rehearsal.faults import ControllerKilled
from tests.update.world import Overridden, World, fault, overridden


def kinds(world):
    return [type(record).__name__ for record in world.records]


# --- the planner is a function of the records ---------------------------------------------------------------


@pytest.mark.parametrize("end", [None, ("apply", "active", "F"), ("apply", "standby", "B")], ids=str)
def test_each_record_follows_from_those_before_it_and_nothing_else(end):
    world = World(*[fault(*end)] if end else [])
    world.run()
    records = world.records
    for index in range(1, len(records)):
        record = records[index]
        if isinstance(record, CallFinished):
            continue
        match next_action(records[:index], record.at):
            case Call(verb=verb, step=step, attempt=attempt):
                assert (record.verb, record.step, record.attempt) == (verb, step, attempt)
            case Note(record=decided):
                assert record == decided
            case End(outcome=outcome):
                assert record == Ended(at=record.at, outcome=outcome)
            case other:
                pytest.fail(f"{other} does not lead to {record}")


def test_an_ended_run_stays_ended():
    world = World()
    outcome = world.run()
    assert world.resume() == outcome
    assert next_action(world.records, world.clock.now()) == End(outcome=outcome)
    assert kinds(world).count("Ended") == 1


# --- the controller dies ------------------------------------------------------------------------------------


class Mortal:
    """A journal under which the controller dies at its n-th append, before or after the record is durable."""

    def __init__(self, nth, *, durable):
        self.journal, self.left, self.durable = MemoryJournal(), nth, durable

    def append(self, pair, fence, record):
        self.left -= 1
        if self.left or self.durable:
            self.journal.append(pair, fence, record)
        if not self.left:
            raise ControllerKilled

    def __getattr__(self, name):
        return getattr(self.journal, name)


@pytest.mark.exhaustive
@pytest.mark.parametrize("durable", [True, False], ids=["after-the-record", "before-the-record"])
@pytest.mark.parametrize(
    "end",
    [None, *((verb, step, "F") for verb, step in (("apply", "storage"), ("verify", "active"), ("apply", "standby"))),
     ("apply", "active", "B"), ("gate", "ha-formed", "T")],
    ids=str,
)  # fmt: skip
def test_a_death_at_any_record_changes_no_outcome(end, durable):
    faults = [fault(*end), fault(*end, nth=1)] if end else []  # twice: the first answer may be lost
    whole = World(*faults)
    wanted = whole.run()
    for nth in range(1, len(whole.records) + 1):
        world = World(*faults, journal=Mortal(nth, durable=durable))
        with pytest.raises(ControllerKilled):
            world.run()
        outcome = world.resume() if world.records else world.run()
        found = (outcome.kind, outcome.hold, outcome.states, outcome.ha, world.pair.versions())
        assert found == (wanted.kind, wanted.hold, wanted.states, wanted.ha, whole.pair.versions()), nth


def test_a_resume_probes_every_component_before_it_does_anything():
    world = World(fault("apply", "active", "C"))
    with pytest.raises(ControllerKilled):
        world.run()
    before = len(world.records)
    world.resume()
    after = [(r.verb, r.step) for r in world.records[before:] if isinstance(r, CallStarted)]
    assert after[:3] == [("probe", "storage"), ("probe", "active"), ("probe", "standby")]
    assert ("apply", "active") not in after, "it was done already"


def test_a_controller_that_dies_for_ever_ends_with_people():
    world = World(*[fault("apply", "standby", "K")] * 100)
    with pytest.raises(ControllerKilled):
        world.run()
    for _ in range(80):
        try:
            outcome = world.resume()
            break
        except ControllerKilled:
            continue
    assert outcome.kind == "degraded"
    assert "the controller died" in outcome.reason


def test_a_machine_that_reboots_in_every_wait_ends_with_people():
    world = World(detach=True, hooks=overridden(gate=lambda _hooks, _request: Answer(kind="not-yet")))
    outcome = world.run()
    resumes = 0
    while outcome.kind == "waiting":
        outcome = world.resume()
        resumes += 1
        assert resumes < 100
    assert outcome.kind == "needs-operator"
    assert "no end after 64 transitions" in outcome.reason


def busy_until(minutes):
    """A storage whose apply kills the controller and goes on by itself until so long after the start."""

    def apply(hooks, request):
        if request.step == "storage":
            hooks.hooks.components["storage"].version = request.target.new
            raise ControllerKilled
        return hooks.apply(request)

    def probe(hooks, request):
        answer = hooks.probe(request)
        busy = request.step == "storage" and answer.kind == "new" and hooks.clock.passed < minutes * 60
        return msgspec.structs.replace(answer, kind="busy") if busy else answer

    return overridden(apply=apply, probe=probe)


@pytest.mark.parametrize(
    ("minutes", "kind"),
    [(0, "succeeded"), (80, "succeeded"), (240, "needs-operator")],
    ids=["done", "to-the-deadline", "never-quiet"],
)
def test_an_apply_that_goes_on_without_its_controller_is_awaited_not_reverted(minutes, kind):
    world = World(hooks=busy_until(minutes))
    with pytest.raises(ControllerKilled):
        world.run()
    assert world.resume().kind == kind
    assert world.calls("apply", answered=False).count("storage") == 1
    assert not world.calls("revert", answered=False)


def test_a_cancel_waits_until_the_change_is_over_and_then_reverts():
    world = World(hooks=busy_until(80))
    with pytest.raises(ControllerKilled):
        world.run()
    world.options["cancel"] = lambda: True
    outcome = world.resume()
    assert outcome.kind == "cancelled"
    assert world.calls("revert") == ["active", "storage"]
    first = next(r for r in world.records if isinstance(r, CallStarted) and r.verb == "revert")
    assert first.at.ticks >= 80 * 60


def test_a_resume_that_cannot_see_a_component_changes_nothing():
    world = died_at("apply", "active")
    world.hooks.overrides["standby"] = "unknown"
    before = len(world.records)
    outcome = world.resume()
    assert (outcome.kind, outcome.failed) == ("needs-operator", "standby")
    assert {r.verb for r in world.records[before:] if isinstance(r, CallStarted)} == {"probe", "cleanup"}
    assert outcome.states["standby"] == "unknown"


def test_a_resume_polls_its_gate_at_once():
    world = World(detach=True)
    world.run()
    polls = len(world.calls("gate"))
    world.clock.sleep(1)
    world.resume()
    assert len(world.calls("gate")) == polls + 1


# --- the bundle at a resume ---------------------------------------------------------------------------------


def died_at(verb, step, kind="K"):
    world = World(fault(verb, step, kind))
    with pytest.raises(ControllerKilled):
        world.run()
    return world


@pytest.mark.parametrize(
    ("verb", "step", "bundle", "kind", "new"),
    [
        ("prepare", "storage", BundleRejected(reason="signer revoked"), "rejected", set()),
        ("apply", "storage", BundleRejected(reason="signer revoked"), "reverted", set()),
        ("apply", "active", BundleRejected(reason="signer revoked"), "reverted", {"storage"}),
        ("apply", "standby", BundleRejected(reason="signer revoked"), "degraded", {"storage", "active"}),
        ("commit", "standby", BundleRejected(reason="signer revoked"), "succeeded", {"storage", "active", "standby"}),
        ("prepare", "storage", None, "waiting", set()),
        ("apply", "active", None, "waiting", {"storage"}),
        ("commit", "standby", None, "succeeded", {"storage", "active", "standby"}),
    ],
)
def test_no_step_forward_without_an_accepted_bundle(verb, step, bundle, kind, new):
    world = died_at(verb, step)
    outcome = world.resume(bundle=bundle)
    assert outcome.kind == kind
    assert world.new == new
    if kind in {"rejected", "reverted", "degraded"}:
        assert "signer revoked" in outcome.reason


def test_another_bundle_than_the_run_began_with_is_refused():
    world = died_at("prepare", "storage")
    world.bundle.bundle_id = "1" * 64
    outcome = world.resume()
    assert outcome.kind == "rejected"
    assert "the file is bundle 111" in outcome.reason


def test_reverting_and_cleaning_up_need_no_bundle():
    world = World(fault("apply", "active", "F"), fault("revert", "active", "K"))
    with pytest.raises(ControllerKilled):
        world.run()
    assert world.resume(bundle=None).kind == "reverted"


# --- cancel, windows, detach --------------------------------------------------------------------------------


def cancelled_when(verb, step):
    """A world whose operator cancels as soon as ``verb`` of ``step`` was answered."""
    world = World(cancel=lambda: step in world.calls(verb))
    return world


@pytest.mark.parametrize(
    ("verb", "step", "kind", "reverted"),
    [
        ("validate", "storage", "cancelled", []),
        ("prepare", "standby", "cancelled", []),
        ("apply", "storage", "cancelled", ["active", "storage"]),
        ("verify", "active", "cancelled", ["active", "storage"]),
        ("commit", "storage", "succeeded", []),
        ("apply", "standby", "succeeded", []),
    ],
)
def test_a_cancel_counts_before_the_commit_point_only(verb, step, kind, reverted):
    world = cancelled_when(verb, step)
    outcome = world.run()
    assert (outcome.kind, world.calls("revert")) == (kind, reverted)
    assert world.new == (set(world.job.targets) if kind == "succeeded" else set())
    assert not outcome.hold
    assert world.pair.formed()


def test_a_failure_before_a_cancel_keeps_its_hold():
    world = World(fault("verify", "storage", "F"), cancel=lambda: "storage" in world.calls("verify"))
    outcome = world.run()
    assert (outcome.kind, outcome.hold) == ("reverted", True)


def test_staged_on_friday_switched_on_saturday():
    world = World()
    waiting = world.run(window=Window(until="prepared"))
    assert (waiting.kind, waiting.reason) == ("waiting", "everything is prepared, nothing is changed")
    assert world.calls("prepare") == ["storage", "active", "standby"]
    assert not world.new
    world.clock.reboot(down=86400)
    assert world.resume(window=Window(until="prepared")).kind == "waiting"
    assert world.resume().kind == "succeeded"
    assert world.calls("prepare").count("storage") == 1


def test_a_window_that_has_passed_is_a_no():
    world = World()
    world.run(window=Window(until="prepared"))
    outcome = world.resume(window=Window(not_after=world.clock.wall - 1))
    assert outcome.kind == "rejected"
    assert not world.new


def test_detached_waits_are_ends_that_a_resume_takes_up():
    world = World(detach=True)
    assert world.run().kind == "waiting"
    assert "waiting for ha-formed" in world.run().reason or world.run().kind == "busy"
    world.clock.sleep(46 * 60)
    assert world.resume().kind == "succeeded"


# --- clocks -------------------------------------------------------------------------------------------------


def gate_waiting(passed_minutes, disturb, after_minutes=0.0):
    """A run detached at its gate, ``disturb``-ed after some minutes, then resumed until it ends."""
    world = World(detach=True, hooks=overridden(gate=lambda _hooks, _request: Answer(kind="not-yet")))
    assert world.run().kind == "waiting"
    world.clock.sleep(passed_minutes * 60)
    disturb(world.clock)
    world.clock.sleep(after_minutes * 60)
    return world, world.resume()


def wall_jump(seconds):
    def jump(clock):
        clock.wall += seconds

    return jump


YEAR = 365 * 86400.0


@pytest.mark.parametrize("jump", [YEAR, -YEAR], ids=["forward", "back"])
def test_a_wall_clock_that_jumps_neither_ends_nor_extends_a_gate(jump):
    _, early = gate_waiting(60, wall_jump(jump), after_minutes=20)
    assert early.kind == "waiting"
    _, late = gate_waiting(60, wall_jump(jump), after_minutes=31)
    assert late.kind == "degraded"


def test_after_a_reboot_the_wall_clock_counts():
    _, early = gate_waiting(60, lambda clock: clock.reboot(down=29 * 60))
    assert early.kind == "waiting"
    _, late = gate_waiting(60, lambda clock: clock.reboot(down=31 * 60))
    assert late.kind == "degraded"


def test_no_gate_ends_without_a_fresh_poll():
    ready = []
    world = World(
        detach=True,
        hooks=overridden(gate=lambda _hooks, _request: Answer(kind="ready" if ready else "not-yet")),
    )
    world.run()
    world.clock.reboot(down=YEAR)
    ready.append(True)
    assert world.resume().kind == "succeeded"


def test_a_boot_clock_is_believed_only_within_its_boot():
    first = Instant(boot="a", ticks=1000.0, wall=50.0)
    assert first.until(Instant(boot="a", ticks=1010.0, wall=0.0)) == 10
    assert first.until(Instant(boot="b", ticks=5000.0, wall=70.0)) == 20
    assert first.until(Instant(boot="b", ticks=5000.0, wall=20.0)) == 0


# --- the state is stale -------------------------------------------------------------------------------------


def described(**changes):
    def describe(hooks, request):
        answer = hooks.describe(request)
        return msgspec.structs.replace(answer, **changes) if request.step == "active" else answer

    return overridden(describe=describe)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"version": "5.30.02"}, "state-changed: the state has version 5.20.03, the appliance reports 5.30.02"),
        ({"version": None}, "the appliance reports nothing"),
        ({"identity": "SN-other"}, "state-changed: the state has identity SN-active"),
        ({"product": "printer"}, "state-changed: the state has product imager, the appliance reports printer"),
        ({"model": "im-100"}, "state-changed: the state has model im-200, the appliance reports im-100"),
        ({"role": "standby"}, "state-changed: the state has role active, the appliance reports standby"),
        ({"role": "primary"}, "it reports an invalid role"),
        ({"model": "im-200;id"}, "it reports an invalid model"),
        ({"counter": 5}, "state-changed: the state has counter 6, the appliance reports 5"),
        ({"counter": None}, "state-changed: the state has counter 6"),
        ({"counter": 2**53 - 1}, "state-changed"),
        ({"reverts": False}, "cannot be reverted"),
        ({"reverts": None}, "cannot be reverted"),
        ({"free": {"storage": 10}}, "10 bytes are free in storage, 4096 are needed"),
        ({"free": {}}, "the free space in storage is unknown"),
        ({"identity": "standby;id"}, "it reports an invalid identity"),
        ({"version": "$(reboot)"}, "it reports an invalid version"),
        ({"version": "-rf"}, "it reports an invalid version"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else None,
)
def test_a_pair_that_is_not_what_its_state_says_is_not_touched(changes, why):
    world = World(hooks=described(**{"free": {"storage": 4096}} | changes))
    world.job = msgspec.structs.replace(world.job, free={"storage": 4096}, product="imager", model="im-200")
    outcome = world.run()
    assert outcome.kind == "rejected"
    assert why in outcome.reason
    assert not world.calls("prepare", answered=False)


def test_a_pair_that_says_what_its_state_says_is_updated():
    world = World(hooks=described(product="imager", model="im-200", role="active"))
    world.job = msgspec.structs.replace(world.job, product="imager", model="im-200")
    assert world.run().kind == "succeeded"


def test_a_repair_does_not_mind_that_the_roles_have_moved():
    world = World(fault("apply", "standby", "F"), hooks=described(role="standby"))
    world.hooks.verbs.clear()
    assert world.run().kind == "degraded"
    world.hooks = described(role="standby")(world.pair, world.clock, ())
    assert world.run_again(repair=True).kind == "succeeded"


@pytest.mark.parametrize(("step", "kind"), [("standby", "succeeded"), ("active", "rejected")])
def test_a_repair_takes_a_half_written_standby_that_cannot_say_its_version(step, kind):
    def describe(hooks, request):
        answer = hooks.describe(request)
        return msgspec.structs.replace(answer, version=None) if request.step == step else answer

    world = World(fault("apply", "standby", "F"))
    world.run()
    world.hooks = overridden(describe=describe)(world.pair, world.clock, ())
    world.hooks.hooks.overrides["standby"] = "partial"
    assert world.run_again(repair=True).kind == kind


def test_a_counter_above_the_bundles_is_a_no_even_if_the_state_was_silent():
    world = World(hooks=described(counter=8))
    world.job = msgspec.structs.replace(world.job, counter_before=None)
    assert "security counter is 8, the bundle's only 7" in world.run().reason


@pytest.mark.parametrize(("state", "kind"), [("partial", "rejected"), ("busy", "rejected"), ("unknown", "rejected")])
@pytest.mark.parametrize("step", ["active", "standby"])
def test_a_run_starts_from_whole_components_only(step, state, kind):
    world = World()
    world.hooks.overrides[step] = state
    outcome = world.run()
    assert (outcome.kind, outcome.failed) == (kind, step)
    assert not world.calls("prepare", answered=False)


def test_a_target_on_hold_starts_nothing_and_is_cleared_by_name():
    world = World()
    world.pair.components["active"].hold = "fan broken"
    outcome = world.run()
    assert (outcome.kind, outcome.hold) == ("rejected", True)
    assert "fan broken" in outcome.reason
    assert [way.verb for way in outcome.recovery] == ["clear", "run"]
    world.clear()
    assert world.run_again().kind == "succeeded"


# --- fence --------------------------------------------------------------------------------------------------


def test_a_target_that_has_seen_a_higher_fence_is_left_alone():
    world = World()

    def overtaken(hooks, request):
        world.pair.components["storage"].fence = 9
        return hooks.validate(request)

    world.hooks = overridden(validate=overtaken)(world.pair, world.clock, ())
    outcome = world.run()
    assert outcome.kind == "rejected"
    assert "state-changed: another controller took the pair over" in outcome.reason
    assert world.calls("prepare") == world.calls("cleanup") == []
    world.hooks = world.pair
    assert world.run().kind == "succeeded"
    assert world.pair.components["storage"].fence == 10, "each claim is above what the target reports now"


def test_a_controller_that_lost_its_fence_touches_nothing_more():
    world = World()

    def overtaken(hooks, request):
        if request.step == "active":
            world.journal.claim(world.job.pair, "the other")
        return hooks.apply(request)

    world.hooks = overridden(apply=overtaken)(world.pair, world.clock, ())
    outcome = world.run()
    assert outcome.kind == "busy"
    assert world.calls("verify") == ["storage"]
    assert world.records[-1] == CallStarted(at=world.records[-1].at, verb="apply", step="active", attempt=1)


def test_one_run_at_a_time():
    world = died_at("apply", "active")
    outcome = world.run()
    assert outcome.kind == "busy"
    assert "has not ended" in outcome.reason
    assert [way.verb for way in outcome.recovery] == ["resume"]


# --- hold and clear -----------------------------------------------------------------------------------------


def test_clear_refuses_what_is_not_whole_unless_told_not_to_look():
    world = World(fault("apply", "active", "F"), fault("revert", "active", "F"))
    assert world.run().kind == "needs-operator"
    refused = world.clear()
    assert isinstance(refused, Declined)
    assert "partial" in refused.reason
    assert world.run().kind == "on-hold"
    assert world.engine.run(msgspec.structs.replace(world.job, repair=True), world.bundle).kind == "on-hold"
    cleared = world.clear(without_probe=True, ticket="C-17")
    assert (cleared.by, cleared.reason, cleared.ticket, cleared.states) == ("Ada", "disk replaced", "C-17", {})
    assert not latest(world.journal, world.job.pair).hold


def test_a_repair_that_is_rejected_leaves_the_pair_on_hold():
    world = World(fault("apply", "standby", "F"))
    world.run()
    world.hooks.pending = [fault("validate", "standby", "F", nth=1)]
    outcome = world.run_again(repair=True)
    assert (outcome.kind, outcome.hold) == ("rejected", True)
    assert world.run_again().kind == "on-hold"


def test_clear_waits_for_no_gate():
    world = World(fault("apply", "storage", "F"))
    world.run()
    world.pair.changed_at = world.clock.passed
    assert "gate of ha-formed reports not-yet" in world.clear().reason
    world.clock.sleep(46 * 60)
    assert world.clear().states == {"storage": "old", "active": "old", "standby": "old", "ha-formed": "ready"}
    assert isinstance(world.clear(), Declined)


# --- hooks that lie -----------------------------------------------------------------------------------------


def lies(verb, step, answer):
    def lie(hooks, request):
        if request.step != step:
            return getattr(hooks, verb)(request)
        return answer() if callable(answer) else answer

    return overridden(**{verb: lie})


def boom():
    raise OSError("out of\x1b[31m memory")


@pytest.mark.parametrize(
    ("verb", "step", "answer", "kind"),
    [
        ("apply", "active", boom, "reverted"),
        ("apply", "active", "done", "reverted"),
        ("apply", "active", Answer(kind="ready"), "reverted"),
        ("apply", "active", Answer(kind="ok"), "reverted"),
        ("verify", "active", Answer(kind="ok", version="5.20.03"), "reverted"),
        ("verify", "active", Answer(kind="ok"), "reverted"),
        ("prepare", "active", boom, "rejected"),
        ("revert", "active", boom, "succeeded"),
        ("commit", "active", boom, "succeeded"),
        ("cleanup", "active", boom, "succeeded"),
    ],
)
def test_what_a_hook_says_is_not_taken_as_said(verb, step, answer, kind):
    world = World(hooks=lies(verb, step, answer))
    outcome = world.run()
    assert outcome.kind == kind
    assert "\x1b" not in outcome.reason
    if verb in {"commit", "cleanup"}:
        assert outcome.notes == (
            f"{verb} of active: Overridden.{verb}: OSError: out of\N{REPLACEMENT CHARACTER}[31m memory",
        )


def late(hooks, request, right):
    hooks.clock.sleep(request.deadline + 1)
    return right


@pytest.mark.parametrize(
    ("verb", "step", "mistake", "kind", "noted"),
    [
        ("apply", "active", lambda *_: None, "succeeded", "it answered NoneType to apply"),
        ("apply", "standby", lambda *_: "ok", "succeeded", "it answered str to apply"),
        ("apply", "active", lambda *_: Answer(kind="ready"), "succeeded", "it answered ready to apply"),
        ("apply", "active", late, "succeeded", "it answered ok after its deadline of 5400 s"),
        ("commit", "active", late, "succeeded", "it answered ok after its deadline of 600 s"),
        ("prepare", "active", late, "rejected", "it answered ok after its deadline of 3600 s"),
        ("gate", "ha-formed", late, "succeeded", "it answered not-yet after its deadline of 60 s"),
        ("verify", "standby", lambda *_: 1 / 0, "degraded", "ZeroDivisionError: division by zero"),
        ("describe", "active", lambda *_: None, "rejected", "it answered NoneType to describe"),
        ("probe", "active", lambda *_: None, "rejected", "it answered NoneType to probe"),
    ],
)
def test_what_a_python_hook_does_wrong_is_noted_with_class_and_method(verb, step, mistake, kind, noted):
    def ask(hooks, request):
        right = getattr(hooks, request.verb)(request)
        return mistake(hooks, request, right) if request.step == step else right

    world = World(hooks=overridden(**{verb: ask}))
    outcome = world.run()
    assert outcome.kind == kind
    assert f"{verb} of {step}: Overridden.{verb}: {noted}" in outcome.notes
    assert len(outcome.notes) == len(set(outcome.notes))


def test_a_hook_that_answers_after_its_deadline_has_missed_it():
    def slow(hooks, request):
        answer = hooks.apply(request)
        hooks.clock.sleep(request.deadline + 1)
        return answer

    world = World(hooks=overridden(apply=slow))
    assert world.run().kind == "succeeded", "it is late but done, as the probe sees"
    assert {r.answer.kind for r in world.records if isinstance(r, CallFinished) and r.verb == "apply"} == {"timeout"}


@pytest.mark.parametrize(("verb", "kind"), [("apply", "reverted"), ("revert", "needs-operator")])
def test_a_hook_that_says_failed_has_failed_whatever_the_probe_sees(verb, kind):
    def fails(hooks, request):
        answer = getattr(hooks, verb)(request)
        return Answer(kind="failed", reason="says so") if request.step == "active" else answer

    world = World(fault("verify", "active", "F"), hooks=overridden(**{verb: fails}))
    outcome = world.run()
    assert outcome.kind == kind
    assert "says so" in outcome.reason
    assert outcome.states["active"] == "old"


@pytest.mark.parametrize(
    ("before", "then"),
    [
        ([], "old"),
        ([], "unknown"),
        ([fault("apply", "active", "L")], "old"),
        ([fault("apply", "active", "F")], "partial"),
        ([fault("apply", "active", "F")], "unknown"),
    ],
    ids=["applied", "not-seen", "applied-late", "reverted", "reverted-not-seen"],
)
def test_nothing_is_called_new_or_old_that_the_last_look_sees_otherwise(before, then):
    """A component that falls back by itself, after it was verified or reverted."""

    def probe(hooks, request):
        last = "commit" if not before or before[0].kind == "L" else "revert"
        fallen = request.step == "active" and "active" in world.calls(last)
        return Answer(kind=then) if fallen else hooks.probe(request)

    world = World(*before, hooks=overridden(probe=probe))
    outcome = world.run()
    assert (outcome.kind, outcome.failed) == ("needs-operator", "active")
    assert outcome.states["active"] == then


def test_nothing_is_cleaned_up_under_a_change():
    world = World(fault("apply", "active", "B"))
    assert world.run().states["active"] == "busy"
    assert world.calls("cleanup") == ["storage", "standby"]


def test_a_report_that_fails_changes_nothing():
    world = World()
    world.hooks.notify = lambda _record: boom()
    assert world.run().kind == "succeeded"


def test_a_hook_that_asks_for_later_is_asked_again_and_not_for_ever():
    asked = []

    def later(hooks, request):
        if request.step == "storage" and len(asked) < 2:
            asked.append(hooks.clock.passed)
            return Answer(kind="retry")
        return hooks.prepare(request)

    world = World(hooks=overridden(prepare=later))
    assert world.run().kind == "succeeded"
    assert asked[1] - asked[0] >= 30
    world = World(hooks=overridden(prepare=lambda _h, _r: Answer(kind="retry", reason="disk busy")))
    outcome = world.run()
    assert outcome.kind == "rejected"
    assert "disk busy" in outcome.reason
    assert len(world.calls("prepare")) == 5


def test_a_journal_that_cannot_be_claimed_starts_nothing():
    world = World()

    def refuse(*_args, **_options):
        raise JournalError("disk full")

    world.journal.claim = refuse
    assert world.run().kind == "waiting"
    assert {position.verb for position in world.hooks.trace} == {"probe"}, "the marks are read, nothing else is asked"


# --- what people are told -----------------------------------------------------------------------------------


def test_every_outcome_has_an_exit_code_and_a_meaning():
    assert set(EXIT_CODES) == set(MEANINGS)
    assert EXIT_CODES == {
        "succeeded": 0, "rejected": 10, "cancelled": 11, "on-hold": 12, "busy": 13,
        "superseded": 14, "reverted": 20, "degraded": 30, "needs-operator": 40, "waiting": 75,
        "nothing-to-resume": 4,
    }  # fmt: skip


def test_the_message_answers_what_a_person_on_call_asks():
    world = World(fault("apply", "standby", "F"))
    texts = {"degraded": "Leave it running. Call support."}
    plan = msgspec.structs.replace(PAIR, messages=texts, slots=Slots(root="/srv/imager"))
    told = message(world.run(), plan)
    assert told.headline.startswith("degraded: ")
    assert told.headline.endswith("The pair is on hold.")
    assert told.found == (
        "storage (shared): 3.4.0, new version",
        "active (active): 5.40.00, new version",
        "standby (standby): half-written",
    )
    assert told.served == "yes, by one appliance; complete: active"
    assert told.ha == "no"
    assert told.next == ("repair the pair: bundlekit update repair --pair pair-0 --trust TRUST",)
    assert told.vendor == "Leave it running. Call support."
    lines = text(told)
    assert "data served  yes, by one appliance" in lines
    assert "next 1" in lines


@pytest.mark.parametrize("kind", EXIT_CODES)
def test_every_kind_of_outcome_can_be_told(kind):
    lines = text(message(Outcome(kind=kind, pair="p")))
    assert lines.startswith(f"{kind}: ")
    assert ("urgency" in lines) == (kind != "succeeded")


STEPS_OF_A_PROGRAM = {
    "run": "Controller.run(BUNDLE, plan, trust=trust, appliance=appliance)",
    "take-over": "Controller.run(BUNDLE, plan, trust=trust, appliance=appliance, take_over='r1')",
    "resume": "Controller.resume('p', trust=trust)",
    "repair": "Controller.repair('p', trust=trust)",
    "revert": "Controller.revert('p', by='NAME', reason='TEXT')",
    "clear": "Controller.clear('p', HoldRelease(by='NAME', reason='TEXT'))",
    "state": "Controller.state(plan, before=appliance)",
    "reimage": "",
}


@pytest.mark.parametrize("verb", get_args(get_type_hints(RecoveryStep)["verb"]))
def test_a_step_of_a_run_whose_hooks_are_in_a_program_is_a_call_of_it(verb):
    """No command can do it: a command would have no hooks."""
    step = RecoveryStep(verb=verb, step="storage", version="1", run="r1" if verb == "take-over" else "")
    (line,) = next_steps((step,), pair="p", plan=PAIR)
    assert line.endswith(STEPS_OF_A_PROGRAM[verb])
    assert "bundlekit update" not in line
    served = msgspec.structs.replace(PAIR, slots=Slots(root="/srv/imager"))
    (line,) = next_steps((step,), pair="p", plan=served)
    assert ("bundlekit update" in line) == (verb != "reimage")


def test_the_commit_point_stands_between_the_groups():
    world = World()
    world.run()
    order = [
        (r.verb, r.step) if isinstance(r, CallStarted) else type(r).__name__
        for r in world.records
        if isinstance(r, CommitPoint) or (isinstance(r, CallStarted) and r.verb not in {"probe", "gate"})
    ]
    assert order == [
        *(("validate", s) for s in ("storage", "active", "standby")),
        *(("describe", s) for s in ("storage", "active", "standby")),
        *(("prepare", s) for s in ("storage", "active", "standby")),
        ("apply", "storage"), ("verify", "storage"), ("apply", "active"), ("verify", "active"),
        "CommitPoint",
        ("commit", "storage"), ("commit", "active"),
        ("apply", "standby"), ("verify", "standby"), ("commit", "standby"),
        *(("cleanup", s) for s in ("storage", "active", "standby")),
    ]  # fmt: skip


@pytest.mark.parametrize("bundle", ["given", "absent"])
def test_a_timer_that_resumes_each_minute_brings_no_waiting_run_to_an_end(bundle):
    """Staged on Friday, switched on Monday; or a bundle on a stick that is away over night."""
    world = World(detach=True)
    window = Window(until="prepared")
    assert world.run(window=window).kind == "waiting"
    for _ in range(TRANSITIONS + 10):
        world.clock.sleep(60)
        given = {} if bundle == "given" else {"bundle": None}
        assert world.resume(window=window, **given).kind == "waiting"
    world.options = {}
    assert world.resume().kind == "succeeded"


# --- what is told of more than one failure -------------------------------------------------------------------


def test_the_first_and_the_last_failure_are_both_told():
    """The operator repairs the revert and then meets the cause of it all, which nobody has mentioned."""
    world = World(fault("verify", "active", "F"), fault("revert", "active", "F"))
    outcome = world.run()
    assert outcome.kind == "needs-operator"
    assert outcome.reason.startswith("revert of active failed: ")
    assert outcome.root_cause.startswith("verify of active failed: ")
    assert f"  root cause   {outcome.root_cause}\n" in text(message(outcome))


@pytest.mark.parametrize("at", [("apply", "active", "F"), ("apply", "standby", "F"), ("prepare", "active", "F")])
def test_one_failure_is_told_once(at):
    outcome = World(fault(*at)).run()
    assert (outcome.root_cause, bool(outcome.reason)) == ("", True)


@pytest.mark.parametrize(("step", "kind"), [("standby", "degraded"), ("active", "reverted")])
def test_the_probes_own_reason_for_what_it_sees_is_told(step, kind):
    def probe(hooks, request):
        answer = hooks.probe(request)
        return msgspec.structs.replace(answer, reason="slot B: 3 of 9 blocks") if answer.kind == "partial" else answer

    world = World(fault("apply", step, "P"))
    world.hooks = Overridden(world.hooks, probe=probe)
    outcome = world.run()
    assert outcome.kind == kind
    assert outcome.reason.endswith("the probe reports partial (slot B: 3 of 9 blocks)")
    if kind == "degraded":
        assert outcome.probe_reasons == {step: "slot B: 3 of 9 blocks"}
        assert f"({step}): half-written (slot B: 3 of 9 blocks)\n" in text(message(outcome))


def test_a_run_that_waits_for_its_last_gate_can_wait():
    world = World(detach=True, hooks=overridden(gate=lambda _hooks, _request: Answer(kind="not-yet")))
    outcome = world.run()
    assert (outcome.kind, outcome.committed) == ("waiting", True)
    assert message(outcome).urgency == "can wait: every component is new and committed, and only HA is pending"
    between = msgspec.structs.replace(outcome, states=outcome.states | {"standby": "old"})
    assert message(between).urgency.startswith("urgent: the pair might be between two versions")


@pytest.mark.parametrize("verb", ["prepare", "apply", "commit", "cleanup"])
def test_a_controller_that_can_have_lost_its_lease_calls_no_hook_that_writes(verb):
    """It was stopped between the record of the call and the call, for longer than its lease."""
    world = World(is_ours=lambda pair: not (pair == world.job.pair and world.calls(verb, answered=False)))
    outcome = world.run()
    assert (outcome.kind, outcome.recovery[0].verb) == ("busy", "resume")
    assert "can have taken over" in outcome.reason
    assert not world.calls(verb)
    world.options = {}
    assert world.resume().kind == "succeeded"
