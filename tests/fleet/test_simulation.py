"""A rollout that is simulated: it ends, stops or waits as the decisions say, and keeps the limits."""

import datetime as dt

import pytest

from bundlekit.fleet.core import PairClass, Rollout, RolloutWave
from bundlekit.fleet.fleet_file import AbortRule
from bundlekit.fleet.fleet_report import FleetPlan
from bundlekit.fleet.planning import PlannedFleet
from bundlekit.fleet.simulation import FleetRates, simulate
from bundlekit.fleet.windows import WallWindow, ZonedWindow

AT = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)
PAIRS = [f"p{number}" for number in range(200)]
NO_PLAN = FleetPlan(
    schema="bundlekit/fleet-plan/1", name="made", target="2", at="", pairs=200, eligible=200, open_now=200,
    up_to_date=0, refused=0, unreadable=0, classes=1, routes=(), refusals=(), waves=(), minutes_at_least=None,
    starts=(), because="", faults=(), skipped=(), warnings=(),
)  # fmt: skip


def simulated(
    *, failures=None, abort=(), minutes=100, canary=0, approval=False, seed=1, spread=0, pause=0, silence=6 * 3600
):
    rollout = Rollout(
        waves=(
            RolloutWave("canary", tuple(PAIRS[:canary]), 3600, approval),
            RolloutWave("rest", tuple(PAIRS[canary:])),
        ),
        classes=dict.fromkeys(PAIRS, PairClass()),
        max_in_flight=20,
        abort=abort,
        silence=silence,
    )
    planned = PlannedFleet(NO_PLAN, rollout, dict.fromkeys(PAIRS, minutes))
    return simulate(planned, at=AT, seed=seed, rates=FleetRates(failures or {}, spread=spread, approval=pause))


def test_without_failures_it_takes_what_the_slots_allow():
    one = simulated()
    assert (one.reason, one.minutes, one.ends) == ("finished", 1000, {"succeeded": 200})
    assert (one.in_flight_at_most, one.without_ha_at_most, one.without_ha_at_end) == (20, 20, 0)
    assert one.ended_at == "2026-11-23T16:40:00Z"


def test_the_canary_delays_the_rest_by_its_soak_time_and_its_approval():
    one = simulated(canary=20, approval=True, pause=1800)
    assert one.minutes == 100 + 60 + 30 + 900
    assert [wave.started_at for wave in one.waves] == ["2026-11-23T00:00:00Z", "2026-11-23T03:10:00Z"]


def test_failures_stop_it_and_pairs_in_flight_end():
    rule = AbortRule(percent=10, minimum_ended=10)
    one = simulated(failures={"degraded": 20, "reverted": 20}, abort=(rule,))
    assert one.reason == "abort"
    assert one.started < 60
    assert sum(one.ends.values()) == one.started
    assert one.stopped_at < one.ended_at
    assert one.without_ha_at_end == one.ends["degraded"]
    assert one.without_ha_at_most <= 20 + one.ends["degraded"]


def test_silent_pairs_keep_their_slots_until_it_waits_or_stops():
    waits = simulated(failures={"silent": 100})
    assert (waits.reason, waits.started, waits.silent) == ("waiting", 20, 20)
    stops = simulated(failures={"silent": 100}, abort=(AbortRule(percent=10),))
    assert (stops.reason, stops.stopped_at) == ("abort", "2026-11-23T06:00:00Z")


def test_a_slot_that_is_never_free_again_ends_the_simulation():
    """Each evening a window opens, for pairs whose site has a silent one."""
    evening = ZonedWindow(WallWindow(frozenset(range(7)), 1200, 1300), "UTC")
    rollout = Rollout(
        waves=(RolloutWave("rest", ("a", "b")),),
        classes=dict.fromkeys(("a", "b"), PairClass(("site",), (evening,))),
        max_in_flight=2,
        limits=(("site", 1),),
    )
    planned = PlannedFleet(NO_PLAN, rollout, dict.fromkeys(("a", "b"), 10))
    one = simulate(planned, at=AT, seed=1, rates=FleetRates({"silent": 100}))
    assert (one.reason, one.started) == ("waiting", 1)


def test_a_rollout_of_more_than_ten_years_ends_the_simulation():
    one = simulated(minutes=600_000, silence=366 * 86400 * 2)
    assert (one.reason, one.because[:31]) == ("waiting", "it takes more than ten years; 2")
    late = dt.datetime(9999, 12, 31, tzinfo=dt.UTC)
    rollout = Rollout(waves=(RolloutWave("w", ("a",)),), classes={"a": PairClass()}, max_in_flight=1)
    one = simulate(PlannedFleet(NO_PLAN, rollout, {"a": 525_600}), at=late, seed=1, rates=FleetRates({}))
    assert one.ended_at == "9999-12-31T23:59:59Z"


def test_a_pair_that_takes_longer_than_the_silence_still_reports():
    assert simulated(minutes=1000, abort=(AbortRule(percent=1),)).reason == "finished"


def test_a_route_of_unknown_duration_takes_what_is_assumed():
    assert simulated(minutes=None).minutes == 1200


def test_a_seed_gives_one_result_and_about_the_given_rate():
    one, again, other = (simulated(failures={"degraded": 25}, seed=seed, spread=50) for seed in (1, 1, 2))
    assert one == again
    assert one.ends != other.ends
    assert 25 < one.ends["degraded"] < 75


@pytest.mark.parametrize("value", ["degraded", "degraded=", "degraded=-1", "degraded=nan", "broken=1"])
def test_a_wrong_rate_is_a_usage_error(value, capsys):
    from bundlekit.cli import run

    assert run(["fleet", "rehearse", "FLEET.toml", "--fail", value]) == 2
    assert "is not KIND=PERCENT" in capsys.readouterr().err
    assert run(["fleet", "rehearse", "FLEET.toml", "--fail", "degraded=300"]) == 2
    assert "'degraded=300' is more than 100 percent" in capsys.readouterr().err
    assert run(["fleet", "rehearse", "FLEET.toml", "--fail", "silent=60", "--fail", "degraded=60"]) == 2
    assert run(["fleet", "rehearse", "FLEET.toml", "--fail", "silent=1", "--fail", "silent=1"]) == 2
