"""The end of a text report on several bundles: one line for each bundle, and the totals."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from bundlekit.report.escape import escape
from bundlekit.report.model import Report
from bundlekit.report.text import VERDICTS, Line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bundlekit.report.model import NotChecked

NOT_CHECKED: Final = "NOT CHECKED"
_TONES: Final = {"ACCEPT": "good", "REJECT": "bad"}
_TOTALS: Final = {"ACCEPT": "accepted", "REJECT": "rejected", "INCOMPLETE": "incomplete", NOT_CHECKED: "not checked"}


def lines(reports: Sequence[Report | NotChecked], not_checked: Sequence[str] = ()) -> Iterator[Line]:
    """The table and the totals. ``not_checked`` are the bundles that an interrupt left without a report.

    The name of a bundle is last in its line, so that no part of it can pass for a verdict or a cause.
    """
    rows = [_row(one) for one in reports] + [(NOT_CHECKED, "", name) for name in not_checked]
    width = max(len(causes) for _, causes, _ in rows)
    yield Line("summary")
    for verdict, causes, name in rows:
        columns = f"  {verdict:<11}  {causes:<{width}}  " if width else f"  {verdict:<11}  "
        yield Line(escape(columns + name), _TONES.get(verdict, "doubtful"))
    counted = Counter(verdict for verdict, _, _ in rows)
    parts = [f"{counted[verdict]:,} {word}" for verdict, word in _TOTALS.items() if counted[verdict]]
    yield Line(f"total: {len(rows):,} bundles: {', '.join(parts)}")


def _row(report: Report | NotChecked) -> tuple[str, str, str]:
    if isinstance(report, Report):
        return VERDICTS[report.verdict], ", ".join(report.causes), report.request.file
    return VERDICTS["incomplete"], "", report.file
