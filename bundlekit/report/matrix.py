"""Reports about an upgrade matrix, for people and for spreadsheets: its table, its lint, and a comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bundlekit.report.escape import escape
from bundlekit.report.text import Line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.matrix.diff import Change, Diff, Side
    from bundlekit.matrix.lint import LintReport
    from bundlekit.matrix.table import Table, TableRow

TONES: Final = {
    "error": "bad",
    "warning": "doubtful",
    "info": "plain",
    "loses": "bad",
    "gains": "good",
    "differs": "plain",
}
COLUMNS: Final = ("from", "model", "decision", "entry", "method", "minutes", "tested", "next")


def table_lines(table: Table) -> Iterator[Line]:
    """The table with aligned columns; every character is safe for a terminal."""
    cells = [[escape(cell) for cell in (f"from {row.source}", *_cells(row)[1:])] for row in table.rows]
    widths = [max(map(len, column)) for column in zip(COLUMNS, *cells, strict=True)]
    yield Line(escape(f"into {f'{table.product} {table.version}'.strip()}"))
    yield _aligned(COLUMNS, widths, "muted")
    for row, texts in zip(table.rows, cells, strict=True):
        yield _aligned(texts, widths, "good" if row.allowed else "plain")


def table_csv(table: Table) -> str:
    """The table for a spreadsheet (RFC 4180). What it would take for a formula gets an apostrophe in front."""
    import csv
    import io

    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for row in table.rows:
        cells = map(escape, _cells(row))
        writer.writerow([f"'{cell}" if cell.startswith(("=", "+", "-", "@")) else cell for cell in cells])
    return out.getvalue()


def lint_lines(report: LintReport) -> Iterator[Line]:
    """The findings, what was not looked at, and the verdict as the last line."""
    for finding in report.findings:
        entry = f" (matrix entry {finding.entry})" if finding.entry else ""
        yield Line(escape(f"  {finding.severity:<8} {finding.rule}: {finding.message}{entry}"), TONES[finding.severity])
        yield Line(escape(f"           next: {finding.next}"))
    for because in dict.fromkeys(report.not_run.values()):
        what = ", ".join(name for name, reason in report.not_run.items() if reason == because)
        yield Line(escape(f"  not run  {what}: {because}"), "doubtful")
    counts = {kind: sum(one.severity == kind for one in report.findings) for kind in ("error", "warning", "info")}
    counted = ", ".join(f"{n} {kind}{'s' * (n > 1 and kind != 'info')}" for kind, n in counts.items() if n)
    against = f", against {', '.join(report.against)}" if report.against else ""
    tone = {"reject": "bad", "incomplete": "doubtful"}.get(report.verdict, "good")
    release = " ".join(filter(None, (report.product, report.version))) or "the matrix"
    yield Line(escape(f"{report.verdict.upper()}: {release}{against}: {counted or 'no findings'}"), tone)


def diff_lines(diff: Diff) -> Iterator[Line]:
    """Each change, and the count of what stays as it was."""
    for change in diff.changes:
        yield Line(
            escape(f"  {change.change:<8} {_subject(change)}: {_side(change.old)} -> {_side(change.new)}"),
            TONES[change.change],
        )
    losers = sum(change.change == "loses" for change in diff.changes)
    lost = f"{losers} lose" if losers else "none loses"
    tone = "bad" if losers else "good"
    yield Line(
        escape(f"from {diff.old} to {diff.new}: {len(diff.changes)} differ, {diff.unchanged} as before, {lost}"), tone
    )


def _aligned(cells: tuple[str, ...] | list[str], widths: list[int], tone: str) -> Line:
    return Line("  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip(), tone)


def _cells(row: TableRow) -> tuple[str, ...]:
    minutes = "" if row.minutes is None else str(row.minutes)
    return row.source, row.model, row.decision, row.entry, row.method, minutes, row.tested, row.next


def _subject(change: Change) -> str:
    return f"{change.source} on {change.model}" if change.model else change.source


def _side(side: Side) -> str:
    way = {"direct": "", "installed": "", "via-stops": ", via stops", "none": ", no path"}[side.path]
    if side.via:
        way = f", through {side.via}"
    return f"{side.decision}{f' by {side.entry}' if side.entry else ''}{way}"
