"""Who can come to a release, from where, and through which stops: the upgrade graph that a report draws."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from bundlekit.matrix.routes import NO_UPDATE, PathKind, Routes, decisions_of
from bundlekit.matrix.work import models_apart, require_feasible, versions_named
from bundlekit.model.decision import DecisionKind
from bundlekit.model.primitives import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bundlekit.matrix.read import ReadMatrix
    from bundlekit.versions import Version


class UpgradeWay(Frozen, frozen=True, kw_only=True):
    """A run of versions, oldest first, that reach the release in the same way, and for the same reason.

    ``model`` is set if the matrix distinguishes models. ``via`` are the stops in between, in order. ``stranded``:
    no path to this release is known for these versions, and they are older than it. ``beyond``: a path depends on the
    bundles of later releases, which the matrix of this one does not show. ``decision``, ``entry``,
    ``message`` and ``next`` are those of the first version.
    """

    versions: tuple[str, ...]
    model: str = ""
    path: PathKind
    via: tuple[str, ...] = ()
    stranded: bool = False
    beyond: bool = False
    decision: DecisionKind
    entry: str = ""
    message: str = ""
    next: str = ""

    @property
    def label(self) -> str:
        """The versions in a few words."""
        first, last = self.versions[0], self.versions[-1]
        if len(self.versions) == 1:
            return first
        between = " and " if len(self.versions) == 2 else " to "
        return f"{first}{between}{last}"


class UpgradeMap(Frozen, frozen=True, kw_only=True):
    """The ways of all versions that the matrix of one release knows, oldest first."""

    product: str
    version: str
    ways: tuple[UpgradeWay, ...]

    @property
    def stops(self) -> tuple[str, ...]:
        """The stops of all ways, in the order in which they are passed."""
        chains = sorted({way.via for way in self.ways}, key=len, reverse=True)
        return tuple(dict.fromkeys(stop for chain in chains for stop in chain))


class _Seen(NamedTuple):
    """What makes two versions the same in the map."""

    path: PathKind
    via: tuple[str, ...]
    decision: DecisionKind
    entry: str
    stranded: bool
    beyond: bool


def upgrade_map(read: ReadMatrix) -> UpgradeMap:
    """The ways into the release of a matrix. ConfigError if there are too many versions to decide each."""
    require_feasible(read)
    versions, models = versions_named(read), models_apart(read)
    decisions = decisions_of(read, (), models)
    by_model = [
        tuple(_ways(Routes(read, (), model, decisions), versions, model if len(models) > 1 else None))
        for model in models
    ]
    return UpgradeMap(
        product=read.manifest.product,
        version=read.manifest.version,
        ways=tuple(way for ways in by_model for way in ways),
    )


def _ways(routes: Routes, versions: Iterable[Version], model: str | None) -> Iterator[UpgradeWay]:
    every = list(versions)
    own = routes.target.own
    passed = [version for version in every if version < own and routes.reaches(routes.plain(version.text))]
    last = max(passed, default=None)
    seen = [(_seen(routes, version, last), version) for version in every]
    for (path, via, decision, entry, stranded, beyond), run in groupby(seen, key=lambda item: item[0]):
        texts = tuple(version.text for _, version in run)
        whole = routes.component_decision(routes.target, texts[0])
        yield UpgradeWay(
            versions=texts,
            model=model or "",
            path=path,
            via=via,
            stranded=stranded,
            beyond=beyond,
            decision=decision,
            entry=entry,
            message=whole.message,
            next=whole.next,
        )


def _seen(routes: Routes, version: Version, last: Version | None) -> _Seen:
    """How a version reaches the release. ``last`` is the last older version that does."""
    read = routes.target
    outcome = routes.decided(read, version.text)
    path = routes.path(version.text)
    via = tuple(stop.text for stop in _stops(read, version)) if path == "via-stops" else ()
    without = path == "none" and outcome.kind not in NO_UPDATE
    ended = any(version in dead_end.range for dead_end in read.dead_ends)
    beyond = without and not ended and last is not None and version < last
    return _Seen(path, via, outcome.kind, outcome.entry, without and not beyond, beyond)


def _stops(read: ReadMatrix, version: Version) -> list[Version]:
    """The stops between a version and the release, lowest first. From each stop, only later ones count."""
    found: list[Version] = []
    here = version
    while between := [stop.via for stop in read.stops if stop.lies_between(here, read.own)]:
        here = min(between)
        found.append(here)
    return found
