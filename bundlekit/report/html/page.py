"""The page: the verdict first, then findings with remedies, the pictures, the signers, and what was not checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bundlekit.report import phrases
from bundlekit.report.answer import answer, is_signed_alone
from bundlekit.report.document import totals
from bundlekit.report.html.byte_map import byte_maps
from bundlekit.report.html.frame import framed
from bundlekit.report.html.markup import Markup, element, foreign, joined, text
from bundlekit.report.html.upgrade_graph import upgrade_graph
from bundlekit.report.model import Report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.model.finding import Finding
    from bundlekit.report.document import BundleResult, ReportDocument

_STANDINGS: Final = {"counted": "good", "rejected": "bad", "ignored": "quiet"}


def render(document: ReportDocument) -> str:
    """The page about the bundles of ``document``."""
    several = len(document.rows) > 1
    heading = totals(document.rows) if several else f"{document.verdict}: {document.rows[0].name}"
    articles = [_bundle(one, number, 2 if several else 1) for number, one in enumerate(document.results, 1)]
    return framed(heading, articles, _made_by(document), below=[_summary(document)] if several else [])


def _made_by(document: ReportDocument) -> str:
    reports = [one.report for one in document.results if isinstance(one.report, Report)]
    if not reports:
        return "Made by bundlekit."
    times = sorted({report.request.at for report in reports})
    when = times[0] if len(times) == 1 else f"{times[0]} to {times[-1]}"
    return f"Checked {when} by bundlekit {reports[0].tool.version}. The page needs no network and runs no script."


def _summary(document: ReportDocument) -> Markup:
    """The table of all bundles, with links to each."""
    checked = len(document.results)
    rows = []
    for number, row in enumerate(document.rows, 1):
        link = element("a", foreign(row.name), href=f"#bundle-{number}") if number <= checked else foreign(row.name)
        cells = (element("td", text(row.verdict)), element("td", text(row.why)), element("td", link))
        rows.append(element("tr", *cells))
    head = element("tr", *(element("th", text(name), scope="col") for name in ("Verdict", "Causes", "Bundle")))
    table = element("table", element("thead", head), element("tbody", *rows))
    return element("nav", table, aria_label="Bundles")


def _bundle(one: BundleResult, number: int, level: int) -> Markup:
    """All about one bundle. ``level`` is that of the heading of the bundle."""
    report = one.report
    heading = [element(f"h{level}", foreign(f"{one.verdict}: {one.file}"))] if level > 1 else []
    if not isinstance(report, Report):
        steps = [element("p", text("Next: "), foreign(report.next))] if report.next else []
        verdict = element(
            "div", *_expectation(one), element("p", foreign(report.error)), *steps, class_="verdict INCOMPLETE"
        )
        return element("article", *heading, verdict, id=f"bundle-{number}")
    parts = {
        "Findings": list(_findings(report)),
        "Not run": list(_missing(report)),
        "Decisions": list(_decisions(report)),
        "Upgrade graph": list(_upgrades(one)),
        "Byte map": [byte_maps(report)],
        "Signatures": list(_signatures(report)),
        "What was checked": [_request(report), *_open(report), _rules(report)],
    }
    sections = [
        element("section", element(f"h{level + 1}", text(name)), *content) for name, content in parts.items() if content
    ]
    return element("article", *heading, _verdict(one, report), *sections, id=f"bundle-{number}")


def _verdict(one: BundleResult, report: Report) -> Markup:
    release = report.release or report.claims
    lines = [element("b", text(f"{one.verdict}{f' ({one.causes})' if one.causes else ''}: "))]
    first = element("p", foreign(answer(report)), class_="answer")
    said = [first, element("p", *lines, foreign(report.summary)), *_expectation(one)]
    if release:
        claimed = (
            [] if report.release else [element("b", text("Not verified"), class_="doubtful"), text(", claims to be ")]
        )
        said.append(element("p", *claimed, foreign(phrases.describe(release))))
        if effect := phrases.impact_text(release.impact):
            said.append(element("p", text("Impact: "), foreign(effect)))
    said.append(element("p", text(f"Coverage: {phrases.coverage_text(report)}")))
    if report.test_trust:
        warning = "A test key counts here, which anyone can have. For tests only."
        said.append(element("p", element("b", text(warning)), class_="doubtful"))
    return element("div", *said, class_=f"verdict {one.verdict}")


def _expectation(one: BundleResult) -> Iterator[Markup]:
    """Whether the bundle was rejected as expected."""
    if found := one.expectation:
        heading = element("b", text(f"{found.heading}: "), class_="good" if found.met else "bad")
        yield element("p", heading, text(found.message))


def _findings(report: Report) -> Iterator[Markup]:
    groups = phrases.grouped(report.findings)
    if groups:
        yield element("ul", *map(_finding, groups), class_="findings")
    for rule, more in phrases.unlisted(report).items():
        yield element("p", text(f"And {more:,} more findings of {rule}, which are not listed."))


def _finding(group: list[Finding]) -> Markup:
    first = group[0]
    severity = phrases.severity(first)
    about = [text(" ("), foreign(first.subject), text(")")] if first.subject else []
    entry = [text(" (matrix entry "), element("code", foreign(first.entry)), text(")")] if first.entry else []
    name = element(
        "p", element("b", text(severity), class_=severity), text(" "), element("code", text(first.rule)), *about
    )
    spans = [finding.where for finding in group if finding.where]
    said = [element("p", foreign(first.message), *entry)]
    if spans:
        listed = ", ".join(phrases.span_text(where) for where in spans[: phrases.MAX_SPANS])
        more = f", and {len(spans) - phrases.MAX_SPANS} more" if len(spans) > phrases.MAX_SPANS else ""
        said.append(element("p", text(f"Bytes {listed}{more}"), class_="quiet"))
    what, how = ("Waived", first.waived) if first.waived else ("Next", first.next)
    said.append(element("p", element("b", text(f"{what}: ")), foreign(how)))
    return element("li", name, *said)


def _missing(report: Report) -> Iterator[Markup]:
    for reason, rules in phrases.missing(report).items():
        names = joined((element("code", text(rule.rule)) for rule in rules), ", ")
        yield element("p", foreign(reason), text(": "), names)
        if steps := next((rule.next for rule in rules if rule.next), ""):
            yield element("p", element("b", text("Next: ")), foreign(steps))


def _decisions(report: Report) -> Iterator[Markup]:
    rows = []
    for decision in report.decisions:
        whole = decision.overall
        kind = "good" if decision.allowed else "bad" if whole.rejected else "doubtful"
        who = decision.pair or whole.installed or whole.subject
        cells = (element("th", foreign(who), scope="row"), element("td", text(whole.kind), class_=kind))
        steps = [text(" Next: "), foreign(whole.next)] if whole.next else []
        rows.append(element("tr", *cells, element("td", foreign(whole.message), *steps)))
    if rows:
        head = element("tr", *(element("th", text(name), scope="col") for name in ("From", "Decision", "Reason")))
        yield element("table", element("thead", head), element("tbody", *rows))
    for decision in report.decisions:
        for failure in decision.partial_failures:
            yield element("p", text("If it fails: "), foreign(failure.message))


def _upgrades(one: BundleResult) -> Iterator[Markup]:
    if one.upgrades is not None:
        yield upgrade_graph(one.upgrades)
    elif one.no_upgrades:
        yield element("p", foreign(one.no_upgrades))


def _signatures(report: Report) -> Iterator[Markup]:
    rows = []
    for signature in report.signatures:
        kind = _STANDINGS.get(signature.standing, "doubtful")
        why = [text(f" {signature.reason}")] if signature.reason else []
        cells = (
            element("td", foreign(signature.trusted_signer)),
            element("td", element("code", text(signature.algorithm or "unknown"))),
            element("td", text(signature.standing), *why, class_=kind),
        )
        rows.append(element("tr", *cells))
    names = ("Signer", "Algorithm", "Standing")
    head = element("tr", *(element("th", text(name), scope="col") for name in names))
    if rows:
        yield element("table", element("thead", head), element("tbody", *rows))
    else:
        yield element("p", text("No signature could be read."))
    for demand in report.demands:
        yield element(
            "p", text("Required: "), foreign(phrases.demand_text(demand)), class_="good" if demand.met else "bad"
        )


def _scope(report: Report) -> str:
    if report.scope == "full":
        return "the whole file"
    return "what signatures cover" if is_signed_alone(report) else "head and signatures only"


def _request(report: Report) -> Markup:
    asked = report.request
    facts = {
        "File": asked.file,
        "Format": report.format,
        "Bundle id": report.id or "",
        "Time": f"{asked.at} (given)" if asked.at_given else asked.at,
        "Scope": _scope(report),
        "Trust": asked.trust or "none was given, so nothing is accepted",
        "Waivers": asked.waivers or "",
        "Project file": f"{asked.config.file} ({asked.config.digest})" if asked.config else "",
        "Documents": "; ".join(map(phrases.document_text, report.documents or ())),
        "From": ", ".join(asked.sources),
        "Appliance": asked.appliance or "",
        "Matrix": f"the operator's, {asked.matrix}; no signature covers it" if asked.matrix else "",
        "Advisories": f"serial {asked.advisories.serial} of {asked.advisories.issued}" if asked.advisories else "",
        "Strict": "yes, warnings are errors" if asked.strict else "",
    }
    terms = [
        part
        for name, value in facts.items()
        if value
        for part in (element("dt", text(name)), element("dd", foreign(value)))
    ]
    return element("dl", *terms)


def _open(report: Report) -> Iterator[Markup]:
    """What was not checked, although no rule rejects the bundle."""
    reasons: dict[str, list[str]] = {}
    for rule in report.rules:
        if rule.reason and (rule.outcome != "not-run" or not rule.required):
            reasons.setdefault(rule.reason, []).append(rule.rule)
    left = [element("li", foreign(why), text(f" ({', '.join(rules)})")) for why, rules in reasons.items()]
    left += [element("li", foreign(what)) for decision in report.decisions for what in decision.not_checked]
    left += [element("li", foreign(line)) for line in report.request.skipped_states or ()]
    if left:
        yield element("details", element("summary", text(f"Not checked ({len(left):,})")), element("ul", *left))


def _rules(report: Report) -> Markup:
    """Every rule and its outcome."""
    counts = {kind: sum(rule.outcome == kind for rule in report.rules) for kind in ("passed", "failed", "not-run")}
    said = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    rows = []
    for rule in report.rules:
        why = [text(" "), foreign(rule.reason)] if rule.reason else []
        kind = {"passed": "good", "failed": "bad", "not-run": "quiet"}[rule.outcome]
        cells = (element("td", element("code", text(rule.rule))), element("td", text(rule.outcome), *why, class_=kind))
        rows.append(element("tr", *cells))
    head = element("tr", *(element("th", text(name), scope="col") for name in ("Rule", "Outcome")))
    table = element("table", element("thead", head), element("tbody", *rows), class_="short")
    return element("details", element("summary", text(f"All {len(report.rules)} rules: {said}")), table)
