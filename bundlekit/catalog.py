"""Catalogs: the heads and signatures of many bundles. They are enough to find paths, without any payload.

A catalog is a folder with ``catalog.json`` and one ``ID.head`` for each bundle. ID is the bundle id without
``sha256:``. The reader of whole bundles reads the heads too. Only what the signature in the head covers is trusted. The
one exception is the dates. The operator's matrices are not kept: they are given when a path is searched.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from bundlekit import formats, pipeline
from bundlekit.catalog_heads import INDEX, CatalogEntry, Index, bundle_sources, kept_head, read_index
from bundlekit.decisions import terms_of
from bundlekit.errors import ConfigError
from bundlekit.files import locked, whole_file
from bundlekit.matrix import path as planner
from bundlekit.matrix.advisory import restricted
from bundlekit.matrix.candidates import CandidateBundle
from bundlekit.matrix.decide import STRICT
from bundlekit.matrix.operator import manifest_for, matrix_for, require_consistent, subject_of
from bundlekit.matrix.read import UnreadableMatrix, read_matrix
from bundlekit.matrix.shipped import signatures_of
from bundlekit.model.manifest import labelled
from bundlekit.model.path import Obstacle
from bundlekit.model.primitives import Frozen
from bundlekit.request import CheckRequest
from bundlekit.wording import given

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Sequence

    from bundlekit.matrix.operator import OperatorMatrix
    from bundlekit.matrix.path import PathState
    from bundlekit.model.advisory import Advice
    from bundlekit.model.decision import Policy
    from bundlekit.model.path import UpgradePath
    from bundlekit.model.release import Release
    from bundlekit.report.model import Report
    from bundlekit.source import Source
    from bundlekit.trust import TrustStore

LOCK: Final = "catalog.lock"
"""The file that is locked while a catalog is written. It stays: a lock on a removed file would exclude no other."""

SCHEMA: Final = "bundlekit/catalog/1"
UNNAMED: Final = ("models that neither it nor its matrix names",)
"""The models of a bundle that has none. No pair has that model, and a path for a version alone needs none."""


class WithoutMatrix(Frozen, frozen=True, kw_only=True):
    """A usable bundle in a format without a matrix, if none was given either. Its fields are those of a candidate."""

    bundle: str
    id: str
    release: Release
    signers: tuple[str, ...]
    supported_until: str


class Collected(Frozen, frozen=True, kw_only=True):
    """The bundles that can be hops, and the bundles that cannot, each with the reason.

    Those without a matrix are under ``without_matrix``, and under ``skipped`` as well.
    """

    candidates: tuple[CandidateBundle, ...]
    skipped: tuple[Obstacle, ...]
    without_matrix: tuple[WithoutMatrix, ...] = ()


def add(catalog: Path, bundles: Iterable[Path], *, supported_until: str | None = None) -> tuple[str, ...]:
    """Put heads of bundles into a catalog, and return their ids. A missing catalog is created.

    A bundle that the catalog already contains gets its new signatures, file name and date. Its earlier date stays if no
    new one is given. Raises ConfigError, and adds nothing, if one head cannot be read. A bundle is verified when the
    catalog is used, with the trust of that day. Two calls that add to one catalog take turns.
    """
    if catalog == Path():  # which an empty path becomes
        raise ConfigError("The path of the catalog is empty.", next_step="Name the folder.")
    if catalog.exists() and not catalog.is_dir():
        raise ConfigError(f"{catalog}: is a file; a catalog is a folder, and is given before the bundles")
    added: dict[str, tuple[bytes, CatalogEntry]] = {}
    for path in bundles:
        identity, head, entry = kept_head(path, supported_until)
        added[identity] = head, entry
    try:
        catalog.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{catalog}: cannot be made: {error.strerror}") from error
    with locked(catalog / LOCK):
        _write(catalog, added)
    return tuple(added)


def _write(catalog: Path, added: dict[str, tuple[bytes, CatalogEntry]]) -> None:
    """Write heads, and an index of what the catalog contains now: another call can have added to it meanwhile."""
    index = read_index(catalog) if (catalog / INDEX).exists() else Index(schema=SCHEMA)
    entries = dict(index.bundles)
    for identity, (head, entry) in added.items():
        known = entries.get(identity)
        until = entry.supported_until or (known.supported_until if known else None)
        entries[identity] = replace(entry, supported_until=until)
        with whole_file(catalog / f"{identity}.head") as file:
            file.write(head)
    # The index comes last, so that every head it lists exists.
    with whole_file(catalog / INDEX) as file:
        written = msgspec.json.encode(Index(schema=SCHEMA, bundles=entries), order="sorted")
        file.write(msgspec.json.format(written, indent=2) + b"\n")


def collect(
    places: Iterable[Path],
    *,
    trust: TrustStore | None = None,
    advice: Advice | None = None,
    at: dt.datetime | None = None,
    matrices: Sequence[OperatorMatrix] = (),
) -> Collected:
    """The bundles at ``places``: bundle files, catalogs, or folders. In a folder, every bundle counts.

    Each head is checked as by `pipeline.preflight`. With ``trust``, bundles that are not accepted are left out. Without
    it, only rejected bundles are left out. ``advice`` restricts the bundles of its product. ``matrices`` are those of
    the operator, for bundles in formats that carry none. Raises ConfigError if a place has no bundles, or if two
    matrices are for one bundle.
    """
    candidates: dict[str, CandidateBundle] = {}
    without: dict[str, WithoutMatrix] = {}
    skipped = []
    for source_of, entry in bundle_sources(places):
        with source_of as source:
            found = _candidate(source, entry, trust, advice, at, matrices)
        if isinstance(found, Obstacle):
            skipped.append(found)
        elif isinstance(found, WithoutMatrix):
            without.setdefault(found.id, found)
        else:
            candidates.setdefault(found.id, found)
    known = tuple(candidates.values())
    parts = {item.stored.file for one in known for item in labelled(one.manifest)}
    skipped += [_no_matrix(one) for one in without.values() if Path(one.bundle).name not in parts]
    used = {one.matrix_digest for one in known}
    skipped += [_unused(one) for one in matrices if one.digest not in used]
    return Collected(candidates=known, skipped=tuple(skipped), without_matrix=tuple(without.values()))


def find_path(
    places: Iterable[Path],
    start: PathState,
    goal: str,
    *,
    trust: TrustStore | None = None,
    policy: Policy = STRICT,
    advice: Advice | None = None,
    at: dt.datetime | None = None,
    matrices: Sequence[OperatorMatrix] = (),
) -> UpgradePath:
    """The shortest upgrade path from ``start`` to the version ``goal`` with the bundles at ``places``.

    ``places`` are bundle files, catalogs, or folders. Without ``trust`` the path is marked as not verified. ``policy``,
    ``advice`` and ``at`` are as in :func:`check`. ``matrices`` are those of the operator, for bundles in formats that
    carry none. Raises ConfigError if a place has no bundles, or if two matrices are for one bundle, and UnreadableError
    if a file cannot be read. Raises BundlekitError if the search takes too long or ``start`` is ambiguous.
    """
    found = collect(places, trust=trust, advice=advice, at=at, matrices=matrices)
    way = planner.find_path(found.candidates, start, goal, policy)
    advised = _ids(advice) if advice else frozenset()
    return replace(
        way,
        obstacles=tuple(replace(one, origin="advisory") if one.entry in advised else one for one in way.obstacles),
        verified=trust is not None,
        skipped=found.skipped,
        advisories=advice.use if advice else None,
    )


def _ids(advice: Advice) -> frozenset[str]:
    """The ids of all entries of the advisories."""
    file = advice.advisory
    return frozenset(
        one.id for kind in (file.blocks, file.stops, file.withdrawn, file.risks, file.dead_ends) for one in kind
    )


def _candidate(
    source: Source,
    entry: CatalogEntry | None,
    trust: TrustStore | None,
    advice: Advice | None,
    at: dt.datetime | None,
    matrices: Sequence[OperatorMatrix],
) -> CandidateBundle | WithoutMatrix | Obstacle:
    checked = pipeline.examine(formats.once(source), CheckRequest(trust=trust, at=at), scope="head")
    report, bundle = checked.report, checked.bundle
    manifest, release, operator = bundle.manifest, bundle.release, None
    if report.verdict == "reject" or release is None or report.id is None or (trust and report.verdict != "accept"):
        return _unusable(source.name, report)
    signers = tuple(one.trusted_signer for one in report.signatures if one.counts)
    until = entry.supported_until or "" if entry else ""
    if manifest is None:
        operator = matrix_for(release, matrices)
        if operator is None:
            return WithoutMatrix(
                bundle=source.name, id=report.id, release=release, signers=signers, supported_until=until
            )
        models = release.models or operator.release.models or UNNAMED
        manifest = manifest_for(replace(release, models=models), operator)
    if advice and advice.advisory.product == manifest.product:
        manifest = restricted(manifest, advice.advisory)
    matrix = read_matrix(manifest, terms_of(release))
    if operator:
        require_consistent(operator, manifest, matrix)
    if isinstance(matrix, UnreadableMatrix):
        return Obstacle(subject=source.name, kind="undecided", message=matrix.problems[0].message)
    return CandidateBundle(
        matrix=matrix,
        bundle=source.name,
        id=report.id,
        signers=signers,
        signed_by=tuple(one.name for one in report.signatures if one.counts) if trust and trust.names else None,
        signatures=signatures_of(bundle, report.request.at),
        supported_until=until,
        matrix_file=operator.file if operator else "",
        matrix_digest=operator.digest if operator else "",
    )


def _no_matrix(one: WithoutMatrix) -> Obstacle:
    return Obstacle(
        subject=one.bundle,
        kind="no-matrix",
        message="Its format has no upgrade matrix, and none was given for "
        f"{f'{one.release.product} {one.release.version}'.strip()}.",
        next=f"Give one ({given('matrix', 'matrix.toml')}), or sign one with a detached head.",
    )


def _unused(operator: OperatorMatrix) -> Obstacle:
    return Obstacle(
        subject=operator.file,
        kind="unused-matrix",
        message=f"None of these bundles uses this matrix: {subject_of(operator)}.",
        next="Correct its [release], or give the bundle that it is for.",
    )


def _unusable(name: str, report: Report) -> Obstacle:
    errors = [finding for finding in report.findings if finding.severity == "error"]
    unrun = [rule.reason for rule in report.rules if rule.required and rule.outcome == "not-run"]
    first = errors[0] if errors else None
    return Obstacle(
        subject=name,
        kind=first.rule if first else "not-authentic",
        message=first.message if first else f"It could not be checked: {unrun[0] if unrun else report.summary}.",
        next=first.next if first else "Run `bundlekit preflight` on it.",
    )
