"""An upgrade matrix for a bundle whose format has none: the operator's, and what the bundle says by itself."""

import datetime as dt

import pytest

import bundlekit
from bundlekit import config
from bundlekit.errors import ConfigError
from bundlekit.model.appliance import Appliance
from bundlekit.source import BytesSource
from fixtures import forge
from tests.formats import toy

NOW = dt.datetime.fromisoformat(forge.AT)

pytestmark = pytest.mark.usefixtures("_toys")

MATRIX = """
matrix = 1
releases = ["1.0.0", "1.5.0", "1.9.0"]

[release]
scheme = "semver"

[[from]]
id = "from-1.5"
versions = ">=1.5.0, <2.0.0"
"""


@pytest.fixture
def matrix(tmp_path):
    def write(text=MATRIX):
        path = tmp_path / "matrix.toml"
        path.write_text(text)
        return bundlekit.load_matrix(path)

    return write


def state(version, *, counter=3, **changes):
    member = {"role": "active", "version": version, "released": "2026-10-01"}
    fields = {
        "schema": "bundlekit/state/1",
        "pair": "p",
        "product": "toy",
        "model": "t-1",
        "counter": counter,
        "includes": [],
    }
    return config.convert(fields | {"members": {"A": member}} | changes, Appliance, where="state")


def report(matrix=None, *, data=None, **asked):
    return bundlekit.check(BytesSource(data or toy.write()), matrix=matrix, at=NOW, **asked)


@pytest.mark.parametrize(
    ("version", "kind"),
    [
        ("1.5.0", "upgrade"),
        ("1.9.0", "upgrade"),
        ("1.0.0", "unsupported-source"),
        ("1.7.0", "unknown-version"),
        ("2.0.0", "same-version"),
        ("2.1.0", "downgrade"),
        ("two", "unreadable-version"),
    ],
)
def test_the_operators_matrix_decides(matrix, version, kind):
    found = report(matrix(), sources=version)
    assert [one.kind for one in found.decisions] == [kind]
    assert found.request.matrix == matrix().digest
    assert (kind in {one.rule for one in found.findings}) == (kind != "upgrade")


def test_without_a_matrix_no_version_is_decided():
    found = report(sources="1.5.0")
    assert found.decisions == ()
    outcome = next(one for one in found.rules if one.rule == "unsupported-source")
    assert (outcome.outcome, outcome.required) == ("not-run", True)
    assert "has no upgrade matrix" in outcome.reason


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"product": "other"}, "wrong-product"),
        ({"model": "t-2"}, "wrong-model"),
        ({"counter": 4}, "counter-too-low"),
        ({}, None),
    ],
)
def test_without_a_matrix_the_bundle_still_rules_out_what_it_is_not_for(changes, kind):
    pair = state("1.5.0", **changes)
    found = report(appliance=pair)
    assert [one.kind for one in found.decisions] == ([kind] if kind else [])
    assert [one.rule for one in found.findings if one.rule == kind] == ([kind] if kind else [])


def test_a_matrix_about_another_product_decides_nothing_else(matrix):
    found = report(matrix(MATRIX.replace("[release]", '[release]\ncalled = "Another Toy"')), sources="1.5.0")
    assert [one.kind for one in found.decisions] == ["wrong-product"]
    assert found.verdict == "reject"
    assert "Another Toy" in found.decisions[0].overall.message


def test_a_bundle_with_a_matrix_of_its_own_takes_no_other(matrix):
    with pytest.raises(ConfigError, match="has an upgrade matrix of its own"):
        report(matrix(), data=forge.good(), sources="5.20.03")


def test_what_orders_the_versions_has_to_be_known(matrix):
    with pytest.raises(ConfigError, match="does not define the order of its versions"):
        report(matrix(MATRIX.replace('scheme = "semver"', "")), sources="1.5.0")


def test_a_bundle_without_release_date_leaves_it_open_whether_it_goes_back_in_time(matrix):
    pair = state("1.5.0")
    found = report(matrix(), appliance=pair)
    assert [one.kind for one in found.decisions] == ["undecided"]
    dated = MATRIX.replace("[release]", "[release]\nreleased = 2026-11-01")
    assert [one.kind for one in report(matrix(dated), appliance=pair).decisions] == ["upgrade"]


def test_the_report_is_about_what_the_format_has(matrix):
    rules = {one.rule for one in report(matrix(), sources="1.5.0").rules}
    assert {"digest-mismatch", "structure-malformed", "unsigned", "unsupported-source"} <= rules
    assert not {"manifest-schema", "chunk-digest-mismatch", "signature-area-dirty", "hash-tree-mismatch"} & rules


def test_a_changed_payload_is_found():
    data = toy.write()
    found = bundlekit.check(BytesSource(data[:-1] + b"x"), at=NOW, full=True)
    (finding,) = (one for one in found.findings if one.rule == "digest-mismatch")
    assert (finding.where.start, finding.where.stop) == (len(data) - 7, len(data))
