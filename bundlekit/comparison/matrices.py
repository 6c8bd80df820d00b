"""The upgrade matrices of two bundles: entries that differ, and versions that gain or lose an upgrade path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bundlekit.errors import ConfigError
from bundlekit.matrix.diff import diff
from bundlekit.matrix.operator import manifest_for, matrix_for
from bundlekit.matrix.read import ReadMatrix, read_matrix
from bundlekit.report.comparison import EntryChange, MatrixComparison

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bundlekit.matrix.operator import OperatorMatrix
    from bundlekit.matrix.read import UnreadableMatrix
    from bundlekit.model.bundle import Bundle
    from bundlekit.model.matrix import Matrix
    from bundlekit.report.comparison import ChangeKind

TABLES: Final = {
    "from": "sources",
    "stop": "stops",
    "block": "blocks",
    "withdrawn": "withdrawn",
    "risk": "risks",
    "dead-end": "dead_ends",
    "works-together": "works_together",
    "skew": "skews",
}
"""The tables of a matrix with entries, by their names in a matrix.toml."""


def operator_choice(bundle: Bundle, matrices: Sequence[OperatorMatrix]) -> OperatorMatrix | None:
    """The operator's matrix for a bundle in a format without one. Raises ConfigError if two of them fit."""
    if bundle.manifest is not None or bundle.release is None:
        return None
    return matrix_for(bundle.release, matrices)


def side_matrix(bundle: Bundle, operator: OperatorMatrix | None) -> ReadMatrix | UnreadableMatrix | None:
    """The matrix of a bundle, or the operator's for a format without one; None without either.

    Raises ConfigError if the operator's matrix lacks what the format leaves open.
    """
    if bundle.manifest is not None:
        return read_matrix(bundle.manifest)
    if operator is None or bundle.release is None:
        return None
    return read_matrix(manifest_for(bundle.release, operator))


def demand_use(old: Bundle, new: Bundle, matrices: Sequence[OperatorMatrix]) -> None:
    """Raise ConfigError if the operator gave a matrix, and both bundles have their own."""
    if matrices and old.manifest is not None and new.manifest is not None:
        raise ConfigError(
            f"{matrices[0].file}: both bundles have an upgrade matrix of their own, which their vendor signed",
            next_step="Omit the matrix.",
        )


def matrix_changes(
    old: ReadMatrix | UnreadableMatrix | None, new: ReadMatrix | UnreadableMatrix | None
) -> MatrixComparison:
    """The changes between two matrices."""
    sides = {"old": old, "new": new}
    if missing := [name for name, one in sides.items() if one is None]:
        return MatrixComparison(reason=f"no upgrade matrix is known for the {' and the '.join(missing)} bundle")
    if not (isinstance(old, ReadMatrix) and isinstance(new, ReadMatrix)):
        bad = next(name for name, one in sides.items() if not isinstance(one, ReadMatrix))
        return MatrixComparison(reason=f"the upgrade matrix of the {bad} bundle cannot be read")
    if old.manifest == new.manifest:
        return MatrixComparison()
    entries = tuple(_entries(old.manifest.matrix, new.manifest.matrix))
    try:
        return MatrixComparison(entries=entries, diff=diff(old, new))
    except ConfigError as why:
        return MatrixComparison(entries=entries, reason=why.message)


def _entries(old: Matrix, new: Matrix) -> Iterator[EntryChange]:
    for table, field in TABLES.items():
        before, after = ({entry.id: entry for entry in getattr(one, field)} for one in (old, new))
        for name in dict.fromkeys((*after, *before)):
            if before.get(name) != after.get(name):
                change: ChangeKind = "removed" if name not in after else "changed" if name in before else "added"
                yield EntryChange(table=table, id=name, change=change)
