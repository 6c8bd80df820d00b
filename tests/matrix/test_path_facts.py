"""What the bundle of a mere version says of it counts on the way, as in the state of a pair."""

from typing import Any

import pytest

from bundlekit.matrix import decide, decide_from
from bundlekit.matrix.path import find_path
from bundlekit.model.appliance import VersionFacts
from tests.matrix.candidates import anything, candidate
from tests.matrix.world import state

PARTS = {"appliance": "5.20.00", "storage": "3.1.0"}
OLD = {"released": "2026-01-01", "counter": 4, "includes": ()}
NEW = {"released": "2026-06-01", "counter": 4, "includes": ()}

FACTS: dict[str, Any] = {
    "back-in-time": (anything(), OLD | {"released": "2026-12-01"}, {}),
    "counter-too-low": (anything(), OLD | {"counter": 9}, {}),
    "loses-fix": (anything(), OLD | {"includes": ("HF-7",)}, {}),
    "wrong-model": (anything(), OLD | {"models": ("im-900",)}, {}),
    "downgrade": (anything(), OLD, {"parts": {"appliance": "5.40.00", "storage": "3.0.0"}}),
    "incompatible": (
        anything() | {"works-together": [{"id": "w", "appliance": "5.40.00", "storage": ">=3.4.0"}]},
        OLD,
        {"parts": {"appliance": "5.40.00"}},
    ),
}


@pytest.mark.parametrize("kind", FACTS)
def test_a_path_from_a_version_knows_what_its_bundle_says(kind):
    matrix, fields, target = FACTS[kind]
    here = candidate("5.20.00", anything(), parts=PARTS, **fields)
    there = candidate("5.40.00", matrix, **{"parts": PARTS | {"appliance": "5.40.00"}} | target, **NEW)
    way = find_path([here, there], "5.20.00", "5.40.00")
    assert (way.found, way.hops) == (False, ())
    assert [obstacle.kind for obstacle in way.obstacles] == [kind]
    # Without the bundle of the installed version nothing is known, and that is reported.
    unknown = find_path([there], "5.20.00", "5.40.00")
    assert unknown.found
    assert unknown.not_checked


@pytest.mark.parametrize("kind", ["back-in-time", "counter-too-low", "loses-fix"])
def test_a_version_and_a_pair_are_decided_alike(kind):
    matrix, fields, _ = FACTS[kind]
    target = candidate("5.40.00", matrix, **NEW).manifest
    known = OLD | fields
    facts = VersionFacts(released=known["released"], counter=known["counter"], includes=known["includes"])
    pair = state(
        version="5.20.00",
        member={"released": known["released"]},
        components={},
        counter=known["counter"],
        includes=list(known["includes"]),
    )
    assert decide_from(target, "5.20.00", facts=facts).kind == decide(target, pair).kind == kind


def test_a_counter_that_a_hop_raised_refuses_what_comes_after():
    first = candidate("5.30.00", anything(), **NEW | {"counter": 9})
    last = candidate("5.40.00", {"releases": ["5.30.00"], "from": [{"id": "f", "versions": ">=5.30.00"}]}, **NEW)
    way = find_path([first, last], "5.20.00", "5.40.00")
    assert (way.found, way.nearest) == (False, "5.30.00")
    assert [obstacle.kind for obstacle in way.obstacles] == ["counter-too-low"]


def test_two_builds_of_a_version_tell_only_what_they_agree_on():
    one = candidate("5.20.00", anything(), **OLD | {"counter": 9})
    other = candidate("5.20.00", anything(), **OLD | {"build": "b2"})
    target = candidate("5.40.00", anything(), **NEW)
    way = find_path([one, other, target], "5.20.00", "5.40.00")
    assert way.found
    assert "the security counter" in way.not_checked
