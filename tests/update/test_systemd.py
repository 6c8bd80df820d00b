"""The units on the page about systemd are sound, and keep to what the page promises."""

import re
import shutil
import subprocess

import pytest

from tests.update.test_docs import page

ANALYZE = shutil.which("systemd-analyze")


@pytest.fixture
def units(tmp_path):
    """The units of the page as files, with programs that exist here."""
    found = re.findall(r"`/etc/systemd/system/([a-z.-]+)`[^`]*```ini\n(.*?)```", page("systemd"), re.DOTALL)
    for name, text in found:
        (tmp_path / name).write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE))
    assert {name for name, _ in found} == {
        "bundlekit-resume.service", "bundlekit-resume.timer", "bundlekit-alert.service", "bundlekit-all-clear.service",
    }  # fmt: skip
    return tmp_path


def test_a_failure_stays_visible_until_the_pair_is_off_hold():
    service = page("systemd").split("```ini")[1].split("```")[0]
    lines = service.splitlines()
    assert "OnFailure=bundlekit-alert.service" in lines
    starts = [line.partition("=")[2] for line in lines if line.startswith("ExecStart=")]
    assert [start.split()[2] for start in starts] == ["resume", "status"]
    assert "--fail-on hold" in starts[1]
    success = re.search(r"^SuccessExitStatus=(.*)$", service, re.MULTILINE)[1].split()
    assert "1" not in success
    assert "4" in success


@pytest.mark.skipif(ANALYZE is None, reason="systemd is not installed")
def test_the_units_are_valid(units):
    done = subprocess.run(
        [ANALYZE, "verify", *map(str, sorted(units.iterdir()))], capture_output=True, text=True, check=False,
        env={"SYSTEMD_UNIT_PATH": f"{units}:"},
    )  # fmt: skip
    wrong = [line for line in done.stderr.splitlines() if "bundlekit" in line]
    assert (wrong, done.returncode) == ([], 0)


@pytest.mark.skipif(ANALYZE is None, reason="systemd is not installed")
def test_the_service_is_hardened(units):
    """5.0 is where *MEDIUM* begins."""
    done = subprocess.run(
        [ANALYZE, "security", "--offline=true", "--threshold=50", str(units / "bundlekit-resume.service")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze cannot rate a file")
    assert done.returncode == 0, done.stdout[-300:]
