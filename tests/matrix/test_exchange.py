"""Matrices out of graphs, graphs out of matrices, and that nothing is lost which decides."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bundlekit.errors import ConfigError
from bundlekit.matrix import decide, decide_from, inconsistencies, read_matrix
from bundlekit.matrix.graph.cincinnati import load_graph, read_graph, release_order, write_graph
from bundlekit.matrix.graph.exchange import graph_of, matrix_of
from bundlekit.matrix.toml import matrix_from_toml
from bundlekit.matrix.toml_writer import matrix_to_toml
from bundlekit.model.decision import Acceptance, Policy
from tests.matrix.graphs import graph, shared
from tests.matrix.test_laws import restrictions
from tests.matrix.world import component, manifest, state


def bundle(matrix, version, scheme):
    parts = (component("appliance", version),)
    return replace(manifest(), version=version, scheme=scheme, build=None, components=parts, matrix=matrix)


def again(matrix):
    return matrix_from_toml(tomllib.loads(matrix_to_toml(matrix)), "matrix.toml")


@pytest.mark.parametrize(("name", "scheme"), [("openshift-stable-4.8.json", "semver"), ("fcos-stable.json", "dotted")])
def test_the_matrix_of_each_release_of_a_real_graph_allows_just_its_edges(name, scheme):
    one = load_graph(shared(name))
    rising = release_order(one.nodes)
    for target in rising[:: max(1, len(rising) // 7)]:
        version = one.nodes[target].version
        matrix = matrix_of(one, version)
        assert again(matrix) == matrix
        made = bundle(matrix, version, scheme)
        assert inconsistencies(made) == ()
        read = read_matrix(made)
        allowed = {node.version for node in one.nodes if decide_from(made, node.version, matrix=read).allowed}
        risky = {one.nodes[a].version for a, b in one.risks() if b == target}
        assert allowed == {one.nodes[a].version for a, b in one.edges if b == target} | risky


def test_a_conditional_edge_becomes_a_source_with_a_risk_that_has_to_be_accepted():
    one = load_graph(shared("openshift-stable-4.8.json"))
    made = bundle(matrix_of(one, "4.7.4"), "4.7.4", "semver")
    pair = replace(state(version="4.7.2"), components={})
    assert decide(made, pair).kind == "undecided"
    known = replace(pair, facts={**pair.facts, "risk.vspherenodenamechanges": "true"})
    assert decide(made, known).kind == "risk"
    assert decide(made, replace(pair, facts={**pair.facts, "risk.vspherenodenamechanges": "false"})).allowed
    entries = [risk.id for risk in made.matrix.risks]
    assert decide(made, known, Policy(accepted_risks=tuple(Acceptance(risk=one) for one in entries))).allowed


def test_releases_keep_an_order_other_than_that_of_their_versions():
    nodes = [("37.1", {"age_index": 0}), ("38.1", {"age_index": 1}), ("37.2", {"age_index": 2})]
    matrix = matrix_of(graph(nodes, "37.1>37.2 38.1>37.2"), "37.2")
    assert matrix.order == "listed"
    made = bundle(matrix, "37.2", "dotted")
    assert decide_from(made, "38.1").allowed


def test_dead_ends_come_along():
    matrix = matrix_of(graph([("1.1", {"deadend": {"reason": "Its disk is full."}}), "1.2"], "1.1>1.2"), "1.2")
    assert decide_from(bundle(matrix, "1.2", "dotted"), "1.1").kind == "dead-end"
    assert matrix.dead_ends[0].reason == "Its disk is full."


@pytest.mark.parametrize(
    ("one", "version", "says"),
    [
        (graph(["1.0", "1.1"], ""), "1.2", "no release 1.2"),
        (graph(["1.0", "x"], ""), "1.0", "no version scheme fits all"),
        (graph(["1.0.0+a", "1.0.0+b"], ""), "1.0.0+a", "are one version in the scheme semver"),
    ],
    ids=["no such release", "no scheme", "same version"],
)
def test_what_has_no_matrix(one, version, says):
    with pytest.raises(ConfigError, match="graph: ") as refused:
        matrix_of(one, version)
    assert says in str(refused.value)


def test_names_of_entries_are_made_unique_and_plain():
    risks = [{"name": "Ärger im Büro!", "message": "a\nb"}, {"name": "Ärger im Büro!", "message": "other"}]
    matrix = matrix_of(graph(["1.0", "1.1"], "", [("1.0>1.1", risks)]), "1.1")
    assert len({risk.id for risk in matrix.risks}) == 2
    assert matrix.risks[0].reason == "a b"
    assert again(matrix) == matrix


# --- bundles to a graph and back ---

RICH = {
    "from": [{"id": "all", "versions": "<5.40.00"}],
    "risk": [{"id": "OldDisk", "versions": "<5.32.00", "when": {"fact": "disk.firmware", "below": "7.1"}}],
    "dead-end": [{"id": "old", "versions": "5.20.00", "reason": "No way."}],
    "stop": [{"id": "s", "versions": "<5.30.02", "via": "5.30.02", "when": {"fact": "ha.state", "is": "off"}}],
}


def test_a_graph_of_bundles():
    one = graph_of([(manifest(RICH), "sha256:1")])
    versions = [node.version for node in one.nodes]
    assert versions == ["5.20.00", "5.20.03", "5.30.02", "5.32.00", "5.32.01", "5.40.00"]
    assert [one.nodes[a].version for a, b in one.edges] == ["5.32.00", "5.32.01"]
    assert [(one.nodes[a].version, [risk.name for risk in risks]) for (a, _), risks in one.risks().items()] == [
        ("5.20.03", ["s", "OldDisk"]),
        ("5.30.02", ["OldDisk"]),
    ]
    assert one.nodes[0].reason("deadend") == "No way."
    assert one.nodes[5].payload == "sha256:1"


def test_a_dead_end_in_one_matrix_is_one_in_the_graph():
    part = (component("appliance", "5.50.00"),)
    later = replace(manifest({"from": [{"id": "f", "versions": "*"}]}), version="5.50.00", components=part)
    one = graph_of([(manifest(RICH), "a"), (later, "b")])
    assert "5.20.00" not in {one.nodes[low].version for low, _ in one.edges}


def test_what_is_no_one_graph():
    with pytest.raises(ConfigError, match="no bundle"):
        graph_of([])
    with pytest.raises(ConfigError, match="not releases of one component"):
        graph_of([(manifest(), "a"), (manifest(product="other"), "b")])
    with pytest.raises(ConfigError, match="the same version"):
        graph_of([(manifest(), "a"), (manifest(), "b")])


@given(restrictions, st.sampled_from(["synchronised", "off", None]))
def test_import_of_export_decides_the_same(more, fact):
    before = manifest(RICH | more | {"works-together": []})
    if inconsistencies(before):
        return
    exported = read_graph(write_graph(graph_of([(before, "")])), where="g.json")
    after = replace(before, matrix=again(matrix_of(exported, before.version)))
    facts = {"disk.firmware": "7.0", "backup.age": "5 h"} | ({"ha.state": fact} if fact else {})
    for node in exported.nodes[:-1]:  # of the release itself a graph says nothing
        assert decide_from(before, node.version).allowed == decide_from(after, node.version).allowed
        pair = state(version=node.version, facts=facts)
        assert decide(before, pair).allowed == decide(after, pair).allowed, node.version
