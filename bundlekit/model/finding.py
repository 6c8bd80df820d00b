"""What a judgement is made of: findings, the outcome of each rule, and the verdict."""

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
    "house-rule",
]
"""Why a bundle is refused: a closed list, for programs that branch on it."""

RuleClass = Literal["layout", "integrity", "authenticity", "compatibility", "house"]
Severity = Literal["error", "warning", "info"]
OutcomeKind = Literal["passed", "failed", "not-run"]
Verdict = Literal["accept", "refuse", "incomplete"]
Scope = Literal["full", "head"]


class Fault(Frozen, frozen=True, kw_only=True):
    """What a rule says of one fault; the rule's name, cause and severity are added by who called it.

    ``where`` is the byte span to look at, ``subject`` the component, signature or installed version
    concerned, ``entry`` the id of the matrix entry that decided, ``next`` what to do about it (the rule's
    remedy where empty). ``cause`` overrides the rule's own where the fault knows better.
    """

    message: str
    where: Span | None = None
    subject: str = ""
    entry: str = ""
    next: str = ""
    cause: Cause | None = None
    params: dict[str, str | int] = {}


class NotRun(Frozen, frozen=True, kw_only=True):
    """A rule could not be applied, because …; where the question needs the rule, nothing is accepted.

    ``next`` is what to do so that it can be, where there is something.
    """

    because: str
    next: str = ""


class PartialResult(Frozen, frozen=True, kw_only=True):
    """A rule was applied, and found ``faults``, but there is something that it could not see; nobody is refused for it.

    ``because`` and ``next`` are as in `NotRun`.
    """

    faults: tuple[Fault, ...]
    because: str
    next: str = ""


class Finding(Frozen, frozen=True, kw_only=True):
    """A fault as reported. ``waived`` is the reason for which the operator lets it be; empty if they do not."""

    rule: str
    rule_class: RuleClass
    severity: Severity
    cause: Cause
    message: str
    next: str
    where: Span | None = None
    subject: str = ""
    entry: str = ""
    params: dict[str, str | int] = {}
    waived: str = ""


class RuleOutcome(Frozen, frozen=True, kw_only=True):
    """What became of one rule: passed, failed, or not run (because …).

    One that passed or failed can have left something open as well, which ``because`` and ``next`` then say.
    ``found`` counts its findings, of which a report has the first 256.
    """

    rule: str
    outcome: OutcomeKind
    needed: bool
    found: int = 0
    because: str = ""
    next: str = ""
