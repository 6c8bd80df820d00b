"""Markdown, JUnit and HTML: read back by readers that others wrote, and with text that wants to be more than text."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser

import junitparser
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

import bundlekit
from bundlekit.errors import ConfigError
from bundlekit.matrix.read import ReadMatrix, read_matrix
from bundlekit.matrix.upgrade_map import UpgradeMap, UpgradeWay, upgrade_map
from bundlekit.model.bundle import Span
from bundlekit.model.finding import Finding, RuleOutcome
from bundlekit.report import html, junit, markdown, outputs
from bundlekit.report.document import BundleResult, ReportDocument
from bundlekit.report.html.byte_map import WIDTH, Scale
from bundlekit.report.model import NotChecked, ReadDocument, Report
from fixtures.make_golden import GOLDEN

NAMES = sorted(str(file.parent.relative_to(GOLDEN)) for file in GOLDEN.rglob("report.json"))
HOSTILE = [
    "::error file=x::forged",
    "\n::error::forged",
    "##vso[task.complete result=Succeeded]",
    "##teamcity[buildStatus status='SUCCESS']",
    "ACCEPT: the bundle is accepted",
    "\nACCEPT: the bundle is accepted",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "]]></failure></testcase>",
    "[click](https://example.com)",
    "![x](https://example.com/x.png)",
    "https://example.com www.example.com me@example.com @everyone #1",
    "`code` **bold** _soft_ ~~gone~~ $x$ |cell| \\",
    "\x1b[2J\u202eabc\u200b\ufeff\ufffe\x00\x7f\u2028",
    "א and ב",
]


def golden(name: str) -> Report:
    report: Report = msgspec.json.decode((GOLDEN / name / "report.json").read_bytes(), type=Report)
    return report


def document(*reports: Report | NotChecked, not_checked: tuple[str, ...] = ()) -> ReportDocument:
    return ReportDocument(results=tuple(BundleResult(report=one) for one in reports), not_checked=not_checked)


def hostile(text: str) -> ReportDocument:
    """Everything that an author, a file name or a hook controls, as ``text``."""
    report = golden("chunk-digest-mismatch")
    finding = msgspec.structs.replace(report.findings[0], message=text, subject=text, entry=text, next=text)
    waived = msgspec.structs.replace(finding, waived=text, rule="impact-not-said")
    request = msgspec.structs.replace(report.request, file=text, sources=(text,))
    signature = msgspec.structs.replace(report.signatures[0], signer=text, reason=text, name=text, role=text)
    release = msgspec.structs.replace(report.release, product=text, version=text, models=(text,))
    way = UpgradeWay(versions=(text,), model=text, path="none", decision="blocked", entry=text, message=text)
    via = UpgradeWay(versions=(text, text), path="via-stops", via=(text,), decision="needs-stop")
    report = msgspec.structs.replace(
        report,
        findings=(finding, waived),
        request=request,
        signatures=(signature,),
        documents=(ReadDocument(name=text, format=text, compared=1, result="differs"),),
        release=release,
        summary=f"the bundle is rejected by {text}",
    )
    drawn = BundleResult(report=report, upgrades=UpgradeMap(product=text, version=text, ways=(way, via)))
    undrawn = BundleResult(report=report, no_upgrades=text)
    unread = BundleResult(report=NotChecked(file=text, error=text, next=text))
    return ReportDocument(results=(drawn, undrawn, unread), not_checked=(text,))


class Page(HTMLParser):
    """What a browser would be told: elements, attributes, headings, and whether every element is closed."""

    VOID = frozenset(["meta", "br"])

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def headings(self) -> list[int]:
        return [int(tag[1]) for tag, _ in self.tags if re.fullmatch("h[1-6]", tag)]


def sound(text: str) -> Page:
    """The page, after everything that any page must fulfil."""
    page = Page(text)
    tags = [tag for tag, _ in page.tags]
    for landmark in ("header", "main", "footer"):
        assert tags.count(landmark) == 1
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(page.headings, page.headings[1:], strict=False))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [attributes["href"] for _, attributes in page.tags if "href" in attributes]
    assert all(link and link.startswith("#") and link[1:] in ids for link in links)
    allowed = {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "nav",
        "main",
        "footer",
        "article",
        "section",
    }
    allowed |= {"h1", "h2", "h3", "p", "b", "a", "bdi", "code", "span", "div", "ul", "li", "dl", "dt", "dd", "details"}
    allowed |= {"summary", "table", "caption", "thead", "tbody", "tr", "th", "td"}
    allowed |= {"svg", "desc", "rect", "text", "line", "circle", "path"}
    assert set(tags) <= allowed
    assert not any(name.startswith("on") or name == "src" for _, attributes in page.tags for name in attributes)
    for picture in (place for place, tag in enumerate(tags) if tag == "svg"):
        assert tags[picture + 1 : picture + 3] == ["title", "desc"]
        assert page.tags[picture][1]["role"] == "img"
    return page


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_sound_and_has_every_finding(name):
    report = golden(name)
    page = sound(html.render(document(report)))
    said = "".join(page.words)
    assert said.count(report.verdict.upper()) >= 2
    for finding in report.findings:
        assert finding.message in said
        assert (finding.waived or finding.next) in said
    for section in report.coverage.sections:
        assert str(section.span) in said


@pytest.mark.parametrize("name", NAMES)
def test_junit_has_each_rule_and_the_verdict(name):
    report = golden(name)
    suites = junitparser.JUnitXml.fromstring(junit.render(document(report)).encode())
    (suite,) = suites
    cases = {case.name: case for case in suite}
    assert list(cases) == ["verdict", *(rule.rule for rule in report.rules)]
    expected = {"accept": [], "reject": [junitparser.Failure], "incomplete": [junitparser.Error]}[report.verdict]
    assert [type(one) for one in cases["verdict"].result] == expected
    errors = {finding.rule for finding in report.findings if finding.severity == "error" and not finding.waived}
    for rule in report.rules:
        kinds = [type(one) for one in cases[rule.rule].result]
        if rule.outcome == "not-run":
            assert kinds == [junitparser.Skipped]
            assert cases[rule.rule].result[0].message == rule.reason
        else:
            assert kinds == ([junitparser.Failure] if rule.rule in errors else [])
    assert (suites.tests, suites.failures, suites.errors, suites.skipped) == (
        len(cases),
        len(errors) + (report.verdict == "reject"),
        int(report.verdict == "incomplete"),
        sum(rule.outcome == "not-run" for rule in report.rules),
    )


def test_a_warning_fails_its_case_only_if_it_rejects():
    report = golden("accept/for-a-pair")
    warning = Finding(
        rule="impact-not-said",
        rule_class="best-practice",
        cause="best-practice",
        severity="warning",
        message="m",
        next="n",
    )
    for strict, waived, failures in ((False, "", 0), (True, "", 1), (True, "accepted until May", 0)):
        one = msgspec.structs.replace(
            report,
            findings=(msgspec.structs.replace(warning, waived=waived),),
            request=msgspec.structs.replace(report.request, strict=strict),
            rules=(RuleOutcome(rule=warning.rule, outcome="failed", required=True, finding_count=1),),
        )
        suites = junitparser.JUnitXml.fromstring(junit.render(document(one)).encode())
        assert suites.failures == failures


@pytest.mark.parametrize("name", NAMES)
def test_markdown_begins_with_the_verdict_and_has_every_finding(name):
    report = golden(name)
    text = markdown.render(document(report))
    first = text.splitlines()[0]
    assert report.verdict.upper() in first
    tokens = MarkdownIt().enable("table").parse(text)
    said = "".join(child.content for token in tokens for child in token.children or () if child.type == "text")
    for finding in report.findings:
        assert finding.message in said
    assert sum(token.type == "table_open" for token in tokens) == 1 + bool(report.decisions)


@pytest.mark.parametrize("name", NAMES)
def test_the_first_answers_are_those_of_the_text_report(name):
    report = golden(name)
    first = outputs.render(report).splitlines()[0].partition(": ")[2]
    tokens = MarkdownIt().parse(markdown.render(document(report)))
    (said,) = [token.children for token in tokens if token.type == "inline"][1:2]
    assert "".join(child.content for child in said if child.type == "text") == first
    page = html.render(document(report))
    shown = unescape(re.sub(r"<[^>]*>", "", re.search(r'<p class="answer">(.*?)</p>', page)[1]))
    assert shown == first


@pytest.mark.parametrize("text", HOSTILE)
def test_foreign_text_stays_text(text):
    page = sound(html.render(hostile(text)))
    assert not {"script", "img"} & {tag for tag, _ in page.tags}
    suites = junitparser.JUnitXml.fromstring(junit.render(hostile(text)).encode())
    assert suites.tests == sum(len(suite) for suite in suites)
    tokens = (
        MarkdownIt("commonmark", {"html": True})
        .enable(["table", "strikethrough"])
        .parse(markdown.render(hostile(text)))
    )
    children = [child for token in tokens for child in token.children or ()]
    assert {child.type for child in children} <= {"text", "softbreak", "strong_open", "strong_close", "html_inline"}
    assert {child.content for child in children if child.type == "html_inline"} <= {"<code>", "</code>"}
    assert not [
        token for token in tokens if token.type in ("html_block", "code_block", "fence", "hr", "blockquote_open")
    ]
    strong = re.findall(r"<strong>(.*?)</strong>", MarkdownIt().enable("table").render(markdown.render(hostile(text))))
    assert set(strong) == {"error", "waived", "A test key counts here, which anyone can have. For tests only."}


@pytest.mark.parametrize("style", outputs.STYLES)
@pytest.mark.parametrize("text", HOSTILE)
def test_no_line_is_a_command_or_a_forged_verdict(text, style):
    written = outputs.rendered(hostile(text), style)
    assert not re.search(r"(?m)^\s*::", written)
    assert not re.search(r"##+\s*[\w.-]*\[", written)
    assert not re.search(r"(?m)^\s*ACCEPT", written)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e\u200b\u2028\ufeff]", written)


@pytest.mark.parametrize("style", outputs.STYLES)
def test_the_same_reports_give_the_same_bytes(style):
    accepted, gone = golden("accept/for-a-pair"), NotChecked(file="gone.bin", error="not there", next="look")
    reports: tuple[Report | NotChecked, ...] = (accepted, golden("blocked"), gone)
    assert outputs.render(reports, style) == outputs.render(reports, style)
    assert outputs.render(accepted, style)


def test_an_unknown_format_is_an_error():
    with pytest.raises(ConfigError, match="'pdf' is not one of text, json, markdown, junit, html"):
        bundlekit.render(golden("accept/for-a-pair"), "pdf")


def test_several_bundles_have_a_table_and_those_not_checked():
    several = document(golden("accept/for-a-pair"), golden("blocked"), not_checked=("last.bin",))
    page = sound(html.render(several))
    assert "3 bundles: 1 accepted, 1 rejected, 1 not checked" in "".join(page.words)
    assert sum(tag == "article" for tag, _ in page.tags) == 2
    assert "## ❌ 3 bundles: 1 accepted, 1 rejected, 1 not checked" in markdown.render(several)
    suites = junitparser.JUnitXml.fromstring(junit.render(several).encode())
    assert [suite.errors for suite in suites] == [0, 0, 1]


def test_markdown_stays_below_the_limit_and_says_what_is_left_out():
    report = golden("blocked")
    finding = report.findings[0]
    many = tuple(msgspec.structs.replace(finding, message=f"{number}: {'x' * 4000}") for number in range(256))
    text = markdown.render(document(*[msgspec.structs.replace(report, findings=many)] * 3))
    assert len(text.encode()) < 2**20
    assert re.search(r"\*\*Cut off: [1-9]\d* more parts", text)
    assert "❌ REJECT" in text


def test_the_demo_is_drawn_with_its_stop_and_who_is_stranded():
    matrix = read_matrix(bundlekit.read_manifest("fixtures/demo/update.bin"))
    assert isinstance(matrix, ReadMatrix)
    upgrades = upgrade_map(matrix)
    assert [(way.label, way.path, way.via, way.stranded, way.beyond) for way in upgrades.ways] == [
        ("5.10.00", "none", (), True, False),
        ("5.20.00", "via-stops", ("5.30.02",), False, False),
        ("5.20.03", "direct", (), False, False),
        ("5.30.02", "direct", (), False, False),
        ("5.32.00", "none", (), False, True),
        ("5.32.01", "direct", (), False, False),
        ("5.40.00", "installed", (), False, False),
    ]
    result = BundleResult(report=golden("accept/for-a-pair"), upgrades=upgrades)
    page = sound(html.render(ReportDocument(results=(result,))))
    said = "".join(page.words)
    assert "Versions by their way: 3 direct update, 1 through stops, 1 already installed, 2 no path." in said
    told = "Stranded: 5.10.00. Not evaluated, as they depend on bundles of other releases: paths from 5.32.00."
    assert told in said
    assert "no path in this matrix; a path through other releases was not evaluated" in said
    assert [attributes["class"] for tag, attributes in page.tags if tag == "circle"] == ["stop"]


def test_damage_is_marked_at_its_bytes():
    report = golden("chunk-digest-mismatch")
    (where,) = {finding.where for finding in report.findings}
    page = sound(html.render(document(report)))
    assert sum(tag == "path" and attributes["class"] == "damage" for tag, attributes in page.tags) == len(
        report.findings
    )
    assert f"damage: bytes {where}" in "".join(page.words)


@given(st.integers(1, 2**63), st.lists(st.integers(0, 2**63), max_size=40), st.lists(st.integers(0, 2**64), min_size=2))
def test_the_scale_keeps_the_order_and_the_frame(size, cuts, offsets):
    scale = Scale(size, cuts)
    places = [scale.place(offset) for offset in sorted(offsets)]
    assert places == sorted(places)
    assert all(-1e-6 <= place <= WIDTH + 1e-6 for place in places)
    assert scale.place(0) == 0
    assert scale.place(size) == pytest.approx(WIDTH)


def test_a_small_part_is_seen_beside_a_large_one():
    size = 4 * 2**30
    scale = Scale(size, [96, 4096])
    assert scale.place(96) - scale.place(0) >= 8
    assert scale.place(size) - scale.place(4096) > 300
    assert Span(start=0, stop=96).size == 96
