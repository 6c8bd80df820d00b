"""``bundlekit rehearse``: the same sweep as in the tests, from the command line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import bundlekit
from bundlekit.update import rehearse as rehearsals
from bundlekit.update.table import LEGEND

PLAN = """\
plan = 1
name = "one box"
[steps]
box = { component = "appliance", member = "active" }
[[groups]]
steps = ["box"]
on-failure.box = { revert = ["box"] }
"""


def test_the_built_in_plan_prints_the_table_of_its_ends(cli):
    result = cli("rehearse")
    assert result.code == 0
    golden = Path(__file__).parents[1] / "update" / "golden" / "active-first.txt"
    assert result.out == golden.read_text()


def test_a_plan_of_ones_own_in_json(cli, tmp_path):
    (tmp_path / "PLAN.toml").write_text(PLAN)
    result = cli("rehearse", tmp_path / "PLAN.toml", "--faults", "2", "--format", "json")
    found = json.loads(result.out)
    assert (result.code, found["plan"], found["broken"]) == (0, "one box", [])
    assert {row["outcome"] for row in found["outcomes"]} >= {"succeeded", "rejected", "reverted"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("plan = 1", "the key 'name' is missing"),
        (PLAN.replace('["box"] }', '["bax"] }'), "comes before the commit point"),
    ],
)
def test_a_plan_that_is_none_is_code_3(cli, tmp_path, text, message):
    (tmp_path / "PLAN.toml").write_text(text)
    result = cli("rehearse", tmp_path / "PLAN.toml")
    assert (result.code, message in result.err) == (3, True)


def test_a_broken_invariant_is_code_1(cli, monkeypatch):
    monkeypatch.setattr(rehearsals, "_broken", lambda *_: ["succeeded, but not everything is new"])
    result = cli("rehearse")
    assert result.code == 1
    assert "BROKEN no fault: succeeded, but not everything is new" in result.out


def test_the_help_explains_the_letters(cli):
    assert " ".join(f"Faults: {LEGEND}.".split()) in " ".join(cli("rehearse", "--help").out.split())


def test_rehearse_is_public():
    assert bundlekit.rehearse is rehearsals.rehearse


def test_neither_the_package_nor_a_preflight_loads_the_executor():
    code = (
        "import sys, bundlekit; bundlekit.preflight(b'')\n"
        "print(*sorted(name for name in sys.modules if name.startswith('bundlekit.update')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
