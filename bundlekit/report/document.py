"""What a document about bundles is made of: the reports, and for each the upgrade graph of its release.

Text and JSON are printed bundle by bundle. Markdown, JUnit and HTML are documents about all bundles of a command.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from bundlekit.errors import ConfigError
from bundlekit.model.primitives import Frozen
from bundlekit.report.model import NotChecked, Report
from bundlekit.report.phrases import VERDICTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundlekit.matrix.read import ReadMatrix, UnreadableMatrix
    from bundlekit.matrix.upgrade_map import UpgradeMap
    from bundlekit.report.expectation import Expectation

NOT_CHECKED: Final = "NOT CHECKED"
"""The verdict of a bundle that an interrupt left without a report."""

AS_EXPECTED: Final = "as expected"

_TOTALS: Final = {"ACCEPT": "accepted", "REJECT": "rejected", "INCOMPLETE": "incomplete", NOT_CHECKED: "not checked"}
_WORST: Final = ("REJECT", "INCOMPLETE", NOT_CHECKED, "ACCEPT")


class Row(NamedTuple):
    """A bundle in a table of several: its verdict in capitals, its causes, and its name.

    ``expectation`` is ``as expected`` or ``NOT as expected`` if the bundle was expected to be rejected.
    """

    verdict: str
    causes: str
    name: str
    expectation: str = ""

    @property
    def why(self) -> str:
        """The causes, and whether they were expected."""
        return ", ".join(filter(None, (self.causes, self.expectation)))

    @property
    def result(self) -> str:
        """What counts for the command, as a verdict in capitals: a rejection that was expected is a success."""
        if self.expectation:
            return "ACCEPT" if self.expectation == AS_EXPECTED else "REJECT"
        return self.verdict


class BundleResult(Frozen, frozen=True, kw_only=True):
    """A report, and the upgrade graph of the release if it was asked for. ``no_upgrades`` is why there is none.

    ``expectation`` is set if the bundle was expected to be rejected.
    ``digests`` are those of the files if they were asked for: the name of each, and its SHA-256 in hex.
    """

    report: Report | NotChecked
    upgrades: UpgradeMap | None = None
    no_upgrades: str = ""
    expectation: Expectation | None = None
    digests: tuple[tuple[str, str], ...] = ()

    @property
    def file(self) -> str:
        """The name of the bundle."""
        return self.report.request.file if isinstance(self.report, Report) else self.report.file

    @property
    def verdict(self) -> str:
        """The verdict in capitals."""
        return VERDICTS[self.report.verdict] if isinstance(self.report, Report) else VERDICTS["incomplete"]

    @property
    def causes(self) -> str:
        """Why the bundle is rejected."""
        return ", ".join(self.report.causes) if isinstance(self.report, Report) else ""

    @property
    def row(self) -> Row:
        """The bundle in a table of several."""
        expected = ""
        if self.expectation:
            expected = AS_EXPECTED if self.expectation.met else "NOT as expected"
        return Row(self.verdict, self.causes, self.file, expected)

    @property
    def summary(self) -> str:
        """The verdict in one sentence."""
        return self.report.summary if isinstance(self.report, Report) else self.report.error


def with_upgrades(report: Report, matrix: ReadMatrix | UnreadableMatrix | None) -> BundleResult:
    """The report with the upgrade graph of ``matrix``, or the reason why there is none."""
    from bundlekit.matrix.read import UnreadableMatrix
    from bundlekit.matrix.upgrade_map import upgrade_map

    if matrix is None:
        return BundleResult(report=report, no_upgrades="The bundle has no upgrade matrix.")
    if report.request.trust and report.release is None and not report.request.matrix:
        return BundleResult(report=report, no_upgrades="It is not drawn: no trusted signature covers the matrix.")
    if isinstance(matrix, UnreadableMatrix):
        return BundleResult(report=report, no_upgrades="It is not drawn: the matrix cannot be read.")
    try:
        return BundleResult(report=report, upgrades=upgrade_map(matrix))
    except ConfigError as error:
        return BundleResult(report=report, no_upgrades=str(error))


class ReportDocument(Frozen, frozen=True, kw_only=True):
    """The bundles of one command. ``not_checked`` are those that an interrupt left without a report."""

    results: tuple[BundleResult, ...]
    not_checked: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """The verdict about all bundles: the worst one."""
        found = {one.verdict for one in self.results} | ({NOT_CHECKED} if self.not_checked else set())
        return next((verdict for verdict in _WORST if verdict in found), NOT_CHECKED)

    @property
    def result(self) -> str:
        """What counts for the command, as a verdict: the worst result."""
        found = {row.result for row in self.rows}
        return next((verdict for verdict in _WORST if verdict in found), NOT_CHECKED)

    @property
    def rows(self) -> list[Row]:
        """The verdict, the causes and the name of each bundle."""
        return [one.row for one in self.results] + [not_checked(name) for name in self.not_checked]


def not_checked(name: str) -> Row:
    """The row of a bundle without a report."""
    return Row(NOT_CHECKED, "", name)


def totals(rows: Sequence[Row]) -> str:
    """The number of bundles, and of each verdict."""
    counted = Counter(row.verdict for row in rows)
    parts = [f"{counted[verdict]:,} {word}" for verdict, word in _TOTALS.items() if counted[verdict]]
    return f"{len(rows):,} {'bundle' if len(rows) == 1 else 'bundles'}: {', '.join(parts)}"
