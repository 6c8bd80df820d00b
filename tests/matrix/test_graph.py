"""Update graphs: what is read, what is rejected and where, and what follows from barriers."""

import json

import pytest

from bundlekit.errors import ConfigError
from bundlekit.matrix.graph import cincinnati as graphs
from bundlekit.matrix.graph.cincinnati import barrier_edges, load_graph, read_graph, release_order, write_graph
from tests.counting import at_most
from tests.matrix.graphs import graph, shared

NODES = [{"version": "1.0"}, {"version": "1.1"}]
RISK = {"name": "Slow", "message": "It is slow.", "url": "https://example.com/slow", "matchingRules": []}


def read(plain):
    return read_graph(json.dumps(plain).encode(), where="g.json")


@pytest.mark.parametrize(
    ("plain", "says"),
    {
        "index past the end": (
            {"nodes": NODES, "edges": [[0, 1], [1, 2]]},
            "at 'edges[1]': 2 is not the index of a node",
        ),
        "negative index": ({"nodes": NODES, "edges": [[-1, 0]]}, "edges[0]"),
        "index is text": ({"nodes": NODES, "edges": [["0", "1"]]}, "edges[0][0]"),
        "index is true": ({"nodes": NODES, "edges": [[True, 0]]}, "edges[0][0]"),
        "three ends": ({"nodes": NODES, "edges": [[0, 1, 1]]}, "edges[0]"),
        "same version twice": (
            {"nodes": [*NODES, NODES[0]], "edges": []},
            "'nodes[2]': '1.0' is also the version of nodes[0]",
        ),
        "no version": ({"nodes": [{"payload": "x"}], "edges": []}, "the key 'version' is missing"),
        "version with an escape": ({"nodes": [{"version": "1\x1b[2J"}], "edges": []}, "nodes[0].version"),
        "no nodes": ({"edges": []}, "the key 'nodes' is missing"),
        "a list": ([1, 2], "must be an object"),
        "conditional from nowhere": (
            {"nodes": NODES, "conditionalEdges": [{"edges": [{"from": "9", "to": "1.0"}], "risks": [RISK]}]},
            "at 'conditionalEdges[0].edges[0]': there is no node '9'",
        ),
        "conditional on nothing": (
            {"nodes": NODES, "conditionalEdges": [{"edges": [{"from": "1.0", "to": "1.1"}], "risks": []}]},
            "conditionalEdges[0].risks",
        ),
    }.values(),
    ids=str,
)
def test_a_wrong_graph_is_refused_with_the_place(plain, says):
    with pytest.raises(ConfigError) as refused:
        read(plain)
    assert str(refused.value).startswith("g.json: ")
    assert says in str(refused.value)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"\xff\xfe", b"[" * 1_000_000, b'{"nodes": ' + b"[" * 1_000_000, b'{"nodes":[],"edges":[[1e999,0]]}'],
    ids=["empty", "cut", "utf-16", "deep", "deep nodes", "infinite"],
)
def test_what_is_no_graph_is_refused(data):
    with pytest.raises(ConfigError, match=r"^g\.json: "):
        read_graph(data, where="g.json")


def test_sizes_are_limited(monkeypatch, tmp_path):
    monkeypatch.setattr(graphs, "MAX_NODES", 1)
    with pytest.raises(ConfigError, match="has 2 nodes; the limit is 1"):
        read({"nodes": NODES, "edges": []})
    monkeypatch.setattr(graphs, "MAX_NODES", 2)
    monkeypatch.setattr(graphs, "MAX_CONDITIONAL", 1)
    both = {"edges": [{"from": "1.0", "to": "1.1"}], "risks": [RISK, RISK]}
    with pytest.raises(ConfigError, match="more than 1 conditional"):
        read({"nodes": NODES, "conditionalEdges": [both]})
    monkeypatch.setattr(graphs, "MAX_FILE", 10)
    (tmp_path / "g.json").write_text(json.dumps({"nodes": NODES}))
    with pytest.raises(ConfigError, match="is larger than 10 bytes"):
        load_graph(tmp_path / "g.json")


def test_null_is_as_good_as_nothing():
    node = {"version": "1.0", "payload": None, "metadata": None}
    one = read({"nodes": [node], "edges": None, "conditionalEdges": None})
    assert not one.nodes[0].is_marked("deadend")
    assert one.successors() == [[]]


def test_edges_cost_no_call_each():
    nodes = [{"version": f"1.{number}"} for number in range(2000)]
    data = json.dumps({"nodes": nodes, "edges": [[at, at + 1] for at in range(1999)] * 100}).encode()
    with at_most(20_000):
        assert len(read_graph(data, where="g.json").edges) == 199_900


@pytest.mark.parametrize("empty", [{}, {"edges": None, "conditionalEdges": None}, {"conditionalEdges": []}], ids=str)
def test_what_the_form_may_leave_out(empty):
    read_one = read(
        {"version": 1, "extra": {"a": 1}, "nodes": [{"version": "1.0", "metadata": {"n": 3}, "x": 1}], **empty}
    )
    assert (len(read_one.nodes), len(read_one.edges), read_one.conditional) == (1, 0, ())
    assert read_one.nodes[0].metadata == {"n": 3}


@pytest.mark.parametrize("name", ["openshift-stable-4.8.json", "fcos-stable.json"])
def test_what_is_written_reads_back_the_same(name):
    one = load_graph(shared(name))
    assert read_graph(write_graph(one), where=name) == one


# --- conditional edges and dead ends ---


def test_a_conditional_edge_needs_each_of_its_risks_accepted_even_if_it_is_plain_as_well():
    other = {"name": "Hot"}
    one = graph(["1", "2", "3"], "1>2 1>3 2>3", [("1>3", [RISK]), ("1>3 2>3", [other])])
    assert one.successors() == [[1], [], []]
    assert one.successors(["Slow"]) == [[1], [], []]
    assert one.successors(["Hot"]) == [[1], [2], []]
    assert [sorted(following) for following in one.successors(["Hot", "Slow"])] == [[1, 2], [2], []]


@pytest.mark.parametrize(
    "metadata",
    [{"deadend": "true"}, {"deadend": True}, {"org.fedoraproject.coreos.updates.deadend": "true"}, {"deadend": {}}],
    ids=str,
)
def test_nothing_leads_out_of_a_dead_end(metadata):
    assert graph([("1", metadata), "2", "3"], "1>2 2>3").successors() == [[], [2], []]


@pytest.mark.parametrize("metadata", [{"deadend": "false"}, {"deadend": False}, {"deadend_reason": "true"}], ids=str)
def test_what_is_no_dead_end(metadata):
    assert graph([("1", metadata), "2"], "1>2").successors() == [[1], []]


# --- order, barriers ---


@pytest.mark.parametrize(
    ("nodes", "expected"),
    {
        "age as text": (
            [("38.1.0", {"age_index": "1"}), ("37.9.0", {"age_index": "10"}), ("37.1.0", {"age_index": "2"})],
            [0, 2, 1],
        ),
        "age as number, qualified": ([("1", {"x.age_index": 1}), ("2", {"x.age_index": 0})], [1, 0]),
        "an age is missing": ([("1.2.0", {"age_index": "0"}), ("1.1.0", {})], [1, 0]),
        "semver": (["4.8.10", "4.8.9", "4.8.9-rc.1"], [2, 1, 0]),
        "dotted": (["31.20200108.3.0", "5.40.00", "5.9.0.1"], [2, 1, 0]),
        "no scheme": (["b", "a"], [0, 1]),
    }.values(),
    ids=str,
)
def test_release_order(nodes, expected):
    assert release_order(graph(nodes, "").nodes) == expected


BARRIER, ROLLOUT = {"barrier": "true"}, {"rollout": "true"}


@pytest.mark.parametrize(
    ("nodes", "expected"),
    {
        "to the next barrier": (["1.0", ("1.1", BARRIER), "1.2", ("1.3", BARRIER), "1.4"], "01 13 23 34"),
        "rollouts": ([("1.0", BARRIER), "1.1", ("1.2", ROLLOUT), ("1.3", ROLLOUT)], "02 12 03 13 23"),
        "nothing is marked": (["1.0", "1.1", "1.2"], "02 12"),
        "last is a barrier": (["1.0", ("1.1", BARRIER)], "01"),
        "one": (["1.0"], ""),
        "none": ([], ""),
    }.values(),
    ids=str,
)
def test_barrier_edges(nodes, expected):
    assert {f"{a}{b}" for a, b in graph(nodes).edges} == set(expected.split())


def test_barriers_give_the_edges_of_the_real_graph():
    real = load_graph(shared("fcos-stable.json"))
    rollouts = [
        {"version": node.version, "metadata": node.metadata | ({"rollout": "true"} if at in (177, 178) else {})}
        for at, node in enumerate(real.nodes)
    ]
    assert sorted(read({"nodes": rollouts}).edges) == sorted(real.edges)


def test_an_update_stream_is_a_graph():
    stream = {
        "stream": "stable",
        "metadata": {"last-modified": "2026-01-01T00:00:00Z"},
        "releases": [
            {"version": "31.1.3.0", "metadata": {"barrier": {"reason": "https://example.com/1"}}},
            {"version": "32.1.3.0", "metadata": {"deadend": {"reason": "https://example.com/2"}}},
            {"version": "33.1.3.0", "metadata": {"rollout": {"start_epoch": 1, "start_percentage": 0.0}}},
        ],
    }
    one = read(stream)
    assert one.successors() == [[2], [], []]
    assert one.nodes[1].reason("deadend") == "https://example.com/2"
    assert barrier_edges(one.nodes) == one.edges
