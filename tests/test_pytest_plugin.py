"""The plugin for pytest: light at the start, and a failure is the report."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from bundlekit import load_trust
from bundlekit.errors import BundlekitError
from bundlekit.pytest_plugin import assert_rejected, assert_ships

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "fixtures" / "demo"
TRUST = DEMO / "root.pem"
Failed = pytest.fail.Exception


@pytest.mark.parametrize("trust", [str(TRUST), TRUST, [TRUST], load_trust([TRUST])])
def test_a_bundle_that_ships_gives_its_report(trust):
    report = assert_ships(DEMO / "update.bin", trust=trust, sources="5.30.02")
    assert (report.verdict, report.request.sources) == ("accept", ("5.30.02",))


def test_a_failure_is_the_report():
    with pytest.raises(Failed) as caught:
        assert_ships(str(DEMO / "update.bin"), trust=TRUST, sources=["5.20.00"])
    assert "needs-stop [5.20.00 appliance]: The upgrade path" in caught.value.msg
    assert caught.value.msg.splitlines()[-1].startswith("REJECT (unsupported-source)")
    assert not caught.value.pytrace
    with pytest.raises(Failed, match="INCOMPLETE"):
        assert_ships(DEMO / "update.bin")


def test_a_rejection_has_to_be_the_expected_one():
    assert_rejected(DEMO / "update.bin", "needs-stop", trust=TRUST, sources=["5.20.00"])
    assert_rejected(DEMO / "update.bin", ["needs-stop", "not-newer"], trust=TRUST, sources=["5.20.00", "5.40.00"])
    with pytest.raises(Failed, match="a rejection by needs-stop is expected, but the bundle is accepted"):
        assert_rejected(DEMO / "update.bin", "needs-stop", trust=TRUST)
    with pytest.raises(Failed, match="but the bundle is not rejected for version 5"):
        assert_rejected(DEMO / "update.bin", "needs-stop", trust=TRUST, sources=["5.20.00", "5.30.02"])
    with pytest.raises(Failed, match="but the bundle is rejected by unreadable-version"):
        assert_rejected(DEMO / "update.bin", "unsupported-source", trust=TRUST, sources=["banana"])
    with pytest.raises(BundlekitError, match="neither a rule nor a cause"):
        assert_rejected(DEMO / "update.bin", "need-stop", trust=TRUST)


def test_a_name_cannot_give_a_ci_runner_a_command(tmp_path):
    name = tmp_path / "::error::x"
    name.write_bytes((DEMO / "update.bin").read_bytes()[:-1])
    with pytest.raises(Failed) as caught:
        assert_ships(name, trust=TRUST)
    assert not [line for line in caught.value.msg.splitlines() if line.lstrip().startswith("::")]


def test_what_is_not_given_comes_from_the_project_file(tmp_path):
    (tmp_path / "bundlekit.toml").write_text(f'config = 1\ntrust = ["{TRUST}"]\nfrom = ["5.20.00"]\n')
    assert_rejected(DEMO / "update.bin", "needs-stop", start=tmp_path)
    report = assert_ships(DEMO / "update.bin", start=tmp_path, sources=["5.30.02"])
    assert report.request.config.digest.startswith("sha256:")


TESTS = """\
import sys
LOADED = set(sys.modules)

def test_start():
    ours = {name for name in LOADED if name.startswith("bundlekit")}
    assert ours == {"bundlekit", "bundlekit._version", "bundlekit.pytest_plugin"}, ours
    assert not {"click", "construct", "cryptography", "msgspec"} & LOADED

def test_good(assert_ships):
    assert_ships("update.bin", sources=["5.30.02"])

def test_bad(assert_ships):
    assert_ships("update.bin", sources=["5.20.00"])

def test_as_intended(assert_rejected):
    assert_rejected("update.bin", "needs-stop", sources=["5.20.00"])
"""


def test_pytest_loads_it_and_nothing_of_the_library(tmp_path):
    (tmp_path / "test_release.py").write_text(TESTS)
    (tmp_path / "update.bin").symlink_to(DEMO / "update.bin")
    (tmp_path / "bundlekit.toml").write_text(f'config = 1\ntrust = ["{TRUST}"]\n')
    words = [sys.executable, "-m", "pytest", "-q", "-p", "bundlekit.pytest_plugin", "-p", "no:cacheprovider"]
    env = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
    env.pop("PYTEST_ADDOPTS", None)
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert "1 failed, 3 passed" in done.stdout, done.stdout
    assert "\nREJECT (unsupported-source): the bundle is rejected by needs-stop\n" in done.stdout
    assert "Traceback" not in done.stdout
    assert "pytest.fail" not in done.stdout


def test_pytest_finds_it_by_its_entry_point():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"bundlekit": "bundlekit.pytest_plugin"}
