"""Which versions of different components work together, according to a matrix."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bundlekit.matrix.masks import VersionLine
    from bundlekit.matrix.read import ReadMatrix
    from bundlekit.versions import Version


def work_together(matrix: ReadMatrix, state: Mapping[str, Version]) -> tuple[bool | None, str]:
    """Whether the components of a state work together, and the id of the entry that decides.

    Entries about the same components are alternatives: the state must fit one of them. An entry applies to each pair of
    its components. None: no entry is about some pair of components.
    """
    fits: dict[frozenset[str], str] = {}
    for together in matrix.works_together:
        names = frozenset(together.ranges)
        if names <= state.keys() and not fits.get(names):
            fitting = all(state[name] in versions for name, versions in together.ranges.items())
            fits[names] = together.entry.id if fitting else ""
    if not all(fits.values()):
        return False, ""
    spoken_of = {pair for names in fits for pair in combinations(sorted(names), 2)}
    if spoken_of.issuperset(combinations(sorted(state), 2)):
        return True, next(iter(fits.values()), "")
    return None, ""


def partners(matrix: ReadMatrix, line: VersionLine, component: str, state: Mapping[str, Version]) -> tuple[int, int]:
    """The versions of a component that work with the other components of a state, and those that do not.

    The result equals `work_together` for each version, as places in ``line``. A version in neither set is not known.
    """
    fits: dict[frozenset[str], int] = {}
    for together in matrix.works_together:
        names = frozenset(together.ranges)
        if names <= {*state, component}:
            fitting = all(state[name] in versions for name, versions in together.ranges.items() if name != component)
            mask = line.within(together.ranges[component]) if component in names else line.every
            fits[names] = fits.get(names, 0) | (mask if fitting else 0)
    works = line.every
    for mask in fits.values():
        works &= mask
    spoken_of = {pair for names in fits for pair in combinations(sorted(names), 2)}
    is_known = spoken_of.issuperset(combinations(sorted({*state, component}), 2))
    return works if is_known else 0, line.every & ~works
