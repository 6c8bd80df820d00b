"""What every rendering of a report states in the same words: the release, its impact, the coverage, a demand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bundlekit.report.answer import is_signed_alone, is_whole, was_read
from bundlekit.wording import count

if TYPE_CHECKING:
    from bundlekit.model.bundle import Span
    from bundlekit.model.evidence import DemandEvidence
    from bundlekit.model.finding import Finding, RuleOutcome
    from bundlekit.model.manifest import Impact
    from bundlekit.model.release import Release
    from bundlekit.report.model import ReadDocument, Report

VERDICTS: Final = {"accept": "ACCEPT", "reject": "REJECT", "incomplete": "INCOMPLETE"}
MAX_SPANS: Final = 8
"""Spans of one message that are written out; the JSON report has them all."""


def describe(release: Release) -> str:
    """A release in one line."""
    build = f" (build {release.build})" if release.build else ""
    what = f"{release.product or 'unnamed product'} {release.version}{build}, {release.kind}"
    day = f" of {release.released}" if release.released else ""
    return f"{what}{day}, for {', '.join(release.models)}" if release.models else f"{what}{day}"


def impact_text(effect: Impact) -> str:
    """What an operator has to plan for, as far as the release specifies it."""
    service = {"none": "no effect on service", "rolling": "rolling, service continues", "outage": "service outage"}
    said = [
        service[effect.service] if effect.service else "",
        {True: "reboot", False: "no reboot", None: ""}[effect.reboot],
        f"{effect.minutes} min" if effect.minutes is not None else "",
        f"{effect.revert_minutes} min to revert" if effect.revert_minutes is not None else "",
    ]
    return ", ".join(filter(None, said))


def coverage_text(report: Report) -> str:
    """How much of the file was looked at, and whether that was whole."""
    covered, size = report.coverage.covered, report.coverage.size
    if not is_whole(report):
        return f"NOT COMPLETE, see the errors; {covered:,} of {size:,} bytes covered"
    if report.scope == "head":
        what = "what signatures cover" if is_signed_alone(report) else "head and signatures only"
        return f"read: {what}, of {size:,} bytes"
    if not was_read(report):
        return (
            "the payload was not read, so its bytes are not checked; signatures and digests cover "
            f"{covered:,} of {size:,} bytes"
        )
    return f"{covered:,} of {size:,} bytes"


def demand_text(evidence: DemandEvidence) -> str:
    """One ``[[require]]`` of a trust.toml, and who has met it."""
    how = f" ({', '.join(evidence.algorithms)})" if evidence.algorithms else ""
    signed = ", ".join(evidence.signed) or "no signer"
    return f"{evidence.count} of {', '.join(evidence.of)}{how}: signed by {signed}"


DOCUMENTS: Final = {
    "agrees": "agrees with the bundle",
    "differs": "differs from the bundle",
    "names-nothing": "names nothing in the bundle",
    "malformed": "cannot be read",
    "not-read": "was not read, because it is too large",
}
"""What was found about a document, by the result."""


def document_text(document: ReadDocument) -> str:
    """A document that was read, and what was found."""
    form = f" ({document.format})" if document.format else ""
    found = f" ({count(document.compared, 'artifact')} compared)" if document.compared else ""
    return f"{document.name}{form} {DOCUMENTS[document.result]}{found}"


def severity(finding: Finding) -> str:
    """``error``, ``warning``, ``info`` or ``waived``."""
    return "waived" if finding.waived else finding.severity


def grouped(findings: tuple[Finding, ...]) -> list[list[Finding]]:
    """Each fault once: findings of one rule about one subject with one message, which differ in their spans."""
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.rule, finding.subject, finding.message), []).append(finding)
    return list(groups.values())


def unlisted(report: Report) -> dict[str, int]:
    """How many findings of each rule are counted but not in the report."""
    listed = {rule.rule: sum(finding.rule == rule.rule for finding in report.findings) for rule in report.rules}
    return {rule.rule: more for rule in report.rules if (more := rule.finding_count - listed[rule.rule]) > 0}


def missing(report: Report) -> dict[str, list[RuleOutcome]]:
    """The required rules that did not run, by the reason."""
    reasons: dict[str, list[RuleOutcome]] = {}
    for rule in report.rules:
        if rule.required and rule.outcome == "not-run":
            reasons.setdefault(rule.reason, []).append(rule)
    return reasons


ON_REQUEST: Final = frozenset({"image-digest-mismatch"})
"""Rules that run on request alone although the description states what they compare. Accepted is not compared."""


def left_open(report: Report) -> list[RuleOutcome]:
    """What an accepted bundle leaves open: what rules could not see, and what was not compared without a request.

    A decision reports what it leaves open itself.
    """
    on_request = ON_REQUEST if report.scope == "full" else frozenset()
    return [
        rule
        for rule in report.rules
        if rule.reason and rule.next and (rule.outcome != "not-run" or rule.rule in on_request)
        if report.verdict == "accept"
    ]


def span_text(where: Span) -> str:
    """A byte range and its size."""
    return f"{where} ({where.size:,} {'byte' if where.size == 1 else 'bytes'})"
