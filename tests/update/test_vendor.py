"""The vendor's promises, one test for each row: versions, hold and HA as they are found afterwards."""

import pytest

from bundlekit.update.engine.records import Answer
from tests.update.world import World, fault, overridden


def nothing_touched(world):
    return not world.calls("apply", answered=False) and not world.new


def test_all_succeed_and_the_pair_is_healthy_once_the_cluster_has_formed():
    world = World()
    outcome = world.run()
    assert outcome.kind == "succeeded"
    assert world.new == {"storage", "active", "standby"}
    assert outcome.ha == "formed"
    assert world.pair.formed()
    assert world.clock.passed - world.pair.changed_at >= 45 * 60
    assert not outcome.hold
    assert not world.held_at_target
    assert world.pair.counter == world.job.counter


@pytest.mark.parametrize("cause", ["corrupted", "not-newer", "unsupported-source"])
def test_a_validation_error_touches_nothing(cause):
    def rejects(_hooks, request):
        return Answer(kind="rejected" if request.step == "active" else "ok", reason=cause)

    world = World(hooks=overridden(validate=rejects))
    outcome = world.run()
    assert outcome.kind == "rejected"
    assert cause in outcome.reason
    assert nothing_touched(world)
    assert not world.calls("prepare", answered=False)
    assert (outcome.hold, outcome.ha, world.pair.formed()) == (False, "as-before", True)


@pytest.mark.parametrize("kind", "FTPX")
def test_active_fails_and_reverts_and_the_pair_goes_on_in_ha(kind):
    world = World(fault("apply", "active", kind))
    outcome = world.run()
    assert outcome.kind == "reverted"
    assert world.calls("apply", answered=False) == ["storage", "active"]
    assert outcome.states["active"] == outcome.states["standby"] == "old"
    assert "active" not in world.new
    assert "standby" not in world.new
    assert outcome.ha == "formed"
    assert world.pair.formed()
    assert not outcome.hold
    assert world.pair.counter == world.job.counter_before


@pytest.mark.parametrize("verb", ["apply", "verify"])
def test_storage_fails_both_revert_and_the_pair_is_on_hold(verb):
    world = World(fault(verb, "storage", "F"))
    outcome = world.run()
    assert outcome.kind == "reverted"
    assert "standby" not in world.calls("apply", answered=False)
    assert world.calls("revert") == ["active", "storage"]
    assert not world.new
    assert set(outcome.states.values()) == {"old"}
    assert outcome.ha == "formed"
    assert outcome.hold
    assert world.held_at_target
    assert world.run_again().kind == "on-hold"
    assert world.clear().by == "Ada"
    assert not world.held_at_target
    assert world.run_again().kind == "succeeded"


def test_active_fails_after_storage_succeeded_and_the_new_storage_is_kept():
    world = World(fault("apply", "active", "F"))
    outcome = world.run()
    assert outcome.states == {"storage": "kept-new", "active": "old", "standby": "old"}
    assert world.new == {"storage"}
    assert world.calls("revert") == ["active"]
    assert (outcome.ha, outcome.hold) == ("formed", False)
    assert world.run_again().kind == "succeeded"
    assert world.calls("apply").count("storage") == 1


def test_active_fails_and_storage_that_does_not_suit_it_is_reverted_too():
    world = World(fault("apply", "active", "F"), compatible=False)
    outcome = world.run()
    assert outcome.kind == "reverted"
    assert world.calls("revert") == ["active", "storage"]
    assert not world.new
    assert (outcome.ha, outcome.hold) == ("formed", False)


@pytest.mark.parametrize(("verb", "kind"), [*(("apply", k) for k in "FTPX"), ("verify", "F")])
def test_standby_fails_nothing_is_reverted_and_ha_is_lost(verb, kind):
    world = World(fault(verb, "standby", kind))
    outcome = world.run()
    assert outcome.kind == "degraded"
    assert not world.calls("revert", answered=False)
    assert {"storage", "active"} <= world.new
    assert outcome.ha == "not-formed"
    assert outcome.hold
    assert world.held_at_target
    assert world.run_again().kind == "on-hold"
    assert world.run_again(repair=True).kind == "succeeded"
    assert world.pair.formed()
    assert not world.held_at_target
