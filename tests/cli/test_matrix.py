"""``bundlekit matrix``: the table, the lint and the comparison over the command line, from bundles and SPECs."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

import bundlekit
from bundlekit.cli import matrix
from bundlekit.schemas import schema

MATRIX = """\
releases = ["5.20.00", "5.30.02", "5.32.00"]
[[from]]
id = "rolling"
versions = ">=5.30.02, <5.40.00"
tested = "=QA 1"
minutes = 95
[[stop]]
id = "key-2027"
versions = "<5.30.02"
via = "5.30.02"
reason = "Old key."
"""
BLOCK = '[[block]]\nid = "KB-1"\nversions = "5.32.00"\n'
REASONED = '[[block]]\nid = "KB-1"\nversions = "5.32.00"\nreason = "\\u202eBad."\n'


def test_show_is_the_list_of_what_to_test(cli, ship):
    bundle = ship("5.40.00", MATRIX)
    result = cli("matrix", "show", bundle)
    assert result.code == 0
    assert [line.split()[1:3] for line in result.out.splitlines()[2:]] == [
        ["5.20.00", "needs-stop"],
        ["5.30.02", "upgrade"],
        ["5.32.00", "upgrade"],
        ["5.40.00", "same-version"],
    ]
    assert "NOT VERIFIED" in result.err
    shown = json.loads(cli("matrix", "show", bundle, "--format", "json").out)
    jsonschema.validate(shown, schema("matrix-table"))
    rows = list(csv.DictReader(io.StringIO(cli("matrix", "show", bundle, "--format", "csv").out)))
    assert [row["from"] for row in rows] == [row["source"] for row in shown["rows"]]
    assert rows[1] == {
        "from": "5.30.02",
        "model": "",
        "decision": "upgrade",
        "entry": "rolling",
        "method": "rolling",
        "minutes": "95",
        "tested": "'=QA 1",  # a spreadsheet would take it for a formula
        "next": "",
    }


def test_a_spec_says_the_same_before_there_are_images(cli, ship):
    bundle = ship("5.40.00", MATRIX)
    Path("image").unlink()
    for style in ("text", "json", "csv"):
        shown = cli("matrix", "show", bundle, "--format", style).out
        assert cli("matrix", "show", "5.40.00.toml", "--format", style).out == shown


def test_only_what_is_vouched_for_is_taken_if_trust_is_given(cli, ship):
    bundle = ship("5.40.00", MATRIX)
    result = cli("matrix", "show", bundle, "--trust", "keys/root.pem")
    assert (result.code, result.err) == (0, "")
    cli("keygen", "others")
    result = cli("matrix", "show", bundle, "--trust", "others/root.pem")
    assert result.code == 3
    assert "it is not signed by a trusted signer" in result.err


@pytest.mark.parametrize("verb", ["show", "lint"])
@pytest.mark.parametrize("name", ["missing.bin", "missing.toml", "image"])
def test_what_cannot_be_read_is_not_checked(cli, shop, verb, name):
    result = cli("matrix", verb, name)
    assert result.code == 3
    assert name in result.err


def test_lint_exits_as_check_does(cli, ship):
    clean = ship("5.40.00", MATRIX)
    result = cli("matrix", "lint", clean)
    assert (result.code, result.out) == (0, "ACCEPT: imager 5.40.00: no findings\n")
    blocked = ship("5.40.00", MATRIX + BLOCK)
    result = cli("matrix", "lint", blocked)
    assert result.code == 1
    assert "stranded-version: 5.32.00 is stranded" in result.out
    assert "(matrix entry KB-1)" in result.out
    report = json.loads(cli("matrix", "lint", blocked, "--format", "json").out)
    jsonschema.validate(report, schema("lint"))
    assert report["verdict"] == "reject"
    left = ship("5.40.00", MATRIX + REASONED)
    result = cli("matrix", "lint", left, "--strict")
    assert result.code == 0
    assert "left-behind: KB-1 blocks the update from 5.32.00 to 5.40.00, and no other path is known: " in result.out
    assert "\u202e" not in result.out
    warned = ship("5.40.00", MATRIX + BLOCK.replace("5.32.00", "5.30.02"))
    assert cli("matrix", "lint", warned, "--supported", "5.32.00").code == 1  # the stop leads to what is blocked
    untested = ship("5.40.00", MATRIX.replace('tested = "=QA 1"\n', ""))
    assert cli("matrix", "lint", untested, "--strict").code == 0  # what is only worth a look refuses nothing


def test_lint_takes_the_releases_and_the_days_of_support_from_a_catalog(cli, ship):
    catalog = ("matrix", "lint", "5.40.00.bin", "--catalog", "releases", "--trust", "keys/root.pem")
    closed = 'releases = ["5.10.00"]\n[[from]]\nid = "up"\nversions = "5.10.00"\n'
    for version, day in (("5.30.02", "2027-01-01"), ("5.32.00", "2028-01-01")):
        bundle = ship(version, closed, released="2026-01-01")
        assert cli("catalog", "add", "releases", bundle, "--supported-until", day).code == 0
    ship("5.40.00", MATRIX + BLOCK.replace("5.32.00", "5.30.02"))
    result = cli(*catalog, "--at", "2027-01-01")
    assert result.code == 1
    assert "stranded-version: 5.30.02 is stranded" in result.out
    assert "against 5.30.02, 5.32.00" in result.out
    assert "5.30.02 is stranded" not in cli(*catalog, "--at", "2027-01-02").out
    cli("keygen", "others")
    foreign = cli("matrix", "lint", "5.40.00.toml", *catalog[3:5], "--trust", "others/root.pem")
    assert "not used: 5.30.02.bin: " in foreign.err
    assert "against" not in foreign.out


def test_check_runs_the_lint_and_warns(cli, ship):
    trust = ("--trust", "keys/root.pem")
    bundle = ship("5.40.00", MATRIX + BLOCK)
    result = cli("check", bundle, *trust)
    assert result.code == 0
    assert "warning    matrix-lint [5.32.00]: stranded-version: 5.32.00 is stranded" in result.out
    assert cli("check", bundle, *trust, "--strict").code == 1
    left = ship("5.40.00", MATRIX + REASONED)
    result = cli("check", left, *trust)
    assert (result.code, "matrix-lint" in result.out) == (0, False)
    bundle = ship("5.40.00", MATRIX + BLOCK)
    for question in (("check", bundle, *trust, "--from", "5.30.02"), ("preflight", bundle, *trust)):
        result = cli(*question, "--strict")
        assert (result.code, "matrix-lint" in result.out) == (0, False)
    cli("keygen", "others")
    report = json.loads(cli("check", bundle, "--trust", "others/root.pem", "--format", "json").out)
    (outcome,) = (one for one in report["rules"] if one["rule"] == "matrix-lint")
    assert (outcome["outcome"], outcome["required"]) == ("not-run", False)


def test_a_preflight_does_not_load_the_lint(ship, cli):
    bundle = ship("5.40.00", MATRIX)
    code = f"import sys, bundlekit; bundlekit.preflight({bundle!r}); print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(Path(bundlekit.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    loaded = set(done.stdout.split())
    assert "bundlekit.matrix.decide" in loaded
    assert not {"bundlekit.matrix.lint", "bundlekit.matrix.table", "bundlekit.matrix.routes", "csv"} & loaded


def test_diff_exits_1_if_somebody_loses(cli, ship):
    old = ship("5.40.00", MATRIX)
    new = ship("5.41.00", MATRIX.replace('"5.32.00"]', '"5.32.00", "5.40.00"]').replace("<5.40.00", "<5.41.00") + BLOCK)
    result = cli("matrix", "diff", old, new)
    assert result.code == 1
    assert "loses    5.32.00: upgrade by rolling -> blocked by KB-1, through 5.40.00" in result.out
    assert result.out.splitlines()[-1] == "from 5.40.00 to 5.41.00: 2 differ, 2 as before, 1 lose"
    compared = json.loads(cli("matrix", "diff", old, new, "--format", "json").out)
    jsonschema.validate(compared, schema("matrix-diff"))
    assert [change["change"] for change in compared["changes"]] == ["loses", "differs"]
    assert cli("matrix", "diff", old, "5.40.00.toml").code == 0


def test_every_verb_of_the_group_is_helped_with(cli):
    assert set(matrix.command.commands) >= {"show", "lint", "diff"}
    for verb in ("show", "lint", "diff"):
        assert "Exit codes" in cli("matrix", verb, "--help").out or "Example" in cli("matrix", verb, "--help").out


def test_what_is_wrong_is_named_with_its_file_also_where_nothing_is_built(cli, ship):
    ship("5.40.00", MATRIX)
    for old, new, says in (
        ('via = "5.30.02"', 'via = "5.x"', "5.40.00.matrix.toml: entry 'key-2027', via: '5.x' is not a version"),
        ('via = "5.x"', 'via = "5.30.02"', ""),
    ):
        file = Path("5.40.00.matrix.toml")
        file.write_text(file.read_text().replace(old, new))
        assert says in cli("matrix", "show", "5.40.00.toml").err
    spec = Path("5.40.00.toml")
    spec.write_text(spec.read_text().replace('"dotted"', '"semver"'))
    assert "5.40.00.toml: version: '5.40.00' is not a version" in cli("matrix", "show", "5.40.00.toml").err
    result = cli("build", "5.40.00.toml", "-o", "x")
    assert result.err.startswith("bundlekit: 5.40.00.toml: version: '5.40.00' is not a version of the scheme semver")
    assert "\\u000a" not in result.err


LATE = """\
releases = ["3.8.0", "3.9.0", "4.0.0", "4.1.1"]
[[from]]
id = "rolling"
versions = ">=3.9.0, <5.0.0"
tested = "QA-1"
[[stop]]
id = "via"
versions = ">=3.9.0, <{via}"
via = "{via}"
reason = "New key."
"""


def test_check_says_from_where_it_cannot_see_a_way_and_does_not_refuse_for_it(cli, ship):
    more = 'impact = { service = "none", reboot = false, minutes = 1 }'
    bundle = ship("5.0.0", LATE.format(via="4.0.0"), more=more)
    result = cli("check", bundle, "--trust", "keys/root.pem", "--strict", "--at", "2026-12-01")
    assert (result.code, result.out.splitlines()[-1][:21]) == (0, "ACCEPT: the bundle is")
    assert "  not checked upgrade paths from 3.8.0 depend on bundles of other releases" in result.out
    report = json.loads(cli("check", bundle, "--trust", "keys/root.pem", "--format", "json").out)
    (outcome,) = [one for one in report["rules"] if one["rule"] == "matrix-lint"]
    assert (outcome["outcome"], outcome["reason"][:38]) == ("passed", "upgrade paths from 3.8.0 depend on bun")
    assert cli("matrix", "lint", bundle, "--strict", "--at", "2026-12-01").code == 1


def test_lint_names_the_release_that_the_decision_names(cli, ship):
    bundle = ship("5.0.0", LATE.format(via="4.0.0"))
    assert "next: Update to 4.0.0 first" in cli("check", bundle, "--from", "3.8.0").out
    said = cli("matrix", "lint", bundle).out
    assert "Each possible path from 3.8.0 leads through 4.0.0 or another later release whose bundle was not " in said
    only = ship("5.0.0", LATE.format(via="4.0.0").replace('"3.9.0", "4.0.0", "4.1.1"', '"4.1.1"').split("[[stop]]")[0])
    said = cli("matrix", "lint", only).out
    assert "The only possible path from 3.8.0 leads through 4.1.1, whose bundle was not given: The bundle d" in said


def test_lint_says_of_a_stop_that_cannot_be_gone_to_what_is_wrong_with_it(cli, ship):
    bundle = ship("5.0.0", LATE.format(via="4.1.1"), released="2026-11-24")
    closed = ship("4.1.1", 'releases = ["4.0.0"]\nfrom = [{ id = "up", versions = "4.0.0", tested = "Q" }]')
    said = cli("matrix", "lint", bundle, closed).out
    assert (
        "3.9.0 must be updated to 4.1.1 first, which is not possible: The matrix does not list 3.9.0. "
        "It is unknown whether it can get there through 4.0.0. (matrix entry via)"
    ) in said
    assert "4.0.0: The way" not in said


def test_an_appliance_that_is_misspelt_is_told_at_once_and_by_check(cli, desk):
    spec = Path("SPEC.toml").read_text()
    Path("SPEC.toml").write_text(spec.replace("components.appliance", "components.aplliance"))
    Path("matrix.toml").write_text(Path("matrix.toml").read_text().replace("appliance = ", "aplliance = "))
    built = cli("build", "SPEC.toml", "-o", "u.bin", "--cert", "keys/signer.pem", "--key", "keys/signer.key")
    said = "components.aplliance is a shared component, not one that runs on each member; did you mean 'appliance'?"
    assert (built.code, built.err.splitlines()[-1:]) == (0, [f"spec SPEC.toml: {said}"])
    checked = cli("check", "u.bin", "--trust", "keys/root.pem", "--strict", "--at", "2026-12-01")
    assert checked.code == 1
    assert "matrix-lint [aplliance]: appliance-misspelt: The component 'aplliance' counts as shared" in checked.out


def test_a_bundle_without_what_the_members_run_is_told_when_it_is_built(cli, desk):
    """A check accepts it, since the pair can share all that it has, and states so."""
    spec = Path("SPEC.toml").read_text()
    Path("SPEC.toml").write_text(spec.replace("components.appliance", "components.firmware"))
    Path("matrix.toml").write_text(Path("matrix.toml").read_text().replace("appliance = ", "firmware = "))
    built = cli("build", "SPEC.toml", "-o", "u.bin", "--cert", "keys/signer.pem", "--key", "keys/signer.key")
    said = "no component is named 'appliance', so the bundle updates only what the pair shares; "
    said += "the component that each member runs must have that name"
    assert (built.code, built.err.splitlines()[-1:]) == (0, [f"spec SPEC.toml: {said}"])


def test_matrices_of_two_products_are_not_compared(cli, ship):
    one, other = ship("5.40.00", MATRIX), ship("5.41.00", MATRIX.replace("5.40.00", "5.41.00"), product="toaster")
    result = cli("matrix", "diff", one, other)
    assert (result.code, result.out) == (3, "")
    assert "The matrices are of imager (appliance) and of toaster (appliance)" in result.err
    assert "next: Give two releases of one product." in result.err
