"""How much work it is to look at every version that a matrix knows, before any of it is done."""

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
    """The models that the matrix tells apart; one None where it does not.

    ``others`` tell them apart as well, whose bundles may lie on the way: one that is not for a model is no way on it.
    """
    models = read.manifest.models
    apart = any(tells_models_apart(one.manifest.matrix) for one in (read, *others))
    return models if apart or any(not set(models) <= set(models_of(one)) for one in others) else (None,)


def versions_named(read: ReadMatrix) -> list[Version]:
    """The listed releases, those that a source names as one, and the bundle's own, oldest first.

    Where the matrix lists no releases, every version that its entries name.
    """
    ranges = [source.range for source in read.sources if source.range.exact or not read.known]
    if not read.known:
        ranges += [stop.range for stop in read.stops]
        ranges += [block.range for block in read.blocks]
        ranges += [dead_end.range for dead_end in read.dead_ends]
    return sorted({read.own, *read.known, *(clause.bound for one in ranges for clause in one.clauses)})


def work(read: ReadMatrix, others: Sequence[ReadMatrix] = ()) -> int:
    """About how many comparisons it takes to decide for each version on each model, and to lint the matrix.

    ``others`` are as in `models_apart`.
    """
    once = _once(read)
    if read.works_together:  # each pair of components counts, of an entry and of what the bundle carries
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
    """How much a lint has to do: a decision of each bundle about each version on each model, and a look at each entry.

    What an entry is about is found for all versions at once, so entries and versions are not multiplied.
    """
    versions = len(versions_named(read)) + len(read.stops) + len(others)
    entries = sum(_once(one) + len(one.manifest.matrix.aliases) for one in (read, *others))
    return versions * len(models_apart(read, others)) * (1 + len(others)) + entries


def require_lintable(read: ReadMatrix, others: Sequence[ReadMatrix]) -> None:
    """ConfigError if there are so many other bundles that it would take minutes to lint a matrix against them."""
    if not Budget("lint").allows(lint_work(read, others)):
        raise ConfigError(
            f"{len(others)} other bundles are too many for the lint of a matrix with {len(versions_named(read))} "
            f"versions and {len(models_apart(read, others))} models.",
            next_step="Give only the bundles of releases that versions in the field have to pass.",
        )


def require_feasible(read: ReadMatrix) -> None:
    """ConfigError if it would take too long to look at every version: a small file can name very many."""
    if not Budget("show").allows(work(read)):
        manifest = read.manifest
        raise ConfigError(
            f"The upgrade matrix of {manifest.product} {manifest.version} is too large to go through every version.",
            next_step=f"Ask for the versions that you need ({given('sources')}).",
        )
