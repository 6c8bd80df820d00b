"""The promises to users: the recorded reports, exit codes, rules and names still hold."""

import subprocess
import sys
from pathlib import Path

import pytest

from fixtures import promises

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", promises.PROMISES)
def test_a_promise_is_kept(name):
    """After an intended break, or before a release: python -m fixtures.promises."""
    recorded, now = promises.recorded(name), set(promises.current(name))
    assert len(recorded) > 50
    assert [line for line in recorded if line not in now] == []


@pytest.mark.parametrize("name", promises.PROMISES)
def test_every_kind_of_promise_has_what_users_rely_on(name):
    wanted = {
        "report.txt": ["Report.verdict: ", "NotChecked.error: ", "Finding.rule: ", "RequestSummary.sources: "],
        "exit-codes.txt": [
            "check: 1 reject",
            "preflight: 3 incomplete",
            "compare: 1 differs",
            "update run: 20 reverted",
        ],
        "rules.txt": ["needs-stop: compatibility, error, unsupported-source", "closed list verdict: accept, reject"],
        "api.txt": ["bundlekit.check(file)", "bundlekit.check(trust by name optional)", "bundlekit.Report.verdict"],
    }
    for beginning in wanted[name]:
        assert any(line.startswith(beginning) for line in promises.recorded(name)), beginning


def test_a_break_is_found_and_an_addition_is_recorded(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(promises, "FOLDER", tmp_path)
    monkeypatch.setattr(promises, "PROMISES", {"rules.txt": lambda: ["one", "three"]})
    monkeypatch.setattr(sys, "argv", ["promises"])
    (tmp_path / "rules.txt").write_text("one\n")
    assert promises.main() == 0
    assert capsys.readouterr().out == "added: rules.txt: three\n"
    (tmp_path / "rules.txt").write_text("one\ntwo\n")
    assert promises.main() == 1
    assert capsys.readouterr().out.startswith("broken: rules.txt: two\nadded: rules.txt: three\n")
    assert promises.recorded("rules.txt") == ["one", "two"]
    monkeypatch.setattr(sys, "argv", ["promises", "--break"])
    assert promises.main() == 0
    assert promises.recorded("rules.txt") == ["one", "three"]


def test_the_command_of_the_pages_exists():
    words = [sys.executable, "-m", "fixtures.promises", "--help"]
    assert "--break" in subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    page = (ROOT / ".github/CONTRIBUTING.md").read_text(encoding="utf-8")
    assert "python -m fixtures.promises" in page
