"""Contradictions within one manifest: each is named with its entry and field."""

import json

import msgspec
import pytest

from bundlekit.layout import canonical
from bundlekit.layout.places import Places
from bundlekit.matrix import decide_from, inconsistencies
from bundlekit.model.bundle import Span
from bundlekit.model.matrix import DeclaredScheme
from tests.counting import at_most
from tests.matrix.world import MATRIX, component, manifest

ALONE = {"aliases": {}, "works-together": []}
FROM = {"id": "r", "versions": "*"}


def entry(key, **fields):
    return {key: [{"id": "e", "versions": "<5.30.02"} | fields]}


FAULTS = {
    "range": (entry("block", versions=">=5.x"), "e", "versions", "is wrong at character 3"),
    "empty range": (entry("block", versions=">5.30.02, <5.30.02"), "e", "versions", "is empty"),
    "empty range of what was withdrawn": (entry("withdrawn", versions=">2, <1"), "e", "versions", "is empty"),
    "empty range of components": (
        {"works-together": [{"id": "e", "appliance": ">2, <1", "storage": "*"}]},
        "e",
        "appliance",
        "is empty",
    ),
    "empty range of a skew": ({"skew": [{"id": "e", "old": "*", "new": ">2, <1"}]}, "e", "new", "is empty"),
    "unreadable skew": ({"skew": [{"id": "e", "old": "x", "new": "*"}]}, "e", "old", "is wrong at character 1"),
    "range of a component": (
        {"works-together": [{"id": "e", "appliance": "*", "storage": "x"}]},
        "e",
        "storage",
        "is wrong at character 1",
    ),
    "source that never matches": (entry("from", versions="5.31.00"), "e", "versions", "none of the listed releases"),
    "source whose every match is denied": (
        entry("from", versions="5.30.02", **{"except": ["5.30.02"]}),
        "e",
        "versions",
        "none of the listed releases",
    ),
    "unreadable denial": (entry("from", **{"except": ["x"]}), "e", "except", "is not a version"),
    "block that never matches": (entry("block", versions="5.31.00"), "e", "versions", "none of the listed releases"),
    "dead end that never matches": (entry("dead-end", versions="<5"), "e", "versions", "none of the listed releases"),
    "model": (entry("block", models=["im-300"]), "e", "models", "not for the model im-300"),
    "model of a source": (entry("from", models=["im-300"]), "e", "models", "not for the model im-300"),
    "stop via an unreadable version": (entry("stop", via="x"), "e", "via", "is not a version"),
    "stop via an unknown version": (entry("stop", via="5.31.00"), "e", "via", "not among the releases"),
    "stop via an old version": (entry("stop", versions="5.30.02", via="5.20.03"), "e", "via", "not newer than any"),
    "stop via no release": (entry("stop", via="5.31", latest=True), "e", "via", "that begins with 5.31"),
    "stop via no numbers": (entry("stop", via="5.x", latest=True), "e", "via", "not the beginning of release numbers"),
    "condition without a unit": (
        {"risk": [{"id": "e", "when": {"fact": "age", "below": "a day"}}]},
        "e",
        "when",
        "'a day' cannot be compared",
    ),
    "condition of a stop": (
        entry("stop", via="5.30.02", when={"fact": "age", "at-least": "1 week"}),
        "e",
        "when",
        "'1 week' cannot be compared",
    ),
    "same id": ({"block": [{"id": "rolling-530", "versions": "5.32.00"}]}, "rolling-530", "id", "the same id"),
    "alias of an alias": ({"aliases": {"a": "b", "b": "5.20.00"}}, "", "aliases", "'a' means 'b', which is an alias"),
    "alias in a cycle": ({"aliases": {"5.2": "5.3", "5.3": "5.2"}}, "", "aliases", "'5.2' means '5.3'"),
    "alias that is a release": ({"aliases": {"5.20.00": "5.20.03"}}, "", "aliases", "'5.20.00' is a release"),
    "alias that is the bundle": ({"aliases": {"5.40.00": "5.20.03"}}, "", "aliases", "'5.40.00' is a release"),
    "alias of what is not listed": ({"aliases": {"5.2": "5.21.00"}}, "", "aliases", "5.21.00, which is not listed"),
    "alias of what is unreadable": ({"aliases": {"5.2": "five"}}, "", "aliases", "'five' is not a version"),
    "unreadable release": ({"releases": [*MATRIX["releases"], "x"]}, "", "releases", "'x' is not a version"),
    "release listed twice": ({"releases": [*MATRIX["releases"], "5.20.0"]}, "", "releases", "more than once"),
    "no releases": ({"releases": [], "aliases": {}}, "rolling-530", "unlisted", "must be true"),
    "keys twice": ({"trusted-keys": {"5.20.00": ["a"], "5.20.0": ["b"]}}, "", "trusted-keys", "more than once"),
    "keys since when": ({"trusted-keys": {"x": ["a"]}}, "", "trusted-keys", "'x' is not a version"),
    "unlisted in listed order": (
        ALONE | {"order": "listed", "from": [FROM | {"unlisted": True}]},
        "r",
        "unlisted, by-release",
        "only listed versions can be compared",
    ),
    "bound that has no place": (
        ALONE | {"order": "listed", "from": [FROM | {"versions": "<5.31.00"}]},
        "r",
        "versions",
        "this one is not listed",
    ),
}


@pytest.mark.parametrize(("matrix", "name", "field", "says"), FAULTS.values(), ids=FAULTS)
def test_fault_is_named_with_entry_and_field(matrix, name, field, says):
    problems = inconsistencies(manifest(matrix))
    found = [problem for problem in problems if problem.subject == name and problem.params["field"] == field]
    assert found, problems
    assert says in found[0].message
    assert {problem.rule for problem in problems} == {"manifest-inconsistent"}


@pytest.mark.parametrize(("matrix", "name", "field", "says"), FAULTS.values(), ids=FAULTS)
def test_fault_stands_where_its_entry_and_field_are(matrix, name, field, says):
    data = canonical.encode(msgspec.to_builtins(manifest(matrix)))
    where = Places(json.loads(data), Span(start=0, stop=len(data))).entry(name, field)
    there = data[where.start : where.stop]
    if there.startswith(b'"'):
        assert there.startswith(b'"%s":' % field.encode())
    else:  # a field that is not there, or of more than one name
        assert json.loads(there)["id"] == name


FAULTS_OF_THE_BUNDLE = {
    "its own version": (
        {"components": (component("storage", "3.4.0"),)},
        "components",
        "no component has the version of the bundle",
    ),
    "its own version in its scheme": (
        {"version": "5.x", "components": (component("appliance", "5.x"),)},
        "version",
        "Manifest, version: '5.x' is not a version of the scheme dotted",
    ),
    "no declaration": ({"scheme": "declared"}, "scheme", "does not declare one"),
    "the appliance has another version": (
        {"components": (component("appliance", "5.40.01"),)},
        "components.appliance",
        "appliance must have the version and the scheme of the bundle",
    ),
    "the appliance has another scheme": (
        {"components": (component("appliance", "5.40.00", scheme="pep440"),)},
        "components.appliance",
        "appliance must have the version and the scheme of the bundle",
    ),
    "a component's version": (
        {"components": (component("appliance", "5.40.00"), component("storage", "three"))},
        "components.storage.version",
        "'three' is not a version",
    ),
    "a component's scheme": (
        {"components": (component("appliance", "5.40.00"), component("storage", "3", scheme="declared"))},
        "components.storage.scheme",
        "does not declare one",
    ),
    "requirement without a unit": (
        {"requirements": {"facts": [{"fact": "age", "test": "below", "value": "soon"}]}},
        "requirements.facts.age",
        "'soon' cannot be compared",
    ),
    "requirement of a tool": ({"requirements": {"tool": "new"}}, "requirements.tool", "'new' is not a version"),
    "a release in another scheme than the list of them": (
        {"matrix": {"order": "listed", "releases": ["5.x"], "aliases": {}}},
        "releases",
        "Matrix, releases: '5.x' is not a version",
    ),
}


@pytest.mark.parametrize(("fields", "field", "says"), FAULTS_OF_THE_BUNDLE.values(), ids=FAULTS_OF_THE_BUNDLE)
def test_fault_of_the_bundle_is_named(fields, field, says):
    if "requirements" in fields:
        fields = {"requirements": msgspec.convert(fields["requirements"], type(manifest().requirements))}
    problems = inconsistencies(manifest(**fields))
    assert [problem.params["field"] for problem in problems] == [field]
    assert says in problems[0].message


def test_two_components_of_one_name_are_a_fault_whichever_of_them_the_matrix_is_about():
    parts = (component("os", "5.40.00"), component("os", "5.40.00"))
    matrix = {"aliases": {"lts": "5.30.02"}, "works-together": []}
    problems = inconsistencies(manifest(matrix, components=parts))
    assert [problem.params["field"] for problem in problems] == ["components"]
    assert "two components are named 'os'" in problems[0].message


def test_a_good_matrix_has_no_fault_and_all_faults_are_listed():
    assert inconsistencies(manifest()) == ()
    bad = {"block": [{"id": "a", "versions": "x"}, {"id": "b", "versions": "y"}], "aliases": {"z": "z2"}}
    assert {problem.subject for problem in inconsistencies(manifest(bad))} == {"a", "b", ""}


def test_a_declared_scheme_of_a_component_is_the_matrix_s():
    declared = msgspec.to_builtins(DeclaredScheme(forms=("SP#",)))
    parts = (component("appliance", "5.40.00"), component("storage", "SP3", scheme="declared"))
    matrix = {"scheme": declared, "works-together": [{"appliance": "*", "storage": ">=SP1"}]}
    bundle = manifest(matrix, components=parts)
    assert inconsistencies(bundle) == ()
    assert decide_from(bundle, "5.30.02").allowed


def test_a_huge_matrix_is_read_decided_and_checked_in_bounded_time():
    releases = [f"5.{minor}.{patch:02}" for minor in range(80) for patch in range(10)]
    some = releases[:400]
    matrix = {
        "releases": releases,
        "aliases": {},
        "from": [{"id": f"f{at}", "versions": f">={version}, <6"} for at, version in enumerate(some)],
        "block": [{"id": f"b{at}", "versions": f"{version}, !=5.99.99"} for at, version in enumerate(some)],
        "stop": [{"id": f"s{at}", "versions": "<5.1", "via": "5.2", "latest": True} for at in range(400)],
    }
    bundle = manifest(matrix, version="6.0.0", components=(component("appliance", "6.0.0"),))
    with at_most(2_000_000):
        assert decide_from(bundle, "5.79.09").kind == "upgrade"
        assert decide_from(bundle, "5.00.00").kind == "blocked"
        assert inconsistencies(bundle) == ()
