"""The estimated work of examining every version that a matrix knows, computed before the work starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundlekit.errors import ConfigError
from bundlekit.matrix.budget import Budget
from bundlekit.matrix.context import models_of
from bundlekit.matrix.decide import tells_models_apart
from bundlekit.wording import given

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundlekit.matrix.read import ReadMatrix
    from bundlekit.versions import Version


def models_apart(read: ReadMatrix, others: Sequence[ReadMatrix] = ()) -> tuple[str | None, ...]:
    """The models that the matrix distinguishes; one None if it distinguishes none.

    ``others`` are matrices whose bundles can be on the path. They distinguish models as well, because a bundle is not
    used on a model that it is not for.
    """
    models = read.manifest.models
    apart = any(tells_models_apart(one.manifest.matrix) for one in (read, *others))
    return models if apart or any(not set(models) <= set(models_of(one)) for one in others) else (None,)


def versions_named(read: ReadMatrix) -> list[Version]:
    """The listed releases, the versions that a source names singly, and the bundle's own, oldest first.

    If the matrix lists no releases, every version that its entries name.
    """
    ranges = [source.range for source in read.sources if source.range.exact or not read.known]
    if not read.known:
        ranges += [stop.range for stop in read.stops]
        ranges += [block.range for block in read.blocks]
        ranges += [dead_end.range for dead_end in read.dead_ends]
    return sorted({read.own, *read.known, *(clause.bound for one in ranges for clause in one.clauses)})


def work(read: ReadMatrix, others: Sequence[ReadMatrix] = ()) -> int:
    """The approximate number of comparisons to decide for each version on each model, and to lint the matrix.

    ``others`` are as in `models_apart`.
    """
    once = _once(read)
    if read.works_together:  # every pair of components counts, of an entry and of the bundle
        once += len(read.carried) ** 2 + sum(len(together.ranges) ** 2 for together in read.works_together)
    return len(versions_named(read)) * (once * len(models_apart(read, others)) + len(read.manifest.matrix.aliases))


def _once(read: ReadMatrix) -> int:
    """The comparisons with one version: each entry and each clause of its ranges."""
    ranges = [source.range for source in read.sources]
    ranges += [stop.range for stop in read.stops]
    for kind in (read.blocks, read.withdrawn, read.risks, read.dead_ends):
        ranges += [entry.range for entry in kind]
    ranges += [versions for skew in read.skews for versions in (skew.old, skew.new)]
    ranges += [versions for together in read.works_together for versions in together.ranges.values()]
    return 1 + sum(1 + len(versions.clauses) for versions in ranges) + len(read.trusted_keys)


def lint_work(read: ReadMatrix, others: Sequence[ReadMatrix]) -> int:
    """The work of a lint: a decision of each bundle about each version on each model, and one look at each entry.

    The versions of an entry are found for all versions at once, so entries and versions are not multiplied.
    """
    versions = len(versions_named(read)) + len(read.stops) + len(others)
    entries = sum(_once(one) + len(one.manifest.matrix.aliases) for one in (read, *others))
    return versions * len(models_apart(read, others)) * (1 + len(others)) + entries


def require_lintable(read: ReadMatrix, others: Sequence[ReadMatrix]) -> None:
    """Raise ConfigError if a lint of the matrix against so many other bundles would take minutes."""
    if not Budget("lint").allows(lint_work(read, others)):
        raise ConfigError(
            f"{len(others)} other bundles are too many for the lint of a matrix with {len(versions_named(read))} "
            f"versions and {len(models_apart(read, others))} models.",
            next_step="Give only the bundles of releases that versions in the field have to pass.",
        )


def require_feasible(read: ReadMatrix) -> None:
    """Raise ConfigError if it would take too long to examine every version. A small file can name a great many."""
    if not Budget("show").allows(work(read)):
        manifest = read.manifest
        raise ConfigError(
            f"The upgrade matrix of {manifest.product} {manifest.version} is too large to evaluate every version.",
            next_step=f"Give the versions that you need ({given('sources')}).",
        )
