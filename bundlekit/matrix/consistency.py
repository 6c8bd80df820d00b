"""Faults inside one manifest that make its matrix contradictory, ineffective, or impossible to read."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypeVar

from bundlekit.errors import VersionError
from bundlekit.facts import quantity
from bundlekit.matrix.read import UnreadableMatrix, inconsistent, outside_matrix, read_matrix
from bundlekit.versions import scheme_named

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bundlekit.matrix.read import ReadMatrix
    from bundlekit.model.bundle import Problem
    from bundlekit.model.manifest import Manifest
    from bundlekit.model.matrix import Condition, Matrix, MatrixEntry
    from bundlekit.versions import Range, Version

T = TypeVar("T")


def inconsistencies(manifest: Manifest, matrix: ReadMatrix | UnreadableMatrix | None = None) -> tuple[Problem, ...]:
    """The faults of the matrix alone, regardless of installed versions: problems of ``manifest-inconsistent``.

    ``matrix`` is the matrix of the manifest, if it has already been read.
    """
    read = matrix or read_matrix(manifest)
    as_read = read.problems if isinstance(read, UnreadableMatrix) else (*_releases(read), *_ranges(read))
    return (*_names(manifest), *_aliases(manifest), *_conditions(manifest), *as_read)


def fault_in_file(problem: Problem, file: str) -> str:
    """A problem of the matrix, with the file that states the matrix."""
    fault = problem.message.removeprefix("Matrix, ").replace("Matrix entry", "entry", 1)
    return f"{file}: {fault}"


def _entries(matrix: Matrix) -> Iterator[MatrixEntry]:
    yield from matrix.sources
    yield from matrix.stops
    yield from matrix.blocks
    yield from matrix.withdrawn
    yield from matrix.risks
    yield from matrix.dead_ends
    yield from matrix.works_together
    yield from matrix.skews


def _names(manifest: Manifest) -> Iterator[Problem]:
    matrix = manifest.matrix
    for name in _repeated(entry.id for entry in _entries(matrix)):
        yield inconsistent(
            name, "id", "another entry has the same id, so a report could not name the one that decided."
        )
    with_models = [(entry.id, entry.models) for entry in matrix.sources]
    with_models += [(entry.id, entry.models) for entry in matrix.blocks]
    for name, models in with_models:
        for model in sorted(set(models).difference(manifest.models)):
            yield inconsistent(name, "models", f"the bundle is not for the model {model}.")
    for source in matrix.sources:
        if not matrix.releases and not source.unlisted:
            yield inconsistent(
                source.id, "unlisted", "must be true, because no releases are listed for the range to select."
            )
        if matrix.order == "listed" and (source.unlisted or source.by_release):
            yield inconsistent(
                source.id,
                "unlisted, by-release",
                "is not possible, because only listed versions can be compared if the order is as listed.",
            )


def _conditions(manifest: Manifest) -> Iterator[Problem]:
    matrix = manifest.matrix
    conditions: list[tuple[str, Condition]] = [(risk.id, risk.when) for risk in matrix.risks]
    conditions += [(stop.id, stop.when) for stop in matrix.stops if stop.when is not None]
    conditions += [("", condition) for condition in manifest.requirements.facts]
    for entry, condition in conditions:
        if condition.test in ("below", "at-least") and quantity(condition.value) is None:
            fault = f"{condition.value!r} cannot be compared; write '24 h', '12 GiB' or a dotted number such as '7.1'."
            if entry:
                yield inconsistent(entry, "when", fault)
            else:
                yield outside_matrix(f"requirements.facts.{condition.fact}", fault)
    if (tool := manifest.requirements.tool) is not None:
        try:
            scheme_named("pep440").parse(tool)
        except VersionError as why:
            yield outside_matrix("requirements.tool", str(why))


def _aliases(manifest: Manifest) -> Iterator[Problem]:
    aliases = manifest.matrix.aliases
    labels = {alias.alias for alias in aliases}
    releases = {*manifest.matrix.releases, manifest.version}
    for label in _repeated(alias.alias for alias in aliases):
        yield inconsistent("", "aliases", f"{label!r} is given more than once.")
    for alias in aliases:
        if alias.version in labels:
            yield inconsistent("", "aliases", f"{alias.alias!r} means {alias.version!r}, which is an alias itself.")
        if alias.alias in releases:
            yield inconsistent("", "aliases", f"{alias.alias!r} is a release, so it cannot be an alias.")


def _releases(read: ReadMatrix) -> Iterator[Problem]:
    matrix = read.manifest.matrix
    for release in _repeated(read.parse(read.primary_component, release) for release in matrix.releases):
        yield inconsistent("", "releases", f"{release} is listed more than once.")
    for alias in matrix.aliases:
        if read.known and not _is_listed(read, read.parse(read.primary_component, alias.alias)):
            yield inconsistent("", "aliases", f"{alias.alias!r} means {alias.version}, which is not listed.")
    for since in _repeated(since for since, _ in read.trusted_keys):
        yield inconsistent("", "trusted-keys", f"{since} is given more than once.")
    for since in _repeated(since for since, _ in read.trust_of):
        yield inconsistent("", "trust-of", f"{since} is given more than once.")
    for since, trust in read.trust_of:
        if trust.problem:
            yield inconsistent("", "trust-of", f"the trust file of {since} cannot be used: {trust.problem}")


def _is_listed(read: ReadMatrix, version: Version) -> bool:
    return version in read.known or version == read.own


def _ranges(read: ReadMatrix) -> Iterator[Problem]:
    """Ranges that are empty, and ranges that fit no version known to the matrix. Such ranges never decide."""
    as_released = sorted({release.as_release for release in read.releases})
    for source in read.sources:
        matched = source.range.first_of(
            as_released if source.entry.by_release else read.releases, without=source.denied
        )
        yield from _idle(source.entry, source.range, matches=matched is not None or source.entry.unlisted)

    anything_goes = not read.known or any(source.entry.unlisted for source in read.sources)
    ranged: list[tuple[MatrixEntry, Range]] = [(block.entry, block.range) for block in read.blocks]
    ranged += [(risk.entry, risk.range) for risk in read.risks]
    ranged += [(dead_end.entry, dead_end.range) for dead_end in read.dead_ends]
    ranged += [(stop.entry, stop.range) for stop in read.stops]
    for entry, versions in ranged:
        yield from _idle(entry, versions, matches=anything_goes or versions.first_of(read.releases) is not None)
    for withdrawn in read.withdrawn:  # can be about releases that are no longer sources
        yield from _idle(withdrawn.entry, withdrawn.range, matches=True)
    for stop in read.stops:
        if read.known and not _is_listed(read, stop.via):
            yield inconsistent(stop.entry.id, "via", f"{stop.via} is not among the releases that are listed.")
        floor = max((clause.bound for clause in stop.range.floors), default=None)
        first = floor if anything_goes else stop.range.first_of(read.releases)
        if first is not None and first >= stop.via:
            yield inconsistent(
                stop.entry.id, "via", f"{stop.via} is not newer than any version that must be updated to it."
            )
    for together in read.works_together:
        for name, versions in together.ranges.items():
            if versions.is_empty:
                yield inconsistent(together.entry.id, name, f"the range {versions} is empty.")
    for skew in read.skews:
        for name, versions in (("old", skew.old), ("new", skew.new)):
            if versions.is_empty:
                yield inconsistent(skew.entry.id, name, f"the range {versions} is empty.")


def _idle(entry: MatrixEntry, versions: Range, *, matches: bool) -> Iterator[Problem]:
    if versions.is_empty:
        yield inconsistent(entry.id, "versions", f"the range {versions} is empty.")
    elif not matches:
        yield inconsistent(entry.id, "versions", f"the range {versions} matches none of the listed releases.")


def _repeated(values: Iterable[T]) -> list[T]:
    return [value for value, count in Counter(values).items() if count > 1]
