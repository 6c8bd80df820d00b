"""The promises to users: the recorded reports, exit codes, rules and names still hold."""

import subprocess
import sys
from pathlib import Path

import pytest

from bundlekit.cli import VERBS
from bundlekit.schemas import schema
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


def test_a_break_in_one_file_leaves_the_others_as_they_are(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(promises, "FOLDER", tmp_path)
    monkeypatch.setattr(promises, "PROMISES", {"api.txt": lambda: ["one", "new"], "rules.txt": lambda: ["three"]})
    monkeypatch.setattr(sys, "argv", ["promises"])
    (tmp_path / "api.txt").write_text("one\n")
    (tmp_path / "rules.txt").write_text("two\n")
    assert promises.main() == 1
    assert "nothing is written" in capsys.readouterr().out
    assert [promises.recorded(name) for name in ("api.txt", "rules.txt")] == [["one"], ["two"]]


def grown(made, key, value="new"):
    """A schema after each list of values under ``key`` got one more, however deep it is."""
    found = 0
    stack = [one["properties"][key] for one in made["$defs"].values() if key in one.get("properties", {})]
    while stack:
        part = stack.pop()
        if isinstance(part, dict):
            found += "enum" in part
            part.get("enum", []).append(value)
        stack += part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    assert found, key
    return made


OPEN = ["kind", "possible-kinds", "bundle-formats", "standing", "service"]
PAGE = (ROOT / "bundlekit/docs/promises.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("key", [*OPEN, *sorted(promises.CLOSED - {"schema"})])
def test_only_a_list_that_the_page_calls_open_can_grow(key, monkeypatch):
    """Such as the formats: a new one adds a line and breaks none."""
    monkeypatch.setattr(promises, "schema", lambda name: grown(schema(name), key))
    now = promises.current("report.txt")
    lost = [line for line in promises.recorded("report.txt") if line not in now]
    assert bool(lost) == (key not in OPEN), lost
    assert any(line.endswith(f".{key} can be new") for line in now) == (key in OPEN)


def test_the_page_names_the_closed_lists():
    listed = " ".join(PAGE.partition("These lists are closed: ")[2].partition(".")[0].split())
    assert listed == "verdicts, scopes, severities, classes of rules, causes, outcomes of rules"
    of_page = {"verdict", "scope", "severity", "rule-class", "cause", "causes", "outcome"}
    assert of_page | {"schema"} == promises.CLOSED, "and the name of the form, whose change is announced there"


def test_exit_codes_are_those_of_commands():
    """And not of the options and rules that the page names next to them."""
    now = promises.current("exit-codes.txt")
    assert [line for line in now if line.partition(":")[0].partition(" ")[0] not in VERBS] == []
    assert now == promises.recorded("exit-codes.txt")


def test_the_command_of_the_pages_exists():
    words = [sys.executable, "-m", "fixtures.promises", "--help"]
    assert "--break" in subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    page = (ROOT / ".github/CONTRIBUTING.md").read_text(encoding="utf-8")
    assert "python -m fixtures.promises" in page
