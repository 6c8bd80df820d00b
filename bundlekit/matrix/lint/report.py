"""The report of the lint."""

from __future__ import annotations

from typing import Literal

from bundlekit.model.finding import NamedFinding
from bundlekit.model.primitives import Frozen


class LintReport(Frozen, frozen=True, kw_only=True):
    """The lint of one release's matrix. ``against`` are the versions of the other bundles.

    The ``subject`` of a finding is the version concerned, and its ``entry`` the one to change. ``not_run`` are the
    rules that could not be applied, or not completely, with the reasons. With ``strict`` the verdict is ``incomplete``
    if one of them is a rule that can reject.
    """

    schema: Literal["bundlekit/lint/1"] = "bundlekit/lint/1"
    product: str
    version: str
    at: str
    against: tuple[str, ...] = ()
    verdict: Literal["accept", "reject", "incomplete"]
    findings: tuple[NamedFinding, ...]
    not_run: dict[str, str] = {}
