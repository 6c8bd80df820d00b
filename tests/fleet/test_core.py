"""What is started next: limits, waves, criteria, pause and resume, for any course of a rollout."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundlekit.fleet import core
from bundlekit.fleet.core import (
    AbortRecord,
    OperatorRequest,
    Outcomes,
    PairClass,
    PairReport,
    RetryRequest,
    Rollout,
    RolloutWave,
    StartPairs,
    StopRollout,
    WaitFor,
    decide_next,
)
from bundlekit.fleet.fleet_file import AbortRule
from bundlekit.fleet.windows import WallWindow, ZonedWindow

HOUR = 3600
ENDS = ["succeeded", "reverted", "degraded", "needs-operator", "rejected", "cancelled"]


def rollout(waves, **given_settings):
    made = tuple(
        wave if isinstance(wave, RolloutWave) else RolloutWave(f"w{at}", wave) for at, wave in enumerate(waves)
    )
    pairs = [pair for wave in made for pair in wave.pairs]
    settings: Any = {"max_in_flight": 2, "classes": dict.fromkeys(pairs, PairClass())} | given_settings
    return Rollout(waves=made, **settings)


def do(of, *records, now=0):
    return decide_next(of, Outcomes(of, records), now)


def report(pair, at=0, end=None):
    return PairReport(pair, at, end)


def test_a_slot_is_free_only_after_the_outcome():
    of = rollout([("a", "b", "c")])
    assert do(of) == StartPairs(("a", "b"), "wave w0, 2 in flight")
    under_way = [report("a"), report("b"), report("a", 10), report("b", 20)]  # installed, and waiting for the gate
    assert do(of, *under_way, now=30) == WaitFor("2 pairs in flight, and the limit is 2", silence=10 + 6 * HOUR)
    assert do(of, *under_way, report("b", 40, "succeeded"), now=40).pairs == ("c",)


def test_a_wave_waits_for_the_end_the_soak_time_and_the_approval_of_the_last_one():
    of = rollout([RolloutWave("canary", ("a",), soak=60, approval=True), ("b",)])
    end = [report("a"), report("a", 100, "succeeded")]
    assert do(of, report("a"), now=9).because == "the last pairs of wave canary are in flight"
    assert do(of, *end, now=120) == WaitFor("wave canary has ended, and its soak time has not", 160)
    assert do(of, *end, now=160) == WaitFor("wave canary has ended, and the next one needs approval", approval="canary")
    approval = OperatorRequest("approve", 130, "canary")
    assert do(of, *end, approval, now=159).until == 160
    assert do(of, *end, approval, now=160).pairs == ("b",)
    assert do(of, *end, approval, report("b", 160), report("b", 170, "succeeded"), now=170).reason == "finished"


@pytest.mark.parametrize("few", [0, 64])
def test_a_label_limits_the_pairs_that_share_its_value(few, monkeypatch):
    """With a queue for each value, and without."""
    monkeypatch.setattr(core, "FEW", few)
    labels = {"a": "x", "b": "x", "c": "y", "d": "x"}
    of = rollout(
        [tuple(labels)],
        max_in_flight=3,
        limits=(("site", 1),),
        classes={pair: PairClass((site,)) for pair, site in labels.items()},
    )
    assert do(of).pairs == ("a", "c")
    assert (
        do(of, report("a"), report("c")).because == "the limits of the labels are reached for the open pairs of wave w0"
    )
    assert do(of, report("a"), report("c"), report("a", 1, "succeeded"), now=1).pairs == ("b",)


def test_pairs_start_in_their_windows():
    night = ZonedWindow(WallWindow(frozenset(range(7)), 22 * 60, 24 * 60), "UTC")
    of = rollout([("a", "b")], classes={"a": PairClass((), (night,)), "b": PairClass()})
    assert do(of).pairs == ("b",)
    waits = do(of, report("b"), report("b", 5, "succeeded"), now=5)
    assert waits == WaitFor("no window of wave w0 is open", 22 * HOUR)
    flying = do(rollout([("a", "b")], classes=of.classes), report("b", 5), now=5)
    assert (flying.until, flying.silence, flying.look_again) == (22 * HOUR, 5 + 6 * HOUR, 5 + 6 * HOUR)
    assert do(of, report("b"), report("b", 5, "succeeded"), now=22 * HOUR).pairs == ("a",)
    never = rollout([("a",)], classes={"a": PairClass((), (ZonedWindow(night.window, "Mars/Olympus"),))})
    assert do(never) == WaitFor("no window of wave w0 is open", None)


def test_silence_is_a_failure_that_keeps_its_slot():
    rule = AbortRule(failures=("silent",), percent=50)
    of = rollout([("a", "b")], max_in_flight=1, abort=(rule,))
    assert isinstance(do(of, report("a"), now=6 * HOUR - 1), WaitFor)
    stop = do(of, report("a"), now=6 * HOUR)
    assert stop == StopRollout("1 of 1 ended pairs of wave w0 failed (silent); the limit is 50 %", "abort")
    assert isinstance(do(of, report("a"), report("a", 5 * HOUR), now=6 * HOUR), WaitFor)
    unlimited = rollout([("a", "b")], max_in_flight=1)
    assert isinstance(do(unlimited, report("a"), now=7 * HOUR), WaitFor)


@pytest.mark.parametrize(
    ("rule", "ends", "because"),
    [
        (AbortRule(percent=50, minimum_ended=2), ["degraded"], ""),
        (AbortRule(percent=50, minimum_ended=2), ["degraded", "succeeded"], "1 of 2 ended pairs of wave w0"),
        (AbortRule(percent=51, minimum_ended=2), ["degraded", "succeeded"], ""),
        (AbortRule(percent=1, failures=("reverted",)), ["degraded", "needs-operator"], ""),
        (AbortRule(percent=50, per="fleet"), ["succeeded", "succeeded", "degraded"], ""),
        (AbortRule(percent=50, per="wave"), ["succeeded", "succeeded", "degraded"], "1 of 1 ended pairs of wave w1"),
        (AbortRule(percent=30, per="fleet"), ["succeeded", "succeeded", "degraded"], "1 of 3 ended pairs of the fleet"),
        (AbortRule(percent=1), ["rejected", "cancelled"], ""),
    ],
)
def test_a_criterion_stops_the_rollout(rule, ends, because):
    of = rollout([("a", "b"), ("c", "d", "e")], abort=(rule,))
    records = [report(pair, 1, end) for pair, end in zip("abcd", ends, strict=False)]
    action = do(of, *records, now=1)
    assert isinstance(action, StopRollout) == bool(because)
    assert action.because.startswith(because)


def test_a_resume_after_an_abort_counts_again_and_forgives_what_was_silent():
    of = rollout([("a", "b", "c", "d")], abort=(AbortRule(percent=50),))
    failed = [report("a"), report("b"), report("c"), report("a", 7 * HOUR, "degraded")]
    assert do(of, *failed, now=7 * HOUR).reason == "abort"
    assert do(of, *failed, OperatorRequest("resume", 8 * HOUR), now=8 * HOUR).reason == "abort", "it was not recorded"
    after = [*failed, report("c", 7 * HOUR), AbortRecord(7 * HOUR)]
    assert do(of, *after, now=7 * HOUR).reason == "abort"
    after.append(OperatorRequest("resume", 8 * HOUR))
    assert isinstance(do(of, *after, now=8 * HOUR), WaitFor)
    assert do(of, *after, now=13 * HOUR).reason == "abort", "c became silent after the resume"
    assert do(of, *after, report("b", 8 * HOUR, "degraded"), now=8 * HOUR).reason == "abort"


def test_the_operator_pauses_stops_and_resumes():
    of = rollout([("a", "b")])
    assert do(of, OperatorRequest("pause", 0)) == WaitFor("the rollout is paused")
    assert do(of, OperatorRequest("stop", 0), OperatorRequest("pause", 0)).reason == "operator"
    assert do(of, OperatorRequest("stop", 0), OperatorRequest("resume", 0)).pairs == ("a", "b")


def test_a_retry_takes_back_the_end_of_a_pair():
    of = rollout([("a", "b"), ("c",)], max_in_flight=1, abort=(AbortRule(percent=50),))
    failed = [report("a"), report("a", 1, "degraded"), AbortRecord(1)]
    assert do(of, *failed, RetryRequest("a", 2), now=2).reason == "abort", "only a resume goes on"
    after = [*failed, RetryRequest("a", 2), OperatorRequest("resume", 3)]
    assert do(of, *after, now=3).pairs == ("a",), "in its old place"
    again = [*after, report("a", 4), report("a", 5, "succeeded"), report("b", 5), report("b", 6, "succeeded")]
    assert do(of, *again, now=6).pairs == ("c",)
    assert do(of, *again, RetryRequest("b", 7), now=7).pairs == ("b",), "its wave is not through"
    assert do(of, *again, RetryRequest("c", 7), now=7).pairs == ("c",), "a pair without an end is unchanged"
    at_once = [report("a"), report("a", 1, "degraded"), RetryRequest("a", 2)]
    assert do(of, *at_once, now=2).pairs == ("a",), "the end does not count"


def test_an_end_before_a_resume_is_taken_back_without_counting():
    of = rollout([("a", "b", "c")], abort=(AbortRule(percent=50, minimum_ended=2),))
    records = [report("a"), report("b"), report("a", 1, "degraded"), report("b", 1, "degraded"), AbortRecord(1)]
    records += [OperatorRequest("resume", 2), RetryRequest("a", 3), report("a", 4), report("a", 5, "degraded")]
    assert do(of, *records, now=5).pairs == ("c",), "one end since the resume"
    records += [RetryRequest("b", 6), report("b", 6), report("b", 6, "degraded")]
    assert do(of, *records, now=6).reason == "abort"


def test_records_that_come_twice_count_once():
    of = rollout([("a", "b", "c")], max_in_flight=1, abort=(AbortRule(percent=60, minimum_ended=2),))
    records = [report("a"), report("a"), report("a", 1, "degraded"), report("a", 1, "degraded"), report("a", 2)]
    assert do(of, *records, now=2).pairs == ("b",)
    with pytest.raises(KeyError):
        do(of, report("unknown"))


PAIRS = [f"p{number}" for number in range(12)]
RULES = st.builds(
    AbortRule,
    failures=st.lists(st.sampled_from(["reverted", "degraded", "silent"]), min_size=1, unique=True).map(tuple),
    minimum_ended=st.integers(1, 5),
    percent=st.integers(1, 100),
    per=st.sampled_from(["wave", "fleet"]),
)


@st.composite
def rollouts(draw):
    cuts = sorted(draw(st.lists(st.integers(0, 12), min_size=2, max_size=2)))
    parts = [PAIRS[: cuts[0]], PAIRS[cuts[0] : cuts[1]], PAIRS[cuts[1] :]]
    soaks, approvals = draw(st.tuples(*[st.integers(0, 3)] * 3)), draw(st.tuples(*[st.booleans()] * 3))
    waves = [
        RolloutWave(f"w{at}", tuple(part), soak, approval)
        for at, (part, soak, approval) in enumerate(zip(parts, soaks, approvals, strict=True))
    ]
    labels = {pair: PairClass((draw(st.sampled_from("xyz")),)) for pair in PAIRS}
    return rollout(
        waves,
        classes=labels,
        max_in_flight=draw(st.integers(1, 5)),
        limits=(("site", draw(st.integers(1, 3))),),
        abort=tuple(draw(st.lists(RULES, max_size=2))),
        silence=20,
    )


def criterion_holds(of, ends, in_flight, now, since):
    """The criteria counted from nothing, as the page describes them."""
    wave_of = {pair: wave.name for wave in of.waves for pair in wave.pairs}
    what = {pair: end for pair, (_, end) in ends.items() if pair in since}
    what |= {pair: "silent" for pair, heard in in_flight.items() if now - heard >= of.silence}
    for rule in of.abort:
        for name in {None} if rule.per == "fleet" else set(wave_of.values()):
            ended = [end for pair, end in what.items() if name in (None, wave_of[pair])]
            failed = [end for end in ended if end in rule.failures]
            if failed and len(ended) >= rule.minimum_ended and 100 * len(failed) >= rule.percent * len(ended):
                return True
    return False


@settings(max_examples=60)
@given(of=rollouts(), data=st.data())
def test_the_laws_hold_in_every_course_of_a_rollout(of, data):
    records, in_flight, ends, approved, now = [], {}, {}, set(), 0
    outcomes, started = Outcomes(of), []
    wave_of = {pair: at for at, wave in enumerate(of.waves) for pair in wave.pairs}

    def note(record):
        records.append(record)
        outcomes.add(record)

    for _ in range(40):
        action = decide_next(of, outcomes, now)
        assert action == decide_next(of, Outcomes(of, records), now), "counted step by step, or all at once"
        assert criterion_holds(of, ends, in_flight, now, ends) == (getattr(action, "reason", "") == "abort")
        paused = decide_next(of, Outcomes(of, [*records, OperatorRequest("pause", now)]), now)
        assert not isinstance(paused, StartPairs)
        twice = [OperatorRequest("pause", now)] * 2 + [OperatorRequest("resume", now)]
        assert decide_next(of, Outcomes(of, records + twice), now) == action, "a pause changes nothing else"
        if isinstance(action, StopRollout):
            break
        if isinstance(action, StartPairs):
            for pair in action.pairs:
                assert pair not in started
                started.append(pair)
                note(PairReport(pair, now))
                in_flight[pair] = now
                for before in of.waves[: wave_of[pair]]:
                    assert set(before.pairs) <= set(ends)
                    assert all(now >= ends[one][0] + before.soak for one in before.pairs)
                    assert before.name in approved or not before.approval
            assert len(in_flight) <= of.max_in_flight
            for value in "xyz":
                assert sum(of.classes[pair].labels[0] == value for pair in in_flight) <= of.limits[0][1]
            continue
        kind = data.draw(st.sampled_from(["end", "end", "end", "hear", "approve", "wait", "retry"]))
        if in_flight and kind in ("end", "hear"):
            pair = data.draw(st.sampled_from(sorted(in_flight)))
            end = data.draw(st.sampled_from(ENDS)) if kind == "end" else None
            note(PairReport(pair, now, end))
            in_flight[pair] = now
            if end:
                del in_flight[pair]
                ends[pair] = now, end
        elif kind == "retry":
            pair = data.draw(st.sampled_from(PAIRS))
            note(RetryRequest(pair, now))
            if ends.pop(pair, None):
                started.remove(pair)
        elif kind == "approve":
            name = data.draw(st.sampled_from([wave.name for wave in of.waves]))
            approved.add(name)
            note(OperatorRequest("approve", now, name))
        else:
            now += data.draw(st.integers(1, 6))
