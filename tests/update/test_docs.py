"""What the pages say is what the code does."""

import re
from pathlib import Path

import msgspec
import pytest

import bundlekit
from bundlekit.cli.update import VERBS
from bundlekit.cli.update import command as update
from bundlekit.update.hooks import ANSWERS
from bundlekit.update.order import FAILURE, LAST, OUTCOMES, diagram
from bundlekit.update.outcome import EXIT_CODES, message, text
from bundlekit.update.plan import PAIR, load_plan
from bundlekit.update.records import Outcome, WayOut
from bundlekit.update.rehearse import rehearse
from bundlekit.update.table import render


def page(name):
    return (Path(bundlekit.__file__).parent / "docs" / f"{name}.md").read_text(encoding="utf-8")


def test_the_diagram_is_drawn_from_the_tables():
    assert diagram() in page("executor")


def test_the_diagram_shows_every_way_and_every_end():
    for way, ends in OUTCOMES.items():
        for end in ends:
            assert f"{way} --> {end.replace('-', '_')}\n" in diagram()
    for way in set(FAILURE.values()) - {None}:
        assert re.search(rf"--> {way}: ", diagram())
    assert set(LAST) == set(OUTCOMES)


def test_the_table_of_outcomes_is_what_rehearsal_prints():
    assert render(rehearse(), "markdown") in page("outcomes")


def test_exit_codes_are_as_the_page_says():
    rows = dict(re.findall(r"^\| ([a-z-]+) \| .*? \| (\d+) \|", page("outcomes"), re.MULTILINE))
    assert {kind: int(code) for kind, code in rows.items()} == EXIT_CODES


def test_the_page_of_exit_codes_lists_the_same():
    text = page("exit-codes")
    block = text[text.index("`bundlekit update run`") : text.index("`resume` of several")]
    rows = dict(re.findall(r"^    (\d+) +([a-z-]+)", block, re.MULTILINE))
    assert {name: int(code) for code, name in rows.items() if name in EXIT_CODES} == EXIT_CODES


def test_the_verbs_are_as_the_page_says():
    assert sorted(re.findall(r"^\| `update ([a-z]+)` \|", page("executor"), re.MULTILINE)) == sorted(VERBS)


@pytest.mark.parametrize("name", ["executor", "outcomes", "exit-codes", "systemd", "hooks"])
def test_every_command_on_the_pages_is_one(name):
    """Each ``bundlekit update VERB ...`` names a verb, and options that it has."""
    for verb, rest in re.findall(r"bundlekit update ([a-z]+)([^\n`]*)", page(name)):
        command = update.get_command(None, verb)
        options = {text for option in command.params for text in option.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= options, verb


def test_the_message_on_the_page_is_the_one_that_is_told():
    outcome = Outcome(
        kind="degraded",
        pair="imager-0042",
        run="0123456789abcdef",
        hold=True,
        why="apply of standby failed: disk 3 does not answer; the probe sees it partial",
        states={"storage": "new", "active": "new", "standby": "partial"},
        versions={"storage": "3.4.0", "active": "5.40.00"},
        roles={"storage": "shared", "active": "active", "standby": "standby"},
        ha="not-formed",
        way_out=(WayOut(verb="repair"),),
    )
    plan = msgspec.structs.replace(PAIR, say={"degraded": "Leave it running. Call support, quote the case file."})
    shown = "".join(f"    {line}\n" for line in text(message(outcome, plan)).splitlines())
    assert shown in page("outcomes")


def test_what_needs_nobody_is_no_failure_of_the_unit():
    """30 and 40 are left to monitoring; 0 is always a success, 12 cannot come of a resume."""
    listed = set(map(int, re.search(r"^SuccessExitStatus=(.*)$", page("systemd"), re.MULTILINE)[1].split()))
    assert listed == set(EXIT_CODES.values()) - {0, 12, 30, 40}


@pytest.mark.parametrize("verb", ANSWERS)
def test_answers_are_as_the_page_says(verb):
    row = re.search(rf"^\| {verb} \|.*?\|.*?\| (.*?)(?:;.*?)? \|", page("hooks"), re.MULTILINE)
    assert tuple(row[1].split(", ")) == ANSWERS[verb]


def test_the_plan_on_the_page_is_the_built_in_pair(tmp_path):
    text = page("executor")
    block = text[text.index("    plan = 1") : text.index("A plan is refused")]
    path = tmp_path / "PLAN.toml"
    path.write_text(re.sub("^    ", "", block, flags=re.MULTILINE))
    plan = load_plan(path)
    assert (plan.groups, plan.gates) == (PAIR.groups, PAIR.gates)
