"""`bundlekit matrix` on an operator's matrix, and the faults of such a matrix in a check."""

import json
from pathlib import Path

import pytest

import bundlekit
from bundlekit.errors import ConfigError, UnreadableError

BUNDLE = Path(__file__).parents[2] / "fixtures" / "formats" / "rauc" / "verity.raucb"
TRUST = BUNDLE.with_name("trust.toml")

MATRIX = """
matrix = 1
releases = ["2026.8", "2026.9", "2026.10"]
[release]
scheme = "pep440"
product = "Test Board"
version = "2026.11-1"
[[from]]
id = "since-2026.9"
versions = ">=2026.9, <2026.11"
[[block]]
id = "power"
versions = "2026.10"
reason = "2026.10 loses its power state."
"""


@pytest.fixture
def matrix(tmp_path):
    def write(text=MATRIX, name="up.toml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize("words", [("lint",), ("show",), ("diff", BUNDLE)])
def test_a_bundle_in_another_format_has_no_matrix(cli, words):
    result = cli("matrix", *words, BUNDLE)
    assert result.code == 3, result
    assert "this is a RAUC bundle, and a bundle of this format has no upgrade matrix" in result.err
    assert "`bundlekit matrix lint matrix.toml`" in result.err


def test_neither_has_it_a_manifest():
    with pytest.raises(UnreadableError, match="this is a RAUC bundle, and a bundle of this format has no upgrade"):
        bundlekit.read_manifest(BUNDLE)


def test_the_lint_of_an_operators_matrix(cli, matrix):
    path = matrix()
    result = cli("matrix", "lint", path, "--format", "json")
    report = json.loads(result.out)
    assert (report["product"], report["version"], report["verdict"]) == ("Test Board", "2026.11-1", "accept")
    assert {"detour-unknown", "left-behind", "untested-source"} == {one["rule"] for one in report["findings"]}
    assert set(report["not-run"]) == {"conditions of the bundle", "models of the bundle"}


@pytest.mark.parametrize(("options", "verdict"), [((), "accept"), (("--strict",), "incomplete")])
def test_without_a_version_only_the_matrix_itself_is_linted(cli, matrix, options, verdict):
    path = matrix(MATRIX.replace('version = "2026.11-1"\n', ""))
    report = json.loads(cli("matrix", "lint", path, *options, "--format", "json").out)
    assert (report["version"], report["verdict"], report["findings"]) == ("", verdict, [])
    assert report["not-run"]["stranded-version"] == "[release] has no version, so the release to reach is unknown"
    assert "ACCEPT: Test Board: no findings" in cli("matrix", "lint", path).out


def test_the_lint_finds_the_faults_of_the_matrix_itself(cli, matrix):
    path = matrix(MATRIX.replace('version = "2026.11-1"\n', "").replace("power", "since-2026.9"))
    result = cli("matrix", "lint", path)
    assert result.code == 1, result
    assert "manifest-inconsistent: Matrix entry 'since-2026.9', id: another entry has the same id" in result.out
    assert f"next: Correct it in {path}." in result.out


def test_show_and_diff_take_an_operators_matrix(cli, matrix):
    path = matrix()
    shown = json.loads(cli("matrix", "show", path, "--format", "json").out)
    assert [(row["source"], row["decision"]) for row in shown["rows"]] == [
        ("2026.8", "unsupported-source"),
        ("2026.9", "upgrade"),
        ("2026.10", "blocked"),
        ("2026.11-1", "same-version"),
    ]
    other = matrix(MATRIX.replace('product = "Test Board"\n', "").replace("2026.10", "2026.9"), "new.toml")
    changes = json.loads(cli("matrix", "diff", path, other, "--format", "json").out)["changes"]
    assert ("2026.9", "loses") in [(one["source"], one["change"]) for one in changes]


@pytest.mark.parametrize("verb", ["show", "diff"])
def test_decisions_need_a_version_to_reach(cli, matrix, verb):
    path = matrix(MATRIX.replace('version = "2026.11-1"\n', ""))
    result = cli("matrix", verb, *[path] * (2 if verb == "diff" else 1))
    assert result.code == 3, result
    assert f"{path}: no release is named, so there is no decision about an installed version" in result.err
    assert "Add [release] with version" in result.err
    assert "If a SPEC.toml names this matrix, give that file instead." in result.err


def test_the_order_of_the_versions_must_be_stated(cli, matrix):
    result = cli("matrix", "lint", matrix(MATRIX.replace('scheme = "pep440"\n', "")))
    assert result.code == 3, result
    assert 'Add [release] with scheme = "semver"' in result.err


def test_a_version_outside_its_scheme_is_a_fault_of_the_release_table(cli, matrix):
    path = matrix(MATRIX.replace("pep440", "semver"))
    result = cli("matrix", "show", path)
    assert result.code == 3, result
    assert f"{path}: release.version: '2026.11-1' is not a version of the scheme semver" in result.err


# --- faults of a matrix that is given with a bundle ---


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('id = "power"', 'id = "since-2026.9"', "entry 'since-2026.9', id: another entry has the same id"),
        (">=2026.9, <2026.11", ">=2026.9, <<2026.11", "entry 'since-2026.9', versions: "),
        ('versions = "2026.10"', 'versions = "<2026.8"', "entry 'power', versions: the range <2026.8 matches none"),
    ],
)
def test_a_fault_of_a_given_matrix_is_the_operators_to_correct(cli, matrix, old, new, fault):
    path = matrix(MATRIX.replace(old, new))
    result = cli("check", BUNDLE, "--trust", TRUST, "--matrix", path, "--from", "2026.9")
    assert result.code == 3, result
    assert f"{path}: {fault}" in result.err
    assert f"next: Correct it. `bundlekit matrix lint {path}` lists all faults of the matrix." in result.err
    assert "vendor" not in result.err
    with pytest.raises(ConfigError, match="entry"):
        bundlekit.check(BUNDLE, matrix=bundlekit.load_matrix(path), sources="2026.9")


def test_entries_for_models_need_the_models_of_the_bundle(cli, matrix):
    path = matrix(MATRIX.replace('id = "power"', 'id = "power"\nmodels = ["rev-b"]'))
    result = cli("check", BUNDLE, "--trust", TRUST, "--matrix", path, "--from", "2026.9")
    assert result.code == 3, result
    assert f"{path}: this bundle does not name its models" in result.err
    assert "Add [release] with models = [...] to the matrix." in result.err


def test_a_bundle_without_trusted_signature_was_given_its_matrix(cli, matrix):
    path = matrix()
    stranger = BUNDLE.parents[2] / "keys" / "trust" / "pinned.pub.pem"
    result = cli("check", BUNDLE, "--trust", stranger, "--matrix", path, "--from", "2026.9")
    assert result.code == 1, result
    assert "no trusted signature covers the bundle, so its version is not known for certain" in result.out
    assert "has no upgrade matrix" not in result.out


def test_a_bundle_that_cannot_be_read_is_not_told_to_have_no_matrix(cli, matrix, tmp_path):
    damaged = tmp_path / "damaged.raucb"
    damaged.write_bytes(BUNDLE.read_bytes()[:-100])
    result = cli("check", damaged, "--trust", TRUST, "--matrix", matrix(), "--from", "2026.9")
    assert result.code == 1, result
    assert "the description of the bundle could not be read" in result.out
    assert "has no upgrade matrix" not in result.out


def test_a_version_of_the_bundle_that_the_scheme_does_not_fit(cli, matrix):
    path = matrix("""
matrix = 1
releases = ["1.0.0"]
[release]
scheme = "semver"
[[from]]
id = "one"
versions = ">=1.0.0"
""")
    result = cli("check", BUNDLE, "--trust", TRUST, "--matrix", path, "--from", "1.0.0")
    assert result.code == 3, result
    assert f"The bundle does not fit the matrix {path}. Manifest, version: '2026.11-1' is not a version" in result.out
    assert f"next: Correct [release] in {path}, if the versions of the bundle have another scheme." in result.out
    assert "vendor" not in result.out
