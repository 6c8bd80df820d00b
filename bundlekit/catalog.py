"""Catalogs: the heads and signatures of many bundles. They are enough to find paths, without any payload.

A catalog is a folder with ``catalog.json`` and one ``ID.head`` for each bundle. ID is the bundle id without
``sha256:``. The ``.head`` file is the start of the bundle up to the end of the signature area. The reader of whole
bundles reads the heads too. Only what the signature in the head covers is trusted. The one exception is the dates.
"""

from __future__ import annotations

import re
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from msgspec.structs import replace

from bundlekit import config, pipeline
from bundlekit.errors import ConfigError
from bundlekit.escape import escape
from bundlekit.files import LIMITS, locked, whole_file
from bundlekit.layout import reader
from bundlekit.matrix import path as planner
from bundlekit.matrix.advisory import restricted
from bundlekit.matrix.candidates import CandidateBundle
from bundlekit.matrix.decide import STRICT
from bundlekit.matrix.read import UnreadableMatrix, read_matrix
from bundlekit.matrix.shipped import signatures_of
from bundlekit.model.bundle import Span
from bundlekit.model.path import Obstacle
from bundlekit.model.primitives import Date, Frozen, Size, Strict
from bundlekit.source import BytesSource, FileSource
from bundlekit.source import read as read_span

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from bundlekit.matrix.path import PathState
    from bundlekit.model.advisory import Advice
    from bundlekit.model.decision import Policy
    from bundlekit.model.path import UpgradePath
    from bundlekit.report.model import Report
    from bundlekit.source import Source
    from bundlekit.trust import TrustStore

INDEX: Final = "catalog.json"
LOCK: Final = "catalog.lock"
"""The file that is locked while a catalog is written. It stays: a lock on a removed file would exclude no other."""

SCHEMA: Final = "bundlekit/catalog/1"
MAX_HEAD: Final = LIMITS["head"]
"""More than header, manifest and signature area can take together."""


class CatalogEntry(Strict, frozen=True, kw_only=True):
    """What a catalog knows of a bundle besides its head: file name and size when it was added, end of support."""

    file: str
    size: Size
    supported_until: Date | None = None


class Index(Strict, frozen=True, kw_only=True):
    """``catalog.json``: the bundles by id."""

    schema: Literal["bundlekit/catalog/1"]
    bundles: dict[str, CatalogEntry] = {}


class Collected(Frozen, frozen=True, kw_only=True):
    """The bundles that can be hops, and the bundles that cannot, each with the reason."""

    candidates: tuple[CandidateBundle, ...]
    skipped: tuple[Obstacle, ...]


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
        with FileSource(path) as opened:
            source = reader.read_once(opened)  # the head that is kept is the one whose id was computed
            bundle = reader.read(source)
            if bundle.manifest is None or bundle.area is None or bundle.id is None:
                why = bundle.problems[0].message if bundle.problems else "it has no manifest"
                raise ConfigError(f"{path}: its head cannot be read: {why}", next_step="Run `bundlekit check` on it.")
            head = read_span(source, Span(start=0, stop=bundle.area.stop))
            # A file name is bytes; one that is not UTF-8 is kept as it is shown.
            name = escape(path.name)
            entry = CatalogEntry(file=name, size=source.size, supported_until=supported_until)
            added[bundle.id.removeprefix("sha256:")] = head, entry
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


def read_index(catalog: Path) -> Index:
    """The index of a catalog; ConfigError if there is none, or it is damaged."""
    path = catalog / INDEX
    index = config.convert(config.load_json(path), Index, where=str(path))
    for identity in index.bundles:
        if not re.fullmatch("[0-9a-f]{64}", identity):
            raise ConfigError(f"{path}: at 'bundles': {identity[:64]!r} is not a bundle id, 64 hexadecimal digits")
    return index


def collect(
    places: Iterable[Path],
    *,
    trust: TrustStore | None = None,
    advice: Advice | None = None,
    at: dt.datetime | None = None,
) -> Collected:
    """The bundles at ``places``: bundle files, catalogs, or folders with ``*.bin`` files.

    Each head is checked as by `pipeline.preflight`. With ``trust``, bundles that are not accepted are left out. Without
    it, only rejected bundles are left out. ``advice`` restricts the bundles of its product. Raises ConfigError if a
    place has no bundles.
    """
    candidates: dict[str, CandidateBundle] = {}
    skipped = []
    for source_of, entry in _sources(places):
        with source_of as source:
            found = _candidate(reader.read_once(source), entry, trust, advice, at)
        if isinstance(found, Obstacle):
            skipped.append(found)
        else:
            candidates.setdefault(found.id, found)
    return Collected(candidates=tuple(candidates.values()), skipped=tuple(skipped))


def find_path(
    places: Iterable[Path],
    start: PathState,
    goal: str,
    *,
    trust: TrustStore | None = None,
    policy: Policy = STRICT,
    advice: Advice | None = None,
    at: dt.datetime | None = None,
) -> UpgradePath:
    """The shortest upgrade path from ``start`` to the version ``goal`` with the bundles at ``places``.

    ``places`` are bundle files, catalogs, or folders with ``*.bin`` files. Without ``trust`` the path is marked as not
    verified. ``policy``, ``advice`` and ``at`` are as in :func:`check`. Raises ConfigError if a place has no bundles,
    and UnreadableError if a file cannot be read. Raises BundlekitError if the search takes too long or ``start`` is
    ambiguous.
    """
    found = collect(places, trust=trust, advice=advice, at=at)
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


def _sources(places: Iterable[Path]) -> Iterator[tuple[AbstractContextManager[Source], CatalogEntry | None]]:
    for place in places:
        if place == Path():  # which an empty path becomes
            raise ConfigError("A path of a bundle or catalog is empty.", next_step="Name the file or folder.")
        if (place / INDEX).is_file():
            for identity, entry in read_index(place).bundles.items():
                data = config.read_file(place / f"{identity}.head", limit=MAX_HEAD)
                yield nullcontext(BytesSource(data, size=max(entry.size, len(data)), name=entry.file)), entry
        elif place.is_dir():
            files = sorted(place.glob("*.bin"))
            if not files:
                raise ConfigError(
                    f"{place}: has neither {INDEX} nor any *.bin", next_step="Name the bundles themselves."
                )
            yield from ((closing(FileSource(file)), None) for file in files)
        else:
            yield closing(FileSource(place)), None


def _candidate(
    source: Source, entry: CatalogEntry | None, trust: TrustStore | None, advice: Advice | None, at: dt.datetime | None
) -> CandidateBundle | Obstacle:
    report = pipeline.preflight(source, trust=trust, at=at)
    bundle = reader.read(source)
    manifest = bundle.manifest
    if report.verdict == "reject" or manifest is None or report.id is None or (trust and report.verdict != "accept"):
        return _unusable(source.name, report)
    if advice and advice.advisory.product == manifest.product:
        manifest = restricted(manifest, advice.advisory)
    matrix = read_matrix(manifest)
    if isinstance(matrix, UnreadableMatrix):
        return Obstacle(subject=source.name, kind="undecided", message=matrix.problems[0].message)
    return CandidateBundle(
        matrix=matrix,
        bundle=source.name,
        id=report.id,
        signers=tuple(one.trusted_signer for one in report.signatures if one.counts),
        signed_by=tuple(one.name for one in report.signatures if one.counts) if trust and trust.names else None,
        signatures=signatures_of(bundle, report.request.at),
        supported_until=entry.supported_until or "" if entry else "",
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
