"""Which installed versions a bundle is meant for, by its kind: those that the lint asks about.

A release is meant for every known version. A hotfix is meant for its base, which is the newest version before it, and
for the versions in the ranges of its [[from]] entries. A re-image is no update, so it is meant for no version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundlekit.matrix.read import ReadMatrix
    from bundlekit.versions import Version


def is_meant(read: ReadMatrix, version: Version, model: str | None, base: Version | None) -> bool:
    """Whether the bundle is meant for an installed version on a model; ``base`` is that of a hotfix on it."""
    if read.manifest.kind != "hotfix":
        return read.manifest.kind == "release"
    return version == base or any(
        source.entry.method != "reimage"
        and (not source.entry.models or model in source.entry.models)
        and source.admits(version, listed=True)
        for source in read.sources
    )


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
