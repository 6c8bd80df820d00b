"""A block forbids the direct update; a stop leads round it. The decision names it, and the lint counts it."""

import pytest

from bundlekit.matrix.decide import decide, decide_from
from bundlekit.matrix.lint import lint
from tests.matrix.candidates import anything, candidate
from tests.matrix.world import manifest, state

BLOCK = {"block": [{"id": "KB-2", "versions": "5.30.02", "reason": "Bad."}]}
PLAIN = "Follow the instructions in the reason, or ask the vendor for a release that is not blocked."


def stop(via="5.32.00", versions="5.30.02", **fields):
    return {"id": f"to-{via}", "versions": versions, "via": via, **fields}


@pytest.mark.parametrize(
    ("stops", "next_"),
    [
        ([], PLAIN),
        ([stop()], "Update to 5.32.00 first: the stop to-5.32.00 leads around the block."),
        ([stop("5.32.01"), stop()], "Update to 5.32.00 first: the stop to-5.32.00 leads around the block."),
        ([stop(versions="5.20.00")], PLAIN),
        ([stop(when={"fact": "disk.firmware", "is": "7.0"})], PLAIN),  # of a version alone it cannot be known
    ],
    ids=["no stop", "a stop", "the first of two", "a stop of others", "a stop on a condition"],
)
def test_the_next_step_is_the_stop(stops, next_):
    whole = decide_from(manifest(BLOCK | {"stop": stops}), "5.30.02").overall
    assert (whole.kind, whole.entry, whole.next) == ("blocked", "KB-2", next_)


@pytest.mark.parametrize(("value", "leads_round"), [("7.0", True), ("7.1", False)])
def test_a_stop_on_a_condition_leads_round_where_the_condition_holds(value, leads_round):
    stops = [stop(when={"fact": "disk.firmware", "is": value})]
    component_decisions = decide(manifest(BLOCK | {"stop": stops}), state()).component_decisions
    assert {one.next.startswith("Update to 5.32.00 first") for one in component_decisions if one.kind == "blocked"} == {
        leads_round
    }


OWN = anything() | {"releases": ["5.30.02", "5.32.00"]} | BLOCK


@pytest.mark.parametrize("stops", [[], [stop()]], ids=["no stop", "a stop"])
def test_a_version_that_its_stop_refuses_is_stranded_and_both_are_named(stops):
    refusing = candidate("5.32.00", anything() | {"block": [{"id": "KB-1", "versions": "5.30.02", "reason": "Worse."}]})
    own = candidate("5.40.00", OWN | {"stop": stops}).manifest
    (found,) = lint(own, [refusing.manifest], at="2026-12-24").findings[:1]
    assert (found.rule, found.subject, found.entry) == ("stranded-version", "5.30.02", "KB-2")
    assert found.message.startswith("5.30.02 is stranded: 5.30.02 must not be updated to 5.40.00. Bad.")
    assert found.message.endswith(" 5.30.02 must not be updated to 5.32.00. Worse.") is bool(stops)


def test_a_version_that_its_stop_takes_is_not_stranded():
    own = candidate("5.40.00", OWN | {"stop": [stop()]}).manifest
    report = lint(own, [candidate("5.32.00", anything()).manifest], at="2026-12-24")
    assert not [one for one in report.findings if one.severity != "info"]
