"""Rules of the house: a bundle that breaks one can be installed, and whoever ships it should know."""

from __future__ import annotations

from typing import Final

from bundlekit.checks.rule import Answer, Case, rule
from bundlekit.model.finding import Fault, NotRun

MAX_WORK: Final = 200_000
"""Releases times entries times models up to which the lint is part of a check; so many take it one to two seconds."""

SAID_ELSEWHERE: Final = {"manifest-inconsistent", "detour-unknown"}
"""The first is a rule by itself; the second is for whoever has other bundles at hand."""


@rule(
    "house",
    severity="warning",
    cause="house-rule",
    remedy="Correct the matrix before the bundle ships; `bundlekit matrix lint` says more.",
    see="matrix",
    needed=lambda _: False,
)
def matrix_lint(case: Case) -> Answer:
    """The upgrade matrix strands a version, or has an entry that is probably a mistake.

    Each message begins with the name of a rule of `bundlekit matrix lint`, which has a page of its own. It is
    about the release as a whole, so it is asked by `check` alone, and only where no installed version is asked
    about.
    """
    manifest = case.bundle.manifest
    if manifest is None:
        return NotRun(because="the manifest could not be read")
    if case.question.scope == "head" or case.question.asks_who:
        return NotRun(because="the question is about an installation, not about the release as a whole")
    if case.question.trust and not all(signature.counts for signature in case.evidence.signatures or ()):
        return NotRun(because="nobody trusted vouches for the upgrade matrix")
    matrix = manifest.matrix
    entries = len(matrix.sources) + len(matrix.stops) + len(matrix.blocks) + len(matrix.dead_ends) + len(matrix.risks)
    if (len(matrix.releases) + 1) * (entries + 1) * len(manifest.models) > MAX_WORK:
        return NotRun(because="the upgrade matrix is large; `bundlekit matrix lint` takes its time for it")

    from bundlekit.matrix.lint import lint  # a pre-flight should not pay for it

    report = lint(manifest, at=case.question.at[: len("2026-11-23")])
    return [
        Fault(
            message=f"{finding.rule}: {finding.message}",
            subject=finding.subject,
            entry=finding.entry,
            next=finding.next,
            params={"lint": finding.rule},
        )
        for finding in report.findings
        if finding.severity != "info" and finding.rule not in SAID_ELSEWHERE
    ]


RULES: Final = (matrix_lint,)
