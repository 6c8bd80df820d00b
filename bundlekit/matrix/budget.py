"""Limits on the work of tasks that examine many versions or bundles, in one unit.

The unit is a comparison of a version with an entry, or with a clause of its range. A decision about one version counts
as `DECISION` comparisons more than its matrix has entries. A small file can name a great many versions. Each task
therefore ends with an error before it takes minutes.
"""

from __future__ import annotations

from typing import Final, Literal

Task = Literal["show", "lint", "path", "merge"]

COMPARISONS: Final[dict[Task, int]] = {
    "show": 2_000_000,  # a thousand releases, a hundred entries, eight models; also for comparing two matrices
    "lint": 8_000_000,  # a matrix of any size alone, or with hundreds of others
    "path": 20_000_000,  # about half a minute
    "merge": 1_000_000,  # stops that the bundles of a path adopt from each other
}
"""The limit of each task, in comparisons."""

DECISION: Final = 20
"""The cost of a decision in addition to its comparisons."""


class Budget:
    """The remaining comparisons of one task."""

    def __init__(self, task: Task) -> None:
        self.limit = COMPARISONS[task]
        self._spent = 0

    def allows(self, comparisons: int) -> bool:
        """Whether so many more comparisons are within the limit. The call counts them as done."""
        self._spent += comparisons
        return self._spent <= self.limit
