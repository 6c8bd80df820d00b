"""The end of a text report on several bundles: one line for each bundle, and the totals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bundlekit.report.document import totals
from bundlekit.report.escape import escape
from bundlekit.report.text import Line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bundlekit.report.document import Row

_TONES: Final = {"ACCEPT": "good", "REJECT": "bad"}


def lines(rows: Sequence[Row]) -> Iterator[Line]:
    """The table and the totals.

    The name of a bundle is last in its line, so that no part of it can pass for a verdict or a cause.
    """
    width = max(len(row.why) for row in rows)
    yield Line("summary")
    for row in rows:
        columns = f"  {row.verdict:<11}  {row.why:<{width}}  " if width else f"  {row.verdict:<11}  "
        yield Line(escape(columns + row.name), _TONES.get(row.result, "doubtful"))
    yield Line(f"total: {totals(rows)}")
