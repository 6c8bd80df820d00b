"""The installed versions that a bundle is meant for, by its kind. The lint examines these versions.

A release is meant for every known version. A hotfix is meant for its base, which is the newest version before it, and
for the versions in the ranges of its [[from]] entries. A re-image is no update, so it is meant for no version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bundlekit.matrix.masks import VersionLine
    from bundlekit.matrix.read import ReadMatrix
    from bundlekit.versions import Version


def meant_for(read: ReadMatrix, line: VersionLine, bases: Mapping[str | None, Version | None]) -> dict[str | None, int]:
    """For each model the versions that the bundle is meant for, as places in ``line``."""
    if read.manifest.kind != "hotfix":
        return dict.fromkeys(bases, line.every if read.manifest.kind == "release" else 0)
    meant = {model: line.same_as(base) if base is not None else 0 for model, base in bases.items()}
    for source in read.sources:
        if source.entry.method != "reimage":
            covered = line.covered(source, listed=True)
            for model in source.entry.models or meant:
                if model in meant:
                    meant[model] |= covered
    return meant


def unlisted_base(read: ReadMatrix) -> Version | None:
    """The base of a hotfix that `releases` lacks: an inclusive bound of a [[from]] after all releases before it."""
    if read.manifest.kind != "hotfix" or not read.known:
        return None
    named = [
        clause.bound
        for source in read.sources
        if not source.entry.unlisted and source.entry.method != "reimage"
        for clause in source.range.clauses
        if clause.operator in (">=", "<=", "==") and clause.bound < read.own
    ]
    last = max(named, default=None)
    if last is None or last in read.known or any(last < release < read.own for release in read.known):
        return None
    return last


def has_known_line(read: ReadMatrix, versions: Sequence[Version]) -> bool:
    """Whether a known version before the hotfix has the same numbers except for the last one, as its base would."""
    line = read.own.numbers[:-1]
    return not line or any(version.begins_with(line) for version in versions)
