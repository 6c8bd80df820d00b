"""Bundles that a path can go through, and the restrictions that their matrices put on one another."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from bundlekit.errors import BundlekitError, VersionError
from bundlekit.matrix.budget import Budget
from bundlekit.matrix.read import ReadMatrix
from bundlekit.matrix.shipped import with_trust_of_others
from bundlekit.model.advisory import AdvisoryDeadEnd, AdvisoryStop
from bundlekit.model.primitives import Frozen
from bundlekit.wording import fill

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bundlekit.model.manifest import Manifest
    from bundlekit.versions import Version


class CandidateBundle(Frozen, frozen=True, kw_only=True):
    """A bundle that may be a hop: its manifest, its matrix, read; and what a hop says of it (see `Hop`).

    ``signed_by`` are the names that a trust.toml has for its signers; None: there is none. ``signatures`` are what
    trust files that releases ship are asked about; None: not known.
    """

    matrix: ReadMatrix
    bundle: str = ""
    id: str = ""
    signers: tuple[str, ...] = ()
    signed_by: tuple[str, ...] | None = None
    signatures: Any = None
    supported_until: str = ""

    @property
    def manifest(self) -> Manifest:
        """What the bundle says of itself."""
        return self.matrix.manifest


def of_one_product(candidates: Sequence[CandidateBundle], goal: str) -> Sequence[CandidateBundle]:
    """The candidates of the product, and of its component, that the wanted version is of."""
    wanted = [one for one in candidates if parsed(one.matrix, goal) == one.matrix.own] or candidates
    kinds = {(one.manifest.product, one.matrix.primary_component) for one in wanted}
    if len(kinds) > 1:
        of = " and ".join(sorted(f"{product} ({lead})" for product, lead in kinds))
        raise BundlekitError(
            f"{goal} is a version of {of}, and a version alone does not show which is installed",
            next_step=fill("Give the bundles of one only, or the state of the pair ({appliance})."),
        )
    return [one for one in candidates if (one.manifest.product, one.matrix.primary_component) in kinds]


def entries(matrix: ReadMatrix) -> int:
    """How many entries a decision may have to look at."""
    kinds = (matrix.sources, matrix.stops, matrix.blocks, matrix.dead_ends, matrix.risks, matrix.withdrawn)
    return sum(map(len, (*kinds, matrix.works_together, matrix.skews, matrix.trusted_keys)))


def with_restrictions(candidates: Sequence[CandidateBundle]) -> list[CandidateBundle]:
    """The candidates, each matrix with the restrictions of the others that are about the same versions."""
    known = with_trust_of_others([one.matrix for one in candidates])
    candidates = [replace(one, matrix=matrix) for one, matrix in zip(candidates, known, strict=True)]
    kin: dict[object, list[ReadMatrix]] = {}
    for candidate in candidates:
        kin.setdefault(candidate.matrix.kinship, []).append(candidate.matrix)
    stops, withdrawn, dead_ends = (
        {kinship: _merged(_for_all(getattr(matrix, field)) for matrix in matrices) for kinship, matrices in kin.items()}
        for field in ("stops", "withdrawn", "dead_ends")
    )
    taken_over = sum(len(stops[candidate.matrix.kinship]) for candidate in candidates)
    budget = Budget("merge")
    if not budget.allows(taken_over):
        raise BundlekitError(
            f"the bundles would take over {taken_over:,} stops from one another; {budget.limit:,} are the limit",
            next_step="Give fewer bundles.",
        )
    restricted = []
    for candidate in candidates:
        matrix, kinship = candidate.matrix, candidate.matrix.kinship
        twins = [one for one in kin[kinship] if one.own == matrix.own]
        # To others the latest of a kind is one that came before this; but this is of that kind itself.
        above = (stop for stop in stops[kinship] if not (stop.prefix and matrix.own.begins_with(stop.prefix)))
        merged = replace(
            matrix,
            stops=_merged((matrix.stops, above)),
            withdrawn=withdrawn[kinship],
            dead_ends=_merged((matrix.dead_ends, dead_ends[kinship])),
            blocks=_merged(one.blocks for one in twins),
            risks=_merged(one.risks for one in twins),
        )
        restricted.append(replace(candidate, matrix=merged))
    return restricted


def _for_all(entries: Iterable[Any]) -> Iterator[Any]:
    """The entries that hold for other releases too: what an advisory says of the way into some is in their own."""
    return (one for one in entries if not isinstance(one.entry, AdvisoryStop | AdvisoryDeadEnd))


def _merged(entries: Iterable[Iterable[Any]]) -> tuple[Any, ...]:
    """All entries, those that say the same once: a release repeats most of what the one before it said."""
    distinct: dict[bytes, Any] = {}
    for one in chain.from_iterable(entries):
        distinct.setdefault(msgspec.json.encode(one.entry), one)
    return tuple(distinct.values())


def latest_of_stops(candidates: Sequence[CandidateBundle]) -> dict[int, bool]:
    """For candidates that are such a stop of which the latest is meant: whether they are the latest in hand."""
    stops = {
        (candidate.matrix.kinship, stop.prefix)
        for candidate in candidates
        for stop in candidate.matrix.stops
        if stop.prefix
    }
    latest: dict[int, bool] = {}
    for kinship, prefix in stops:
        there = {
            rank: candidate.matrix.own
            for rank, candidate in enumerate(candidates)
            if candidate.matrix.kinship == kinship and candidate.matrix.own.begins_with(prefix)
        }
        newest = max(there.values(), default=None)
        latest |= {rank: own == newest for rank, own in there.items()}
    return latest


def parsed(matrix: ReadMatrix, text: str) -> Version | None:
    """The version as the matrix reads it; None if it cannot."""
    try:
        return matrix.parse(matrix.primary_component, text)
    except VersionError:
        return None
