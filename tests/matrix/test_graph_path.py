"""The shortest way through a plain graph, judged by networkx and real graphs; and what is said where there is none."""

import networkx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundlekit.matrix.graph.cincinnati import CincinnatiGraph, Node, load_graph, release_order
from bundlekit.matrix.graph.search import find_graph_path, hops_from
from tests.matrix.graphs import cases, graph, shared


def distances(one):
    following = one.successors()
    return {
        start: {there: hops for hops, level in enumerate(hops_from(following, start)) for there in level}
        for start in range(len(one.nodes))
    }


def test_every_pair_of_a_real_graph_as_networkx_has_it():
    one = load_graph(shared("openshift-stable-4.8.json"))
    judge = networkx.DiGraph(list(one.edges))
    judge.add_nodes_from(range(len(one.nodes)))
    assert distances(one) == dict(networkx.all_pairs_shortest_path_length(judge))


def test_upward_pairs_of_a_real_graph_that_have_no_way():
    one = load_graph(shared("openshift-stable-4.8.json"))
    rising = release_order(one.nodes)
    found = distances(one)
    upward = [(low, high) for at, low in enumerate(rising) for high in rising[at + 1 :]]
    assert len(upward) == 5050
    assert sum(high not in found[low] for low, high in upward) == 1147


def test_cases_of_openshift():
    one = load_graph(shared("openshift-stable-4.8.json"))
    edges = {(one.nodes[a].version, one.nodes[b].version) for a, b in one.edges}
    for case in cases("openshift-stable-4.8-cases.jsonl"):
        way = find_graph_path(one, case["from"], case["to"])
        assert (len(way.hops) if way.found else None) == case["min_hops"], case
        assert ((case["from"], case["to"]) in edges) == case["direct_edge"]
        assert all((hop.from_, hop.to) in edges for hop in way.hops)
        if case["conditional_edge_risks"]:
            taken = find_graph_path(one, case["from"], case["to"], case["conditional_edge_risks"])
            assert taken.found
            assert list(taken.accepted) == case["conditional_edge_risks"]
            assert [obstacle.entry for obstacle in way.obstacles] == case["conditional_edge_risks"]


def test_cases_of_fedora_coreos():
    one = load_graph(shared("fcos-stable.json"))
    last = one.nodes[-1].version
    for case in cases("fcos-stable-cases.jsonl"):
        way = find_graph_path(one, case["from"], last)
        assert way.found
        assert [hop.to for hop in way.hops] == case["expected_path"]
    assert len(find_graph_path(one, one.nodes[0].version, last).hops) == 20


# --- choices ---


def test_of_the_shortest_the_one_with_the_newest_stops():
    edges = "1.0>1.1 1.0>1.2 1.0>1.3 1.1>1.9 1.2>1.9 1.3>1.9"
    for nodes in (["1.0", "1.1", "1.2", "1.3", "1.9"], ["1.9", "1.3", "1.1", "1.2", "1.0"]):
        assert [hop.to for hop in find_graph_path(graph(nodes, edges), "1.0", "1.9").hops] == ["1.3", "1.9"]


def test_newest_is_what_was_released_last():
    nodes = [
        ("38.0", {"age_index": "1"}),
        ("37.9", {"age_index": "2"}),
        ("36.0", {"age_index": "0"}),
        ("39.0", {"age_index": "3"}),
    ]
    one = graph(nodes, "36.0>38.0 36.0>37.9 38.0>39.0 37.9>39.0")
    assert [hop.to for hop in find_graph_path(one, "36.0", "39.0").hops] == ["37.9", "39.0"]


def test_there_already():
    way = find_graph_path(graph(["1", "2"], "1>2"), "2", "2")
    assert way.found
    assert way.hops == ()


def test_a_cycle_ends():
    one = graph(["1", "2", "3"], "1>2 2>1 2>2")
    assert find_graph_path(one, "1", "2").found
    assert not find_graph_path(one, "1", "3").found


RISK = [{"name": "Slow", "message": "It is slow.", "url": "https://example.com/slow"}]


@pytest.mark.parametrize(
    ("one", "start", "goal", "nearest", "kind", "says"),
    {
        "risk": (graph(["1", "2", "3"], "1>2", [("2>3", RISK)]), "1", "3", "2", "risk", "It is slow. See https://"),
        "dead end": (
            graph([("1", {"deadend": {"reason": "No disk."}}), "2"], "1>2"),
            "1",
            "2",
            "1",
            "dead-end",
            "No disk.",
        ),
        "no outgoing": (graph(["1", "2", "3"], "2>3"), "1", "3", "1", "no-update-from", "No update from 1"),
        "no incoming": (graph(["1", "2", "3"], "1>2"), "1", "3", "2", "no-update-to", "to 3"),
        "not connected": (graph(["1", "2", "3", "4"], "1>2 3>4"), "1", "4", "2", "not-connected", "Only 3 can be"),
        "overshoots": (graph(["1", "2", "3"], "1>3"), "1", "2", "1", "no-update-to", "to 2"),
        "no such start": (graph(["1.1", "1.2"], "1.1>1.2"), "1.3", "1.2", None, "unknown-version", "no release 1.3"),
        "no such goal": (graph(["1.1", "1.2"], "1.1>1.2"), "1.1", "1.3", None, "unknown-version", "no release 1.3"),
    }.values(),
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_no_way(one, start, goal, nearest, kind, says):
    way = find_graph_path(one, start, goal)
    assert not way.found
    assert way.nearest == nearest
    assert [obstacle.kind for obstacle in way.obstacles] == [kind]
    assert says in way.obstacles[0].message
    assert nearest is None or [start, *(hop.to for hop in way.hops)][-1] == nearest


# --- laws ---


@st.composite
def any_graph(draw):
    size = draw(st.integers(2, 9))
    places = st.integers(0, size - 1)
    edges = draw(st.lists(st.tuples(places, places), max_size=30))
    return CincinnatiGraph(nodes=tuple(Node(version=f"1.{place}") for place in range(size)), edges=tuple(edges))


@given(any_graph(), st.data())
def test_the_way_is_one_of_edges_and_as_short_as_networkx_finds(one, data):
    start, goal = (data.draw(st.sampled_from(one.nodes)).version for _ in range(2))
    judge = networkx.DiGraph([(one.nodes[a].version, one.nodes[b].version) for a, b in one.edges])
    judge.add_nodes_from(node.version for node in one.nodes)
    way = find_graph_path(one, start, goal)
    stations = [start, *(hop.to for hop in way.hops)]
    assert all(judge.has_edge(hop.from_, hop.to) for hop in way.hops)
    assert [hop.from_ for hop in way.hops] == stations[:-1]
    assert way.found == networkx.has_path(judge, start, goal)
    if way.found:
        assert stations[-1] == goal
        assert len(way.hops) == networkx.shortest_path_length(judge, start, goal)
    else:
        assert stations[-1] == way.nearest
        assert way.obstacles


@given(any_graph(), st.data())
def test_an_edge_less_never_shortens_a_way_and_their_order_does_not_matter(one, data):
    start, goal = (data.draw(st.sampled_from(one.nodes)).version for _ in range(2))
    before = find_graph_path(one, start, goal)
    shuffled = CincinnatiGraph(nodes=one.nodes, edges=tuple(data.draw(st.permutations(one.edges))))
    assert find_graph_path(shuffled, start, goal) == before
    if one.edges:
        out = data.draw(st.integers(0, len(one.edges) - 1))
        after = find_graph_path(
            CincinnatiGraph(nodes=one.nodes, edges=one.edges[:out] + one.edges[out + 1 :]), start, goal
        )
        assert before.found or not after.found
        assert not after.found or len(after.hops) >= len(before.hops)
