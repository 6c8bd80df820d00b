"""Each word that a report, a verdict or an exit prints is explained; a word of a closed list cannot be forgotten."""

import re
from typing import get_args

import msgspec
import pytest

from bundlekit.cli.update.message import MEANINGS
from bundlekit.docs import page, topics, words_known
from bundlekit.fleet.eligibility import NO_ZONE
from bundlekit.fleet.fleet_report import FleetRehearsal
from bundlekit.matrix.diff import Change
from bundlekit.model.decision import DecisionKind
from bundlekit.model.evidence import Standing
from bundlekit.model.finding import Cause, RuleClass, RuleOutcomeKind, Scope, Severity, Verdict
from bundlekit.model.manifest import ReleaseKind
from bundlekit.model.matrix import MatrixSource
from bundlekit.report.comparison import ChangeKind, ComparisonObstacle, KeyContinuity, RegionKind
from bundlekit.report.phrases import VERDICTS
from bundlekit.update.engine import plan
from bundlekit.update.engine.hooks import ANSWERS
from bundlekit.update.engine.outcome import EXIT_CODES
from bundlekit.update.engine.records import AnswerKind, Outcome, RecoveryStep, StepState


def of_field(kind, name):
    return get_args(next(field.type for field in msgspec.structs.fields(kind) if field.name == name))


LISTS = {
    "Term of an update": (
        *("commit-point", "counter", "detached", "fence", "hold"),
        *(verb for verb in ANSWERS if verb not in {"revert", "reimage"}),  # which are steps of a recovery, too
    ),
    "Verdict": get_args(Verdict),
    "Cause of a rejection": get_args(Cause),
    "Outcome of a rule": get_args(RuleOutcomeKind),
    "Severity of a finding": (*get_args(Severity), "waived"),
    "Scope of a report": get_args(Scope),
    "Class of a rule": get_args(RuleClass),
    "Standing of a signature": get_args(Standing),
    "Outcome of an update": get_args(plan.OutcomeKind),
    "State of a component": get_args(StepState),
    "Answer of a hook": get_args(AnswerKind),
    "State of high availability (HA)": of_field(Outcome, "ha"),
    "Step of recovery": of_field(RecoveryStep, "verb"),
    "Kind of a release": get_args(ReleaseKind),
    "Method of an update": of_field(MatrixSource, "method"),
    "Change in a matrix diff": of_field(Change, "change"),
    "Role of a component": ("active", "standby", "shared"),
    "Key in a comparison": get_args(KeyContinuity),
    "Change in a comparison": ("same", *get_args(ChangeKind)),
    "Region in a comparison": get_args(RegionKind),
    "Obstacle of a comparison": of_field(ComparisonObstacle, "rule"),
    "Refusal in a fleet": (NO_ZONE,),
    "Result of a rollout": (*of_field(FleetRehearsal, "reason"), "silent"),
    "Term of a report": ("covered", "stranded"),
    "Obstacle on a path": ("not-available", "no-update-from", "no-update-to", "not-connected", "not-authentic"),
}
CODES = {*EXIT_CODES.values(), 0, 1, 2, 3, 70, 129, 130, 141, 143}


@pytest.mark.parametrize(("kind", "word"), [(kind, word) for kind, listed in LISTS.items() for word in listed])
def test_each_word_of_a_closed_list_is_explained_as_what_it_is(kind, word):
    meaning = re.search(rf"^{re.escape(kind)}: (.+?)\. See also: [a-z-]+\.$", page(word), re.MULTILINE)
    assert meaning
    assert len(meaning[1]) > 10


@pytest.mark.parametrize("word", get_args(DecisionKind))
def test_each_decision_is_a_rule_or_a_word(word):
    assert len(page(word)) > 60
    assert word in topics() or "\nDecision: " in page(word)


@pytest.mark.parametrize("code", sorted(CODES))
def test_each_exit_code_is_explained(code):
    assert f"# {code}\n\nExit code of `bundlekit " in page(str(code))


def test_an_exit_code_is_explained_for_each_verb_that_has_it():
    text = page("3")
    for verb in ("check", "path", "catalog show", "trust show", "inspect", "matrix lint", "update run", "update plan"):
        assert f"`bundlekit {verb}`" in text, verb
    assert "Exit code of `build`, `sign`" in text


def test_the_ends_of_an_update_are_all_on_their_page():
    assert all(str(EXIT_CODES[kind]) in page(kind) for kind in MEANINGS)


@pytest.mark.parametrize("printed", [*VERDICTS.values(), "NOT CHECKED", "not run", "not checked"])
def test_a_word_is_explained_as_the_report_spells_it(cli, printed):
    result = cli("explain", printed)
    assert result.code == 0, result.err
    assert result.out.startswith(f"# {printed.lower().replace(' ', '-')}\n")


@pytest.mark.parametrize(
    ("word", "near"), [("supersede", "superseded"), ("need-stop", "needs-stop"), ("exit-code", "exit-codes")]
)
def test_an_unknown_word_has_a_suggestion(cli, word, near):
    result = cli("explain", word)
    assert (result.code, result.out) == (2, "")
    assert f"did you mean '{near}'?" in result.err


def test_a_word_of_two_words_is_found_and_one_that_is_similar_to_none_has_no_suggestion(cli):
    assert cli("explain", "commit", "point").out.startswith("# commit-point\n")
    assert "did you mean" not in cli("explain", "degree").err


def test_a_page_that_a_word_leads_to_is_one():
    for word in words_known():
        for name in re.findall(r"See also: ([a-z-]+)\.$", page(word), re.MULTILINE):
            assert name in topics()


def test_a_word_that_is_a_rule_too_has_both_meanings():
    text = page("on-hold")
    assert text.startswith("# on-hold\n\n")
    assert "Class: compatibility" in text
    assert "Cause of a rejection: the pair is on hold" in text
    assert "Outcome of an update: no run was started, because the pair is on hold (exit code 12)" in text
