"""What a failure would lead to, at each phase of a run, and that this is what a failure there does lead to."""

from collections import Counter

import pytest

from bundlekit.update.engine.failure_effect import FailureEffect, if_it_fails
from bundlekit.update.engine.history import History
from bundlekit.update.engine.records import CallStarted, Window
from tests.update.world import World, fault

NOTED = FailureEffect()
REJECTED = FailureEffect(outcome="rejected")
DEGRADED = FailureEffect(outcome="degraded", hold=True)
OPERATOR = FailureEffect(outcome="needs-operator", hold=True)


def effects(world):
    """The effect at each call of the run, with verb, step and how often that was called before."""
    seen, records = Counter(), world.records
    for index, record in enumerate(records):
        if isinstance(record, CallStarted):
            nth = seen[record.verb, record.step]
            seen[record.verb, record.step] += 1
            yield (record.verb, record.step, nth), if_it_fails(History.of(records[: index + 1]), record.at)


def done(*faults, **options):
    world = World(*(fault(*one) for one in faults), **options)
    world.run()
    return world


@pytest.mark.parametrize(
    ("verb", "step", "effect"),
    [
        ("validate", "storage", REJECTED),
        ("describe", "active", REJECTED),
        ("probe", "standby", REJECTED),
        ("prepare", "storage", REJECTED),
        ("prepare", "standby", REJECTED),
        ("apply", "storage", FailureEffect(outcome="reverted", revert=("active", "storage"), hold=True)),
        ("verify", "storage", FailureEffect(outcome="reverted", revert=("active", "storage"), hold=True)),
        ("apply", "active", FailureEffect(outcome="reverted", revert=("active",), keep=("storage",))),
        ("verify", "active", FailureEffect(outcome="reverted", revert=("active",), keep=("storage",))),
        ("commit", "storage", NOTED),
        ("apply", "standby", DEGRADED),
        ("verify", "standby", DEGRADED),
        ("commit", "standby", NOTED),
        ("gate", "ha-formed", DEGRADED),
        ("cleanup", "active", NOTED),
    ],
)
def test_at_each_phase_of_an_update(verb, step, effect):
    assert dict(effects(done()))[verb, step, 0] == effect


def test_what_does_not_suit_the_old_version_is_reverted_as_well():
    found = dict(effects(done(compatible=False)))
    assert found["apply", "active", 0] == FailureEffect(outcome="reverted", revert=("active", "storage"))


@pytest.mark.parametrize(
    ("verb", "step", "effect"),
    [("revert", "active", OPERATOR), ("gate", "ha-formed", DEGRADED), ("cleanup", "storage", NOTED)],
)
def test_at_each_phase_of_a_revert(verb, step, effect):
    assert dict(effects(done(("apply", "active", "F"))))[verb, step, 0] == effect


def test_a_second_revert_that_fails_ends_as_the_first_one():
    found = dict(effects(done(("verify", "storage", "F"), ("revert", "active", "F"))))
    assert found["revert", "storage", 0] == OPERATOR


@pytest.mark.parametrize("faults", [(("apply", "standby", "F"),), (("prepare", "active", "F"),)], ids=str)
def test_after_the_outcome_is_decided_a_failure_changes_nothing(faults):
    world = done(*faults)
    decided = next(i for i, record in enumerate(world.records) if type(record).__name__ == "ModeChanged")
    rest = world.records[decided + 1 : -2]  # after the last cleanup, no move is left
    assert rest
    for index, record in enumerate(rest, decided + 2):
        assert if_it_fails(History.of(world.records[:index]), record.at) == NOTED


def test_a_run_that_has_ended_or_waits_cannot_fail():
    world = done()
    assert if_it_fails(History.of(world.records), world.clock.now()) is None
    waiting = World()
    waiting.run(window=Window(until="prepared"))
    assert if_it_fails(History.of(waiting.records), waiting.clock.now()) is None


CASES = [
    (before, *call)
    for before in ((), (("apply", "active", "F"),), (("verify", "storage", "F"),))
    for call, _ in effects(done(*before))
    if call[0] != "probe" and call[:2] not in [one[:2] for one in before]
]


@pytest.mark.exhaustive
@pytest.mark.parametrize(("before", "verb", "step", "nth"), CASES, ids=str)
def test_a_failure_leads_to_what_was_foreseen(before, verb, step, nth):
    whole = done(*before)
    foreseen = dict(effects(whole))[verb, step, nth]
    failed = done(*before, (verb, step, "F", nth))
    found = failed.records[-1].outcome
    expected = whole.records[-1].outcome if foreseen.outcome is None else foreseen
    assert (found.kind, found.hold) == (expected.kind if foreseen.outcome is None else foreseen.outcome, expected.hold)
    if foreseen.outcome == "reverted":
        kept = {name for name, state in found.states.items() if state == "kept-new"}
        assert kept == set(foreseen.keep)
        assert {found.states[name] for name in foreseen.revert} == {"old"}


@pytest.mark.parametrize(
    ("effect", "text"),
    [
        (NOTED, "it is recorded, and the run continues"),
        (REJECTED, "nothing is changed; the run ends rejected"),
        (DEGRADED, "without a revert, the run ends degraded, and the pair goes on hold"),
        (OPERATOR, "nothing more is changed; the run ends needs-operator, and the pair goes on hold"),
        (
            FailureEffect(outcome="reverted", revert=("c", "b", "a"), hold=True),
            "c, b and a are reverted; the run ends reverted, and the pair goes on hold",
        ),
        (
            FailureEffect(outcome="reverted", revert=("active",), keep=("storage",)),
            "active is reverted, storage stays new; the run ends reverted",
        ),
        (FailureEffect(outcome="reverted"), "nothing is reverted; the run ends reverted"),
    ],
)
def test_the_words(effect, text):
    assert effect.text == text
