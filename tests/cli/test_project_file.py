"""``check`` and ``preflight`` with a project file: its values are defaults, and the command line overrides them."""

import json
import shutil
from pathlib import Path

import jsonschema
import pytest

from bundlekit.schemas import schema
from fixtures import forge

DEMO = Path(__file__).parents[2] / "fixtures" / "demo"
FILE = """\
config = 1
trust = ["keys/root.pem"]
from = ["5.20.00"]
outputs = ["junit.xml"]
"""


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with the demo bundle; the current folder is one inside of it."""
    for name in ("keys", "inner", ".git"):
        (tmp_path / name).mkdir()
    shutil.copy(DEMO / "root.pem", tmp_path / "keys/root.pem")
    shutil.copy(DEMO / "update.bin", tmp_path / "inner/update.bin")
    (tmp_path / "bundlekit.toml").write_text(FILE)
    monkeypatch.chdir(tmp_path / "inner")
    return tmp_path


def test_the_file_gives_trust_versions_and_outputs(cli, repository):
    result = cli("check", "update.bin")
    assert result.code == 1
    assert "signed by CN=signer" in result.out
    assert "  config     ../bundlekit.toml (sha256:" in result.out
    assert "needs-stop" in result.out
    assert "needs-stop" in (repository / "junit.xml").read_text()


def test_the_command_line_overrides_it_key_by_key(cli, repository):
    result = cli("check", "update.bin", "--from", "5.30.02", "--format", "json", "-o", "report.json")
    report = json.loads(Path("report.json").read_text())
    assert (result.code, result.out) == (0, "")
    assert not (repository / "junit.xml").exists()
    assert report["request"]["sources"] == ["5.30.02"]
    assert report["request"]["config"]["file"] == "../bundlekit.toml"
    jsonschema.validate(report, schema("report"))


RAUC = DEMO.parent / "formats" / "rauc"


@pytest.mark.parametrize(
    ("formats", "file", "options", "code"),
    [
        ('["update.bin"]', "update.bin", (), 0),
        ('["rauc", "update.bin"]', "update.bin", (), 0),
        ('["rauc"]', "update.bin", (), 1),
        ('["rauc"]', "update.bin", ("--bundle-format", "update.bin"), 0),
        ('["rauc"]', "verity.raucb", (), 0),
        ('["update.bin"]', "verity.raucb", (), 1),
        ('["update.bin", "mcuboot"]', "verity.raucb", ("--bundle-format", "mender", "--bundle-format", "esp"), 1),
    ],
)
@pytest.mark.parametrize("verb", ["check", "preflight"])
def test_a_bundle_in_another_format_is_rejected(cli, repository, verb, formats, file, options, code):
    folder, trust = (RAUC, "trust.toml") if file == "verity.raucb" else (DEMO, "root.pem")
    text = f"config = 1\ntrust = ['{(folder / trust).as_posix()}']\nbundle-formats = {formats}\n"
    (repository / "bundlekit.toml").write_text(text)
    result = cli(verb, folder / file, *options, "--at", "2026-12-01", "--format", "json")
    report = json.loads(result.out)
    rejected = [(one["rule"], one["cause"]) for one in report["findings"] if one["severity"] == "error"]
    assert (result.code, rejected) == (code, [("format-not-allowed", "unsupported-format")] * code)
    assert report["request"]["bundle-formats"]
    jsonschema.validate(report, schema("report"))


def test_the_format_of_a_file_that_is_no_bundle_is_not_judged(cli, repository):
    (repository / "inner/update.bin").write_bytes(b"hello")
    result = cli("check", "update.bin", "--bundle-format", "rauc", "--format", "json")
    outcome = {one["rule"]: one["outcome"] for one in json.loads(result.out)["rules"]}
    assert (result.code, outcome["not-a-bundle"], outcome["format-not-allowed"]) == (1, "failed", "not-run")


@pytest.mark.parametrize("style", ["text", "json", "markdown", "html"])
def test_each_report_names_the_file(cli, repository, style):
    assert "../bundlekit.toml" in cli("check", "update.bin", "--format", style).out.replace("&#46;", ".")


def test_preflight_uses_it_too(cli, repository):
    assert cli("preflight", "update.bin").code == 1
    assert "needs-stop" in (repository / "junit.xml").read_text()


PATH = ("path", "update.bin", "--from", "5.30.02", "--to", "5.40.00", "--format", "json")


def test_a_path_is_verified_by_the_trust_of_the_file(cli, repository):
    assert (json.loads(cli(*PATH).out)["verified"], cli(*PATH).code) == (True, 0)
    assert (json.loads(cli(*PATH, "--no-config").out)["verified"], cli(*PATH, "--no-config").code) == (False, 3)


def test_a_path_of_a_graph_takes_nothing_of_the_file(cli, repository):
    graph = {"nodes": [{"version": "1.0.0", "payload": "a"}, {"version": "1.1.0", "payload": "b"}], "edges": [[0, 1]]}
    Path("graph.json").write_text(json.dumps(graph))
    words = ("path", "--graph", "graph.json", "--from", "1.0.0", "--to", "1.1.0")
    assert cli(*words).code == 0
    result = cli(*words, "--trust", "../keys/root.pem")
    assert (result.code, "cannot be combined" in result.err) == (2, True)


def test_a_comparison_takes_trust_and_no_outputs(cli, repository):
    result = cli("compare", "update.bin", "update.bin")
    assert (result.code, "NOT VERIFIED" in result.out, result.err) == (0, False, "")
    assert not (repository / "junit.xml").exists()


def test_a_matrix_is_linted_as_strictly_as_the_file_demands(cli, repository):
    assert cli("matrix", "lint", "update.bin").code == 0
    (repository / "bundlekit.toml").write_text(FILE + "strict = true\n")
    assert cli("matrix", "lint", "update.bin").code == 1
    assert cli("matrix", "lint", "update.bin", "--no-config").code == 0


def test_no_config_uses_none(cli, repository):
    result = cli("check", "update.bin", "--no-config")
    assert (result.code, "config  " in result.out) == (3, False)
    assert not (repository / "junit.xml").exists()


def test_config_names_another_file(cli, repository):
    (repository / "other.toml").write_text('config = 1\ntrust = ["keys/root.pem"]\nformat = "json"\n')
    result = cli("check", "update.bin", "--config", "../other.toml")
    assert (result.code, json.loads(result.out)["request"]["config"]["file"]) == (0, "../other.toml")


@pytest.mark.parametrize(
    "words", [("--no-config", "--config", "x.toml"), ("--config", "../bundlekit.toml", "--no-config")]
)
def test_both_contradict(cli, repository, words):
    result = cli("check", "update.bin", *words)
    assert (result.code, "--config and --no-config are given" in result.err) == (2, True)


def test_a_mistake_ends_the_command_with_key_and_line(cli, repository):
    (repository / "bundlekit.toml").write_text(FILE + "stirct = true\n")
    result = cli("check", "update.bin")
    assert (result.code, result.out) == (3, "")
    assert result.err == "bundlekit: ../bundlekit.toml: line 5: unknown key 'stirct'; did you mean 'strict'?\n"


def test_an_input_that_the_file_names_is_not_overwritten(cli, repository):
    before = (repository / "keys/root.pem").read_bytes()
    result = cli("check", "update.bin", "-o", "../keys/root.pem")
    assert (result.code, "is also an input" in result.err) == (2, True), result
    assert (repository / "keys/root.pem").read_bytes() == before
    (repository / "bundlekit.toml").write_text(FILE.replace("junit.xml", "bundlekit.toml"))
    result = cli("check", "update.bin")
    assert (result.code, "is also an input" in result.err) == (2, True), result


STRICT = 'config = 1\ntrust = ["keys/root.pem"]\n'
WAIVE = '[[waive]]\nrule = "extension-not-understood"\nreason = "CAB-77"\nexpires = {}\n'


@pytest.fixture
def warned(repository):
    """A bundle with a warning."""
    Path("warned.bin").write_bytes(forge.changed(extensions={"battery": {"minimum-charge": 30}}))
    shutil.copy(Path(forge.__file__).parent / "keys/trust/root.pem", "../keys/root.pem")
    return "warned.bin"


@pytest.mark.parametrize(
    ("more", "code", "severity"),
    [
        ("", 0, "warning"),
        ('[rules]\nextension-not-understood = "error"\n', 1, "error"),
        ("[rules]\n" + 'extension-not-understood = "error"\n' + WAIVE.format("2999-01-01"), 0, "waived"),
        (WAIVE.format("2999-01-01"), 0, "waived"),
    ],
)
def test_rules_and_waivers_of_the_file(cli, repository, warned, more, code, severity):
    (repository / "bundlekit.toml").write_text(STRICT + more)
    result = cli("check", warned, "--at", forge.AT)
    assert (result.code, result.err) == (code, "")
    assert f"  {severity:<10} extension-not-understood" in result.out
    assert ("waived: CAB-77 (until 2999-01-01)" in result.out) == ("waive" in more)


def test_the_file_asks_for_signatures_that_end_soon(cli, repository):
    """The certificates of the fixtures end in 2056."""
    (repository / "bundlekit.toml").write_text(STRICT + 'warn-within = "90 days"\n')
    for at, words, found in (("2055-12-01", (), True), ("2055-09-01", (), False), ("2055-12-01", ("1 h",), False)):
        more = ("--warn-within", *words) if words else ()
        result = cli("check", "update.bin", "--at", at, *more)
        assert (result.code, "signer-ends-soon" in result.out) == (0, found), result.err + result.out
    (repository / "bundlekit.toml").write_text(STRICT + 'warn-within = "soon"\n')
    assert "warn-within" in cli("check", "update.bin").err


def test_an_expired_waiver_no_longer_counts_and_is_named(cli, repository, warned):
    (repository / "bundlekit.toml").write_text(STRICT + "strict = true\n" + WAIVE.format("2026-01-01"))
    result = cli("check", warned, "--at", forge.AT)
    assert result.code == 1
    line = "the waiver of extension-not-understood expired on 2026-01-01 and no longer counts"
    assert result.err == f"bundlekit: ../bundlekit.toml: {line}\n"
    assert "next: The waiver for it expired on 2026-01-01 and no longer counts. " in result.out


@pytest.mark.parametrize(("key", "counts"), [('product = "imager"', True), ('product = "camera"', False)])
def test_a_waiver_is_for_the_product_that_it_names(cli, repository, warned, key, counts):
    (repository / "bundlekit.toml").write_text(STRICT + "strict = true\n" + WAIVE.format("2999-01-01") + key)
    assert cli("check", warned, "--at", forge.AT).code == (0 if counts else 1)


def test_folders_of_outputs_are_made_but_no_link_is_followed_out_of_the_repository(cli, repository, tmp_path_factory):
    (repository / "bundlekit.toml").write_text(FILE.replace("junit.xml", "reports/deep/junit.xml"))
    assert cli("check", "update.bin").code == 1
    assert (repository / "reports/deep/junit.xml").exists()
    outside = tmp_path_factory.mktemp("outside")
    (outside / "page.html").write_text("as before")
    (repository / "link").symlink_to(outside)
    (repository / "page.html").symlink_to(outside / "page.html")
    for name in ("link/junit.xml", "link/new/junit.xml", "page.html"):
        (repository / "bundlekit.toml").write_text(FILE.replace("junit.xml", name))
        result = cli("check", "update.bin")
        assert (result.code, "leads out of its folder through a link" in result.err) == (3, True)
    assert [file.name for file in outside.iterdir()] == ["page.html"]
    assert (outside / "page.html").read_text() == "as before"
