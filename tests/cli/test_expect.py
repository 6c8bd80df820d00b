"""``check --expect``: success only for a bundle that is rejected for exactly the cause that was named."""

import json
from pathlib import Path

import junitparser
import pytest

GOLDEN = Path(__file__).parents[2] / "fixtures" / "golden"
DEMO = GOLDEN.parent / "demo"
TRUST = ("--trust", str(DEMO / "root.pem"))
NEEDS_STOP = (str(DEMO / "update.bin"), *TRUST, "--from", "5.20.00")


@pytest.mark.parametrize("name", ["needs-stop", "unsupported-source"])
def test_a_rule_and_its_cause_are_met(cli, name):
    result = cli("check", *NEEDS_STOP, "--expect", name)
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines()[-1] == f"AS EXPECTED: the bundle is rejected by {name}, and by nothing more"


@pytest.mark.parametrize(
    ("asked", "names", "code", "message"),
    [
        (
            ("5.20.00",),
            ("blocked",),
            1,
            "but the bundle is rejected by needs-stop (unsupported-source)",
        ),
        (("5.30.02",), ("needs-stop",), 1, "a rejection by needs-stop is expected, but the bundle is accepted"),
        (
            ("5.20.00", "5.40.00"),
            ("needs-stop",),
            1,
            "by needs-stop alone is expected, but the bundle is also rejected by same-version (not-newer)",
        ),
        (("5.20.00", "5.40.00"), ("needs-stop", "same-version"), 0, ""),
        (("5.20.00", "5.40.00"), ("unsupported-source", "not-newer"), 0, ""),
        (("5.20.00",), ("needs-stop", "same-version"), 1, "by same-version is expected, but the bundle is rejected by"),
    ],
)
def test_what_came_instead_is_named(cli, asked, names, code, message):
    sources = [part for version in asked for part in ("--from", version)]
    expected = [part for name in names for part in ("--expect", name)]
    result = cli("check", str(DEMO / "update.bin"), *TRUST, *sources, *expected)
    assert result.code == code, result.out
    assert message in result.err
    assert message in result.out.splitlines()[-1]


def test_a_version_with_a_typing_error_meets_only_the_name_of_its_rule(cli):
    asked = ("check", str(DEMO / "update.bin"), *TRUST, "--from", "banana")
    result = cli(*asked, "--expect", "unsupported-source")
    assert result.code == 1, result.out
    assert "unsupported-source is expected, but the bundle is rejected by unreadable-version\n" in result.err
    assert cli(*asked, "--expect", "unreadable-version").code == 0
    result = cli(*asked, "--from", "5.20.00", "--expect", "unsupported-source")
    assert (result.code, "is also rejected by unreadable-version\n" in result.err) == (1, True)


@pytest.mark.parametrize("name", ["needs-stop", "unsupported-source"])
def test_each_version_has_to_be_rejected(cli, name):
    asked = ("check", str(DEMO / "update.bin"), *TRUST, "--from", "5.20.00", "--from", "5.30.02")
    result = cli(*asked, "--expect", name)
    assert result.code == 1, result.out
    assert f"by {name} is expected, but the bundle is not rejected for version 5.30.02\n" in result.err
    assert result.out.splitlines()[-1].startswith("NOT AS EXPECTED: ")


def test_each_pair_has_to_be_rejected(cli, tmp_path):
    asked = ("check", str(DEMO / "update.bin"), *TRUST, "--expect", "unsupported-source", "--appliance")
    states = {"p1": "5.20.00", "p2": "5.20.00", "p3": "5.30.02"}
    lines = []
    for pair, version in states.items():
        state = json.loads((DEMO / "STATE.json").read_text().replace("5.30.02", version))
        lines.append(json.dumps(state | {"pair": pair}) + "\n")
    file = tmp_path / "states.jsonl"
    file.write_text("".join(lines[:2]))
    assert cli(*asked, str(file)).code == 0
    file.write_text("".join(lines))
    result = cli(*asked, str(file))
    assert (result.code, "but the bundle is not rejected for pair p3\n" in result.err) == (1, True), result.err
    file.write_text("".join([*lines[:2], "{}\n"]))
    result = cli(*asked, str(file))
    assert (result.code, "but the bundle is not rejected for lines that could not be read\n" in result.err) == (
        1,
        True,
    ), result.err


def test_a_bundle_that_is_rejected_itself_is_rejected_for_each_version(cli):
    bundle = str(GOLDEN / "truncated/bundle.bin")
    assert cli("check", bundle, *TRUST, "--from", "5.30.02", "--expect", "corrupted").code == 0


def test_a_verdict_that_is_incomplete_is_not_as_expected(cli):
    result = cli("check", str(DEMO / "update.bin"), "--expect", "unsigned", "--format", "json")
    assert (result.code, "but the verdict is incomplete" in result.err) == (3, True)
    result = cli("check", "missing.bin", "--expect", "unsigned", "--format", "json")
    assert (result.code, "but the bundle could not be checked" in result.err) == (3, True)


def test_a_name_that_is_unknown_is_a_usage_error(cli):
    result = cli("check", *NEEDS_STOP, "--expect", "need-stop")
    assert result.code == 2
    assert "'need-stop' is neither a rule nor a cause; did you mean 'needs-stop'?" in result.err


def test_warnings_count_in_a_strict_check_only(cli):
    bundle = (str(GOLDEN / "impact-not-said/bundle.bin"), *TRUST, "--expect", "impact-not-said")
    assert cli("check", *bundle).code == 1
    assert cli("check", *bundle, "--strict").code == 0


def test_each_of_several_bundles_has_to_be_rejected_as_expected(cli):
    names = [str(GOLDEN / "truncated/bundle.bin"), str(DEMO / "update.bin"), str(GOLDEN / "unsigned/bundle.bin")]
    result = cli("check", *names, "missing.bin", *TRUST, "--expect", "corrupted")
    assert result.code == 1
    table = [" ".join(line.split()[:-1]) for line in result.out.splitlines()[-5:-1]]
    assert table == [
        "REJECT corrupted, as expected",
        "ACCEPT NOT as expected",
        "REJECT unauthentic, NOT as expected",
        "INCOMPLETE NOT as expected",
    ]
    assert cli("check", names[0], names[0], *TRUST, "--expect", "corrupted").code == 0


def test_the_outputs_show_a_success(cli, tmp_path):
    junit, page, markdown = (tmp_path / name for name in ("junit.xml", "page.html", "summary.md"))
    outputs = [part for file in (junit, page, markdown) for part in ("-o", str(file))]
    assert cli("check", *NEEDS_STOP, "--expect", "needs-stop", *outputs).code == 0
    suites = junitparser.JUnitXml.fromfile(str(junit))
    assert (suites.failures, suites.errors) == (0, 0)
    assert "AS EXPECTED: the bundle is rejected by needs-stop" in junit.read_text()
    assert '<b class="good">AS EXPECTED: </b>the bundle is rejected' in page.read_text()
    assert markdown.read_text().startswith("## ✅ REJECT (unsupported-source)")
    assert "**As expected**: the bundle is rejected by needs-stop" in markdown.read_text()

    assert cli("check", *NEEDS_STOP, "--expect", "blocked", *outputs).code == 1
    suites = junitparser.JUnitXml.fromfile(str(junit))
    assert (suites.failures, suites.errors) == (1, 0)
    assert markdown.read_text().startswith("## ❌ REJECT")
