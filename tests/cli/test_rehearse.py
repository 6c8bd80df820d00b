"""``bundlekit rehearse``: the same sweep as in the tests, from the command line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import bundlekit
from bundlekit.update.rehearsal import rehearse as rehearsals
from bundlekit.update.rehearsal.table import LEGEND, LEGEND_OF_ELSEWHERE
from tests.update.folders import make_folders
from tests.update.target import make_pair

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


@pytest.mark.exhaustive
def test_a_broken_invariant_is_code_1(cli, monkeypatch):
    monkeypatch.setattr(rehearsals, "_broken", lambda *_: ["succeeded, but not everything is new"])
    result = cli("rehearse")
    assert result.code == 1
    assert "BROKEN no fault: succeeded, but not everything is new" in result.out


def test_the_help_explains_the_letters(cli):
    assert " ".join(f"Faults: {LEGEND}. {LEGEND_OF_ELSEWHERE}.".split()) in " ".join(
        cli("rehearse", "--help").out.split()
    )


# --- over the hooks of a plan ------------------------------------------------------------------------------------

STORAGE = """\
plan = 1
name = "storage alone"
{slots}
[steps]
storage = {{ component = "storage"{hook} }}
[[groups]]
steps = ["storage"]
on-failure.storage = {{ revert = ["storage"], hold = true }}
"""


@pytest.fixture
def sandbox(memory_folder):
    """A plan for the storage of a sandbox, by the template in shell; ``edit`` is done to the template."""

    def make(edit=lambda template: template, **options):
        root = make_folders(memory_folder / "pairs", **options)
        hook = root / "hook.sh"
        hook.write_text(edit(hook.read_text()))
        plan = memory_folder / "PLAN.toml"
        plan.write_text(STORAGE.format(slots="", hook=f', hook = ["{hook}", "{root}"]'))
        return plan

    return make


HOOKS = ("--hooks", "--pair", "pair-0")


@pytest.mark.exhaustive
def test_the_hooks_of_a_plan_are_rehearsed_in_their_sandbox(cli, sandbox, memory_folder):
    result = cli("rehearse", sandbox(), *HOOKS, "--only", "prepare", "--only", "verify", "--format", "json")
    found = json.loads(result.out)
    assert (result.code, found["broken"], found["findings"]) == (0, [], [])
    assert {row["outcome"] for row in found["outcomes"]} == {"succeeded", "rejected", "reverted, hold"}
    assert any("validate" in what for what in found["not_checked"])
    assert result.err.splitlines()[0] == f"1 of {found['runs']} runs"
    assert result.err.splitlines()[-1] == f"{found['runs']} of {found['runs']} runs"
    current = memory_folder / "pairs" / "pair-0" / "shared" / "storage" / "current"
    assert current.read_text().strip().removesuffix("+rehearsal") == "3.2.1"
    again = cli("rehearse", memory_folder / "PLAN.toml", *HOOKS, "--only", "prepare", "--step", "storage")
    assert again.code == 0, "what the last rehearsal left is where the next one begins"


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("verb", "wrong"),
    [
        ("revert", ("revert)\n    alone\n", "revert) exit 0 ;;\nunused)\n    alone\n")),
        ("apply", ("was taken\n    alone\n", "was taken\n")),
        ("cleanup", ('    rm -f "$here/run" #', "    : #")),
    ],
)
def test_a_command_with_a_bug_is_code_1_and_named(cli, sandbox, memory_folder, verb, wrong):
    assert wrong[0] in (sandbox().parent / "pairs" / "hook.sh").read_text()
    hook = memory_folder / "pairs" / "hook.sh"
    hook.write_text(hook.read_text().replace(*wrong))
    result = cli("rehearse", memory_folder / "PLAN.toml", *HOOKS, "--only", "gate")
    assert result.code == 1
    named = [line for line in result.out.splitlines() if line.startswith("BROKEN ") and f"{verb} of storage" in line]
    assert any(str(hook) in line for line in named), result.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--hooks",), "--hooks requires PLAN.toml and --pair"),
        (("--pair", "pair-0"), "--pair requires --hooks"),
        (("--step", "bax"), "the plan has no 'bax'; did you mean 'box'?"),
        (("--only", "install"), "'install' is not one of"),
    ],
)
def test_options_that_do_not_go_together_are_code_2(cli, tmp_path, options, message):
    (tmp_path / "PLAN.toml").write_text(PLAN)
    result = cli("rehearse", tmp_path / "PLAN.toml", *options)
    assert (result.code, message in result.err) == (2, True), result.err


def test_what_is_no_sandbox_is_code_3_and_is_not_touched(cli, sandbox, memory_folder):
    result = cli("rehearse", sandbox(sandbox=False), *HOOKS)
    assert result.code == 3
    assert "does not report that it is a sandbox" in result.err
    assert not (memory_folder / "pairs" / "pair-0" / "shared" / "storage" / "fence").exists()


def test_a_component_that_does_not_describe_itself_is_code_3(cli, sandbox):
    result = cli("rehearse", sandbox(lambda text: text.replace("describe)", "describe) exit 64 ;;\nunused)")), *HOOKS)
    assert result.code == 3
    assert "'storage' does not report what it is" in result.err
    assert "hook.sh does not implement describe (exit code 64)" in result.err


def test_slots_of_a_plan_are_rehearsed_by_simulated_time(cli, memory_folder):
    make_pair(memory_folder / "target", sandbox=True, synchronise=2700)
    plan = memory_folder / "PLAN.toml"
    gate = '[gates.ha-formed]\nexpect = ["45 min", "60 min"]\ndeadline = "90 min"\n'
    plan.write_text(STORAGE.format(slots='[slots]\nroot = "target"', hook="") + gate)
    result = cli("rehearse", plan, *HOOKS, "--only", "verify")
    assert (result.code, "BROKEN" in result.out) == (0, False), result.out


def test_rehearse_is_public():
    assert bundlekit.rehearse is rehearsals.rehearse


def test_neither_the_package_nor_a_preflight_loads_the_executor():
    code = (
        "import sys, bundlekit; bundlekit.preflight(b'')\n"
        "print(*sorted(name for name in sys.modules if name.startswith('bundlekit.update')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
