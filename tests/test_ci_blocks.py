"""The action for GitHub and the template for GitLab: their scripts are run as they are, with hostile inputs too."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import junitparser
import pytest
import yaml

ROOT = Path(__file__).parents[1]
ACTION = yaml.safe_load((ROOT / ".github/actions/check/action.yml").read_text(encoding="utf-8"))
HEADER, TEMPLATE = yaml.safe_load_all((ROOT / ".gitlab/bundlekit.yml").read_text(encoding="utf-8"))
INPUTS = HEADER["spec"]["inputs"]
JOB = TEMPLATE["bundlekit"]
STEPS = [step for step in ACTION["runs"]["steps"] if "run" in step]
DEMO = ROOT / "fixtures" / "demo"
REPORTS = ("junit.xml", "report.html", "report.json", "summary.md")

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash, as the jobs do")


@pytest.fixture
def place(tmp_path):
    """The working folder of a job, with a bundle, its trust and an older release."""
    shutil.copy(DEMO / "update.bin", tmp_path / "update.bin")
    shutil.copy(DEMO / "root.pem", tmp_path / "root.pem")
    (tmp_path / ".git").mkdir()
    return tmp_path


def execute(script, cwd, variables, shell=("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c")):
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = os.environ | {"PATH": path} | variables
    return subprocess.run([*shell, script], cwd=cwd, env=env, capture_output=True, text=True, check=False)


def github(place, inputs):
    """The steps of the action, as the runner does them: the exit code of the first that fails, and the summary."""
    summary, code, out = place / "step-summary", 0, ""
    values = {name: value["default"] for name, value in ACTION["inputs"].items() if "default" in value} | inputs
    for step in STEPS[1:]:
        if "previous-release" in step.get("if", "") and not values["previous-release"]:
            continue
        names = {name: re.fullmatch(r"\$\{\{ inputs\.([a-z-]+) \}\}", text)[1] for name, text in step["env"].items()}
        variables = {name: values[one] for name, one in names.items()} | {"GITHUB_STEP_SUMMARY": str(summary)}
        done = execute(step["run"], place, variables)
        code, out = code or done.returncode, out + done.stdout + done.stderr
    return code, out, summary.read_text() if summary.exists() else ""


def gitlab(place, inputs):
    """The script of the job, as a runner with a plain shell does it."""
    values = {name: value["default"] for name, value in INPUTS.items() if "default" in value} | inputs
    names = {name: re.fullmatch(r"\$\[\[ inputs\.([a-z-]+) \]\]", text)[1] for name, text in JOB["variables"].items()}
    done = execute("\n".join(JOB["script"]), place, {name: values[one] for name, one in names.items()}, ("sh", "-c"))
    return done.returncode, done.stdout + done.stderr, ""


RUNNERS = pytest.mark.parametrize("run", [github, gitlab])


def test_both_have_the_same_inputs():
    assert list(ACTION["inputs"]) == list(INPUTS)[: len(ACTION["inputs"])]
    assert set(INPUTS) - set(ACTION["inputs"]) == {"package", "stage", "image"}
    for name, one in ACTION["inputs"].items():
        assert one["description"] == INPUTS[name]["description"]
    page = (ROOT / "bundlekit/docs/ci.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z-]+)` \| ", page, re.MULTILINE) == list(ACTION["inputs"])


def test_the_readme_has_five_lines_for_each():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    page = (ROOT / "bundlekit/docs/ci.md").read_text(encoding="utf-8")
    for name, inputs in (("github", ACTION["inputs"]), ("gitlab", INPUTS)):
        block = re.search(rf"<!-- {name} -->\n```yaml\n(.*?)```", readme, re.DOTALL)[1]
        assert len(block.splitlines()) == 5
        assert block in page
        (entry,) = yaml.safe_load(block)["include"] if name == "gitlab" else yaml.safe_load(block)
        given = entry["with"] if name == "github" else entry["inputs"]
        assert set(given) <= set(inputs)
        assert (entry.get("uses") or entry["remote"]).endswith(
            (".github/actions/check@v0.1.0", ".gitlab/bundlekit.yml")
        )


def test_no_input_is_a_part_of_a_script():
    for script in [step["run"] for step in STEPS] + JOB["before_script"] + JOB["script"]:
        assert not re.search(r"\$\{\{|\$\[\[|\beval\b", script)
    for step in ACTION["runs"]["steps"]:
        assert "inputs." not in step.get("name", "") + step.get("run", "")
        assert step.get("uses", "actions/").startswith("actions/")


@RUNNERS
def test_a_good_bundle_is_green_with_all_reports(place, run):
    code, out, summary = run(place, {"bundle": "update.bin", "trust": "root.pem", "from": "5.30.02"})
    assert code == 0, out
    assert "ACCEPT: the bundle is accepted for version 5.30.02" in out
    assert sorted(file.name for file in (place / "bundlekit-reports").iterdir()) == sorted(REPORTS)
    assert junitparser.JUnitXml.fromfile(str(place / "bundlekit-reports/junit.xml")).failures == 0
    assert run is gitlab or summary.startswith("## ✅ ACCEPT")


@RUNNERS
def test_a_rejected_bundle_is_red_with_all_reports(place, run):
    inputs = {"bundle": "update.bin", "trust": "root.pem", "from": "5.30.02\n5.20.00"}
    code, out, summary = run(place, inputs)
    assert code == 1, out
    assert "needs-stop" in out
    assert json.loads((place / "bundlekit-reports/report.json").read_text())["request"]["sources"] == [
        "5.30.02",
        "5.20.00",
    ]
    assert junitparser.JUnitXml.fromfile(str(place / "bundlekit-reports/junit.xml")).failures == 2
    assert run is gitlab or summary.startswith("## ❌ REJECT")


@RUNNERS
def test_without_trust_it_is_red(place, run):
    assert run(place, {"bundle": "update.bin"})[0] == 3
    assert run(place, {"bundle": ""})[0] == 2


@RUNNERS
def test_the_project_file_gives_what_no_input_gives(place, run):
    (place / "bundlekit.toml").write_text('config = 1\ntrust = ["root.pem"]\nfrom = ["5.20.00"]\noutputs = ["x.xml"]\n')
    code, out, _ = run(place, {"bundle": "update.bin"})
    assert (code, "needs-stop" in out, (place / "x.xml").exists()) == (1, True, False), out


@RUNNERS
def test_the_keys_of_the_previous_release_have_to_be_continued(place, run):
    shutil.copy(ROOT / "fixtures/golden/signer-unknown/bundle.bin", place / "stranger.bin")
    same = {"bundle": "update.bin", "trust": "root.pem", "previous-release": "update.bin"}
    code, out, summary = run(place, same)
    assert code == 0, out
    assert (place / "bundlekit-reports/compare.md").exists()
    assert run is gitlab or "update.bin" in summary.split("ACCEPT")[1]
    code, out, _ = run(place, same | {"previous-release": "stranger.bin"})
    assert code == 3, out


@RUNNERS
def test_the_verification_summary_is_written_on_request(place, run):
    inputs = {"bundle": "update.bin", "trust": "root.pem", "from": "5.30.02", "vsa": "bundlekit-reports/vsa.json"}
    for versions, code, result in (("5.30.02", 0, "PASSED"), ("5.20.00", 1, "FAILED")):
        done, out, _ = run(place, inputs | {"from": versions})
        assert done == code, out
        statement = json.loads((place / "bundlekit-reports/vsa.json").read_text())
        assert statement["predicate"]["verificationResult"] == result
    shutil.copy(place / "update.bin", place / "more.bin")
    code, out, _ = run(place, inputs | {"bundle": "update.bin\nmore.bin"})
    assert (code, "--vsa is about one bundle" in out) == (2, True), out


@RUNNERS
def test_several_bundles_and_odd_names(place, run):
    odd = "a $(touch owned) `touch owned`; touch owned 'b' \"c\" *.bin"
    shutil.copy(place / "update.bin", place / odd)
    shutil.copy(place / "root.pem", place / "the root.pem")
    inputs = {"bundle": f"update.bin\n{odd}\n", "trust": "the root.pem", "from": "5.30.02 $(touch owned)"}
    code, out, _ = run(place, inputs)
    assert "total: 2 bundles" in out, out
    assert not list(place.rglob("owned"))
    inputs["from"] = "5.30.02"
    code, out, _ = run(place, inputs)
    assert code == 0, out


HOSTILE = "--no-config $(touch owned) `touch owned`;touch owned;'touch owned' \\"
STAND_IN = """#!/bin/sh
printf '%s\\0' "$@" >> called
printf '\\n' >> called
"""


@RUNNERS
@pytest.mark.parametrize("name", ["bundle", "trust", "matrix", "previous-release", "from", "vsa"])
def test_an_input_is_a_value_of_an_option_and_never_a_command(place, run, name, monkeypatch):
    """With a stand-in for bundlekit, which writes down its arguments."""
    (place / "programs").mkdir()
    (place / "programs/bundlekit").write_text(STAND_IN)
    (place / "programs/bundlekit").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(place / "programs/python"))
    inputs = {"bundle": "update.bin", "trust": "root.pem", "previous-release": "last.bin"}
    run(place, inputs | {name: HOSTILE})
    assert not list(place.rglob("owned"))
    check, compare = ([*line.split("\0")][:-1] for line in (place / "called").read_text().splitlines())
    values = [HOSTILE] if name != "from" else HOSTILE.split()
    where = compare if name == "previous-release" else check
    assert [one for one in where if one in values] == values
    before = {where[where.index(one) - 1] for one in values}
    assert before == {{"bundle": "--", "previous-release": "--"}.get(name, f"--{name}")}
    assert compare[-2:-1] == [HOSTILE if name == "previous-release" else "last.bin"]


@pytest.mark.parametrize("script", [STEPS[0]["run"], JOB["before_script"][0]])
def test_bundlekit_is_installed_into_an_environment_of_its_own(place, script):
    programs = place / "programs"
    programs.mkdir()
    (programs / "python3").write_text('#!/bin/sh\nmkdir -p "$3/bin"\ncp "$(dirname "$0")/pip" "$3/bin/pip"\n')
    (programs / "pip").write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "$(dirname "$0")/called"\n')
    for name in ("python3", "pip"):
        (programs / name).chmod(0o755)
    variables = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "RUNNER_TEMP": str(place / "temp"),
        "GITHUB_ACTION_PATH": str(place / "a b/.github/actions/check"),
        "GITHUB_PATH": str(place / "path"),
        "CI_BUILDS_DIR": str(place / "temp"),
        "BUNDLEKIT_PACKAGE": "bundlekit $(touch owned)",
    }
    (place / "temp").mkdir()
    done = subprocess.run(["sh", "-ec", script], cwd=place, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    (called,) = (place / "temp").rglob("called")
    assert called.read_text().splitlines()[:2] == ["install", "--quiet"]
    assert len(called.read_text().splitlines()) == 3
    assert not list(place.rglob("owned"))
