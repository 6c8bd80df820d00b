"""Reports as JUnit XML: one suite for each bundle, one case for each rule, and one for the verdict.

CI services read this format as the Ant task and Jenkins write it. It has no standard; the elements and attributes here
are those that the readers of GitLab, Jenkins, Azure Pipelines and junitparser have in common. A rule that did not run
is a skipped case. The case ``verdict`` fails or has an error if the bundle is not accepted. A reader that ignores
skipped cases therefore does not take an incomplete check for a success.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from bundlekit.report import phrases
from bundlekit.report.document import NOT_CHECKED
from bundlekit.report.escape import escape
from bundlekit.report.model import Report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.model.finding import Finding, RuleOutcome
    from bundlekit.report.document import BundleResult, ReportDocument

_COUNTED: Final = ("failures", "errors", "skipped")
_ELEMENTS: Final = {"failures": "failure", "errors": "error", "skipped": "skipped"}


def render(document: ReportDocument) -> str:
    """The document as XML in UTF-8, indented."""
    root = ET.Element("testsuites", name="bundlekit")
    root.extend(_suite(one) for one in document.results)
    for name in document.not_checked:
        case = _case(
            "bundlekit", "verdict", "error", NOT_CHECKED, ["The command ended before this bundle was checked."]
        )
        root.append(_counted(name, [case]))
    for what in ("tests", *_COUNTED):
        root.set(what, str(sum(int(suite.get(what, "0")) for suite in root)))
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _suite(one: BundleResult) -> ET.Element:
    report = one.report
    if not isinstance(report, Report):
        text = [f"error: {report.error}", *([f"next: {report.next}"] if report.next else [])]
        return _counted(report.file, [_case("bundlekit", "verdict", "error", "INCOMPLETE", text)])
    kind = {"accept": "", "reject": "failure", "incomplete": "error"}[report.verdict]
    verdict = f"{one.verdict}: {report.summary}"
    if found := one.expectation:
        kind = "" if found.met else "failure" if found.decided else "error"
        verdict = f"{found.heading}: {found.message}"
    cases = [_case("bundlekit", "verdict", kind, verdict, [f"verdict: {verdict}", *_reasons(report)])]
    cases += [_rule(report, rule, expected=one.expectation is not None) for rule in report.rules]
    suite = _counted(report.request.file, cases)
    suite.set("timestamp", report.request.at.removesuffix("Z"))
    properties = ET.Element("properties")
    facts = {
        "bundlekit": report.tool.version,
        "format": report.format,
        "id": report.id or "",
        "scope": report.scope,
        "trust": report.request.trust or "",
        "coverage": phrases.coverage_text(report),
    }
    for name, value in facts.items():
        ET.SubElement(properties, "property", name=name, value=escape(value))
    suite.insert(0, properties)
    return suite


def _reasons(report: Report) -> Iterator[str]:
    """What a reader of the case ``verdict`` has to know."""
    for group in phrases.grouped(report.findings):
        if phrases.severity(group[0]) == "error":
            yield from _written(group)
    for reason, rules in phrases.missing(report).items():
        yield f"not run: {reason} ({', '.join(rule.rule for rule in rules)})"


def _rule(report: Report, rule: RuleOutcome, *, expected: bool) -> ET.Element:
    """The case of a rule. Where a rejection is expected, only the case ``verdict`` can fail."""
    findings = tuple(finding for finding in report.findings if finding.rule == rule.rule)
    text = [line for group in phrases.grouped(findings) for line in _written(group)]
    where = "bundlekit.rules"
    if rule.outcome == "not-run":
        return _case(where, rule.rule, "skipped", rule.reason, [f"next: {rule.next}"] if rule.next else [])
    if more := rule.finding_count - len(findings):
        text.append(f"and {more:,} more findings, which are not listed")
    if rule.reason:
        text.append(f"not checked: {rule.reason}")
    rejects = any(phrases.severity(one) == "error" or _strict(report, one) for one in findings)
    message = findings[0].message if findings else ""
    return _case(where, rule.rule, "failure" if rejects and not expected else "", message, text)


def _strict(report: Report, finding: Finding) -> bool:
    return report.request.strict and phrases.severity(finding) == "warning"


def _written(group: list[Finding]) -> Iterator[str]:
    """A finding in full, with its remedy."""
    first = group[0]
    about = f" [{first.subject}]" if first.subject else ""
    yield f"{phrases.severity(first)}: {first.rule}{about}: {first.message}"
    spans = [finding.where for finding in group if finding.where]
    yield from (f"bytes {phrases.span_text(where)}" for where in spans[: phrases.MAX_SPANS])
    if len(spans) > phrases.MAX_SPANS:
        yield f"and {len(spans) - phrases.MAX_SPANS} more spans, all in the JSON report"
    yield f"waived: {first.waived}" if first.waived else f"next: {first.next}"


def _case(where: str, name: str, kind: str, message: str, lines: list[str]) -> ET.Element:
    """One case. ``kind`` is the element of a case that did not pass. A case that passed has its text as output.

    Each of ``lines`` begins with a word of ours, and is one line whatever it quotes.
    """
    case = ET.Element("testcase", classname=where, name=name)
    text = "\n".join(map(escape, lines))
    if kind:
        ET.SubElement(case, kind, message=escape(message)).text = text
    elif text:
        ET.SubElement(case, "system-out").text = text
    return case


def _counted(name: str, cases: list[ET.Element]) -> ET.Element:
    suite = ET.Element("testsuite", name=escape(name), tests=str(len(cases)))
    for what in _COUNTED:
        suite.set(what, str(sum(case.find(_ELEMENTS[what]) is not None for case in cases)))
    suite.extend(cases)
    return suite
