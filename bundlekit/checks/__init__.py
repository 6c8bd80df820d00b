"""The rules, in one explicit tuple, and the verdict from their results.

A rule is a pure function of what was read and measured. *Not run* is not *passed*. The request determines which rules
are needed. A needed rule that could not run leaves the verdict incomplete.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bundlekit.checks import (
    allowed,
    authenticity,
    best_practice,
    compatibility,
    documents,
    freshness,
    integrity,
    layout,
    structure,
)
from bundlekit.checks.rule import MAX_FINDINGS, Rule, RuleContext
from bundlekit.model.finding import Finding, NotRun, PartialResult, RuleOutcome, Verdict
from bundlekit.model.primitives import Frozen
from bundlekit.wording import fill

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bundlekit.model.finding import Fault, RuleOutcomeKind
    from bundlekit.model.waiver import ProjectWaiver, Waiver

RULES: Final = (
    *layout.RULES,
    *integrity.RULES,
    *structure.RULES,
    *authenticity.RULES,
    *freshness.RULES,
    *allowed.RULES,
    *compatibility.RULES,
    *best_practice.RULES,
    *documents.RULES,
)


MAX_MESSAGE: Final = 2500
"""Characters of a message: enough for two texts of the manifest and a sentence around them."""


class RulesResult(Frozen, frozen=True, kw_only=True):
    """The findings, the outcome of every rule, and the verdict that follows from them."""

    verdict: Verdict
    findings: tuple[Finding, ...]
    outcomes: tuple[RuleOutcome, ...]


def apply_rules(context: RuleContext, rules: Iterable[Rule] = RULES) -> RulesResult:
    """Apply the rules, and reach a verdict: a fault rejects the bundle.

    Without a fault, a needed rule that did not run leaves the verdict incomplete. A warning rejects the bundle only if
    the request is strict and the warning is not waived.
    """
    findings: list[Finding] = []
    outcomes: list[RuleOutcome] = []
    for rule in rules:
        if not rule.applies(context.bundle):
            continue
        needed = rule.needed(context.question)
        answer = _unread(rule, context) or rule.run(context)
        if isinstance(answer, NotRun):
            outcomes.append(
                RuleOutcome(
                    rule=rule.name,
                    outcome="not-run",
                    required=needed,
                    reason=_shortened(answer.reason),
                    next=_shortened(answer.next),
                )
            )
            continue
        waived = _waived(rule, context)
        expired = "" if waived else _expired(rule, context)
        found = answer.faults if isinstance(answer, PartialResult) else answer
        findings += [_finding(rule, fault, waived, expired) for fault in found[:MAX_FINDINGS]]
        outcome: RuleOutcomeKind = "failed" if found else "passed"
        outcomes.append(
            RuleOutcome(
                rule=rule.name,
                outcome=outcome,
                required=needed,
                finding_count=len(found),
                reason=_shortened(answer.reason) if isinstance(answer, PartialResult) else "",
                next=_shortened(answer.next) if isinstance(answer, PartialResult) else "",
            )
        )
    verdict: Verdict = "accept"
    if any(rejects(finding, strict=context.question.strict) for finding in findings):
        verdict = "reject"
    elif any(outcome.required and outcome.outcome == "not-run" for outcome in outcomes):
        verdict = "incomplete"
    return RulesResult(verdict=verdict, findings=tuple(findings), outcomes=tuple(outcomes))


def rejects(finding: Finding, *, strict: bool) -> bool:
    """Whether a finding rejects the bundle: an error does, and in a strict check a warning that is not waived."""
    return not finding.waived and (finding.severity == "error" or (strict and finding.severity == "warning"))


def _waived(rule: Rule, context: RuleContext) -> str:
    """Why findings of this rule are waived; empty if they are not. Only a best-practice rule can be waived."""
    release = context.bundle.release
    if rule.rule_class != "best-practice" or release is None:
        return ""
    day = context.question.at[:10]
    return next(
        (
            f"{one.reason} (until {one.expires})"
            for one in context.question.waivers
            if _is_about(one, rule, context) and day <= str(one.expires)
        ),
        "",
    )


def _is_about(waiver: Waiver | ProjectWaiver, rule: Rule, context: RuleContext) -> bool:
    """Whether a waiver names this rule and, as far as it names any, this product and this bundle."""
    release = context.bundle.release
    return (
        waiver.rule == rule.name
        and release is not None
        and waiver.product in (None, release.product)
        and waiver.bundle in (None, context.bundle.id)
    )


def _expired(rule: Rule, context: RuleContext) -> str:
    """The waiver of this rule that no longer counts, as the beginning of the next step; empty if there is none."""
    if rule.rule_class != "best-practice":
        return ""
    asked = context.question
    late = [one for one in asked.waivers if asked.at[:10] > str(one.expires)]
    ended = [str(one.expires) for one in (*asked.expired_waivers, *late) if _is_about(one, rule, context)]
    return f"The waiver for it expired on {max(ended)} and no longer counts. " if ended else ""


def _unread(rule: Rule, context: RuleContext) -> NotRun | None:
    """Why the rule cannot be applied to a bundle with parts that this program or this machine cannot read.

    A fault that was found in the other parts is still reported.
    """
    if any(problem.rule == rule.name for problem in context.bundle.problems):
        return None
    return next(
        (NotRun(reason=one.reason, next=one.next) for one in context.bundle.unread if rule.name in one.rules), None
    )


def _shortened(message: str) -> str:
    return message if len(message) <= MAX_MESSAGE else f"{message[:MAX_MESSAGE]}… ({len(message):,} characters)"


def _finding(rule: Rule, fault: Fault, waived: str, expired: str) -> Finding:
    return Finding(
        rule=rule.name,
        rule_class=rule.rule_class,
        severity=rule.severity,
        cause=fault.cause or rule.cause,
        message=_shortened(fault.message),
        next=expired + (fault.next or fill(rule.remedy)),
        where=fault.where,
        subject=fault.subject,
        entry=fault.entry,
        params=fault.params,
        waived=waived,
    )
