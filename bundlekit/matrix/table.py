"""The matrix as a table: each version that a bundle knows, on each model, and its decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bundlekit.matrix.decide import decide_from
from bundlekit.matrix.work import models_apart, require_feasible, versions_named
from bundlekit.model.decision import DecisionKind
from bundlekit.model.primitives import Frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bundlekit.matrix.read import ReadMatrix
    from bundlekit.model.matrix import MatrixSource
    from bundlekit.versions import Version


class TableRow(Frozen, frozen=True, kw_only=True):
    """The decision about one version on one model (empty: on every model).

    ``entry`` is the id of the deciding entry. ``method``, ``minutes`` and ``tested`` are those of the source that
    allows the update. ``not_checked`` needs a whole installed state.
    """

    source: str
    model: str
    decision: DecisionKind
    allowed: bool
    entry: str = ""
    method: str = ""
    minutes: int | None = None
    tested: str = ""
    message: str
    next: str = ""
    not_checked: tuple[str, ...] = ()


class Table(Frozen, frozen=True, kw_only=True):
    """Every version that the matrix of one release knows, oldest first: the list of updates to test."""

    schema: Literal["bundlekit/matrix/1"] = "bundlekit/matrix/1"
    product: str
    version: str
    rows: tuple[TableRow, ...]


def table(read: ReadMatrix) -> Table:
    """The decision for each version and model. ConfigError if there are too many for that."""
    require_feasible(read)
    manifest = read.manifest
    models = models_apart(read)
    sources = {one.entry.id: one.entry for one in read.sources}
    rows = (_row(read, sources, version, model) for version in versions_named(read) for model in models)
    return Table(product=manifest.product, version=manifest.version, rows=tuple(rows))


def _row(read: ReadMatrix, sources: Mapping[str, MatrixSource], version: Version, model: str | None) -> TableRow:
    decision = decide_from(read.manifest, version.text, model=model, matrix=read)
    whole = decision.overall
    source = sources.get(whole.entry)
    return TableRow(
        source=version.text,
        model=model or "",
        decision=whole.kind,
        allowed=whole.allowed,
        entry=whole.entry,
        method=source.method if source else "",
        minutes=source.minutes if source else None,
        tested=source.record[0] if source else "",
        message=whole.message,
        next=whole.next,
        not_checked=decision.not_checked if whole.allowed else (),
    )
