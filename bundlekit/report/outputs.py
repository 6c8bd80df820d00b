"""The output formats of reports, and which one a file gets.

Text and JSON are streams: each bundle follows the last. The others are documents about all bundles of a command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, get_args

from bundlekit.errors import ConfigError
from bundlekit.report import json as as_json
from bundlekit.report import summary, text
from bundlekit.report.document import BundleResult, ReportDocument
from bundlekit.report.model import NotChecked, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import PurePath

    from bundlekit.report.document import Row
    from bundlekit.report.text import Line

Style = Literal["text", "json", "markdown", "junit", "html"]
"""An output format of reports."""

STYLES: Final[tuple[Style, ...]] = get_args(Style)
STREAMS: Final[frozenset[Style]] = frozenset(["text", "json"])
"""Formats in which the report on one bundle is printed as soon as it is finished."""

SUFFIXES: Final[dict[str, Style]] = {
    ".txt": "text",
    ".json": "json",
    ".md": "markdown",
    ".xml": "junit",
    ".html": "html",
}
"""The format of an output file, by the end of its name."""


def style_of(file: PurePath, style: Style) -> Style:
    """The format of an output file; ``style`` if its suffix is unknown."""
    return SUFFIXES.get(file.suffix.lower(), style)


def render(report: Report | NotChecked | Iterable[Report | NotChecked], style: str = "text") -> str:
    """One report, or several, as text in an output format.

    ``report`` is a report, or a sequence of them. ``style`` is ``text``, ``json``, ``markdown``, ``junit`` or ``html``.
    JSON has one line for each report. Text from a bundle is escaped in every format, as on the command line. The page
    in HTML has no upgrade graph, which needs the matrix of the bundle. Raises ConfigError for another format.
    """
    if style not in STYLES:
        raise ConfigError(f"{style!r} is not one of {', '.join(STYLES)}")
    reports = [report] if isinstance(report, Report | NotChecked) else list(report)
    return rendered(ReportDocument(results=tuple(BundleResult(report=one) for one in reports)), style)


def rendered(document: ReportDocument, style: Style, styled: Callable[[Line], str] = lambda line: line.text) -> str:
    """The document in an output format. ``styled`` gives a line of text its colour."""
    match style:
        case "text":
            return "".join(stream(one, style, styled) for one in document.results) + end(document.rows, style, styled)
        case "json":
            return "".join(stream(one, style) for one in document.results)
        case "markdown":
            from bundlekit.report import markdown

            return markdown.render(document)
        case "junit":
            from bundlekit.report import junit

            return junit.render(document)
        case "html":
            from bundlekit.report import html

            return html.render(document)


def stream(one: BundleResult, style: Style, styled: Callable[[Line], str] = lambda line: line.text) -> str:
    """What a format that is a stream has about one bundle."""
    if style == "json":
        return as_json.render(one.report) + "\n"
    lines = [*text.lines(one.report)]
    if found := one.expectation:
        lines.append(text.Line(f"{found.heading}: {found.message}", "good" if found.met else "bad"))
    return "".join(f"{styled(line)}\n" for line in lines)


def end(rows: Sequence[Row], style: Style, styled: Callable[[Line], str] = lambda line: line.text) -> str:
    """What comes after the last bundle in a format that is a stream: the summary of a text about several."""
    if style != "text" or len(rows) < 2:
        return ""
    return "".join(f"{styled(line)}\n" for line in summary.lines(rows))
