"""The rules about rules: whoever adds one cannot forget its page, its remedy, its golden folder."""

import re
from pathlib import Path
from typing import get_args

import pytest

import bundlekit
from bundlekit.checks import RULES, authenticity
from bundlekit.checks.layout import NO_MANIFEST
from bundlekit.layout import reader
from bundlekit.model.finding import Cause, RuleClass, Severity
from bundlekit.model.rule import SIGNATURE_RULES
from fixtures import forge, make_mcuboot
from fixtures.make_golden import GOLDEN

SNAPSHOT = Path(__file__).with_name("rules.txt")
OWN = [rule for rule in RULES if rule.aspect is None or rule.aspect in reader.ASPECTS]
"""The rules that apply to an update.bin."""

TOPICS = {"signing-rooms", "documents", "format", "formats", "manifest", "trust", "matrix", "exit-codes"}


def test_the_names_are_the_ones_people_have_scripts_for():
    """A name is an interface: change tests/rules.txt only together with the changelog."""
    assert [rule.name for rule in RULES] == SNAPSHOT.read_text().split()


def test_names_are_unique():
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_the_rules_that_need_signatures_are_listed():
    """A format with signatures that cannot be read leaves each of them open."""
    assert tuple(rule.name for rule in authenticity.RULES) == SIGNATURE_RULES


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_tells_people_what_they_need(rule):
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.name)
    assert rule.rule_class in get_args(RuleClass)
    assert rule.severity in get_args(Severity)
    assert rule.cause in get_args(Cause)
    assert rule.see in TOPICS
    assert rule.page[0].isupper()
    assert rule.page.partition("\n\n")[0].endswith(".")
    assert rule.remedy[0].isupper()
    assert rule.remedy.endswith(".")


def test_every_rule_has_a_golden_folder_and_every_folder_a_rule():
    names = {rule.name for rule in OWN}
    assert set(forge.SPOILS) == names
    assert {folder.name for folder in GOLDEN.iterdir()} == names | {"accept"}


def test_the_table_of_faults_is_in_the_order_of_the_rules():
    assert list(forge.SPOILS) == [rule.name for rule in OWN]


def test_a_rule_about_the_manifest_has_that_aspect():
    """Without ``aspect="manifest"`` it applies to formats that have none, and a strict check of them is incomplete."""
    folder = make_mcuboot.SAMPLES
    trust = bundlekit.load_trust([folder / "trust.toml"])
    report = bundlekit.check(folder / "p256.bin", trust=trust, strict=True)
    assert [one.rule for one in report.rules if one.reason == NO_MANIFEST.reason] == [], "give these rules an aspect"
    assert report.verdict == "accept"
