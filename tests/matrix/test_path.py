"""The planner: the worked examples, every choice, every reason why none exists, and its laws."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bundlekit.errors import BundlekitError
from bundlekit.matrix import decide, decide_from, read_matrix
from bundlekit.matrix.budget import COMPARISONS
from bundlekit.matrix.candidates import with_restrictions
from bundlekit.matrix.compatibility import work_together
from bundlekit.matrix.path import find_path
from bundlekit.matrix.states import after_update
from bundlekit.model.advisory import AdvisoryStop
from bundlekit.model.decision import Acceptance, Policy
from tests.counting import at_most
from tests.matrix.candidates import anything, candidate
from tests.matrix.graphs import cases, shared
from tests.matrix.world import state

RELEASES = {"releases": ["5.20.00", "5.20.03", "5.30.02", "5.32.00"]}


def stations(way):
    return [hop.to for hop in way.hops]


def moves(way):
    return [(hop.component, hop.from_, hop.to) for hop in way.hops]


# --- the worked example: management and driver pack ---

MC3 = candidate(
    "3.0",
    {
        "releases": ["2.0"],
        "from": [{"id": "mc2", "versions": "2.0", "minutes": 40}],
        "works-together": [{"id": "mc3-sp3", "appliance": "3.0", "drivers": ">=3.0"}],
    },
)
SP3 = candidate(
    "3.1",
    {
        "releases": ["1.0"],
        "from": [{"id": "sp1", "versions": "1.0", "minutes": 20}],
        "works-together": [{"id": "sp3", "drivers": "3.1", "appliance": ">=2.0, <4.0"}],
    },
    parts={"drivers": "3.1"},
)


def synergy():
    drivers = {"drivers": {"version": "1.0", "released": "2024-01-01"}}
    return state(version="2.0", components=drivers, trusts=[])


def test_the_driver_pack_goes_first_where_the_new_management_needs_it():
    assert decide(MC3.manifest, synergy()).kind == "incompatible"
    way = find_path([MC3, SP3], synergy(), "3.0")
    assert moves(way) == [("drivers", "1.0", "3.1"), ("appliance", "2.0", "3.0")]
    assert [hop.entry for hop in way.hops] == ["sp1", "mc2"]
    assert way.minutes == 60
    assert [move.subject for move in way.hops[1].moves] == ["CZ3001", "CZ3002"]


def test_without_the_driver_pack_the_incompatibility_is_told():
    way = find_path([MC3], synergy(), "3.0")
    assert not way.found
    assert way.nearest == "2.0"
    assert [obstacle.kind for obstacle in way.obstacles] == ["incompatible"]
    assert all(part in way.obstacles[0].message for part in ("drivers 1.0", "appliance 3.0", "incompatible"))


# --- stops ---


def gitlab():
    """All stops of GitLab as entries of a matrix, each of which means the latest patch of that minor."""
    stops = json.loads(shared("gitlab-required-stops.json").read_text())
    return [f"{stop['major']}.{stop['minor']}" for stop in stops]


def test_cases_of_gitlab():
    minors = gitlab()
    entries = [{"id": f"stop-{minor}", "versions": "*", "via": minor, "latest": True} for minor in minors]
    releases = [f"{minor}.{patch}" for minor in minors for patch in (0, 9)]

    def release(version):
        return candidate(version, anything(releases=releases, stop=entries), scheme="semver")

    stops = [release(version) for version in releases]
    for case in cases("gitlab-cases.jsonl"):
        start, goal = case["from"], case["to"]
        direct = decide_from(release(goal).manifest, start)
        if "verdict" in case:
            assert direct.kind == {"refuse-downgrade": "downgrade", "refuse-same": "same-version"}[case["verdict"]]
            continue
        between = case["required_stops_between"]
        assert direct.allowed == (not between), case
        way = find_path([*stops, release(goal)] if goal not in releases else stops, start, goal)
        assert stations(way) == [*(f"{minor}.9" for minor in between), goal], case


def test_a_stop_means_the_latest_of_its_minor_even_if_an_older_one_is_quicker():
    stop = {"stop": [{"id": "s", "versions": "*", "via": "1.3", "latest": True}], "releases": ["1.1", "1.3.0", "1.3.7"]}
    quick = {"from": [{"id": "q", "versions": "*", "minutes": 1}], "releases": ["1.1"]}
    slow = {"from": [{"id": "q", "versions": "*", "minutes": 9}], "releases": ["1.1", "1.3.0"]}
    goal = {"from": [{"id": "g", "versions": "*", "minutes": 1}]} | stop
    candidates = [candidate("1.3.0", quick), candidate("1.3.7", slow), candidate("1.5", goal)]
    assert stations(find_path(candidates, "1.1", "1.5")) == ["1.3.7", "1.5"]
    assert stations(find_path([candidates[0], candidates[2]], "1.1", "1.5")) == ["1.3.0", "1.5"]


# --- choices ---


def ladder(minutes):
    """Two ways of two hops, whose stops take that long."""
    goal = candidate(
        "5.40.00", {"releases": ["5.30.01", "5.30.02"], "from": [{"id": "g", "versions": "*", "minutes": 5}]}
    )
    return goal, *(
        candidate(
            version, anything() | {"from": [{"id": "h", "versions": "*", "unlisted": True} | some]}, released=released
        )
        for version, some, released in zip(("5.30.01", "5.30.02"), minutes, ("2026-01-01", "2026-02-01"), strict=True)
    )


@pytest.mark.parametrize(
    ("minutes", "stop", "total"),
    [
        (({"minutes": 10}, {"minutes": 20}), "5.30.01", 15),
        (({"minutes": 20}, {"minutes": 10}), "5.30.02", 15),
        (({"minutes": 10}, {"minutes": 10}), "5.30.02", 15),
        (({"minutes": 99}, {}), "5.30.01", 104),
        (({}, {}), "5.30.02", None),
    ],
    ids=["first", "second", "as long: the newer", "not known is longest", "none known: the newer"],
)
def test_fewest_minutes_then_the_newest(minutes, stop, total):
    candidates = ladder(minutes)
    for order in (candidates, candidates[::-1]):
        way = find_path(order, "5.20.00", "5.40.00")
        assert (stations(way), way.minutes) == ([stop, "5.40.00"], total)


def test_fewer_hops_before_fewer_minutes():
    direct = candidate(
        "5.40.00", anything() | {"from": [{"id": "d", "versions": "*", "unlisted": True, "minutes": 999}]}
    )
    quick = candidate("5.30.00", anything() | {"from": [{"id": "q", "versions": "*", "unlisted": True, "minutes": 1}]})
    assert stations(find_path([direct, quick], "5.20.00", "5.40.00")) == ["5.40.00"]


def test_minutes_of_the_entry_count_before_those_of_the_bundle():
    impact = {"impact": {"minutes": 95}}
    plain = candidate("5.40.00", anything())
    manifest = replace(plain.manifest, impact=replace(plain.manifest.impact, **impact["impact"]))
    told = replace(plain, matrix=replace(plain.matrix, manifest=manifest))
    assert find_path([told], "5.20.00", "5.40.00").minutes == 95


def test_a_37_released_after_a_38():
    listed = {"releases": ["37.1", "38.1", "37.2"], "order": "listed"}
    last = candidate("37.2", listed | {"from": [{"id": "on", "versions": "38.1"}]})
    middle = candidate("38.1", listed | {"from": [{"id": "up", "versions": "37.1"}]})
    assert stations(find_path([last, middle], "37.1", "37.2")) == ["38.1", "37.2"]


def test_already_there():
    for candidates in ([candidate("5.40.00", anything())], []):
        way = find_path(candidates, "5.40.00", "5.40.00")
        assert way.found
        assert way.hops == ()
    assert find_path([], state(version="5.40.00"), "5.40.00").found


def test_an_update_that_only_storage_needs_is_one_hop():
    both = candidate("5.40.00", anything(), parts={"appliance": "5.40.00", "storage": "3.4.0"})
    way = find_path([both], state(version="5.40.00"), "5.40.00")
    assert [(move.subject, move.to) for move in way.hops[0].moves] == [("storage", "3.4.0")]


def test_risks_accepted_by_name_are_named():
    risk = {"risk": [{"id": "Disk", "when": {"fact": "disk.firmware", "below": "7.1"}}]}
    candidates = [candidate("5.40.00", RELEASES | {"from": [{"id": "a", "versions": "*"}]} | risk)]
    pair = state(components={})
    assert [obstacle.kind for obstacle in find_path(candidates, pair, "5.40.00").obstacles] == ["risk"]
    way = find_path(candidates, pair, "5.40.00", Policy(accepted_risks=(Acceptance(risk="Disk"),)))
    assert way.accepted == ("Disk",)
    assert way.hops[0].risks == ("Disk",)


# --- what an update leaves ---


def test_the_counter_rises_on_the_way():
    low, high = (
        candidate("5.40.00", RELEASES | {"from": [{"id": "a", "versions": "5.32.00"}]}, counter=7),
        candidate("5.32.00", RELEASES | {"from": [{"id": "b", "versions": "*"}]}, counter=8),
    )
    way = find_path([low, high], state(components={}), "5.40.00")
    assert not way.found
    assert way.nearest == "5.32.00"
    assert way.obstacles[0].kind == "counter-too-low"


def test_a_fix_gained_on_the_way_must_not_get_lost():
    with_fix = candidate("5.32.00", RELEASES | {"from": [{"id": "b", "versions": "*"}]}, includes=("HF-118", "HF-200"))
    without = candidate("5.40.00", RELEASES | {"from": [{"id": "a", "versions": ">=5.32.00, <5.33"}]})
    way = find_path([with_fix, without], state(components={}), "5.40.00")
    assert [obstacle.kind for obstacle in way.obstacles][:1] == ["loses-fix"]


def test_new_software_trusts_what_the_matrix_says_of_it():
    keys = {"trusted-keys": {"5.20": ["old"], "5.32": ["old", "new"]}}
    bridge = candidate("5.32.00", RELEASES | keys | {"from": [{"id": "b", "versions": "*", "keys": ["old"]}]})
    goal = candidate("5.40.00", RELEASES | keys | {"from": [{"id": "a", "versions": "*", "keys": ["new"]}]})
    pair = state(components={}, trusts=["old"])
    assert decide(goal.manifest, pair).kind == "cannot-verify"
    assert stations(find_path([bridge, goal], pair, "5.40.00")) == ["5.32.00", "5.40.00"]


def test_members_that_differ_move_together():
    candidates = [candidate("5.32.00", RELEASES | {"from": [{"id": "b", "versions": "*"}]})]
    members = state(components={}).members
    pair = replace(state(components={}), members=members | {"CZ3002": replace(members["CZ3002"], version="5.20.00")})
    way = find_path(candidates, pair, "5.32.00")
    assert way.from_ == "5.30.02 and 5.20.00"
    assert [(move.from_, move.to) for move in way.hops[0].moves] == [("5.30.02", "5.32.00"), ("5.20.00", "5.32.00")]


def test_the_mixed_state_of_a_rolling_update_is_not_passed():
    skew = {"skew": [{"old": ">=5.32.00", "new": "5.40.00"}]}
    goal = candidate("5.40.00", RELEASES | skew | {"from": [{"id": "a", "versions": "*"}]})
    between = candidate("5.32.00", RELEASES | {"from": [{"id": "b", "versions": "*"}]})
    assert stations(find_path([goal, between], "5.30.02", "5.40.00")) == ["5.32.00", "5.40.00"]
    assert find_path([goal], "5.30.02", "5.40.00").obstacles[0].kind == "incompatible"


# --- restrictions of other matrices ---


@pytest.mark.parametrize(
    ("restriction", "kind"),
    [
        ({"withdrawn": [{"id": "w", "versions": "5.32.00"}]}, "withdrawn"),
        ({"dead-end": [{"id": "d", "versions": "5.30.02"}]}, "dead-end"),
        ({"stop": [{"id": "s", "versions": "<5.31", "via": "5.31.00"}]}, "needs-stop"),
    ],
    ids=["withdrawn", "dead end", "stop"],
)
def test_what_any_matrix_restricts_counts(restriction, kind):
    plain = candidate("5.32.00", anything())
    newer = candidate("5.50.00", {"from": [{"id": "n", "versions": "5.49.00", "unlisted": True}]} | restriction)
    assert find_path([plain], "5.30.02", "5.32.00").found
    way = find_path([plain, newer], "5.30.02", "5.32.00")
    assert not way.found
    assert way.obstacles[0].kind == kind


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"block": [{"id": "b", "versions": "*"}]}, "blocked"),
        ({"risk": [{"id": "r", "when": {"fact": "disk.firmware", "below": "7.1"}}]}, "risk"),
    ],
    ids=["block", "risk"],
)
def test_blocks_and_risks_of_another_bundle_of_the_version_count(more, kind):
    plain = RELEASES | {"from": [{"id": "f", "versions": "*"}]}
    one, other = candidate("5.40.00", plain), replace(candidate("5.40.00", RELEASES | more), id="sha256:other")
    pair = state(components={})
    assert find_path([one], pair, "5.40.00").found
    assert kind in [obstacle.kind for obstacle in find_path([one, other], pair, "5.40.00").obstacles]


def test_a_risk_accepted_for_one_bundle_is_not_for_another():
    risk = {"risk": [{"id": "Disk", "when": {"fact": "disk.firmware", "below": "7.1"}}]}
    candidates = [candidate("5.40.00", RELEASES | {"from": [{"id": "a", "versions": "*"}]} | risk)]

    def found(bundle):
        policy = Policy(accepted_risks=(Acceptance(risk="Disk", bundle=bundle),))
        return find_path(candidates, state(components={}), "5.40.00", policy).found

    assert found(candidates[0].id)
    assert not found("sha256:other")


def test_a_hop_must_not_go_back_in_time():
    later = candidate("5.32.00", RELEASES | {"from": [{"id": "a", "versions": "*"}]}, released="2026-11-23")
    earlier = candidate("5.40.00", RELEASES | {"from": [{"id": "b", "versions": ">=5.32.00"}]}, released="2026-10-01")
    way = find_path([later, earlier], state(components={}), "5.40.00")
    assert [obstacle.kind for obstacle in way.obstacles] == ["back-in-time"]


def test_what_an_advisory_says_of_one_release_does_not_restrict_another():
    into = [AdvisoryStop(id="s", versions="*", via="5.31.00", into="5.40.00")]
    advised = candidate("5.40.00", anything())
    manifest = replace(advised.manifest, matrix=replace(advised.manifest.matrix, stops=tuple(into)))
    candidates = [replace(advised, matrix=read_matrix(manifest)), candidate("5.32.00", anything())]
    assert find_path(candidates, "5.20.00", "5.32.00").found
    assert stations(find_path(candidates, "5.20.00", "5.40.00")) == ["5.32.00", "5.40.00"]


def test_another_product_restricts_nothing_and_is_no_hop():
    plain = candidate("5.32.00", anything())
    other = candidate("5.50.00", anything(withdrawn=[{"id": "w", "versions": "*"}]), product="other")
    assert find_path([plain, other], state(version="5.30.02", components={}), "5.32.00").hops


# --- no way ---


def test_nearest_and_what_blocks_the_rest():
    candidates = [
        candidate("5.20.03", RELEASES | {"from": [{"id": "a", "versions": "5.20.00"}]}),
        candidate("5.30.02", RELEASES | {"from": [{"id": "b", "versions": "5.20.03"}]}),
        candidate("5.32.00", RELEASES | {"block": [{"id": "KB-1", "versions": "*", "reason": "It hangs."}]}),
        candidate("5.40.00", RELEASES | {"from": [{"id": "c", "versions": "5.32.00"}]}),
    ]
    way = find_path(candidates, "5.20.00", "5.40.00")
    assert not way.found
    assert way.nearest == "5.30.02"
    assert stations(way) == ["5.20.03", "5.30.02"]
    found = [(obstacle.subject, obstacle.kind, obstacle.entry) for obstacle in way.obstacles]
    assert found == [("5.40.00.bin", "unsupported-source", ""), ("5.32.00.bin", "blocked", "KB-1")]


def test_a_goal_that_is_not_in_hand():
    way = find_path([candidate("5.30.02", anything())], "5.20.00", "5.40.00")
    assert way.nearest == "5.30.02"
    assert [obstacle.kind for obstacle in way.obstacles] == ["not-available"]
    assert find_path([], "5.20.00", "5.40.00").nearest is None


def test_a_hold_keeps_the_pair_where_it_is():
    way = find_path([candidate("5.40.00", anything())], state(components={}, hold="Storage failed."), "5.40.00")
    assert [obstacle.kind for obstacle in way.obstacles] == ["on-hold"]


def test_a_search_without_end_is_given_up(monkeypatch):
    candidates = [candidate(f"5.3{number}", anything()) for number in range(5)]
    monkeypatch.setitem(COMPARISONS, "path", 100)
    with pytest.raises(BundlekitError, match="exceeded its limits"):
        find_path(candidates, "5.20", "5.9")


def hostile(number):
    stops = [{"id": f"s{at}", "versions": f">=5.{number}, <9.{at}", "via": f"9.{at}"} for at in range(1000)]
    return candidate(f"5.{number}", anything(stop=stops))


@pytest.mark.parametrize(
    ("task", "limit", "says"), [("path", 5_000, "exceeded its limits"), ("merge", 99_999, "the limit is")]
)
def test_hostile_matrices_are_given_up_before_they_are_searched(monkeypatch, task, limit, says):
    candidates = [hostile(number) for number in range(10)]
    monkeypatch.setitem(COMPARISONS, task, limit)
    with at_most(400_000), pytest.raises(BundlekitError, match=says):
        find_path(candidates, "5.0", "8.0")


def test_a_hundred_releases_are_searched_with_bounded_work():
    candidates = [candidate(f"5.{number}", anything()) for number in range(100)]
    with at_most(500_000):
        assert stations(find_path(candidates, "4.0", "5.99")) == ["5.99"]
        assert find_path(candidates, "4.0", "6.0").nearest == "5.99"


def test_a_mere_version_needs_to_be_of_one_product():
    one, other = candidate("5.40.00", anything()), candidate("5.40.00", anything(), product="other")
    with pytest.raises(BundlekitError, match=r"5\.40\.00 is a version of imager \(appliance\) and other \(appliance\)"):
        find_path([one, other], "5.20.00", "5.40.00")
    step = candidate("5.30.00", anything(), product="other")
    only = candidate("5.40.00", {"from": [{"id": "f", "versions": "5.30.00", "unlisted": True}]})
    assert not find_path([only, step], "5.20.00", "5.40.00").found


def test_bundles_without_a_model_in_common_are_no_way():
    goal = candidate(
        "5.40.00", {"releases": ["5.30.00"], "from": [{"id": "f", "versions": "5.30.00"}]}, models=("im-200",)
    )
    step = candidate("5.30.00", anything(), models=("im-100",))
    path = find_path([goal, step], "5.20.00", "5.40.00")
    assert (path.found, path.nearest) == (False, "5.30.00")
    assert [(one.kind, one.message) for one in path.obstacles] == [
        ("wrong-model", "5.40.00 is for im-200, but the intermediate 5.30.00 for im-100.")
    ]
    wide = candidate("5.40.00", {"from": [{"id": "f", "versions": "5.30.00", "unlisted": True}]})
    assert "a path for im-200: this one is only for im-100" in find_path([wide, step], "5.20.00", "5.40.00").not_checked
    both = candidate("5.30.00", anything(), models=("im-200", "im-300"), released="2026-11-24")
    assert stations(find_path([goal, step, both], "5.20.00", "5.40.00")) == ["5.30.00", "5.40.00"]


def test_a_longer_way_that_leaves_more_models_is_not_given_up_for_a_shorter_one():
    first = candidate("5.10.00", {"from": [{"id": "f", "versions": "5.0.00", "unlisted": True}]})
    wide = candidate("5.30.00", {"from": [{"id": "f", "versions": "5.10.00", "unlisted": True}]})
    quick = candidate("5.30.00", {"from": [{"id": "f", "versions": "5.0.00", "unlisted": True}]}, models=("im-100",))
    goal = candidate("5.40.00", {"from": [{"id": "f", "versions": "5.30.00", "unlisted": True}]}, models=("im-200",))
    assert stations(find_path([first, wide, quick, goal], "5.0.00", "5.40.00")) == ["5.10.00", "5.30.00", "5.40.00"]


def test_a_driver_pack_takes_no_fix_away():
    pack = replace(SP3, matrix=replace(SP3.matrix, manifest=replace(SP3.manifest, includes=())))
    loses = replace(MC3, matrix=replace(MC3.matrix, manifest=replace(MC3.manifest, includes=())))
    pair = replace(synergy(), includes=("HF-118",))
    pair_after = after_update(pair, pack.matrix, decide(pack.manifest, pair))
    assert pair_after.includes == ("HF-118",)
    assert after_update(pair, loses.matrix, decide(loses.manifest, pair)).includes == ()


def test_a_pair_on_hold_that_is_there_is_there():
    assert find_path(
        [candidate("5.40.00", anything())], state(version="5.40.00", components={}, hold="!"), "5.40.00"
    ).found


# --- laws ---

VERSIONS = ["1.0", "1.1", "1.2", "1.3"]
PACKS = ["1.0", "2.0", "3.0"]


@st.composite
def some_offers(draw):
    """Releases and driver packs, each with its own opinion of what works together."""
    made = []
    for version in VERSIONS[1:]:
        sources = draw(st.lists(st.sampled_from(VERSIONS), max_size=3, unique=True))
        low, high = sorted(draw(st.tuples(st.sampled_from(PACKS), st.sampled_from(PACKS))))
        stops = draw(st.lists(st.sampled_from(VERSIONS[1:3]), max_size=1))
        table = {
            "releases": VERSIONS,
            "from": [
                {"id": f"f{number}", "versions": source, "minutes": draw(st.integers(0, 3))}
                for number, source in enumerate(sources)
            ],
            "stop": [{"id": f"s{via}", "versions": f"<{via}", "via": via} for via in stops],
            "works-together": [{"id": "w", "appliance": version, "drivers": f">={low}, <={high}"}],
        }
        made.append(candidate(version, table))
    for pack in PACKS[1:]:
        low, high = sorted(draw(st.tuples(st.sampled_from(VERSIONS), st.sampled_from(VERSIONS))))
        table = {
            "releases": PACKS,
            "from": [{"id": "any", "versions": f"<{pack}"}],
            "works-together": [{"id": "w", "drivers": pack, "appliance": f">={low}, <={high}"}],
        }
        made.append(candidate(pack, table, parts={"drivers": pack}))
    return made


def pair_at(version, pack):
    return state(version=version, components={"drivers": {"version": pack, "released": "2024-01-01"}})


def walk(candidates, way, pair):
    """The states on the way, each hop taken by the decision of its own bundle, as a person would."""
    by_id = {one.id + one.matrix.primary_component: one for one in candidates}
    states = [pair]
    for hop in way.hops:
        one = by_id[hop.id + hop.component]
        decision = decide(one.manifest, states[-1])
        assert decision.allowed, (hop, decision.overall)
        states.append(after_update(states[-1], one.matrix, decision))
        versions = {
            "appliance": states[-1].members["CZ3001"].version,
            "drivers": states[-1].components["drivers"].version,
        }
        parsed = {name: one.matrix.parse(name, text) for name, text in versions.items()}
        assert work_together(one.matrix, parsed)[0] is True
    return states


@settings(max_examples=80)
@given(some_offers(), st.sampled_from(VERSIONS), st.sampled_from(PACKS))
def test_every_hop_is_allowed_by_its_own_bundle_and_no_forbidden_state_is_passed(candidates, version, pack):
    pair = pair_at(version, pack)
    way = find_path(candidates, pair, "1.3")
    last = walk(candidates, way, pair)[-1]
    assert {member.version for member in last.members.values()} == {"1.3" if way.found else way.nearest}
    assert way.found or way.obstacles


@settings(max_examples=80)
@given(some_offers(), st.sampled_from(VERSIONS), st.sampled_from(PACKS), st.data())
def test_a_source_less_never_shortens_a_path_and_order_does_not_matter(candidates, version, pack, data):
    pair = pair_at(version, pack)
    before = find_path(candidates, pair, "1.3")
    assert find_path(data.draw(st.permutations(candidates)), pair, "1.3") == before
    out = data.draw(st.integers(0, len(candidates) - 1))
    matrix = replace(candidates[out].matrix, sources=candidates[out].matrix.sources[1:])
    after = find_path([*candidates[:out], replace(candidates[out], matrix=matrix), *candidates[out + 1 :]], pair, "1.3")
    assert before.found or not after.found
    assert not after.found or len(after.hops) >= len(before.hops)


@settings(max_examples=60)
@given(some_offers(), st.sampled_from(VERSIONS), st.sampled_from(PACKS))
def test_no_way_is_shorter(candidates, version, pack):
    """An independent search: all sequences of bundles, one hop longer each time."""
    start = pair_at(version, pack)
    way = find_path(candidates, start, "1.3")
    merged = with_restrictions(candidates)
    states, hops = [start], 0
    while states and not any({m.version for m in one.members.values()} == {"1.3"} for one in states) and hops < 6:
        reached = {}
        for one in states:
            for each in merged:
                decision = decide(each.manifest, one, matrix=each.matrix)
                if decision.allowed:
                    after = after_update(one, each.matrix, decision)
                    reached[repr(after)] = after
        states, hops = list(reached.values()), hops + 1
    if states and hops < 6:
        assert way.found
        assert len(way.hops) == hops
    else:
        assert not way.found


def test_bundles_that_each_lack_other_models_are_searched_with_bounded_work():
    """There are as many states as subsets of the models; those of which less is left bring nothing new."""
    chance = random.Random(4)  # noqa: S311 - no secret
    models = [f"im-{number}00" for number in range(1, 9)]
    candidates = [
        candidate(
            f"5.{number:02}.00",
            {"from": [{"id": "f", "versions": f"<5.{number:02}.00", "unlisted": True}]},
            models=tuple(model for model in models if chance.random() > 0.2) or ("im-100",),
        )
        for number in range(1, 60)
    ]
    goal = candidate("5.90.00", {"from": [{"id": "f", "versions": "5.89.00", "unlisted": True}]}, models=tuple(models))
    with at_most(200_000):
        path = find_path([goal, *candidates], "5.00.00", "5.90.00")
    assert (path.found, path.nearest) == (False, "5.59.00")
