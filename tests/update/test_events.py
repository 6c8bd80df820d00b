"""The last events of a run: answers and decisions, equal answers of a gate as one."""

from bundlekit.update.engine.records import CallStarted, Resumed
from bundlekit.update.state.activity import sentence
from bundlekit.update.state.events import EventLog
from tests.update.world import World, fault


def log(records, limit=1000):
    events = EventLog(limit)
    for record in records:
        events.add(record)
    return events


def test_each_answer_and_decision_is_an_event_and_the_start_of_a_call_is_none():
    world = World(fault("apply", "storage", "F"))
    world.run()
    polls = [record for record in world.records if "not-yet" in sentence(record)]
    texts = [sentence(r) for r in world.records if not isinstance(r, CallStarted) and r not in polls[1:]]
    assert [event.text for event in log(world.records).latest(1000)] == texts


def test_equal_answers_of_a_gate_are_one_event_with_how_often_and_when_last():
    world = World()
    world.run()
    polls = [record for record in world.records if "not-yet" in sentence(record)]
    assert len(polls) > 1
    found = [event for event in log(world.records).latest(1000) if "not-yet" in event.text]
    assert [(event.text, event.times, event.last) for event in found] == [
        (sentence(polls[0]), len(polls), polls[-1].at.wall)
    ]


def test_resumes_by_a_timer_between_two_polls_are_no_events():
    world = World(detach=True)
    outcome = world.run()
    while outcome.kind == "waiting":
        world.clock.sleep(outcome.retry_after)
        outcome = world.resume()
    texts = [event.text for event in log(world.records).latest(1000)]
    resumes = [record for record in world.records if isinstance(record, Resumed)]
    assert len(resumes) > 1
    waits = [index for index, text in enumerate(texts) if "not-yet" in text]
    assert len(waits) == 1
    assert [text for text in texts if "another controller continues" in text] == [sentence(resumes[-1])]


def test_only_the_latest_are_kept():
    world = World()
    world.run()
    every = log(world.records).latest(1000)
    few = log(world.records, limit=3)
    assert few.latest(1000) == every[-3:]
    assert few.latest(2) == every[-2:]
    assert few.latest(0) == few.latest(-1) == []
