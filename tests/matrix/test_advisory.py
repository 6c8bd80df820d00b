"""An advisory restricts, under the name of its entry, and never allows more than there was without it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bundlekit.config import convert
from bundlekit.errors import ConfigError
from bundlekit.matrix import decide, decide_from, restricted, withdrawn
from bundlekit.model.advisory import Advisory
from bundlekit.model.decision import Acceptance, Policy
from tests.matrix.world import manifest, state

VERSIONS = ["5.20.00", "5.20.03", "5.30.02", "5.32.00", "5.32.01", "5.40.00", "5.50.00"]


def advisory(**entries):
    fields = {"advisory": 1, "product": "imager", "serial": 1, "issued": "2026-12-01", "until": "2027-03-01"}
    return convert(
        fields | {key.replace("_", "-"): value for key, value in entries.items()}, Advisory, where="advisory"
    )


WHEN = {"fact": "disk.firmware", "test": "below", "value": "7.1"}


@pytest.mark.parametrize(
    ("entries", "kind"),
    [
        ({}, "upgrade"),
        ({"blocks": [{"id": "A", "versions": "5.30.02"}]}, "blocked"),
        ({"blocks": [{"id": "A", "versions": "5.30.02", "into": "5.40.00"}]}, "blocked"),
        ({"blocks": [{"id": "A", "versions": "5.30.02", "into": ">=5.41.00"}]}, "upgrade"),
        ({"blocks": [{"id": "A", "versions": "5.32.00"}]}, "upgrade"),
        ({"stops": [{"id": "A", "versions": "<5.32.01", "via": "5.32.01"}]}, "needs-stop"),
        ({"risks": [{"id": "A", "when": WHEN}]}, "risk"),
        ({"dead-ends": [{"id": "A", "versions": "5.30.02"}]}, "dead-end"),
        ({"withdrawn": [{"id": "A", "versions": "5.40.00"}]}, "withdrawn"),
        ({"withdrawn": [{"id": "A", "versions": "5.39.00"}]}, "upgrade"),
        ({"blocks": [{"id": "A", "versions": "5.30.02", "into": "next"}]}, "blocked"),
        ({"blocks": [{"id": "A", "versions": "oh no"}]}, "undecided"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value)[:60],
)
def test_what_an_entry_does(entries, kind):
    decision = decide(restricted(manifest(), advisory(**entries)), state())
    assert decision.kind == kind
    if kind not in ("upgrade", "undecided"):
        assert decision.overall.entry == "A"


def test_what_is_withdrawn_is_so_for_everybody():
    gone = restricted(manifest(), advisory(withdrawn=[{"id": "A", "versions": "5.40.00", "reason": "Bad."}]))
    assert (withdrawn(gone).kind, withdrawn(gone).overall.entry) == ("withdrawn", "A")
    assert withdrawn(manifest()) is None
    assert withdrawn(replace(gone, kind="reimage")).kind == "withdrawn"
    unreadable = restricted(manifest(), advisory(withdrawn=[{"id": "A", "versions": "oh no", "reason": "Bad."}]))
    assert withdrawn(unreadable).kind == withdrawn(manifest({"releases": ["oh-no"]})).kind == "undecided"


def test_a_matrix_that_cannot_be_read_stays_so():
    broken = manifest({"releases": ["oh-no"]})
    assert restricted(broken, advisory(blocks=[{"id": "A", "versions": "*"}])) is broken


@pytest.mark.parametrize("key", ["sources", "from", "releases", "aliases", "works-together", "trusted-keys"])
def test_nothing_that_could_allow_has_a_place_in_an_advisory(key):
    with pytest.raises(ConfigError, match="unknown key"):
        advisory(**{key: []})


versions = st.sampled_from(VERSIONS)
signs = st.sampled_from(["", ">=", "<", ">", "<=", "!="])
ranges = st.just("*") | st.builds("{}{}".format, signs, versions)
names = st.integers(0, 3).map("E{}".format)


def entries(**fields):
    return st.lists(st.fixed_dictionaries({"id": names, "versions": ranges} | fields), max_size=3)


advisories = st.fixed_dictionaries(
    {
        "blocks": entries(into=ranges),
        "stops": entries(into=ranges, via=versions, latest=st.just(False)),
        "dead-ends": entries(into=ranges),
        "withdrawn": entries(),
        "risks": entries(into=ranges, when=st.just(WHEN)),
    }
)
policies = st.builds(
    Policy,
    allow_same_version=st.booleans(),
    allow_reinstall=st.booleans(),
    allow_downgrade=st.booleans(),
    accepted_risks=st.lists(st.builds(Acceptance, risk=names), max_size=2).map(tuple),
)
installed = st.builds(
    lambda version, disk: (version, {"disk.firmware": disk} if disk else {}),
    versions,
    st.sampled_from(["7.0", "7.2", ""]),
)


@given(advisories, advisories, installed, policies)
def test_an_advisory_never_allows_more(before, entries, found, policy):
    """Whatever a matrix says (the first of the two), whatever is installed, and whatever the operator allows."""
    plain = restricted(manifest({"from": [{"id": "all", "versions": "*"}]}), advisory(**before))
    advised = restricted(plain, advisory(**entries))
    version, facts = found
    pair = state(version=version, facts=facts)
    assert decide(plain, pair, policy).allowed or not decide(advised, pair, policy).allowed
    assert decide_from(plain, version, policy).allowed or not decide_from(advised, version, policy).allowed
