"""What the pages say is what the code does."""

import re
from pathlib import Path

import msgspec
import pytest

import bundlekit
from bundlekit.cli.update import command as update
from bundlekit.cli.update.commands import VERBS
from bundlekit.cli.update.message import message, text
from bundlekit.schemas import schema
from bundlekit.update.engine import transitions
from bundlekit.update.engine.hooks import ANSWERS, Request
from bundlekit.update.engine.outcome import EXIT_CODES
from bundlekit.update.engine.plan import PAIR, Slots, load_plan
from bundlekit.update.engine.records import Outcome, RecoveryStep
from bundlekit.update.engine.transitions import FAILURE, FIRST, GROUP, LAST, OUTCOMES, diagram
from bundlekit.update.rehearsal.rehearse import rehearse
from bundlekit.update.rehearsal.simulator import simulated_job
from bundlekit.update.rehearsal.table import render
from bundlekit.update.targets.command import facts_of, interpret
from bundlekit.update.targets.process import Finished
from bundlekit.update.targets.slot_folder import PairRecord, SlotRecord


def page(name):
    return (Path(bundlekit.__file__).parent / "docs" / f"{name}.md").read_text(encoding="utf-8")


def test_the_diagram_is_drawn_from_the_tables():
    assert diagram() in page("executor")


@pytest.mark.parametrize("text", [transitions.__doc__, page("executor")], ids=["docstring", "page"])
def test_the_order_in_words_has_every_verb_before_the_end(text):
    order = text[text.index("validate, describe, ") : text.index("confirm everything")]
    words = re.findall(r"[a-z]+", order)
    assert [verb for verb in (*FIRST, *GROUP, "commit") if verb in ANSWERS and verb not in words] == []


def test_the_diagram_shows_every_mode_and_every_end():
    for mode, ends in OUTCOMES.items():
        for end in ends:
            there = "[*]" if mode == end else end.replace("-", "_")
            assert f"{mode} --> {there}\n" in diagram()
    for mode in set(FAILURE.values()) - {None}:
        assert re.search(rf"--> {mode}: ", diagram())
    assert set(LAST) == set(OUTCOMES)


def test_the_table_of_outcomes_is_what_rehearsal_prints():
    assert render(rehearse(), "markdown") in page("outcomes")


def test_exit_codes_are_as_the_page_says():
    rows = dict(re.findall(r"^\| ([a-z-]+) \| .*? \| (\d+) \|", page("outcomes"), re.MULTILINE))
    assert {kind: int(code) for kind, code in rows.items()} == EXIT_CODES


def test_the_page_of_exit_codes_lists_the_same():
    text = page("exit-codes")
    block = text[text.index("`bundlekit update run`") : text.index("For several pairs")]
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
        reason="apply of standby failed: disk 3 does not answer; the probe reports partial",
        states={"storage": "new", "active": "new", "standby": "partial"},
        versions={"storage": "3.4.0", "active": "5.40.00"},
        roles={"storage": "shared", "active": "active", "standby": "standby"},
        ha="not-formed",
        recovery=(RecoveryStep(verb="repair"),),
    )
    plan = msgspec.structs.replace(
        PAIR,
        messages={"degraded": "Leave it running. Call support, send the support bundle."},
        slots=Slots(root="/srv/imager"),
    )
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
    block = text[text.index("    plan = 1") : text.index("bundlekit rejects a plan")]
    path = tmp_path / "PLAN.toml"
    path.write_text(re.sub("^    ", "", block, flags=re.MULTILINE))
    plan = load_plan(path)
    assert (plan.groups, plan.gates) == (PAIR.groups, PAIR.gates)


def test_exit_codes_of_commands_are_as_the_page_says():
    rows = dict(re.findall(r"^\| (exit|0|1, 10|75) \| (.*) \|$", page("hooks"), re.MULTILINE))
    columns = [verbs.split(", ") for verbs in rows.pop("exit").split(" | ")]
    assert sorted(verb for verbs in columns for verb in verbs) == sorted(ANSWERS)
    for codes, cells in rows.items():
        for code in map(int, codes.split(", ")):
            for verbs, cell in zip(columns, cells.split(" | "), strict=True):
                ended = Finished(code=code, late=False, fed=True, last=b"", reason="")
                assert {interpret(verb, ended).kind for verb in verbs} <= {*re.split("[ ,]+", cell)}, (code, verbs)


@pytest.mark.parametrize("kind", [SlotRecord, PairRecord])
def test_every_key_of_a_slots_target_is_explained(kind):
    for field in msgspec.structs.fields(kind):
        assert field.encode_name == "schema" or re.search(rf"\b{field.encode_name}\b", page("slots"))


def test_every_fact_of_a_request_and_every_word_of_a_result_is_named():
    job = simulated_job(PAIR)
    asked = Request(
        verb="apply", pair="p", step="active", run="r", fence=1, attempt=1, deadline=1, bundle_id="0",
        target=job.targets["active"],
    )  # fmt: skip
    for word in (
        *facts_of(asked),
        *schema("hook")["$defs"]["HookResult"]["properties"],
    ):
        assert re.search(rf"\b{word}\b", page("hooks")), word
