"""The bundles that a path can use, and the restrictions that their matrices impose on each other."""

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
    """A bundle that can be a hop: its manifest, its matrix as read, and the fields of its hop (see `Hop`).

    ``signed_by`` are the names of its signers in a trust.toml; None: there is no trust.toml. ``signatures`` are checked
    by the trust files that releases ship; None: not known. ``matrix_file`` and ``matrix_digest`` are set if the matrix
    is the operator's.
    """

    matrix: ReadMatrix
    bundle: str = ""
    id: str = ""
    signers: tuple[str, ...] = ()
    signed_by: tuple[str, ...] | None = None
    signatures: Any = None
    supported_until: str = ""
    matrix_file: str = ""
    matrix_digest: str = ""

    @property
    def manifest(self) -> Manifest:
        """The manifest of the bundle."""
        return self.matrix.manifest


def of_one_product(candidates: Sequence[CandidateBundle], goal: str) -> Sequence[CandidateBundle]:
    """The candidates for the product and the component that the target version belongs to."""
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
    """The number of entries that a decision possibly has to examine."""
    kinds = (matrix.sources, matrix.stops, matrix.blocks, matrix.dead_ends, matrix.risks, matrix.withdrawn)
    return sum(map(len, (*kinds, matrix.works_together, matrix.skews, matrix.trusted_keys)))


def with_restrictions(candidates: Sequence[CandidateBundle]) -> list[CandidateBundle]:
    """The candidates. Each matrix also has the restrictions of the others that are about the same versions."""
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
            f"the bundles restrict one another by {taken_over:,} stops; the limit is {budget.limit:,}",
            next_step="Give fewer bundles.",
        )
    restricted = []
    for candidate in candidates:
        matrix, kinship = candidate.matrix, candidate.matrix.kinship
        twins = [one for one in kin[kinship] if one.own == matrix.own]
        # For other bundles the latest of a kind is one before this bundle, but this bundle itself is of that kind.
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
    """The entries that also apply to other releases.

    An advisory's entries ``into`` some releases are in their own matrices.
    """
    return (one for one in entries if not isinstance(one.entry, AdvisoryStop | AdvisoryDeadEnd))


def _merged(entries: Iterable[Iterable[Any]]) -> tuple[Any, ...]:
    """All entries without duplicates: a release repeats most entries of the one before it."""
    distinct: dict[bytes, Any] = {}
    for one in chain.from_iterable(entries):
        distinct.setdefault(msgspec.json.encode(one.entry), one)
    return tuple(distinct.values())


def latest_of_stops(candidates: Sequence[CandidateBundle]) -> dict[int, bool]:
    """For candidates at a stop that requires the latest release: whether they are the latest available."""
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
