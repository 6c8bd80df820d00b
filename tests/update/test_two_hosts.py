"""Two controllers with state folders of their own: all they have in common is the appliance."""

from copy import deepcopy
from itertools import combinations

import msgspec
import pytest
from msgspec.structs import replace

from bundlekit.cli.update.message import message, next_steps
from bundlekit.model.primitives import MAX_INTEGER
from bundlekit.update.engine.errors import FenceError, JournalDamagedError
from bundlekit.update.engine.executor import Declined, Engine, HoldRelease, latest
from bundlekit.update.engine.journal import LEAP, MemoryJournal
from bundlekit.update.engine.records import Answer, CallStarted, Cleared, Window
from bundlekit.update.rehearsal.faults import ControllerKilled, FaultyHooks
from bundlekit.update.rehearsal.rehearse import EmptyBundle
from bundlekit.update.rehearsal.sandbox import reimaging
from bundlekit.update.rehearsal.simulator import NEW, NEW_STORAGE, OLD, OLD_STORAGE
from bundlekit.update.state.sqlite_journal import SqliteJournal
from tests.update.target import ALL_NEW, ALL_OLD, SlotWorld
from tests.update.world import Overridden, World, fault

CHANGING = ("prepare", "apply", "commit", "revert", "cleanup")
PREPARED = Window(until="prepared")


class Host:
    """A controller on a host of its own, over the appliance of ``world``; remembers what it asked of the target."""

    def __init__(self, world, *, job=None, hooks=None, journal=None):
        self.world = world
        self.job = job or world.job
        self.journal = journal or MemoryJournal()
        self.calls = []
        self.hooks = Overridden(hooks or world.pair, **dict.fromkeys(CHANGING, self.watch))
        self.bundle = EmptyBundle(self.job.bundle_id)

    def watch(self, hooks, request):
        self.calls.append(request)
        return getattr(hooks, request.verb)(request)

    @property
    def engine(self):
        return Engine(journal=self.journal, hooks=self.hooks, clock=self.world.clock)

    def run(self, **options):
        return self.engine.run(self.job, self.bundle, **options)

    def resume(self, **options):
        return self.engine.resume(self.job.pair, self.bundle, **options)

    def clear(self, **options):
        return self.engine.clear(self.job.pair, HoldRelease(by="Ada", reason="disk replaced", **options))

    @property
    def last(self):
        return latest(self.journal, self.job.pair)


def another_bundle(job, version="5.41.00", storage="3.5.0", *, old=(OLD, OLD_STORAGE)):
    """A job of another bundle for the same pair."""
    targets = {
        step: replace(t, old=old[t.role == "shared"], new=storage if t.role == "shared" else version)
        for step, t in job.targets.items()
    }
    return replace(job, targets=targets, bundle_id="1" * 64, version=version, counter=job.counter + 1)


def marks(world):
    return {step: (c.staged, c.fence, c.owner, c.run, c.hold) for step, c in world.pair.components.items()}


@pytest.fixture
def world():
    return World()


@pytest.fixture
def staged(world):
    """Host A has staged an update and waits for its hour."""
    a = Host(world)
    assert a.run(window=PREPARED).kind == "waiting"
    return a


# --- a pair that another controller is updating -----------------------------------------------------------------


@pytest.mark.parametrize("other", [None, another_bundle], ids=["the-same-bundle", "another-bundle"])
def test_a_run_that_meets_another_under_way_names_it_and_touches_nothing(world, staged, other):
    was = marks(world)
    b = Host(world, job=other(world.job) if other else None)
    outcome = b.run()
    assert (outcome.kind, outcome.hold) == ("busy", False)
    assert outcome.reason == f"run {staged.last.run} of another controller is in progress"
    assert [(way.verb, way.run) for way in outcome.recovery] == [("take-over", staged.last.run)]
    assert b.calls == []
    assert b.last is None
    assert marks(world) == was
    assert staged.resume(window=Window()).kind == "succeeded"


@pytest.mark.parametrize("verb", ["validate", "describe"])
def test_a_run_rejected_before_it_staged_anything_leaves_the_target_alone(world, verb):
    world.pair.components["active"].hold = "disk 3 is broken"  # what the target remembers is not ours to lift
    was = marks(world)
    b = Host(world, hooks=FaultyHooks(world.pair, world.clock, (fault(verb, "active", "F"),)))
    outcome = b.run()
    assert outcome.kind == "rejected"
    assert b.calls == [], "no cleanup and no fence"
    assert marks(world) == was


def test_a_run_rejected_with_an_old_state_leaves_the_staging_of_another(world):
    """The state says an older version than the pair has; the other one is staged between the marks and the survey."""
    a = Host(world)
    b = Host(world, job=replace(world.job, counter_before=5))

    def staging_meanwhile(hooks, request):
        if not a.calls:
            assert a.run(window=PREPARED).kind == "waiting"
        return hooks.validate(request)

    b.hooks = Overridden(b.hooks, validate=staging_meanwhile)
    outcome = b.run()
    assert outcome.kind == "rejected"
    assert b.calls == []
    assert world.pair.components["storage"].staged == NEW_STORAGE
    assert a.resume(window=Window()).kind == "succeeded"


def test_only_what_this_run_has_staged_is_cleaned_up(world):
    b = Host(world, hooks=FaultyHooks(world.pair, world.clock, (fault("prepare", "active", "F"),)))
    assert b.run().kind == "rejected"
    assert [(r.verb, r.step) for r in b.calls] == [
        ("prepare", "storage"), ("prepare", "active"), ("cleanup", "storage"),
    ]  # fmt: skip
    assert marks(world)["active"] == marks(world)["standby"] == ("", 0, "", "", "")


@pytest.mark.parametrize("kind", ["rejected", "timeout", "died"])
def test_what_a_prepare_has_staged_before_it_failed_is_cleaned_up(world, kind):
    def halfway(hooks, request):
        answer = hooks.prepare(request)
        return Answer(kind=kind, reason="no space") if request.step == "active" else answer

    b = Host(world, hooks=Overridden(world.pair, prepare=halfway))
    assert b.run().kind == "rejected"
    assert [(r.verb, r.step) for r in b.calls][2:] == [("cleanup", "storage"), ("cleanup", "active")]
    assert {(c.staged, c.run) for c in world.pair.components.values()} == {("", "")}


@pytest.mark.parametrize(("failures", "state", "cleaned"), [(1, "old", ["storage"]), (5, "unknown", [])])
def test_whose_staging_it_is_is_asked_until_the_probe_answers(failures, state, cleaned):
    """After a *prepare* that did not answer; what nobody can see is left alone, for it can be another run's."""
    probes = [fault("probe", "storage", "F", nth) for nth in range(2, 2 + failures)]
    world = World(fault("prepare", "storage", "L"), *probes)
    outcome = world.run()
    assert (outcome.kind, outcome.states["storage"]) == ("rejected", state)
    assert world.calls("cleanup") == cleaned


@pytest.mark.parametrize(
    ("failing", "plain"),
    [(False, False), (True, False), (True, True)],
    ids=["prepare", "prepare-that-fails", "prepare-that-fails-and-hooks-that-compare-fences-only"],
)
def test_a_run_that_was_asleep_does_not_destroy_what_another_has_staged(world, failing, plain):
    """Stopped (Ctrl-Z) between its survey and its first mark, with a journal that is ahead of the appliance."""
    a, b = Host(world), Host(world, job=another_bundle(world.job))
    for _ in range(5):
        a.journal.claim(a.job.pair, "a claim that came to nothing")
    ends = []

    def asleep(hooks, request):
        if not ends:
            ends.append(b.run(window=PREPARED))
        if failing:
            return Answer(kind="rejected", reason="no space")
        return hooks.prepare(request)

    def compares_fences_only(hooks, request):
        return getattr(hooks, request.verb)(replace(request, fence_seen=None if plain else request.fence_seen))

    a.hooks = Overridden(Overridden(a.hooks, **dict.fromkeys(CHANGING, compares_fences_only)), prepare=asleep)
    outcome = a.run()
    assert (outcome.kind, outcome.hold) == ("rejected", False)
    assert a.calls == [] or {r.verb for r in a.calls} == {"prepare"}
    assert b.resume(window=Window()).kind == "succeeded"
    assert set(world.pair.versions().values()) == {"5.41.00", "3.5.0"}


def test_a_run_whose_controller_is_gone_can_be_taken_over_by_name(world, staged):
    b = Host(world, job=another_bundle(world.job))
    assert b.run(take_over="0" * 16).kind == "busy"
    assert b.run(take_over=staged.last.run).kind == "succeeded"
    assert world.pair.versions() == {"storage": "3.5.0", "active": "5.41.00", "standby": "5.41.00"}

    staged.calls.clear()
    began = world.clock.passed
    outcome = staged.resume(window=Window())
    assert (outcome.kind, outcome.hold, outcome.failed) == ("rejected", False, "")
    assert outcome.reason.startswith("state-changed: another controller has had the pair since")
    assert [way.verb for way in outcome.recovery] == ["state", "run"]
    assert staged.calls == [], "not even a cleanup"
    assert outcome.versions == world.pair.versions(), "as they are now, not as they were when everything was staged"
    assert set(outcome.states.values()) == {"unknown"}
    assert world.clock.passed == began, "nothing is waited for"
    assert world.pair.formed()


def test_the_run_with_the_highest_fence_is_named_and_its_take_over_replaces_those_that_it_had_overtaken(world):
    """Two runs that overtook each other have left a mark each: neither may keep the other from being replaced."""
    for step, run, fence in (("storage", "1" * 16, 3), ("active", "2" * 16, 5)):
        component = world.pair.components[step]
        component.run, component.fence, component.owner = run, fence, run
    b = Host(world)
    outcome = b.run()
    assert (outcome.kind, [way.run for way in outcome.recovery]) == ("busy", ["2" * 16])
    assert b.run(take_over="1" * 16).kind == "busy"
    assert b.run(take_over="2" * 16).kind == "succeeded"


def test_a_run_that_never_looked_advises_no_image_of_what_another_host_has_committed(world):
    """Its controller died at once; then another host updated the pair, whose standby is half-written since."""
    killed = (fault("validate", "storage", "K"),)
    a = Host(world, hooks=FaultyHooks(world.pair, world.clock, killed))
    with pytest.raises(ControllerKilled):
        a.run()
    a.hooks.hooks.pending, a.hooks.hooks.overrides = [], {"standby": "partial"}
    b = Host(world, job=another_bundle(world.job), hooks=FaultyHooks(world.pair, world.clock, ()))
    assert b.run().kind == "succeeded"
    outcome = a.resume()
    assert (outcome.kind, outcome.hold) == ("rejected", False)
    assert "another run has committed since" in outcome.reason
    assert next((w.verb, w.step, w.version) for w in outcome.recovery) == ("reimage", "standby", "5.41.00")
    assert {way.step for way in outcome.recovery} == {"standby", ""}


def test_a_newer_version_installed_by_hand_ends_a_staged_run_without_advice_to_go_back(world, staged):
    for step, version in (("storage", "3.5.0"), ("active", "5.41.00"), ("standby", "5.41.00")):
        component = world.pair.components[step]
        component.version, component.run, component.owner = version, "", ""
    began = world.clock.passed
    outcome = staged.resume(window=Window())
    assert (outcome.kind, outcome.hold) == ("rejected", False)
    assert "state-changed" in outcome.reason
    assert [way.verb for way in outcome.recovery] == ["state", "run"]
    assert world.clock.passed == began


@pytest.mark.parametrize("step", ["storage", "active", "standby"])
def test_a_staged_pair_with_one_component_of_another_version_needs_a_person(world, staged, step):
    world.pair.components[step].version = "9.99"
    outcome = staged.resume(window=Window())
    assert outcome.kind == "needs-operator"


def test_a_repair_is_not_made_over_a_third_version(world):
    """Another host has installed a newer bundle since the pair degraded: finishing the old one would be a downgrade."""
    a = Host(world, hooks=FaultyHooks(world.pair, world.clock, (fault("verify", "standby", "F"),)))
    assert a.run().kind == "degraded"
    for step, version in (("storage", "3.5.0"), ("active", "5.41.00"), ("standby", "5.41.00")):
        component = world.pair.components[step]
        component.version, component.hold = version, ""
    a.calls.clear()
    a.job = replace(a.job, repair=True, counter_before=None)
    outcome = a.run()
    assert (outcome.kind, a.calls) == ("rejected", [])
    assert "state-changed: the state has version 3.2.1, the appliance reports 3.5.0" in outcome.reason


# --- a whole run of another host between two calls of one whose fence is ahead ---------------------------------------


def ahead(world, at, *, kind="", claims=5, same=False):
    """Host A, whose journal knows higher fences than the appliance, and B, which runs before A's call number ``at``."""
    a, b = Host(world), Host(world, job=world.job if same else another_bundle(world.job))
    b.job = replace(b.job, targets={s: replace(t, old=world.job.targets[s].old) for s, t in b.job.targets.items()})
    for _ in range(claims):
        a.journal.claim(a.job.pair, "a claim that came to nothing")
    ends, calls = [], []

    def meanwhile(hooks, request):
        calls.append(request)
        if len(calls) == at:
            ticks = world.clock.ticks
            ends.append(b.run())
            world.clock.ticks = ticks
        answer = getattr(hooks, request.verb)(request)
        if len(calls) == at and kind == "C":
            raise ControllerKilled
        return answer

    verbs = ("validate", "describe", "probe", "verify", "gate", *CHANGING)
    a.hooks = Overridden(a.hooks, **dict.fromkeys(verbs, meanwhile))
    return a, ends, calls


@pytest.mark.parametrize("kind", ["", "C"], ids=["alive", "killed"])
@pytest.mark.parametrize("at", range(1, 16))
def test_what_another_host_installed_meanwhile_stays_though_our_fence_is_higher(world, at, kind):
    a, ends, calls = ahead(world, at, kind=kind)
    try:
        outcome = a.run()
    except ControllerKilled:
        outcome = a.resume() if a.last else None
    verb = calls[at - 1].verb
    if at > 13:  # storage is staged, so B is told whose run is in progress
        assert (verb, ends[0].kind, outcome.kind) == ("prepare", "busy", "succeeded")
        return
    assert ends[0].kind == "succeeded"
    assert set(world.pair.versions().values()) == {"5.41.00", "3.5.0"}
    if (at, kind) != (13, "C"):  # there the resume finds the claim of B on the active, and touches nothing more
        assert {c.run for c in world.pair.components.values()} == {""}, "the staging of A is cleaned up"
        assert {c.staged for c in world.pair.components.values()} == {""}
    if outcome is None:  # killed before its first record
        assert at <= 3
        return
    assert (outcome.kind, outcome.hold) == ("rejected", False)
    assert "state-changed" in outcome.reason
    assert [way.verb for way in outcome.recovery] == ["state", "run"]


@pytest.mark.parametrize("at", range(7, 13))
def test_the_same_bundle_installed_elsewhere_before_the_survey_is_a_change_too(world, at):
    a, ends, _ = ahead(world, at, same=True)
    outcome = a.run()
    assert (ends[0].kind, outcome.kind, outcome.hold) == ("succeeded", "rejected", False)
    assert "state-changed" in outcome.reason
    assert {c.committed for c in world.pair.components.values()} == {ends[0].run}


PARTS = ("storage", "active", "standby")


@pytest.mark.exhaustive
@pytest.mark.parametrize("claims", [0, 5], ids=["the-same-fence", "a-higher-fence"])
@pytest.mark.parametrize("new", [PARTS, *combinations(PARTS, 1), *combinations(PARTS, 2)], ids="+".join)
def test_what_is_new_already_is_fenced_before_anything_is_decided_over_it(new, claims):
    """A run that has nothing to stage on a component still has to keep others from it, before its commit point."""
    for at in range(1, 80):
        world = World()
        for step in new:
            world.pair.reimage(reimaging(world.job, step, world.job.targets[step].new))
        versions = world.pair.versions()
        targets = {step: replace(target, old=versions[step]) for step, target in world.job.targets.items()}
        world.job = replace(world.job, targets=targets)
        a, ends, calls = ahead(world, at, claims=claims)
        outcome = a.run()
        if not ends:
            assert (outcome.kind, len(calls) < at) == ("succeeded", True)
            return
        where = calls[at - 1].verb, calls[at - 1].step
        if ends[0].kind == "succeeded":
            assert (outcome.kind, outcome.hold) == ("rejected", False), where
            assert set(world.pair.versions().values()) == {"5.41.00", "3.5.0"}, where
        else:
            assert (ends[0].kind, outcome.kind) == ("busy", "succeeded"), where
        assert {c.hold for c in world.pair.components.values()} == {""}, where
    raise AssertionError("the run makes fewer calls")


def test_only_staging_that_is_still_ours_is_cleaned_up_after_the_second_survey(world):
    """B has staged over A, with a fence that is higher still, after A has staged the storage."""
    a = Host(world)
    b = Host(world, job=another_bundle(world.job))
    for _ in range(5):
        b.journal.claim(b.job.pair, "a claim that came to nothing")
    verbs = []

    def taken(hooks, request):
        verbs.append(request.verb)
        if verbs.count("prepare") == 3 and request.verb == "prepare":
            assert b.run(window=PREPARED, take_over=a.last.run).kind == "waiting"
        return getattr(hooks, request.verb)(request)

    a.hooks = Overridden(a.hooks, prepare=taken, cleanup=taken)
    outcome = a.run()
    assert (outcome.kind, verbs.count("cleanup")) == ("rejected", 0)
    assert b.resume(window=Window()).kind == "succeeded"


def test_a_component_that_another_host_is_changing_is_waited_for_before_anything_is_concluded(world, staged):
    """A hook that finds the component locked answers *busy*, without any mark."""
    b = Host(world, job=another_bundle(world.job))
    asked = []

    def busy(hooks, request):
        if request.step == "storage":
            asked.append(request.run)
            if len(asked) < 4:
                return Answer(kind="busy")
            if len(asked) == 4:
                assert b.run(take_over=staged.last.run).kind == "succeeded"
        return hooks.probe(request)

    staged.hooks = Overridden(staged.hooks, probe=busy)
    outcome = staged.resume(window=Window())
    assert (outcome.kind, outcome.hold) == ("rejected", False)
    assert [way.verb for way in outcome.recovery] == ["state", "run"]


def test_a_component_that_stays_busy_with_something_else_needs_a_person(world, staged):
    def busy(hooks, request):
        return Answer(kind="busy") if request.step == "storage" else hooks.probe(request)

    staged.hooks = Overridden(staged.hooks, probe=busy)
    began = world.clock.passed
    outcome = staged.resume(window=Window())
    assert outcome.kind == "needs-operator"
    assert outcome.reason == "it is busy with a change that this run did not start"
    assert world.clock.passed - began >= 600, "it was given its time to settle"


# --- fences ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["run", "resume", "clear"])
def test_every_claim_is_above_what_the_target_reports_now(world, verb):
    a = Host(world, hooks=FaultyHooks(world.pair, world.clock, (fault("verify", "storage", "F"),)))
    if verb == "resume":
        a.run(window=PREPARED)
    elif verb == "clear":
        assert a.run().hold
        world.clock.sleep(7200)
    for component in world.pair.components.values():
        component.fence = 41 if verb != "resume" else component.fence
    getattr(a, verb)()
    high = 41 if verb != "resume" else 1
    assert {c.fence for c in world.pair.components.values()} == {high + 1}


def test_two_that_claim_the_same_fence_do_not_both_write(world):
    """Both read the marks before either has written one."""
    a, b = Host(world), Host(world)
    ends = {}

    def meanwhile(hooks, request):
        if "a" not in ends:
            ends["a"] = a.run(window=PREPARED)
        return hooks.validate(request)

    b.hooks = Overridden(b.hooks, validate=meanwhile)
    ends["b"] = b.run()
    assert (ends["a"].kind, ends["b"].kind) == ("waiting", "rejected")
    assert a.last.fence == b.last.fence == 1
    assert b.calls == []
    assert a.resume(window=Window()).kind == "succeeded"


@pytest.mark.parametrize("verb", ["prepare", "apply", "commit", "gate", "cleanup"])
@pytest.mark.parametrize("step", ["storage", "active", "standby"])
def test_a_controller_that_lost_says_so_and_touches_nothing_more(world, verb, step):
    if verb == "gate":
        step = "ha-formed"
    a = Host(world)
    b = Host(world, job=another_bundle(world.job, OLD, OLD_STORAGE, old=(OLD, OLD_STORAGE)))
    seen = {}

    def taken(hooks, request):
        if request.step == step and "b" not in seen:
            versions = world.pair.versions()
            targets = {s: replace(t, old=versions[s]) for s, t in b.job.targets.items()}
            b.job = replace(b.job, targets=targets, counter_before=world.pair.counter)
            seen["b"] = b.run(take_over=a.last.run)
            seen["after"] = len(a.calls) + (verb != "gate")
        return getattr(hooks, request.verb)(request)

    a.hooks = Overridden(a.hooks, **{verb: taken})
    outcome = a.run()
    assert seen["b"].kind == "succeeded"
    applied = any(isinstance(r, CallStarted) and r.verb == "apply" for r in a.journal.read(a.job.pair))
    done = applied and (verb, step) != ("apply", "storage")
    assert (outcome.kind, outcome.hold) == ("superseded" if done else "rejected", False)
    assert outcome.versions == world.pair.versions()
    assert "controller" in outcome.reason
    assert [way.verb for way in outcome.recovery] == ["state", "run"]
    assert len(a.calls) <= seen["after"] + 1, "one call that the target refuses, at most"
    assert all(c.owner == b.last.owner for c in world.pair.components.values())
    assert set(world.pair.versions().values()) == {OLD, OLD_STORAGE}


def test_an_older_copy_of_the_state_folder_never_takes_a_healthy_pair_back(world):
    """At every record of a run that has succeeded, its journal is put back from a copy and resumed."""
    a = Host(world)
    assert a.run().kind == "succeeded"
    records = a.journal.read(a.job.pair)
    for count in range(1, len(records)):
        kept = deepcopy({step: vars_of(c) for step, c in world.pair.components.items()})
        copy = Host(world)
        fence = copy.journal.claim(a.job.pair, "copy")
        for record in records[:count]:
            copy.journal.append(a.job.pair, fence, record)
        outcome = copy.resume()
        assert outcome.kind in {"rejected", "superseded", "succeeded", "waiting"}, (count, outcome)
        assert not {"reimage", "revert", "clear"} & {way.verb for way in outcome.recovery}
        assert {r.verb for r in copy.calls} <= {"commit", "cleanup"}
        assert world.pair.versions() == {"storage": NEW_STORAGE, "active": NEW, "standby": NEW}
        for step, values in kept.items():
            for name, value in values.items():
                setattr(world.pair.components[step], name, value)


def vars_of(component):
    return {name: getattr(component, name) for name in component.__slots__}


@pytest.mark.parametrize("fence", [MAX_INTEGER, MAX_INTEGER - 1, 10**30, -1, "seven", LEAP + 10])
def test_a_fence_that_no_claim_can_have_left_never_reaches_the_target(tmp_path, world, fence):
    journal = SqliteJournal(tmp_path / "state")
    try:
        a = Host(world, journal=journal)
        assert a.run().kind == "succeeded"
        was = marks(world)
        a.calls.clear()
        journal._db.execute("UPDATE locks SET fence = ?", (fence if isinstance(fence, str) else min(fence, 2**62),))
        a.job = another_bundle(world.job, old=(NEW, NEW_STORAGE))
        with pytest.raises(JournalDamagedError, match="records and appliance know 1"):
            a.run()
        assert a.calls == []
        assert marks(world) == was
    finally:
        journal.close()


def test_an_appliance_without_a_higher_fence_is_told_in_one_sentence(world):
    world.pair.components["active"].fence = MAX_INTEGER
    with pytest.raises(FenceError, match=f"reports the fence {MAX_INTEGER}, so no higher fence can be claimed"):
        Host(world).run()


@pytest.mark.parametrize(
    ("name", "value"), [("fence", MAX_INTEGER + 1), ("fence", -1), ("counter", 2**64), ("free", {"storage": -5})]
)
def test_a_number_that_is_out_of_range_is_no_answer(world, name, value):
    verb = "probe" if name == "fence" else "describe"

    def wrong(hooks, request):
        return msgspec.structs.replace(getattr(hooks, verb)(request), **{name: value})

    outcome = Host(world, hooks=Overridden(world.pair, **{verb: wrong})).run()
    assert outcome.kind == "rejected"
    assert "out of range" in outcome.reason


def test_a_probe_without_a_fence_leaves_none_to_compare_with(world):
    """The last probe of a half-written component reports no marks, and our own cleanup wrote the fence after it."""
    w = World(fault("probe", "storage", "C", 2), fault("apply", "standby", "F"), fault("cleanup", "standby", "C"))
    for _ in range(2):
        with pytest.raises(ControllerKilled):
            w.resume() if w.records else w.run()
    outcome = w.resume()
    assert (outcome.kind, outcome.hold) == ("degraded", True)
    assert [way.verb for way in outcome.recovery] == ["repair"]


# --- holds -----------------------------------------------------------------------------------------------------


def test_a_stale_state_with_a_hold_writes_no_hold_back(world):
    was = marks(world)
    b = Host(world, job=replace(world.job, hold="fan broken"))
    outcome = b.run()
    assert (outcome.kind, outcome.hold) == ("rejected", False)
    assert "state-changed: the state contains a hold (fan broken), the appliance does not" in outcome.reason
    assert marks(world) == was


def test_a_hold_that_the_target_remembers_stays(world):
    world.pair.components["storage"].hold = "disk 3 is broken"
    outcome = Host(world).run()
    assert (outcome.kind, outcome.hold) == ("rejected", True)
    assert "the appliance itself reports that the pair is on hold: disk 3 is broken" in outcome.reason
    assert [c.hold for c in world.pair.components.values()] == ["disk 3 is broken", "", ""]


def test_a_hold_is_not_cleared_under_the_run_of_another(world):
    a = Host(world, hooks=FaultyHooks(world.pair, world.clock, (fault("verify", "storage", "F"),)))
    assert a.run().hold
    world.clock.sleep(7200)
    for component in world.pair.components.values():
        component.hold = ""  # cleared from the other host
    b = Host(world, job=another_bundle(world.job))
    assert b.run(window=PREPARED).kind == "waiting"
    refused = a.clear()
    assert isinstance(refused, Declined)
    assert refused.reason == f"Run {b.last.run} of another controller is in progress."
    assert b.resume(window=Window()).kind == "succeeded"
    assert isinstance(a.clear(), Declined | Cleared)


@pytest.mark.parametrize(("verb", "end"), [("clear", "storage"), ("revert", "active"), ("repair", "standby")])
def test_what_meets_the_run_of_another_names_the_command_that_can_replace_it(world, verb, end):
    """The next step of a repair was a new run, which a pair on hold refuses."""
    reverts = (fault("revert", "active", "F"),) if verb == "revert" else ()
    a = Host(world, hooks=FaultyHooks(world.pair, world.clock, (fault("verify", end, "F"), *reverts)))
    assert a.run().hold
    world.clock.sleep(7200)
    for component in world.pair.components.values():
        component.run, component.hold = "f" * 16, ""  # of a host that is gone for good
    acts = {
        "clear": a.clear,
        "revert": lambda **more: a.engine.revert("pair-0", by="Ada", reason="fixed", **more),
        "repair": lambda **more: a.engine.run(replace(a.job, repair=True, counter_before=None), a.bundle, **more),
    }
    (way,) = acts[verb]().recovery
    assert (way.verb, way.run) == (verb, "f" * 16)
    (step,) = next_steps((way,), pair="pair-0")
    assert f"bundlekit update {verb} --pair pair-0" in step
    assert step.endswith(f" --take-over {'f' * 16}")
    assert getattr(acts[verb](take_over=way.run), "kind", "cleared") in {"cleared", "reverted", "succeeded"}


def test_a_hold_is_cleared_over_versions_that_another_host_has_installed(world, staged):
    """The run that was taken over does not know them, but they are whole and the gates pass."""
    gate = (fault("gate", "ha-formed", "F"),)
    b = Host(world, job=another_bundle(world.job), hooks=FaultyHooks(world.pair, world.clock, gate))
    assert b.run(take_over=staged.last.run).kind == "degraded"
    outcome = staged.resume(window=Window())
    assert (outcome.kind, outcome.hold) == ("rejected", True)
    assert set(outcome.states.values()) == {"unknown"}
    assert "storage (shared): 3.5.0, neither the old version nor the new one" in message(outcome).found
    assert [way.verb for way in outcome.recovery] == ["clear", "state", "run"]
    world.clock.sleep(7200)
    cleared = staged.clear()
    assert isinstance(cleared, Cleared)
    assert not world.held_at_target


# --- the same over real folders ------------------------------------------------------------------------------------


def slot_host(w, **job):
    return Host(w, job=replace(w.job, **job), hooks=w.slots)


@pytest.fixture
def slots(tmp_path):
    w = SlotWorld(tmp_path)
    yield w
    w.close()


def test_slots_remember_whose_run_is_under_way(slots):
    assert slots.run(window=PREPARED).kind == "waiting"
    staged = {step: (slots.record(step), slots.bytes(step)) for step in slots.job.targets}
    b = slot_host(slots, hold="written before the clear", counter_before=3)
    b.bundle = slots.bundle
    assert b.run().kind == "busy"
    assert {step: (slots.record(step), slots.bytes(step)) for step in slots.job.targets} == staged
    assert slots.versions() == ALL_OLD
    assert slots.resume(window=Window()).kind == "succeeded"
    assert slots.versions() == ALL_NEW
    assert {slots.record(step).run for step in slots.job.targets} == {""}


def test_a_controller_killed_in_an_apply_is_not_disturbed_from_another_host(slots):
    hooks = FaultyHooks(slots.slots, slots.clock, (fault("apply", "active", "C"),))
    slots.hooks = hooks
    with pytest.raises(ControllerKilled):
        slots.run()
    b = slot_host(slots)
    b.bundle = slots.bundle
    assert b.run().kind == "busy"
    assert slots.resume().kind == "succeeded"
