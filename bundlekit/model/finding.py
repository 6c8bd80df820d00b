"""The parts of a verdict: findings, the outcome of each rule, and the verdict itself."""

from __future__ import annotations

from typing import Literal

from bundlekit.model.bundle import Span
from bundlekit.model.primitives import Frozen

Cause = Literal[
    "corrupted",
    "unsupported-format",
    "unauthentic",
    "wrong-product",
    "not-newer",
    "unsupported-source",
    "requirements",
    "on-hold",
    "best-practice",
]
"""Why a bundle is rejected: a closed list, for programs that branch on it."""

RuleClass = Literal["layout", "integrity", "authenticity", "compatibility", "best-practice"]
Severity = Literal["error", "warning", "info"]
RuleOutcomeKind = Literal["passed", "failed", "not-run"]
Verdict = Literal["accept", "reject", "incomplete"]
Scope = Literal["full", "head"]


class Fault(Frozen, frozen=True, kw_only=True):
    """One fault as its rule reports it. The caller adds the name, the cause and the severity of the rule.

    ``where`` is the byte span to look at. ``subject`` is the component, signature or installed version concerned.
    ``entry`` is the id of the matrix entry that decided. ``next`` is the next step; if empty, the remedy of the rule
    applies. ``cause`` overrides the cause of the rule if the fault has a more precise one.
    """

    message: str
    where: Span | None = None
    subject: str = ""
    entry: str = ""
    next: str = ""
    cause: Cause | None = None
    params: dict[str, str | int] = {}


class NotRun(Frozen, frozen=True, kw_only=True):
    """A rule could not be applied, for a ``reason``. If the request needs the rule, the bundle is not accepted.

    ``next`` is the step that would let the rule run, if there is one.
    """

    reason: str
    next: str = ""


class PartialResult(Frozen, frozen=True, kw_only=True):
    """A rule was applied and found ``faults``, but part of its evidence was missing. That part rejects no bundle."""

    faults: tuple[Fault, ...]
    reason: str
    next: str = ""


class NamedFinding(Frozen, frozen=True, kw_only=True):
    """A fault as reported: by a rule, about a ``subject``, as a matrix ``entry`` decides, and with the next step."""

    rule: str
    severity: Severity
    message: str
    next: str
    subject: str = ""
    entry: str = ""


class Finding(NamedFinding, frozen=True, kw_only=True):
    """A finding of a check. ``waived`` is the operator's reason for waiving it; empty if it is not waived."""

    rule_class: RuleClass
    cause: Cause
    where: Span | None = None
    params: dict[str, str | int] = {}
    waived: str = ""


class RuleOutcome(Frozen, frozen=True, kw_only=True):
    """The outcome of one rule: passed, failed, or not run (with a ``reason``).

    A rule that passed or failed can also leave something open; ``reason`` and ``next`` then give the reason and the
    next step. ``required``: the request needs the rule. ``finding_count`` counts its findings. A report contains the
    first 256 of them.
    """

    rule: str
    outcome: RuleOutcomeKind
    required: bool
    finding_count: int = 0
    reason: str = ""
    next: str = ""
