"""What the pages say is what the code does."""

import re
from pathlib import Path

import pytest

import bundlekit
from bundlekit.update.hooks import ANSWERS
from bundlekit.update.order import FAILURE, LAST, OUTCOMES, diagram
from bundlekit.update.outcome import EXIT_CODES
from bundlekit.update.plan import PAIR, load_plan
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
