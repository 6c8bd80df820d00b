"""``bundlekit compare``: exit codes, outputs, and the questions that people ask."""

import json
from pathlib import Path

import pytest

TRUST = ("--trust", "keys/root.pem")
MATRIX = 'releases = ["5.20.00", "5.30.02"]\n[[from]]\nid = "rolling"\nversions = ">=5.20.00, <{version}"\n'


@pytest.fixture
def two(cli, ship):
    cli("keygen", "more")
    old = ship("5.30.02", MATRIX.format(version="5.30.02"))
    new = ship("5.40.00", MATRIX.format(version="5.40.00"), released="2026-11-24", counter=8, signer="more/signer")
    return old, new


def test_a_bundle_and_itself(cli, two):
    done = cli("compare", two[0], two[0], *TRUST)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-1].startswith("SAME: the heads are the same")
    assert "the payload: signed digests were compared (--full reads the bytes)" in done.out
    assert cli("compare", two[0], two[0], *TRUST, "--full").out.splitlines()[-1].startswith("SAME: all ")


def test_two_releases_by_two_keys(cli, two):
    done = cli("compare", *two, *TRUST, "--trust", "more/root.pem")
    assert done.code == 1
    assert "  fact       version: 5.30.02 -> 5.40.00\n" in done.out
    assert "  key        NEW: " in done.out
    assert done.out.splitlines()[-1].startswith("DIFFERS: 1 signing key new; version 5.30.02 became 5.40.00")


def test_strict_has_an_exit_code_of_its_own(cli, two):
    done = cli("compare", *two, *TRUST, "--trust", "more/root.pem", "--strict")
    assert done.code == 3
    assert done.out.splitlines()[-1].startswith("INCOMPLETE (key-new): ")


def test_a_bundle_that_is_not_authentic(cli, two):
    done = cli("compare", *two, *TRUST)
    assert done.code == 3
    assert "  error      not-authentic [new]: " in done.out
    assert done.out.splitlines()[-1].startswith("INCOMPLETE (not-authentic): ")


def test_without_trust_the_result_states_it(cli, two):
    done = cli("compare", *two)
    assert done.code == 1
    assert "nothing is authenticated" in done.out
    assert all("NOT VERIFIED" in line for line in done.out.splitlines() if line.startswith(("old ", "new ")))


def test_strict_and_ignored_signatures_contradict_one_another(cli, two):
    done = cli("compare", *two, "--strict", "--ignore-signatures")
    assert (done.code, done.out) == (2, "")


@pytest.mark.parametrize("style", ["text", "json", "markdown"])
def test_the_output_goes_to_a_file_as_it_is_printed(cli, two, style):
    printed = cli("compare", *two, "--at", "2026-12-05", "--format", style)
    written = cli("compare", *two, "--at", "2026-12-05", "--format", style, "-o", "out")
    assert (written.code, written.out) == (printed.code, "")
    assert Path("out").read_text() == printed.out
    assert cli("compare", *two, "--at", "2026-12-05", "--format", style).out == printed.out


def test_several_outputs_have_the_formats_of_their_suffixes(cli, two):
    done = cli("compare", *two, "--at", "2026-12-05", "-o", "-", "-o", "a.json", "-o", "b.md", "-o", "c.txt")
    assert done.code == 1
    assert done.out == Path("c.txt").read_text()
    assert json.loads(Path("a.json").read_text())["verdict"] == "differs"
    assert Path("b.md").read_text().startswith("## ")


@pytest.mark.parametrize("output", [["junit.xml"], ["page.html"], ["5.30.02.bin"], ["a.md", "a.md"]])
def test_an_output_that_cannot_be_written_is_a_usage_error(cli, two, output):
    done = cli("compare", *two, *(word for file in output for word in ("-o", file)))
    assert (done.code, done.out) == (2, "")
    assert not Path(output[0]).exists() or output[0] in two


def test_the_json_has_what_the_text_has(cli, two):
    found = json.loads(cli("compare", *two, "--format", "json").out)
    assert (found["schema"], found["verdict"]) == ("bundlekit/comparison/1", "differs")
    assert [one["continuity"] for one in found["signers"]] == ["new"]
    assert found["matrix"]["diff"]["schema"] == "bundlekit/matrix-diff/1"


def test_a_detached_head_and_its_files(cli, ship):
    ship("5.30.02", MATRIX.format(version="5.30.02"))
    signer = ["--cert", "keys/signer.pem", "--key", "keys/signer.key"]
    assert cli("build", "5.30.02.toml", "--detached", "-o", "one.bk", *signer).code == 0
    assert cli("compare", "one.bk", "one.bk", "--full").code == 0
    Path("image").write_bytes(b"other" * 1000)
    assert cli("build", "5.30.02.toml", "--detached", "-o", "two.bk", *signer).code == 0
    done = cli("compare", "one.bk", "two.bk", *TRUST)
    assert done.code == 1
    assert "  component  appliance: changed 5.30.02, 5,000 bytes; 1 of 1 chunks differ" in done.out
