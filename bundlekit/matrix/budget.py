"""How much work a task may do that looks at many versions or bundles, in one unit.

The unit is a comparison: of a version with an entry, or with a clause of its range. A decision about one version counts
as `DECISION` comparisons more than its matrix has entries. A small file can name very many, so each task ends with an
error before it takes minutes.
"""

from __future__ import annotations

from typing import Final, Literal

Task = Literal["show", "lint", "path", "merge"]

COMPARISONS: Final[dict[Task, int]] = {
    "show": 2_000_000,  # a thousand releases, a hundred entries, eight models; to compare two matrices as well
    "lint": 8_000_000,  # a matrix of any size by itself, or with hundreds of others
    "path": 20_000_000,  # half a minute
    "merge": 1_000_000,  # stops that the bundles of a path take over from one another
}
"""What each task may do."""

DECISION: Final = 20
"""What a decision costs beside its comparisons."""


class Budget:
    """The comparisons that one task has left."""

    def __init__(self, task: Task) -> None:
        self.limit = COMPARISONS[task]
        self._spent = 0

    def allows(self, comparisons: int) -> bool:
        """Whether so many more are within the limit; they count as made."""
        self._spent += comparisons
        return self._spent <= self.limit
