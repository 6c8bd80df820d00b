"""The report of the lint."""

from __future__ import annotations

from typing import Literal

from bundlekit.model.finding import Severity
from bundlekit.model.primitives import Frozen


class LintFinding(Frozen, frozen=True, kw_only=True):
    """One finding: ``subject`` is the version concerned, ``entry`` the id of the entry to change."""

    rule: str
    severity: Severity
    message: str
    next: str
    subject: str = ""
    entry: str = ""


class LintReport(Frozen, frozen=True, kw_only=True):
    """The lint of one release's matrix. ``against`` are the versions of the other bundles.

    ``not_run`` are the rules that could not be applied, or not completely, with the reasons. With ``strict`` the
    verdict is ``incomplete`` if one of them is a rule that can reject.
    """

    schema: Literal["bundlekit/lint/1"] = "bundlekit/lint/1"
    product: str
    version: str
    at: str
    against: tuple[str, ...] = ()
    verdict: Literal["accept", "reject", "incomplete"]
    findings: tuple[LintFinding, ...]
    not_run: dict[str, str] = {}
