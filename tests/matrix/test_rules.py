"""The list of the rules of a decision: it is complete, and the code follows it."""

import inspect

import pytest

from bundlekit.matrix.rules import RULES
from bundlekit.matrix.stages import STAGES
from bundlekit.model.decision import CAUSES
from tests.matrix.test_advice import ROWS


def test_the_rules_are_numbered_in_the_order_in_which_they_are_asked():
    assert [rule.number for rule in RULES] == list(range(1, 21))
    assert len({rule.name for rule in RULES}) == len(RULES)
    stages = list(dict.fromkeys(rule.stage for rule in RULES))
    assert stages == ["matrix", "bundle", "pair", "component", "primary", "whole"]
    assert [rule.stage for rule in RULES] == sorted((rule.stage for rule in RULES), key=stages.index)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_is_a_small_function_that_bears_its_number(rule):
    assert inspect.getdoc(rule.ask).startswith(f"Rule {rule.number}: ")
    assert len(inspect.getsource(rule.ask).splitlines()) < 40
    assert rule.line[0].islower()
    assert not rule.line.endswith(".")


def test_each_decision_that_refuses_is_made_by_a_rule():
    made = {kind for rule in RULES for kind in rule.kinds}
    assert made == set(CAUSES) - {"upgrade", "already-installed", "not-included"}
    assert made == set(STAGES)


def test_a_rule_makes_only_the_decisions_that_it_names(monkeypatch):
    """Every rule is asked about all that the test of advice has, and its answers are of its kinds."""
    made = {rule.number: set() for rule in RULES}

    def watched(rule):
        def ask(question):
            before = [] if rule.stage in ("component", "primary") else list(question.decisions)
            answer = rule.ask(question)
            found = [answer] if rule.stage in ("component", "primary") else question.decisions[len(before) :]
            made[rule.number] |= {one.kind for one in found if one is not None}
            return answer

        return ask

    from bundlekit.matrix import rules

    asks = {rule.ask: watched(rule) for rule in RULES if rule.number > 1}
    monkeypatch.setattr(rules, "_COMPONENT", tuple(asks[ask] for ask in rules._COMPONENT))
    monkeypatch.setattr(rules, "_PRIMARY", tuple(asks[ask] for ask in rules._PRIMARY))
    monkeypatch.setattr(
        rules, "_PAIR", {stage: tuple(asks[ask] for ask in every) for stage, every in rules._PAIR.items()}
    )
    for question in ROWS.values():
        question.decided()
    for rule in RULES[1:]:
        assert made[rule.number] - {"undecided"} == set(rule.kinds)
