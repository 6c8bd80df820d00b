"""A rule: one small pure function, and the explanation of the fault that it names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from bundlekit.matrix.read import ReadMatrix, UnreadableMatrix
from bundlekit.model.bundle import Aspect, Bundle
from bundlekit.model.decision import Decision
from bundlekit.model.evidence import Evidence
from bundlekit.model.finding import Cause, Fault, NotRun, PartialResult, RuleClass, Severity
from bundlekit.model.primitives import Frozen
from bundlekit.model.question import Question
from bundlekit.model.rule import NamedRule, name_of, page_of

if TYPE_CHECKING:
    from bundlekit.model.bundle import Problem

MAX_FINDINGS: Final = 256
"""Findings of one rule that are reported; any others are only counted."""


class RuleContext(Frozen, frozen=True, kw_only=True):
    """Everything that a rule can read. ``decisions`` has one entry for each installed state in the request.

    ``matrix`` is the matrix of the manifest, read once for all rules. A rule that is given none reads it itself.
    """

    bundle: Bundle
    evidence: Evidence
    question: Question
    decisions: tuple[Decision, ...] = ()
    matrix: ReadMatrix | UnreadableMatrix | None = None


RuleAnswer = Sequence[Fault] | NotRun
RuleFunction = Callable[[RuleContext], RuleAnswer | PartialResult]


class Rule(NamedRule, frozen=True, kw_only=True):
    """A rule of a check. ``see`` is a topic of the documentation. Without an ``aspect`` it applies to every format."""

    rule_class: RuleClass
    cause: Cause
    see: str
    run: RuleFunction
    needed: Callable[[Question], bool]
    aspect: Aspect | None

    def applies(self, bundle: Bundle) -> bool:
        """Whether the format of ``bundle`` has what the rule is about."""
        return self.aspect is None or self.aspect in bundle.aspects


def always(_: Question) -> bool:
    """Needed for every request."""
    return True


def rule(
    rule_class: RuleClass,
    *,
    cause: Cause,
    remedy: str,
    see: str,
    severity: Severity = "error",
    needed: Callable[[Question], bool] = always,
    aspect: Aspect | None = None,
) -> Callable[[RuleFunction], Rule]:
    """Make a rule from a function. The rule takes the function's name, with hyphens, and its docstring as the page."""

    def decorate(function: RuleFunction) -> Rule:
        return make(
            name_of(function),
            function.__doc__ or "",
            function,
            rule_class,
            cause=cause,
            remedy=remedy,
            see=see,
            severity=severity,
            needed=needed,
            aspect=aspect,
        )

    return decorate


def make(
    name: str,
    page: str,
    run: RuleFunction,
    rule_class: RuleClass,
    *,
    cause: Cause,
    remedy: str,
    see: str,
    severity: Severity = "error",
    needed: Callable[[Question], bool] = always,
    aspect: Aspect | None = None,
) -> Rule:
    """Make a rule that is a row of a table. ``page`` is written like a docstring."""
    return Rule(
        name=name,
        rule_class=rule_class,
        severity=severity,
        cause=cause,
        remedy=remedy,
        see=see,
        page=page_of(page),
        run=run,
        needed=needed,
        aspect=aspect,
    )


def faults(problems: Iterable[Problem], name: str) -> list[Fault]:
    """The problems found while reading that the rule ``name`` reports."""
    return [
        Fault(message=p.message, where=p.where, subject=p.subject, params=p.params) for p in problems if p.rule == name
    ]
