"""What a run is doing, in words, at each of its records."""

from itertools import pairwise

import pytest
from msgspec.structs import replace

from bundlekit.update.engine.history import History
from bundlekit.update.engine.plan import seconds
from bundlekit.update.engine.records import Answer, CallFinished, CallStarted, Ended, Window
from bundlekit.update.engine.transitions import FAILURE
from bundlekit.update.state.activity import STAGES, activity, lines, sentence, span
from tests.update.world import World, fault, overridden


def seen(world, verb, step, *, after=10.0, nth=0):
    """The activity some seconds after the n-th call of a verb on a step began."""
    calls = [i for i, r in enumerate(world.records) if isinstance(r, CallStarted) and (r.verb, r.step) == (verb, step)]
    records = world.records[: calls[nth] + 1]
    world.clock.ticks = records[-1].at.ticks + after
    return activity(History.of(records), records, world.clock.now())


@pytest.mark.parametrize(
    ("verb", "step", "stage"),
    [
        ("validate", "storage", "checking"),
        ("probe", "standby", "checking"),
        ("prepare", "standby", "staging"),
        ("apply", "storage", "switching"),
        ("verify", "active", "switching"),
        ("commit", "storage", "committed"),
        ("apply", "standby", "committed"),
        ("gate", "ha-formed", "gate"),
        ("cleanup", "active", "cleanup"),
    ],
)
def test_the_stage_of_a_run(verb, step, stage):
    world = World()
    world.run()
    assert seen(world, verb, step).stage == stage
    assert seen(world, verb, step).if_it_fails == seen(world, verb, step).failure.text


@pytest.mark.parametrize(
    ("faults", "verb", "stage"),
    [
        ((("apply", "active", "F"),), "revert", "reverting"),
        ((("apply", "active", "F"),), "gate", "gate"),
        ((("apply", "standby", "F"),), "cleanup", "stopping"),
    ],
    ids=str,
)
def test_the_stage_of_a_run_that_failed(faults, verb, stage):
    world = World(*(fault(*one) for one in faults))
    world.run()
    step = "ha-formed" if verb == "gate" else "active"
    assert seen(world, verb, step).stage == stage


def test_each_phase_belongs_to_a_stage():
    assert set(FAILURE) - set(STAGES) == {"apply", "verify", "commit"}, "whose stage depends on the commit point"
    assert set(STAGES) <= set(FAILURE)


def test_a_run_that_waits_for_its_switch_is_prepared_and_one_that_has_ended_is_over():
    waiting, done = World(), World()
    waiting.run(window=Window(until="prepared"))
    done.run()
    stages = [activity(History.of(w.records), w.records, w.clock.now()) for w in (waiting, done)]
    assert [(one.stage, one.failure, one.if_it_fails, one.ended) for one in stages] == [
        ("prepared", None, "", False), ("ended", None, "", True),
    ]  # fmt: skip


def test_the_bytes_that_are_staged():
    world = World()
    world.job = replace(
        world.job,
        targets={step: replace(t, size=2**20 * n) for n, (step, t) in enumerate(world.job.targets.items(), 1)},
    )
    world.run()
    bars = seen(world, "prepare", "active").bars
    assert [(bar.kind, bar.name, bar.done, bar.total) for bar in bars] == [
        ("staging", "storage", 2**20, 2**20), ("staging", "active", 0, 2 * 2**20), ("staging", "standby", 0, 3 * 2**20),
    ]  # fmt: skip
    assert seen(world, "apply", "storage").bars == ()


def test_the_time_that_hooks_have_worked_on_each_step():
    world = World()
    world.run()
    whole = {
        step: sum(
            answer.at.ticks - call.at.ticks
            for call, answer in pairwise(world.records)
            if isinstance(call, CallStarted)
            and call.step == step
            and call.verb in {"prepare", "apply", "verify", "commit"}
        )
        for step in world.job.targets
    }
    at = activity(History.of(world.records), world.records, world.clock.now())
    assert {row.step: row.elapsed for row in at.steps} == pytest.approx(whole)
    assert all(whole.values())
    before, later = (seen(world, "apply", "active", after=after) for after in (10, 70))
    assert [row.verb for row in later.steps] == ["", "apply", ""]
    assert [b.elapsed - a.elapsed for a, b in zip(before.steps, later.steps, strict=True)] == [0, 60, 0]


def test_steps_elapsed_and_expected():
    world = World()
    world.run()
    at = seen(world, "apply", "active", after=90)
    assert [(row.step, row.state) for row in at.steps] == [
        ("storage", "verified"), ("active", "prepared"), ("standby", "prepared"),
    ]  # fmt: skip
    assert (at.action, at.elapsed, at.limit) == ("apply active", 90, 5400)
    assert "now: apply active, for 90 s of at most 90 min" in "\n".join(lines(at))


def test_a_gate_that_is_waited_for():
    world = World(detach=True)
    world.run()
    world.clock.sleep(600)
    at = activity(History.of(world.records), world.records, world.clock.now())
    assert (at.action, at.limit, at.expect) == (
        "waiting for ha-formed (storage synchronises)",
        5400,
        "45 min to 60 min",
    )
    assert at.elapsed == pytest.approx(600, abs=1)
    (bar,) = at.bars
    assert (bar.kind, bar.name, bar.total, bar.expect) == ("gate", "ha-formed", 5400, (2700, 3600))
    assert bar.done == at.elapsed


def test_a_gate_that_is_asked_again_is_still_waited_for():
    """A poll takes a moment each time: the time and the limit shown stay those of the gate, not of the poll."""
    world = World()
    world.run()
    at = seen(world, "gate", "ha-formed", nth=2, after=1)
    assert at.action == "waiting for ha-formed (storage synchronises)"
    assert at.elapsed == 2 * seconds(world.job.plan.gates["ha-formed"].poll) + 1
    assert at.limit == 5400


def test_a_hook_that_asked_to_be_called_later_is_waited_for():
    def later(hooks, request):
        return Answer(kind="retry") if request.attempt == 1 else hooks.prepare(request)

    world = World(hooks=overridden(prepare=later))
    world.run()
    retried = next(i for i, r in enumerate(world.records) if isinstance(r, CallFinished) and r.answer.kind == "retry")
    records = world.records[: retried + 1]
    assert activity(History.of(records), records, records[-1].at).action == "storage asked to prepare it later"


def test_a_step_on_its_way_back():
    world = World(fault("apply", "active", "F"))
    world.run()
    at = seen(world, "revert", "active")
    assert [(row.step, row.state) for row in at.steps] == [
        ("storage", "kept new"), ("active", "to be reverted"), ("standby", "old"),
    ]  # fmt: skip
    assert at.if_it_fails == "nothing more is changed; the run ends needs-operator, and the pair goes on hold"


@pytest.mark.parametrize("faults", [(), (("apply", "standby", "F"),), (("apply", "storage", "B"),)], ids=str)
def test_every_record_has_a_sentence_and_an_activity(faults):
    world = World(*(fault(*one) for one in faults))
    world.run()
    for index in range(1, len(world.records) + 1):
        records = world.records[:index]
        assert sentence(records[-1])
        at = activity(History.of(records), records, records[-1].at)
        assert at.ended == isinstance(records[-1], Ended)
        assert not at.ended or at.failure is None
        assert at.failure is not None or not isinstance(records[-1], CallStarted)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (99, "99 s"), (100, "1 min"), (5999, "99 min"), (6000, "1 h 40 min")]
)
def test_durations_as_people_read_them(seconds, words):
    assert span(seconds) == words
