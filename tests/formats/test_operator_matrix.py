"""An upgrade matrix for a bundle whose format has none: the operator's, and what the bundle says by itself."""

import datetime as dt

import msgspec
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


def test_a_matrix_can_have_entries_for_models_of_other_bundles(matrix):
    block = '[[block]]\nid = "b"\nversions = "1.5.0"\nmodels = ["t-2"]\n'
    found = report(matrix(MATRIX + block), sources="1.5.0")
    assert [one.kind for one in found.decisions] == ["upgrade"]


# --- several matrices ---


def for_release(**values):
    lines = [f'{key} = "{value}"' for key, value in values.items()]
    return MATRIX.replace("[release]", "\n".join(["[release]", *lines]))


@pytest.fixture
def matrices(tmp_path):
    """The matrices in a folder, in files named by number."""

    def write(*texts):
        for number, text in enumerate(texts):
            (tmp_path / f"{number}.toml").write_text(text)
        (tmp_path / "trust.toml").write_text("trust = 1\n")
        (tmp_path / "notes.txt").write_text("matrix = 1\n")
        return bundlekit.load_matrices([tmp_path])

    return write


def used(found, given):
    return [number for number, one in enumerate(given) if one.digest == found.request.matrix]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([for_release(version="2.0.0"), for_release(version="1.9.0")], [0]),
        ([for_release(version="1.9.0"), for_release(version="2.0.0")], [1]),
        ([for_release(product="toy"), for_release(product="other")], [0]),
        ([MATRIX, for_release(version="2.0.0")], [1]),
        ([for_release(product="toy"), for_release(product="toy", version="2.0.0")], [1]),
        ([for_release(called="toy", product="t"), for_release(called="other", product="toy")], [0]),
    ],
)
def test_the_matrix_for_a_bundle_names_its_release(matrices, texts, expected):
    given = matrices(*texts)
    found = report(given, sources="1.5.0")
    assert used(found, given) == expected
    assert found.request.matrix_file == given[expected[0]].file
    assert [one.kind for one in found.decisions] == ["upgrade"]


@pytest.mark.parametrize(
    "texts",
    [
        [for_release(version="2.0.0"), for_release(version="2.0.0").replace("from-1.5", "another")],
        [MATRIX, for_release(product="toy")],
    ],
)
def test_two_matrices_for_one_bundle_are_an_error(matrices, texts):
    with pytest.raises(ConfigError, match=r"0\.toml and .*1\.toml are all for toy 2\.0\.0"):
        report(matrices(*texts), sources="1.5.0")


@pytest.mark.parametrize("texts", [[for_release(version="2.0.1")], 5 * [for_release(version="2.0.1")]])
def test_a_matrix_for_another_release_decides_nothing(matrices, texts):
    found = report(matrices(*texts), sources="1.5.0")
    assert (found.decisions, found.request.matrix) == ((), msgspec.UNSET)
    outcome = next(one for one in found.rules if one.rule == "unsupported-source")
    assert (outcome.outcome, outcome.required) == ("not-run", True)
    assert outcome.reason.startswith("no upgrade matrix is for this release: ")
    assert "0.toml is for 2.0.1" in outcome.reason
    assert ("and 2 more" in outcome.reason) == (len(texts) == 5)


def test_a_folder_without_a_matrix_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="has no matrix"):
        bundlekit.load_matrices([tmp_path])


def test_a_matrix_that_is_given_twice_is_one(tmp_path):
    (tmp_path / "m.toml").write_text(MATRIX)
    given = bundlekit.load_matrices([tmp_path, tmp_path / "m.toml", tmp_path / ".." / tmp_path.name / "m.toml"])
    assert len(given) == 1


def test_among_several_bundles_an_update_bin_uses_its_own_matrix(matrices):
    given = matrices(for_release(version="2.0.0"), for_release(version="1.9.0"))
    found = report(given, data=forge.good(), sources="5.20.03")
    assert (found.request.matrix, [one.kind for one in found.decisions]) == (msgspec.UNSET, ["upgrade"])
