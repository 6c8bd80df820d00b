"""The comparison of two matrices: which versions gain, and which lose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from bundlekit.errors import ConfigError, VersionError
from bundlekit.matrix.routes import PathKind, Routes, decisions_of
from bundlekit.matrix.work import models_apart, require_feasible, versions_named
from bundlekit.model.decision import DecisionKind
from bundlekit.model.primitives import Frozen

if TYPE_CHECKING:
    from bundlekit.matrix.read import ReadMatrix


class Side(Frozen, frozen=True, kw_only=True):
    """The decision of one matrix for a version, the deciding entry, and how the version reaches the release.

    ``via`` is the old release, if the only known path to the new one leads through it.
    """

    decision: DecisionKind
    entry: str
    path: PathKind
    via: str | UnsetType = UNSET


class Change(Frozen, frozen=True, kw_only=True):
    """A version (and model) with different decisions in two matrices, and whether it gains or loses."""

    source: str
    model: str
    change: Literal["gains", "loses", "differs"]
    old: Side
    new: Side


class Diff(Frozen, frozen=True, kw_only=True):
    """All changes between two matrices, by version. ``unchanged`` is the number of equal decisions."""

    schema: Literal["bundlekit/matrix-diff/1"] = "bundlekit/matrix-diff/1"
    old: str
    new: str
    unchanged: int
    changes: tuple[Change, ...]

    @property
    def a_version_loses(self) -> bool:
        """Whether a version has a worse path than before, or none."""
        return any(change.change == "loses" for change in self.changes)


_RANK = {"installed": 2, "direct": 2, "via-stops": 1, "none": 0}


def diff(old: ReadMatrix, new: ReadMatrix) -> Diff:
    """Compare the decisions of two matrices for every version and model that either of them knows.

    The old release itself counts as ``installed`` in the old matrix. It therefore loses if the new release does not
    accept it. The new release itself is left out, unless both matrices are of it. Raises ConfigError if there are too
    many versions, and for matrices of two products, which have no paths in common.
    """
    product = old.manifest.product or new.manifest.product  # a matrix of the operator need not name one
    one, other = (f"{read.manifest.product or product} ({read.primary_component})" for read in (old, new))
    if one != other:
        raise ConfigError(
            f"The matrices are of {one} and of {other}, so they cannot be compared.",
            next_step="Give two releases of one product.",
        )
    require_feasible(old)
    require_feasible(new)
    texts = dict.fromkeys(version.text for read in (old, new) for version in versions_named(read))
    models = tuple(dict.fromkeys((*models_apart(old), *models_apart(new))))
    if len(models) > 1:
        models = tuple(model for model in models if model is not None)
    decisions = decisions_of(old, (), models, texts) | decisions_of(new, (), models, texts)
    through = {model: Routes(new, (old,), model, decisions) for model in models}
    ways = {model: (Routes(old, (), model, decisions), Routes(new, (), model, decisions)) for model in models}
    unchanged, changes = 0, []
    for text in _in_order(new, list(texts)):
        for model in models:
            before, after = (_side(routes, text) for routes in ways[model])
            if after.path == "none" and before.path in ("direct", "via-stops") and _leads_on(through[model], text):
                after = replace(after, path="via-stops", via=old.manifest.version)
            if before == after:
                unchanged += 1
                continue
            if after.path == "installed":
                continue  # the new release itself, to which no update has to lead
            gain = _RANK[after.path] - _RANK[before.path]
            changes.append(
                Change(
                    source=text,
                    model=model or "",
                    change="gains" if gain > 0 else "loses" if gain < 0 else "differs",
                    old=before,
                    new=after,
                )
            )
    versions = (old.manifest.version, new.manifest.version)
    return Diff(old=versions[0], new=versions[1], unchanged=unchanged, changes=tuple(changes))


def _side(routes: Routes, text: str) -> Side:
    whole = routes.decided(routes.target, text)
    return Side(decision=whole.kind, entry=whole.entry, path=routes.path(text))


def _leads_on(through: Routes, text: str) -> bool:
    """Whether a version can be updated to the old release, and from there to the new one."""
    return through.path(text) == "via-stops"


def _in_order(read: ReadMatrix, texts: list[str]) -> list[str]:
    """In the order of the new matrix. Versions that it cannot read come last."""
    readable, unreadable = [], []
    for text in texts:
        try:
            readable.append(read.parse(read.primary_component, text))
        except VersionError:
            unreadable.append(text)
    return [version.text for version in sorted(readable)] + unreadable
