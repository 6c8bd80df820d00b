"""The rules, in one explicit tuple, and the verdict over them.

A rule is a pure function over what was read and measured. *Not run* is not *passed*: the question says which
rules are needed, and a needed rule that could not run leaves the verdict incomplete.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bundlekit.checks import authenticity, compatibility, freshness, integrity, layout
from bundlekit.checks.rule import Case, Rule
from bundlekit.model.finding import Finding, NotRun, RuleOutcome, Verdict
from bundlekit.model.primitives import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bundlekit.model.finding import Fault

RULES: Final = (*layout.RULES, *integrity.RULES, *authenticity.RULES, *freshness.RULES, *compatibility.RULES)


class Judgement(Frozen, frozen=True, kw_only=True):
    """Findings, the outcome of every rule, and the verdict they amount to."""

    verdict: Verdict
    findings: tuple[Finding, ...]
    outcomes: tuple[RuleOutcome, ...]


def judge(case: Case, rules: Iterable[Rule] = RULES) -> Judgement:
    """Apply the rules. A fault refuses; without one, a needed rule that did not run leaves it incomplete.

    Warnings do not refuse unless the question is strict.
    """
    findings: list[Finding] = []
    outcomes: list[RuleOutcome] = []
    for rule in rules:
        needed = rule.needed(case.question)
        answer = rule.run(case)
        if isinstance(answer, NotRun):
            outcomes.append(RuleOutcome(rule=rule.name, outcome="not-run", needed=needed, because=answer.because))
            continue
        found = [_finding(rule, fault) for fault in answer]
        findings += found
        outcomes.append(RuleOutcome(rule=rule.name, outcome="failed" if found else "passed", needed=needed))
    refusing = ("error", "warning") if case.question.strict else ("error",)
    verdict: Verdict = "accept"
    if any(finding.severity in refusing for finding in findings):
        verdict = "refuse"
    elif any(outcome.needed and outcome.outcome == "not-run" for outcome in outcomes):
        verdict = "incomplete"
    return Judgement(verdict=verdict, findings=tuple(findings), outcomes=tuple(outcomes))


def _finding(rule: Rule, fault: Fault) -> Finding:
    return Finding(
        rule=rule.name,
        rule_class=rule.rule_class,
        severity=rule.severity,
        cause=fault.cause or rule.cause,
        message=fault.message,
        next=fault.next or rule.remedy,
        where=fault.where,
        subject=fault.subject,
        entry=fault.entry,
        params=fault.params,
    )
