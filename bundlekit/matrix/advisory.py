"""The entries that an advisory adds to the matrix of a bundle: blocks, stops, risks, withdrawals and dead ends.

An advisory never adds a source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from bundlekit.errors import VersionError
from bundlekit.matrix.read import UnreadableMatrix, read_matrix
from bundlekit.versions import parse_range

if TYPE_CHECKING:
    from bundlekit.model.advisory import Advisory
    from bundlekit.model.manifest import Manifest


def restricted(manifest: Manifest, advisory: Advisory) -> Manifest:
    """The manifest with the entries of the advisory that are about its release.

    An entry whose ``into`` does not fit the bundle's version scheme counts as being about it. An entry whose versions
    do not fit makes the whole matrix unreadable, so that no update is allowed.
    """
    read = read_matrix(manifest)
    if isinstance(read, UnreadableMatrix):
        return manifest

    def concerned(into: str) -> bool:
        try:
            return read.own in parse_range(into, lambda text: read.parse(read.primary_component, text))
        except VersionError:
            return True

    matrix = manifest.matrix
    return replace(
        manifest,
        matrix=replace(
            matrix,
            blocks=(*matrix.blocks, *(entry for entry in advisory.blocks if concerned(entry.into))),
            stops=(*matrix.stops, *(entry for entry in advisory.stops if concerned(entry.into))),
            risks=(*matrix.risks, *(entry for entry in advisory.risks if concerned(entry.into))),
            dead_ends=(*matrix.dead_ends, *(entry for entry in advisory.dead_ends if concerned(entry.into))),
            withdrawn=(*matrix.withdrawn, *advisory.withdrawn),
        ),
    )
