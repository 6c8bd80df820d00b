"""Laws of the decision: it never raises, unknown is never a yes, and what only restricts never allows more."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from bundlekit.matrix import decide, decide_from, inconsistencies
from bundlekit.matrix.toml import matrix_from_toml
from bundlekit.model.matrix import Matrix
from tests.matrix.world import MATRIX, manifest, state

VERSIONS = ["5.20.00", "5.20.03", "5.30.02", "5.32.00", "5.32.01", "5.40.00", "5.50.00", "5.31.07", "5.2", "5.x"]
versions = st.sampled_from(VERSIONS)
ranges = st.one_of(
    st.just("*"),
    versions,
    st.builds("{}{}".format, st.sampled_from([">=", "<", "!="]), versions),
    st.just(">=5.20.00, <5.40.00"),
)
conditions = st.fixed_dictionaries(
    {"fact": st.sampled_from(["ha.state", "missing", "backup.age"]), "is": st.sampled_from(["synchronised", "off"])}
)
facts = st.dictionaries(
    st.sampled_from(["ha.state", "backup.age", "disk.firmware"]),
    st.recursive(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()), st.lists, max_leaves=3),
)
RESTRICTIONS = {
    "stop": {"via": st.sampled_from(["5.30.02", "5.32.00", "5.31.07"])},
    "block": {},
    "withdrawn": {},
    "dead-end": {},
    "risk": {"when": conditions},
}
restrictions = st.fixed_dictionaries(
    {
        key: st.lists(st.fixed_dictionaries({"versions": ranges} | fields), max_size=2)
        for key, fields in RESTRICTIONS.items()
    }
).map(
    lambda tables: {
        key: [entry | {"id": f"{key}-{at}"} for at, entry in enumerate(entries)] for key, entries in tables.items()
    }
)
law = settings(max_examples=150, deadline=None)


@law
@given(st.one_of(versions, st.text(max_size=70)), restrictions)
def test_only_a_listed_version_is_ever_allowed(version, matrix):
    decision = decide_from(manifest(matrix), version)
    assert not decision.allowed or version in {*MATRIX["releases"], *MATRIX["aliases"]}
    assert decision.allowed or decision.overall.next


@law
@given(versions, restrictions, facts)
def test_restrictions_never_allow_more_and_what_is_unknown_never_helps(version, matrix, known):
    pair = state(version=version, facts=known)
    if decide(manifest(matrix), pair).allowed:
        assert decide(manifest(), pair).allowed
        assert not decide(manifest(matrix), state(version=version, facts={})).overall.rejected
    if decide(manifest(matrix), state(version=version, facts={})).allowed:
        assert decide(manifest(matrix), pair).allowed


@law
@given(restrictions, versions, facts)
def test_the_whole_is_a_yes_only_if_every_part_is(matrix, version, known):
    decision = decide(manifest(matrix), state(version=version, facts=known))
    assert decision.allowed == all(component_decision.allowed for component_decision in decision.component_decisions)
    assert decision.overall in decision.component_decisions


@law
@given(
    st.dictionaries(st.sampled_from(["releases", "sources", "stops", "skews", "aliases"]), st.integers(0, 3)), st.data()
)
def test_any_matrix_of_the_schema_is_decided_or_refused(sizes, data):
    text = st.text("0123456789.-v<>=!*, #()x", min_size=1, max_size=12)
    shapes = {
        "releases": text,
        "sources": st.fixed_dictionaries({"id": st.just("a"), "versions": text, "except": st.lists(text, max_size=2)}),
        "stops": st.fixed_dictionaries({"id": st.just("a"), "versions": text, "via": text, "latest": st.booleans()}),
        "skews": st.fixed_dictionaries({"id": st.just("a"), "old": text, "new": text}),
        "aliases": st.fixed_dictionaries({"alias": text, "version": text}),
    }
    plain = {key: data.draw(st.lists(shapes[key], min_size=size, max_size=size)) for key, size in sizes.items()}
    try:
        matrix = msgspec.convert(plain | {"order": data.draw(st.sampled_from(["version", "listed"]))}, Matrix)
    except msgspec.ValidationError:
        return
    bundle = manifest(version="5.40.00") if not plain else msgspec.structs.replace(manifest(), matrix=matrix)
    for problem in inconsistencies(bundle):
        assert problem.message.isprintable()
    for version in VERSIONS:
        decide_from(bundle, version)
    decide(bundle, state())


def test_the_order_of_entries_does_not_matter_to_what_is_allowed():
    matrix = matrix_from_toml(MATRIX, "matrix.toml")
    turned = msgspec.structs.replace(matrix, sources=matrix.sources[::-1], releases=matrix.releases[::-1])
    for version in VERSIONS:
        bundle = msgspec.structs.replace(manifest(), matrix=turned)
        assert decide_from(bundle, version) == decide_from(manifest(), version)
