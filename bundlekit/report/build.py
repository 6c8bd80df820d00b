"""Make a report from the question, the evidence and the verdict."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from bundlekit import checks
from bundlekit._version import __version__
from bundlekit.integrity import coverage
from bundlekit.report.answer import verified_over_all
from bundlekit.report.model import Coverage, OpenReason, ReadDocument, Report, RequestSummary, Tool
from bundlekit.wording import given

if TYPE_CHECKING:
    from bundlekit.checks import RulesResult
    from bundlekit.model.appliance import Appliance
    from bundlekit.model.bundle import Bundle
    from bundlekit.model.decision import Decision
    from bundlekit.model.evidence import DocumentEvidence, Evidence
    from bundlekit.model.finding import Cause, Finding, RuleOutcome
    from bundlekit.model.origin import ConfigUse, Folder
    from bundlekit.model.question import Question
    from bundlekit.report.model import DocumentResult


HEAD: Final = "the head of the bundle (its payload was not read)"
MAX_NAMED: Final = 8
"""The maximum number of pairs or rules that a summary names. Beyond that it gives the number."""


def report(
    *,
    name: str,
    bundle: Bundle,
    evidence: Evidence,
    question: Question,
    decisions: tuple[Decision, ...],
    result: RulesResult,
    authentic: bool,
    trust: str | None,
    trust_folders: tuple[Folder, ...] = (),
    config: ConfigUse | None = None,
) -> Report:
    """The report of one check. ``trust`` is the digest of the trust, including what its folders contain."""
    release = bundle.release
    covered = coverage(bundle)
    causes: list[Cause] = [f.cause for f in rejecting(question, result)]
    return Report(
        tool=Tool(version=__version__),
        verdict=result.verdict,
        scope=question.scope,
        summary=summary(question, result, signed=verified_over_all(evidence.signatures or (), covered)),
        causes=tuple(dict.fromkeys(causes)),
        request=RequestSummary(
            file=name,
            at=question.at,
            at_given=question.at_given,
            trust=trust,
            trust_folders=trust_folders or msgspec.UNSET,
            waivers=question.waivers_digest,
            config=config or msgspec.UNSET,
            sources=question.sources,
            appliance=_digest(question.appliances),
            matrix=question.matrix or msgspec.UNSET,
            matrix_file=question.matrix_file or msgspec.UNSET,
            policy=question.policy,
            advisories=question.advice.use if question.advice else None,
            full=question.digests,
            strict=question.strict,
            warn_within=msgspec.UNSET if question.warn_within is None else question.warn_within,
            require_evidence=question.require_evidence or msgspec.UNSET,
            bundle_formats=question.bundle_formats or msgspec.UNSET,
        ),
        id=bundle.id,
        format=bundle.format,
        release=release if authentic else None,
        claims=None if authentic else release,
        test_trust=any(one.counts and one.test for one in evidence.signatures or ()),
        signatures=evidence.signatures or (),
        demands=evidence.demands or (),
        coverage=Coverage(
            size=bundle.size + sum(bundle.files.values()),
            covered=sum(item.span.size for item in covered if item.by not in ("nothing", "framing")),
            map=covered,
            sections=tuple(sorted(bundle.sections, key=lambda section: (section.span.stream, section.span))),
        ),
        documents=tuple(map(_document, evidence.documents or ())) or msgspec.UNSET,
        decisions=decisions,
        findings=result.findings,
        not_checked=open_reasons(result) if result.verdict == "incomplete" else msgspec.UNSET,
        rules=result.outcomes,
    )


def open_reasons(result: RulesResult) -> tuple[OpenReason, ...]:
    """Why required rules did not run, in the order of the rules."""
    reasons: dict[str, list[RuleOutcome]] = {}
    for outcome in _open(result):
        reasons.setdefault(outcome.reason, []).append(outcome)
    return tuple(
        OpenReason(
            reason=reason, rules=tuple(one.rule for one in of), next=next((one.next for one in of if one.next), "")
        )
        for reason, of in reasons.items()
    )


def _open(result: RulesResult) -> list[RuleOutcome]:
    return [outcome for outcome in result.outcomes if outcome.required and outcome.outcome == "not-run"]


def _document(one: DocumentEvidence) -> ReadDocument:
    result: DocumentResult = "agrees"
    if one.malformed or one.unread:
        result = "malformed" if one.malformed else "not-read"
    elif one.differences or not one.compared:
        result = "differs" if one.differences else "names-nothing"
    return ReadDocument(name=one.subject, format=one.format, compared=one.compared, result=result)


def partly(report: Report, skipped: tuple[str, ...]) -> Report:
    """The report where some states could not be read. What is accepted for the others only is incomplete."""
    if not skipped:
        return report
    changes: dict[str, object] = {"request": replace(report.request, skipped_states=skipped)}
    if report.verdict == "accept":
        lines = "1 line of the states" if len(skipped) == 1 else f"{len(skipped):,} lines of the states"
        reason = f"{lines} could not be read"
        changes |= {"verdict": "incomplete", "summary": f"{report.summary}, but {reason}"}
        changes |= {"not_checked": (OpenReason(reason=reason, next="Correct the lines, then check again."),)}
    return replace(report, **changes)


def summary(question: Question, result: RulesResult, *, signed: bool = False) -> str:
    """The verdict in one sentence. ``signed``: the signatures cover the payload itself."""
    unread = "the bundle (checked as far as signatures cover it)" if signed else HEAD
    what = "the bundle" if question.scope == "full" else unread
    if result.verdict == "reject":
        rules = list(dict.fromkeys(finding.rule for finding in rejecting(question, result)))
        return f"{what} is rejected by {_some(rules)}"
    if result.verdict == "incomplete":
        missing = [outcome.rule for outcome in _open(result)]
        noun = "1 required rule" if len(missing) == 1 else f"{len(missing)} required rules"
        return f"{what} is incomplete: {noun} could not run ({_some(missing)})"
    if question.asks_who:
        judged = [f"version {version}" for version in question.sources]
        pairs = [f"pair {appliance.pair}" for appliance in question.appliances]
        judged += pairs if len(pairs) <= MAX_NAMED else [f"{len(pairs)} pairs"]
        return f"{what} is accepted for {', '.join(judged)}"
    return f"{what} is accepted; no installed version was given ({given('sources')}, {given('appliance')})"


def _some(rules: list[str]) -> str:
    more = f" and {len(rules) - MAX_NAMED} more" if len(rules) > MAX_NAMED else ""
    return f"{', '.join(rules[:MAX_NAMED])}{more}"


def rejecting(question: Question, result: RulesResult) -> list[Finding]:
    """The findings that reject."""
    return [finding for finding in result.findings if checks.rejects(finding, strict=question.strict)]


def _digest(appliances: tuple[Appliance, ...]) -> str | None:
    """What the report names as checked: the digest of the state, or the digest over the digests of several."""
    digests = [_sha256(msgspec.json.encode(appliance, order="sorted")) for appliance in appliances]
    return digests[0] if len(digests) == 1 else _sha256("\n".join(digests).encode()) if digests else None


def _sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
