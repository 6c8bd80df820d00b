"""Reverts that fail, in which order they are done, how they are tried again; gates between groups; facts."""

import pytest
from msgspec.structs import replace

from bundlekit.model.matrix import Condition
from bundlekit.update.engine.executor import Declined, latest
from bundlekit.update.engine.plan import PAIR, Group, IfIncompatible, OnFailure, load_plan, problems
from bundlekit.update.engine.records import Answer, Cleared, Outcome, Started
from bundlekit.update.rehearsal.faults import ControllerKilled, FaultyHooks
from bundlekit.update.rehearsal.rehearse import rehearse, simulated
from bundlekit.update.rehearsal.simulator import NEW, OLD
from tests.update.test_plan import EXAMPLE
from tests.update.world import World, fault, overridden


def order(world, verb="revert"):
    return world.calls(verb, answered=False)


# --- one revert fails, the others go on --------------------------------------------------------------------------


def test_a_failed_revert_does_not_keep_the_others_from_going_back():
    """The storage's apply fails; the active's revert fails too and leaves it half-written."""
    world = World(fault("apply", "storage", "F"), fault("revert", "active", "F"))
    outcome = world.run()
    assert (outcome.kind, outcome.hold, outcome.failed) == ("needs-operator", True, "active")
    assert outcome.reason.startswith("revert of active failed")
    assert order(world) == ["active", "storage"]
    assert outcome.states == {"storage": "old", "active": "partial", "standby": "old"}
    assert [way.verb for way in outcome.recovery] == ["revert", "clear", "run"]


def test_a_revert_that_fails_where_the_probe_proves_the_old_version_is_done():
    """Storage failed before the active was touched: its revert hook cannot reach it, the probe says old."""

    def unreachable(hooks, request):
        answer = hooks.revert(request)
        return Answer(kind="failed", reason="no HA, no revert") if request.step == "active" else answer

    world = World(fault("apply", "storage", "F"), hooks=overridden(revert=unreachable))
    world.hooks.hooks.pending.append(fault("apply", "storage", "F"))
    outcome = world.run()
    assert (outcome.kind, outcome.hold) == ("reverted", True)
    assert "revert of active: no HA, no revert" in outcome.notes
    assert order(world) == ["active", "storage"]


@pytest.mark.parametrize("kind", ["B", "T"])
def test_nothing_else_is_reverted_while_one_is_still_busy(kind):
    world = World(fault("apply", "storage", "F"), fault("revert", "active", kind))
    outcome = world.run()
    if kind == "B":
        assert (outcome.kind, order(world)) == ("needs-operator", ["active"])
        assert "reimage" in [way.verb for way in outcome.recovery]
    else:
        assert outcome.kind == "reverted"


def test_two_failed_reverts_name_the_first():
    world = World(
        fault("verify", "active", "F"),
        fault("revert", "active", "F"),
        fault("revert", "storage", "F"),
        compatible=False,
    )
    outcome = world.run()
    assert (outcome.kind, outcome.failed) == ("needs-operator", "active")
    assert {note.split(":")[0] for note in outcome.notes} == {"revert of active", "revert of storage"}


# --- trying reverts again ----------------------------------------------------------------------------------------


@pytest.fixture
def stuck():
    world = World(fault("verify", "active", "F"), fault("revert", "active", "F"))
    assert world.run().kind == "needs-operator"
    return world


def again(world, **options):
    return world.engine.revert(world.job.pair, by="Ada", reason="disk 3 replaced", **options)


def test_the_reverts_are_tried_again_by_name(stuck):
    outcome = again(stuck)
    assert isinstance(outcome, Outcome)
    assert (outcome.kind, outcome.hold) == ("reverted", True), "the hold is lifted by clear alone"
    started = next(r for r in reversed(stuck.records) if isinstance(r, Started))
    assert started.revert_retry.by == "Ada"
    assert "tried again by Ada: disk 3 replaced" in started.revert_retry.reason
    assert stuck.pair.versions()["active"] == OLD
    assert outcome.recovery[0].verb == "clear"
    assert isinstance(stuck.clear(), Cleared)
    assert stuck.run_again().kind == "succeeded"


def test_a_second_failure_needs_the_operator_again_and_so_on(stuck):
    stuck.hooks.pending = [fault("revert", "active", "F", nth=stuck.hooks.answered["revert", "active"])]
    assert again(stuck).kind == "needs-operator"
    assert again(stuck).kind == "reverted"


@pytest.mark.parametrize("nth", range(1, 12))
def test_a_death_while_reverts_are_tried_again_never_goes_forward(stuck, nth):
    applied = list(stuck.calls("apply", answered=False))
    appended = 0
    append = stuck.journal.append

    def mortal(pair, fence, record):
        nonlocal appended
        appended += 1
        append(pair, fence, record)
        if appended == nth:
            raise ControllerKilled

    stuck.journal.append = mortal
    with pytest.raises(ControllerKilled):
        again(stuck)
    stuck.journal.append = append
    assert stuck.resume().kind == "reverted"
    assert stuck.calls("apply", answered=False) == applied


@pytest.mark.parametrize(
    "end", [None, ("apply", "standby", "F"), ("verify", "active", "F"), ("validate", "active", "F")]
)
def test_only_a_run_whose_revert_failed_is_reverted_again(end):
    world = World(*([fault(*end)] if end else []))
    world.run()
    before = world.records
    refused = again(world)
    assert isinstance(refused, Declined)
    assert "has no revert that failed" in refused.reason
    assert world.records == before


# --- in which order ----------------------------------------------------------------------------------------------


def ordered(*reverts):
    first, second = PAIR.groups
    policy = replace(first.on_failure["active"], if_incompatible=IfIncompatible(revert=reverts))
    return replace(PAIR, groups=(replace(first, on_failure=first.on_failure | {"active": policy}), second))


@pytest.mark.parametrize("reverts", [("storage", "active"), ("active", "storage")])
def test_the_plan_orders_the_reverts_of_the_incompatible_case(reverts):
    world = World(fault("verify", "active", "F"), plan=ordered(*reverts), compatible=False)
    assert world.run().kind == "reverted"
    assert order(world) == list(reverts)


def test_where_what_is_kept_is_compatible_that_order_does_not_matter():
    world = World(fault("verify", "active", "F"), plan=ordered("storage", "active"))
    assert world.run().kind == "reverted"
    assert order(world) == ["active"]


@pytest.mark.parametrize("reverts", [("active",), ("storage",), ("active", "active"), ("active", "storage", "standby")])
def test_an_order_that_leaves_out_or_adds_a_step_is_refused(reverts):
    [problem] = problems(ordered(*reverts))
    assert "if-incompatible has to revert exactly what revert and keep name (active, storage), each once" in problem


def test_the_order_is_read_from_the_file(tmp_path):
    path = tmp_path / "PLAN.toml"
    text = EXAMPLE.replace('if-incompatible = "revert"', 'if-incompatible = { revert = ["storage", "active"] }')
    assert text != EXAMPLE
    path.write_text(text)
    assert load_plan(path).policy("active").if_incompatible == IfIncompatible(revert=("storage", "active"))


def test_an_active_that_cannot_come_up_beside_new_storage_goes_back_without_a_hand():
    """The old active needs the old storage: its revert fails while storage is new, as on a real pair."""

    def needs_old_storage(hooks, request):
        if request.step == "active" and world.pair.components["storage"].version != world.job.targets["storage"].old:
            return Answer(kind="failed", reason="it cannot read the new data format")
        return hooks.revert(request)

    world = World(hooks=overridden(revert=needs_old_storage), plan=ordered("storage", "active"), compatible=False)
    world.hooks.hooks.pending.append(fault("verify", "active", "F"))
    outcome = world.run()
    assert outcome.kind == "reverted"
    assert set(outcome.states.values()) == {"old"}


def test_an_answer_that_a_hook_repeats_is_noted_once():
    world = World(fault("verify", "active", "F"), hooks=overridden(revert=lambda *_: Answer(kind="timeout")))
    outcome = world.run()
    assert world.calls("revert").count("active") > 1
    assert outcome.notes.count("revert of active: timeout") == 1


# --- gates -------------------------------------------------------------------------------------------------------


def gated(*after, names=("ha-formed",)):
    gate = replace(PAIR.gates["ha-formed"], after=after)
    return replace(PAIR, gates=dict.fromkeys(names, gate))


class Gates:
    """A gate hook that answers from a list, then *ready*, and remembers when it was asked."""

    def __init__(self, **answers):
        self.answers = answers
        self.asked = []

    def __call__(self, hooks, request):
        applied = len([s for s in hooks.hooks.components if hooks.hooks.components[s].version == NEW])
        self.asked.append((request.step, applied))
        queue = self.answers.get(request.step, [])
        return Answer(kind=queue.pop(0) if queue else "ready", reason="as the test wants")


def test_a_gate_between_groups_is_asked_before_the_standby_is_touched():
    gates = Gates()
    world = World(plan=gated("group", "success"), hooks=overridden(gate=gates))
    assert world.run().kind == "succeeded"
    assert gates.asked == [("ha-formed", 1), ("ha-formed", 2), ("ha-formed", 2)]


@pytest.mark.parametrize("answer", ["failed", "not-yet"])
def test_a_gate_between_groups_that_does_not_pass_leaves_the_standby_alone(answer):
    world = World(plan=gated("group", "success"), hooks=overridden(gate=Gates(**{"ha-formed": [answer] * 99})))
    outcome = world.run()
    assert (outcome.kind, outcome.hold, outcome.failed) == ("degraded", True, "ha-formed")
    assert order(world, "apply") == ["storage", "active"]
    assert world.pair.components["standby"].version == OLD


def test_a_gate_between_groups_needs_a_second_group():
    plan = replace(gated("group"), groups=(Group(steps=PAIR.order, on_failure={
        step: OnFailure(revert=PAIR.order) for step in PAIR.order
    }),))  # fmt: skip
    assert any("no group follows" in problem for problem in problems(plan))


def test_gates_that_have_passed_are_asked_once_more_before_the_end():
    """The first gate falls while the second is waited for: the pair is not called healthy on an old answer."""
    gates = Gates(first=["ready", "not-yet", "ready"], second=["not-yet", "ready"])
    world = World(plan=gated("success", names=("first", "second")), hooks=overridden(gate=gates))
    assert world.run().kind == "succeeded"
    assert [name for name, _ in gates.asked] == ["first", "second", "second", "first", "first", "second"]


def test_a_gate_that_stays_away_at_the_second_asking_degrades_the_pair():
    gates = Gates(first=["ready", *["not-yet"] * 999])
    world = World(plan=gated("success", names=("first", "second")), hooks=overridden(gate=gates))
    outcome = world.run()
    assert (outcome.kind, outcome.failed) == ("degraded", "first")


def test_every_single_fault_of_a_plan_with_gates_between_groups_keeps_the_promises():
    found = rehearse(simulated(replace(ordered("storage", "active"), gates={
        "ready-for-standby": replace(PAIR.gates["ha-formed"], after=("revert",)), **PAIR.gates,
    })))  # fmt: skip
    assert found.broken == ()


# --- facts -------------------------------------------------------------------------------------------------------


def described(**facts):
    def describe(hooks, request):
        return replace(hooks.describe(request), facts=facts.get(request.step.replace("-", "_"), {}))

    return overridden(describe=describe)


FORMED = (Condition(fact="ha.state", test="is", value="formed"),)


@pytest.mark.parametrize(
    ("facts", "kind"),
    [
        ({"active": {"ha.state": "formed"}, "standby": {"ha.state": "formed"}}, "succeeded"),
        ({"active": {"ha.state": "formed"}}, "succeeded"),
        ({"active": {"ha.state": "broken"}, "standby": {"ha.state": "broken"}}, "rejected"),
        ({"active": {"ha.state": "formed"}, "standby": {"ha.state": "broken"}}, "rejected"),
        ({}, "succeeded"),
    ],
)
def test_facts_that_the_bundle_needs_are_asked_again(facts, kind):
    world = World(hooks=described(**facts))
    world.job = replace(world.job, facts=FORMED)
    outcome = world.run()
    assert outcome.kind == kind
    if kind == "rejected":
        assert "state-changed" in outcome.reason
        assert "reports ha.state broken, the update needs that ha.state is formed" in outcome.reason
        assert order(world, "prepare") == []
    assert ("no component reports ha.state, so it was taken from the state" in outcome.notes) == (not facts)


def test_a_fact_that_cannot_be_compared_is_not_as_needed():
    world = World(hooks=described(storage={"backup.age": "yesterday"}))
    world.job = replace(world.job, facts=(Condition(fact="backup.age", test="below", value="24 h"),))
    assert world.run().kind == "rejected"


def test_the_hooks_of_a_faulty_pair_still_find_the_last_run():
    assert latest(World(hooks=FaultyHooks).journal, "pair-0") is None
