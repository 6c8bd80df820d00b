"""The report for people: what it is, what was found, what to do, and the verdict as the last line."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bundlekit.report import phrases
from bundlekit.report.answer import answer
from bundlekit.report.escape import escape
from bundlekit.report.model import NotChecked, Report
from bundlekit.wording import given

if TYPE_CHECKING:
    from collections.abc import Iterator

    from msgspec import UnsetType

    from bundlekit.model.decision import Decision
    from bundlekit.model.evidence import SignatureEvidence
    from bundlekit.model.finding import Finding, RuleOutcome
    from bundlekit.model.origin import TrustEntry


class Line(NamedTuple):
    """A line of a report. ``tone`` selects the colour on a terminal: good, bad, doubtful, muted or plain."""

    text: str
    tone: str = "plain"


def lines(report: Report | NotChecked) -> Iterator[Line]:
    """The report, line by line, every character of it safe for a terminal."""
    for line in _lines(report) if isinstance(report, Report) else _not_checked(report):
        yield Line(escape(line.text), line.tone)


def _lines(report: Report) -> Iterator[Line]:
    yield from _identity(report)
    if report.request.at_given:
        yield Line(f"  time       {report.request.at}, as given ({given('at')}), not by the clock", "doubtful")
    if used := report.request.config:
        yield Line(f"  config     {used.file} ({used.digest[:23]}…)", "muted")
    for folder in report.request.trust_folders or ():
        yield Line(f"  trust      folder {folder.folder}, with")
        yield from (Line(f"               {_entry(one)}") for one in folder.entries)
    for signature in report.signatures:
        yield _signature(signature)
        if signature.device_key:
            yield Line(f"             key digest {signature.device_key}, as the device stores it")
    for demand in report.demands:
        yield Line(f"  required   {phrases.demand_text(demand)}", "good" if demand.met else "bad")
    yield Line(f"  coverage   {phrases.coverage_text(report)}")
    for document in report.documents or ():
        tone = "plain" if document.result == "agrees" else "doubtful"
        yield Line(f"  document   {phrases.document_text(document)}", tone)
    if report.request.matrix:
        yield Line(f"  matrix     {operators(report.request.matrix_file, report.request.matrix)}", "doubtful")
    if advised := report.request.advisories:
        yield Line(f"  advisories serial {advised.serial} of {advised.issued}, valid until {advised.until}")
    elif report.decisions:
        yield Line("  advisories none", "muted")
    for decision in report.decisions:
        yield from _decision(decision, several=len(report.decisions) > 1)
    yield from _findings(report.findings)
    for rule, more in phrases.unlisted(report).items():
        yield Line(f"  and        {more:,} more findings of {rule}, which are not listed", "doubtful")
    if report.verdict == "incomplete":
        yield from _not_run(phrases.missing(report))
    if report.verdict == "reject":  # in a report about many pairs, the accepted pairs still need their lines
        open_pairs = {
            why: [one for one in of if one.rule == "undecided"] for why, of in phrases.missing(report).items()
        }
        yield from _not_run({why: of for why, of in open_pairs.items() if of})
    for left in phrases.left_open(report):
        yield Line(f"  not checked {left.reason}", "doubtful")
        yield Line(f"             next: {left.next}")
    if report.test_trust:
        yield Line("  TEST TRUST a test key counts here, which anyone can have; for tests only", "doubtful")
    for one in report.request.skipped_states or ():
        yield Line(f"  skipped    {one}", "doubtful")
    causes = f" ({', '.join(report.causes)})" if report.causes else ""
    tone = {"accept": "good", "reject": "bad", "incomplete": "doubtful"}[report.verdict]
    yield Line(f"{phrases.VERDICTS[report.verdict]}{causes}: {report.summary}", tone)


def operators(file: str | UnsetType, digest: str) -> str:
    """A matrix that the operator gave: whose word it is, and which file."""
    return f"the operator's, {file} ({digest[:23]}…); no signature covers it"


def _not_checked(not_checked: NotChecked) -> Iterator[Line]:
    yield Line(f"INCOMPLETE: {not_checked.error}", "doubtful")
    if not_checked.next:
        yield Line(f"             next: {not_checked.next}")


def _identity(report: Report) -> Iterator[Line]:
    release = report.release or report.claims
    tone = {"accept": "good", "reject": "bad", "incomplete": "doubtful"}[report.verdict]
    yield Line(f"bundle {report.request.file}: {answer(report)}", tone)
    if release is None:
        yield Line("  contains   no description that could be read")
    else:
        claims = "" if report.release else "NOT VERIFIED, claims to be "
        what = f"{report.format}: {claims}{phrases.describe(release)}"
        yield Line(f"  contains   {what}", "plain" if report.release else "doubtful")
    if report.id:
        yield Line(f"  id         {report.id}")
    if release and (impact := phrases.impact_text(release.impact)):
        yield Line(f"  impact     {impact}", "plain" if report.release else "doubtful")


def _entry(entry: TrustEntry) -> str:
    """A certificate or key of a folder that is trusted."""
    subject = f": {entry.subject or '(no subject)'}" if entry.kind == "anchor" else ""
    return f"{entry.kind} {entry.file}{subject} (sha256:{entry.id[:16]}…)"


def _signature(signature: SignatureEvidence) -> Line:
    who = signature.who
    match signature.standing:
        case "counted":
            return Line(f"  signed by  {signature.trusted_signer}", "good")
        case "rejected":
            return Line(f"  signature  {signature.index} by {who} does not count", "bad")
        case "ignored":
            return Line(f"  signature  {signature.index} by {who} is ignored: {signature.reason}", "muted")
        case "undecided":
            return Line(f"  signature  {signature.index} by {who} is undecided", "doubtful")
        case _:
            return Line(f"  signed by  {who}, not evaluated", "doubtful")


def _decision(decision: Decision, *, several: bool) -> Iterator[Line]:
    """One line for what is allowed and what was left open. Rejections come with the findings.

    In a report about several pairs, each pair first gets a line with its result. Every line names its pair.
    """
    pair = decision.pair if several else ""
    whose = f"{pair}: " if pair else ""
    if pair:
        whole = decision.overall
        tone = "good" if whole.allowed else "bad" if whole.rejected else "doubtful"
        yield Line(f"  pair       {pair}: {whole.kind}. {whole.message}", tone)
    for component_decision in decision.component_decisions:
        about = decision.about(component_decision, several=several)
        entry = f" (matrix entry {component_decision.entry})" if component_decision.entry else ""
        override = f" Allowed by --{component_decision.override}." if component_decision.override else ""
        if component_decision.allowed:
            tone = "doubtful" if override else "good"
            yield Line(f"  {component_decision.kind:<10} {about}: {component_decision.message}{override}{entry}", tone)
    for risk in decision.accepted:
        as_given = given("accept_risk", f"{risk.risk}@{risk.digest}")
        yield Line(f"  accepted   {whose}the risk {risk.risk}, with its current text: {as_given}")
    for partial_failure in decision.partial_failures:
        yield Line(f"  on failure {whose}{partial_failure.message}", "plain" if partial_failure.works else "doubtful")
    if decision.allowed and decision.not_checked:
        yield Line(f"  not checked {whose}{'; '.join(decision.not_checked)}", "muted")


def _findings(findings: tuple[Finding, ...]) -> Iterator[Line]:
    """Each fault once; where one message has many spans, the spans are gathered under it."""
    for group in phrases.grouped(findings):
        first = group[0]
        severity, subject = phrases.severity(first), first.subject
        tone = {"error": "bad", "warning": "doubtful", "info": "plain", "waived": "muted"}[severity]
        about = f" [{subject}]" if subject else ""
        entry = f" ({first.params.get('origin', 'matrix')} entry {first.entry})" if first.entry else ""
        yield Line(f"  {severity:<10} {first.rule}{about}: {first.message}{entry}", tone)
        spans = [finding.where for finding in group if finding.where]
        for span in spans[: phrases.MAX_SPANS]:
            yield Line(f"             bytes {phrases.span_text(span)}", "muted")
        if len(spans) > phrases.MAX_SPANS:
            yield Line(f"             and {len(spans) - phrases.MAX_SPANS} more spans, all in the JSON report", "muted")
        yield Line(f"             waived: {first.waived}" if first.waived else f"             next: {first.next}")


def _not_run(missing: dict[str, list[RuleOutcome]]) -> Iterator[Line]:
    """What kept the bundle from being checked: the rules that did not run, under their reason."""
    for reason, rules in missing.items():
        yield Line(f"  not run    {reason}", "doubtful")
        yield Line(f"             so: {', '.join(rule.rule for rule in rules)}", "muted")
        if steps := next((rule.next for rule in rules if rule.next), ""):
            yield Line(f"             next: {steps}")
