"""What a run is doing, in words, at each of its records."""

import pytest

from bundlekit.cli.update.view import Terminal
from bundlekit.update.engine.history import History
from bundlekit.update.engine.records import Began, Ended, Observed
from bundlekit.update.state.activity import activity, lines, sentence, span
from tests.update.world import World, fault


def seen(world, verb, step, *, after=10.0, nth=0):
    """The activity some seconds after the n-th call of a verb on a step began."""
    calls = [i for i, r in enumerate(world.records) if isinstance(r, Began) and (r.verb, r.step) == (verb, step)]
    records = world.records[: calls[nth] + 1]
    world.clock.ticks = records[-1].at.ticks + after
    return activity(History.of(records), records, world.clock.now())


@pytest.mark.parametrize(
    ("verb", "step", "would_be"),
    [
        ("validate", "storage", "nothing is changed: rejected"),
        ("prepare", "standby", "nothing is changed: rejected"),
        ("apply", "storage", "active and storage revert, the pair goes on hold"),
        ("verify", "active", "active reverts, storage stays new"),
        ("commit", "storage", "it is noted, and the run goes on"),
        ("apply", "standby", "nothing is reverted: degraded, the pair goes on hold"),
        ("gate", "ha-formed", "nothing is reverted: degraded, the pair goes on hold"),
    ],
)
def test_what_a_failure_now_would_lead_to(verb, step, would_be):
    world = World()
    world.run()
    assert seen(world, verb, step).if_it_fails == would_be


@pytest.mark.parametrize(
    ("verb", "step", "kind", "end"),
    [
        ("prepare", "standby", "F", "rejected"),
        ("apply", "storage", "F", "reverted"),
        ("apply", "standby", "F", "degraded"),
    ],
)
def test_what_is_said_of_a_failure_is_what_comes_of_it(verb, step, kind, end):
    whole = World()
    whole.run()
    told = seen(whole, verb, step).if_it_fails
    outcome = World(fault(verb, step, kind)).run()
    assert outcome.kind == end
    assert ("the pair goes on hold" in told) == outcome.hold
    assert {"rejected": "rejected", "reverted": "revert", "degraded": "degraded"}[end] in told


def test_steps_elapsed_and_expected():
    world = World()
    world.run()
    at = seen(world, "apply", "active", after=90)
    assert [(row.step, row.state) for row in at.steps] == [
        ("storage", "verified"), ("active", "prepared"), ("standby", "prepared"),
    ]  # fmt: skip
    assert (at.doing, at.elapsed, at.limit) == ("apply active", 90, 5400)
    assert "now: apply active, for 90 s of at most 90 min" in "\n".join(lines(at))


def test_a_gate_that_is_waited_for():
    world = World(detach=True)
    world.run()
    world.clock.sleep(600)
    at = activity(History.of(world.records), world.records, world.clock.now())
    assert (at.doing, at.limit, at.expect) == ("waiting for ha-formed (storage synchronises)", 5400, "45 min to 60 min")
    assert at.elapsed == pytest.approx(600, abs=1)


def test_a_step_on_its_way_back():
    world = World(fault("apply", "active", "F"))
    world.run()
    at = seen(world, "revert", "active")
    assert [(row.step, row.state) for row in at.steps] == [
        ("storage", "kept new"), ("active", "to be reverted"), ("standby", "old"),
    ]  # fmt: skip
    assert at.if_it_fails == "somebody has to look: needs-operator, the pair goes on hold"


@pytest.mark.parametrize("faults", [(), (("apply", "standby", "F"),), (("apply", "storage", "B"),)], ids=str)
def test_every_record_has_a_sentence_and_an_activity(faults):
    world = World(*(fault(*one) for one in faults))
    world.run()
    for index in range(1, len(world.records) + 1):
        records = world.records[:index]
        assert sentence(records[-1])
        at = activity(History.of(records), records, records[-1].at)
        assert at.over == isinstance(records[-1], Ended)
        assert (at.if_it_fails != "") == (isinstance(records[-1], Began) or _waits(records[-1]))


def _waits(record):
    return isinstance(record, Observed) and record.verb == "gate" and record.answer.kind == "not-yet"


def test_the_terminal_goes_on_counting_between_two_records():
    world = World(detach=True)
    world.run()
    view = Terminal(world.clock)
    view.progress(1, 4)
    assert str(view.shown()) == "validating the bundle: 25 %"
    view.watch(world.records)
    before = str(view.shown())
    assert "waiting for ha-formed (storage synchronises), for 0 s of at most 90 min" in before
    world.clock.sleep(60)
    assert "for 60 s of at most 90 min, expected 45 min to 60 min" in str(view.shown())


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (99, "99 s"), (100, "1 min"), (5999, "99 min"), (6000, "1 h 40 min")]
)
def test_durations_as_people_read_them(seconds, words):
    assert span(seconds) == words
