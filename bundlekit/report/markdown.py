"""Reports as Markdown, for the summary of a CI job and for a merge request.

The dialect is GitHub Flavored Markdown, which GitLab reads as well. Text from a bundle cannot make markup, a link, a
mention or a command of a CI runner. GitHub shows nothing of a job summary above 1 MiB. The document therefore ends
before that, and states what it leaves out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bundlekit.report import phrases
from bundlekit.report.answer import answer
from bundlekit.report.document import totals
from bundlekit.report.escape import escape
from bundlekit.report.model import Report

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bundlekit.model.decision import Decision
    from bundlekit.model.finding import Finding
    from bundlekit.report.document import BundleResult, ReportDocument

MAX_SIZE: Final = 1_000_000
"""Bytes of a document: below the 1 MiB of a job summary, with room for what the job adds."""

SYMBOLS: Final = {"ACCEPT": "✅", "REJECT": "❌", "INCOMPLETE": "⚠️", "NOT CHECKED": "⚠️"}

_ACTIVE: Final = re.compile(r"[\\`*_{}\[\]#|~<>&$@]|:(?=//)|(?<=www)\.", re.IGNORECASE)
"""Characters that make markup, a link, a mention or a formula within a line. No line begins with foreign text."""


def render(document: ReportDocument) -> str:
    """The document, with the verdict first."""
    return fitted(_blocks(document))


def fitted(blocks: Iterable[str], limit: int = MAX_SIZE) -> str:
    """The blocks, one after another, as far as they fit into ``limit`` bytes, and how many do not."""
    written: list[str] = []
    size, left_out = 0, 0
    for block in blocks:
        size += len(block.encode()) + 1
        if size > limit or left_out:
            left_out += 1
        else:
            written.append(block)
    if left_out:
        written.append(f"**Cut off: {left_out:,} more parts are in the other report formats.**\n")
    return "\n".join(written)


def plain(text: str) -> str:
    """Foreign text that Markdown shows as it is. A forge looks for mentions in the text, but not in code."""
    return _entities(text).replace("&#64;", "<code>&#64;</code>")


def code(text: str) -> str:
    """Foreign text in the font of code. No escape is read in a span of code, so it is an HTML element."""
    return f"<code>{_entities(text)}</code>"


def _entities(text: str) -> str:
    return _ACTIVE.sub(lambda found: f"&#{ord(found[0])};", escape(text))


def row(*cells: str) -> str:
    """A row of a table."""
    return f"| {' | '.join(cells)} |"


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table with one row for each of ``rows``."""
    return "\n".join([row(*head), row(*("---" for _ in head)), *(row(*cells) for cells in rows), ""])


def _blocks(document: ReportDocument) -> Iterator[str]:
    several = len(document.rows) > 1
    if several:
        yield f"## {SYMBOLS[document.result]} {totals(document.rows)}\n"
        cells = ((f"{SYMBOLS[row.result]} {row.verdict}", row.why, code(row.name)) for row in document.rows)
        yield table(("Verdict", "Causes", "Bundle"), cells)
    for one in document.results:
        yield from _bundle(one, "###" if several else "##")


def _bundle(one: BundleResult, level: str) -> Iterator[str]:
    causes = f" ({one.causes})" if one.causes else ""
    yield f"{level} {SYMBOLS[one.row.result]} {one.verdict}{causes}: {code(one.file)}\n"
    if found := one.expectation:
        yield f"**{found.heading.capitalize()}**: {found.message}\n"
    report = one.report
    if not isinstance(report, Report):
        yield f"Error: {plain(report.error)}\n"
        yield f"Next: {plain(report.next)}\n" if report.next else ""
        return
    yield f"{plain(answer(report))}\n"
    yield f"{plain(report.summary)}\n"
    if report.test_trust:
        yield "**A test key counts here, which anyone can have. For tests only.**\n"
    yield from _findings(report, level)
    yield from _missing(report, level)
    yield table(("Fact", "Value"), _facts(report))
    yield from _decisions(report)


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    release = report.release or report.claims
    claimed = "" if report.release else "**Not verified**, claims to be "
    yield "Release", f"{claimed}{plain(phrases.describe(release))}" if release else "no manifest could be read"
    yield "Format", code(report.format)
    if report.id:
        yield "Bundle id", code(report.id)
    if release and (effect := phrases.impact_text(release.impact)):
        yield "Impact", plain(effect)
    for signature in report.signatures:
        standing = "signed by" if signature.counts else f"signature {signature.index}, {signature.standing}"
        yield standing, plain(signature.trusted_signer) + (f": {plain(signature.reason)}" if signature.reason else "")
    for rule in phrases.left_open(report):
        yield "Not checked", f"{plain(rule.reason)}. {plain(rule.next)}"
    for demand in report.demands:
        yield "Required" if demand.met else "**Required, not met**", plain(phrases.demand_text(demand))
    yield "Coverage", plain(phrases.coverage_text(report))
    for document in report.documents or ():
        yield "Document", plain(phrases.document_text(document))
    if used := report.request.config:
        yield "Project file", f"{code(used.file)} ({code(used.digest)})"
    given = " (given)" if report.request.at_given else ""
    yield "Checked", f"{plain(report.request.at)}{given}, bundlekit {plain(report.tool.version)}"


def _findings(report: Report, level: str) -> Iterator[str]:
    groups = phrases.grouped(report.findings)
    if groups:
        yield f"{level}# Findings\n"
    for group in groups:
        yield "\n".join(_finding(group)) + "\n"
    for rule, more in phrases.unlisted(report).items():
        yield f"- and {more:,} more findings of {code(rule)}, which are not listed\n"


def _finding(group: list[Finding]) -> Iterator[str]:
    first = group[0]
    about = f" ({plain(first.subject)})" if first.subject else ""
    entry = f" (matrix entry {code(first.entry)})" if first.entry else ""
    yield f"- **{phrases.severity(first)}** {code(first.rule)}{about}: {plain(first.message)}{entry}"
    spans = [finding.where for finding in group if finding.where]
    yield from (f"  - bytes {code(phrases.span_text(where))}" for where in spans[: phrases.MAX_SPANS])
    if len(spans) > phrases.MAX_SPANS:
        yield f"  - and {len(spans) - phrases.MAX_SPANS} more spans, all in the JSON report"
    yield f"  - waived: {plain(first.waived)}" if first.waived else f"  - next: {plain(first.next)}"


def _missing(report: Report, level: str) -> Iterator[str]:
    missing = phrases.missing(report)
    if missing:
        yield f"{level}# Not run\n"
    for reason, rules in missing.items():
        names = ", ".join(code(rule.rule) for rule in rules)
        steps = next((rule.next for rule in rules if rule.next), "")
        yield f"- {plain(reason)}: {names}\n" + (f"  - next: {plain(steps)}\n" if steps else "")


def _decisions(report: Report) -> Iterator[str]:
    """The decision for each installed version or pair of the request."""
    if report.decisions:
        yield table(("From", "Decision", "Reason", "Next"), map(_decision, report.decisions))


def _decision(decision: Decision) -> tuple[str, ...]:
    whole = decision.overall
    verdict = "ACCEPT" if decision.allowed else "REJECT" if whole.rejected else "INCOMPLETE"
    who = decision.pair or whole.installed or whole.subject
    return plain(who), f"{SYMBOLS[verdict]} {whole.kind}", plain(whole.message), plain(whole.next)
