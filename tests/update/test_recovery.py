"""What an end advises leads where it says, also where the pair was no longer whole when the run began."""

import pytest
from msgspec.structs import replace

from bundlekit.update.engine.executor import Declined
from bundlekit.update.engine.plan import PAIR, Group, OnFailure
from bundlekit.update.engine.records import Cleared
from bundlekit.update.rehearsal.faults import ControllerKilled
from bundlekit.update.rehearsal.rehearse import label, rehearse, simulated
from bundlekit.update.rehearsal.sandbox import reimaging
from tests.update.world import World, fault, overridden

ONE_BY_ONE = replace(
    PAIR,
    groups=(
        Group(steps=("storage",), on_failure={"storage": OnFailure(revert=("storage",))}),
        Group(steps=("active",), on_failure={"active": OnFailure()}),
        Group(steps=("standby",), on_failure={"standby": OnFailure(recovery="reimage")}),
    ),
)


def ways(outcome):
    return [" ".join(filter(None, (way.verb, way.step, way.version))) for way in outcome.recovery]


def install(world, step, version):
    world.hooks.overrides.pop(step, None)
    world.pair.reimage(reimaging(world.job, step, version))


# --- half-written before the run ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "advice"),
    [
        ("storage", ["reimage storage 3.2.1", "run"]),
        ("active", ["reimage active 5.20.03", "run"]),
        ("standby", ["reimage standby 5.20.03", "run"]),
    ],
)
def test_a_component_that_was_half_written_before_the_run_is_named_with_its_image(step, advice):
    world = World()
    world.hooks.overrides[step] = "partial"
    outcome = world.run()
    assert (outcome.kind, outcome.hold, ways(outcome)) == ("rejected", False, advice)
    install(world, step, world.job.targets[step].old)
    assert world.run().kind == "succeeded"


def test_so_is_one_that_describes_itself_without_a_version():
    def describe(hooks, request):
        answer = hooks.describe(request)
        return replace(answer, version=None) if request.step in hooks.overrides else answer

    world = World(hooks=overridden(describe=describe))
    world.hooks.hooks.overrides["active"] = "partial"
    outcome = world.run()
    assert "the appliance reports nothing" in outcome.reason
    assert ways(outcome)[0] == "reimage active 5.20.03"
    del world.hooks.hooks.overrides["active"]
    assert world.run().kind == "succeeded"


# --- a repair that is rejected -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "step"), [("validate", "standby"), ("describe", "active"), ("prepare", "storage"), ("prepare", "standby")]
)
def test_a_repair_that_is_rejected_can_be_tried_again(verb, step):
    """The pair cannot be cleared while a component is half-written, so *clear* is no way out of it."""
    world = World(fault("apply", "standby", "F"))
    assert world.run().kind == "degraded"
    world.hooks.pending = [fault(verb, step, "F", nth=world.hooks.answered[verb, step])]
    outcome = world.run_again(repair=True)
    assert (outcome.kind, outcome.hold, ways(outcome)) == ("rejected", True, ["repair"])
    assert world.run_again(repair=True).kind == "succeeded"


def test_a_repair_that_is_cancelled_before_it_changed_anything_can_be_tried_again():
    cancelled = []
    world = World(fault("apply", "standby", "F"), cancel=lambda: bool(cancelled))
    assert world.run().kind == "degraded"
    cancelled.append(True)
    outcome = world.run_again(repair=True)
    assert (outcome.kind, outcome.hold, ways(outcome)) == ("cancelled", True, ["repair"])
    cancelled.clear()
    assert world.run_again(repair=True).kind == "succeeded"


# --- clear that refuses ------------------------------------------------------------------------------------------


def test_a_clear_that_refuses_a_degraded_pair_advises_its_repair():
    world = World(fault("apply", "standby", "F"))
    world.run()
    refused = world.clear()
    assert isinstance(refused, Declined)
    assert ways(refused) == ["repair"]


def test_a_clear_that_finds_a_half_written_component_advises_its_image():
    """It was whole when the run ended, so the outcome could not advise that."""
    world = World(fault("apply", "storage", "T"))
    assert ways(world.run()) == ["clear", "run"]
    world.hooks.overrides["active"] = "partial"
    refused = world.clear()
    assert isinstance(refused, Declined)
    assert ways(refused) == ["reimage active 5.20.03", "clear"]
    install(world, "active", "5.20.03")
    world.clock.sleep(7200)
    assert isinstance(world.clear(), Cleared)


# --- the hold at the target --------------------------------------------------------------------------------------


def test_a_run_that_ends_on_hold_after_its_cleanup_had_begun_leaves_the_hold_everywhere():
    """Two components were cleaned up as after a success when the controller died and the third was changed by hand."""
    world = World(fault("cleanup", "standby", "K"))
    with pytest.raises(ControllerKilled):
        world.run()
    install(world, "standby", "5.41.00")
    outcome = world.resume()
    assert (outcome.kind, outcome.hold) == ("needs-operator", True)
    assert {step: bool(c.hold) for step, c in world.pair.components.items()} == {
        "storage": True, "active": True, "standby": False,  # which is not touched, since nobody knows what it is
    }  # fmt: skip


def test_a_cleanup_in_which_every_controller_dies_is_given_up():
    world = World(*[fault("cleanup", "active", "K")] * 9, fault("verify", "active", "F"))
    for _ in range(9):
        with pytest.raises(ControllerKilled):
            world.resume() if world.records else world.run()
        if world.calls("cleanup", answered=False).count("active") == 5:
            break
    assert world.resume().kind == "reverted"


# --- what is re-imaged -------------------------------------------------------------------------------------------


def test_only_a_step_that_has_failed_is_re_imaged():
    """The plan wants a standby that failed to be re-imaged, but here the active failed before it was touched."""
    world = World(fault("apply", "active", "T"), plan=ONE_BY_ONE)
    assert ways(world.run()) == ["repair"]
    assert world.run_again(repair=True).kind == "succeeded"
    world = World(fault("apply", "standby", "T"), plan=ONE_BY_ONE)
    assert ways(world.run()) == ["reimage standby 5.40.00", "repair"]


# --- gates between groups ----------------------------------------------------------------------------------------


def gated(*after):
    return replace(PAIR, gates={"ha-formed": replace(PAIR.gates["ha-formed"], after=after)})


@pytest.mark.exhaustive
@pytest.mark.parametrize("compatible", [True, False])
def test_a_plan_with_a_gate_between_groups_can_be_rehearsed(compatible):
    found = rehearse(simulated(gated("group", "success", "revert"), compatible=compatible))
    assert found.broken == ()
    assert found.runs[0].outcome.kind == "succeeded"
    gates = {label(r.outcome) for r in found.runs if r.faults and (r.faults[0].verb, r.faults[0].kind) == ("gate", "F")}
    assert gates == {"degraded (ha-formed), hold"}


def test_a_repair_of_a_half_written_standby_waits_for_no_gate_that_needs_it():
    world = World(fault("apply", "standby", "P"), plan=gated("group", "success", "revert"))
    assert ways(world.run()) == ["repair"]
    before = len(world.calls("gate"))
    assert world.run_again(repair=True).kind == "succeeded"
    assert len(world.calls("gate")) > before, "but for the gate after success"


def test_a_repair_of_a_standby_that_still_works_waits_for_the_gate():
    world = World(fault("apply", "standby", "T"), plan=gated("group", "success", "revert"))
    assert world.run().states["standby"] == "old"
    world.hooks.overrides["ha-formed"] = "not-yet"
    outcome = world.run_again(repair=True)
    assert (outcome.kind, outcome.failed) == ("degraded", "ha-formed")
    assert world.calls("apply", answered=False).count("standby") == 1


# --- a pair that has been updated before -------------------------------------------------------------------------


def updated_before(make):
    """The sandboxes of ``make``, each with the marks of an earlier run."""

    def marked(clock):
        box = make(clock)
        for component in box.hooks.components.values():
            component.fence, component.owner, component.committed = 7, "earlier-owner", "earlier-run"
        return box

    return marked


@pytest.mark.exhaustive
def test_the_marks_of_an_earlier_run_change_no_end():
    fresh, marked = rehearse(), rehearse(updated_before(simulated()))
    assert marked.broken == ()
    assert [run.end for run in marked.runs] == [run.end for run in fresh.runs]


def test_a_probe_that_fails_once_is_no_change_of_hands():
    world = World()
    assert world.run().kind == "succeeded"
    world.hooks.pending = [fault("probe", "active", "F", nth=world.hooks.answered["probe", "active"] + 1)]
    assert world.run_again().kind == "succeeded"


# --- what happened while no controller was at work ---------------------------------------------------------------


def resumed_after(world, happens):
    """The end of a run whose controller dies before its last cleanup, with what ``happens`` before the next one."""
    with pytest.raises(ControllerKilled):
        world.run()
    happens(world.hooks.overrides)
    return world.resume()


def test_a_resume_reports_no_component_as_it_was_before_it():
    world = World(fault("apply", "active", "B"), fault("cleanup", "standby", "K"))
    outcome = resumed_after(world, lambda overrides: overrides.pop("active"))
    assert (outcome.kind, outcome.states["active"]) == ("needs-operator", "old")
    assert not any(way.startswith("reimage active") for way in ways(outcome))


def test_a_gate_that_had_passed_is_asked_again_by_a_resume():
    world = World(fault("cleanup", "standby", "K"))
    outcome = resumed_after(world, lambda overrides: overrides.update({"ha-formed": "not-yet"}))
    assert (outcome.kind, outcome.hold, outcome.failed) == ("degraded", True, "ha-formed")
    assert all(component.hold for component in world.pair.components.values())


# --- members that had different versions before ------------------------------------------------------------------


def test_a_pair_whose_old_members_cannot_form_ha_goes_forward():
    """A standby that was replaced came with another version: only the update itself makes the members the same."""
    world = World()
    install(world, "standby", "5.19.00")
    world.hooks.pending = [fault("verify", "active", "F")]
    outcome = world.run_again()
    assert (outcome.kind, outcome.failed, ways(outcome)) == ("degraded", "ha-formed", ["repair"])
    assert world.run_again(repair=True).kind == "succeeded"


# --- a repair that dies, a state folder that is older -------------------------------------------------------------


@pytest.mark.parametrize("at", ["validate", "describe", "prepare", "apply"])
def test_a_repair_that_dies_early_is_resumed_from_what_the_components_report(at):
    world = World(fault("apply", "standby", "F"))
    world.run()
    job = replace(world.job, repair=True, counter_before=None)
    step = "standby" if at == "apply" else "storage"
    world.hooks.pending = [fault(at, step, "C", nth=world.hooks.answered[at, step])]
    with pytest.raises(ControllerKilled):
        world.engine.run(job, world.bundle)
    assert world.resume().kind == "succeeded"


def test_a_pair_that_somebody_brought_to_the_new_version_is_not_to_be_re_imaged():
    world = World(fault("verify", "active", "C"))
    with pytest.raises(ControllerKilled):
        world.run()
    install(world, "standby", "5.40.00")
    outcome = world.resume()
    assert (outcome.kind, set(outcome.states.values())) == ("needs-operator", {"new"})
    assert ways(outcome) == ["clear", "state", "run"]
    world.clock.sleep(7200)
    assert isinstance(world.clear(), Cleared)
    assert world.run_again().kind == "succeeded"


def test_a_staged_run_over_a_pair_that_somebody_brought_to_the_new_version_is_rejected():
    world = World(fault("prepare", "standby", "C"))
    with pytest.raises(ControllerKilled):
        world.run()
    for step, target in world.job.targets.items():
        install(world, step, target.new)
    outcome = world.resume()
    assert (outcome.kind, outcome.hold, ways(outcome)) == ("rejected", False, ["state", "run"])
    assert world.run_again().kind == "succeeded"


def test_a_claim_is_above_a_fence_whose_first_probe_failed():
    world = World()
    world.pair.components["storage"].fence, world.pair.components["storage"].owner = 7, "another"
    world.hooks.pending = [fault("probe", "storage", "F")]
    assert world.run().kind == "succeeded"
    assert world.pair.components["storage"].fence == 8


def test_a_half_written_standby_gets_the_version_of_its_partner():
    """The active was brought to a version that the state does not have, so the described old one would not form HA."""
    world = World()
    install(world, "active", "5.19.00")
    world.hooks.overrides["standby"] = "partial"
    assert ways(world.run_again())[0] == "reimage standby 5.19.00"


@pytest.mark.parametrize("plan", [PAIR, replace(PAIR, gates={})], ids=["gate", "no-gate"])
def test_a_repair_that_goes_back_does_not_call_a_half_written_standby_healthy(plan):
    """The active was brought back by hand, so the repair starts from old ones, and its revert leaves the standby."""
    world = World(fault("apply", "standby", "F"), plan=plan)
    world.run()
    install(world, "storage", "3.2.1")
    install(world, "active", "5.20.03")
    world.hooks.pending = [fault("verify", "active", "F", nth=world.hooks.answered["verify", "active"])]
    outcome = world.run_again(repair=True)
    assert (outcome.kind, outcome.hold, outcome.failed) == ("degraded", True, "standby")
    assert ways(outcome) == ["reimage standby 5.20.03", "clear", "state", "run"]
    assert outcome.root_cause.startswith("verify of active failed")
