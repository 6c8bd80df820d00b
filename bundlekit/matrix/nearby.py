"""The known releases nearest to an installed version that a matrix does not know or support.

A rejection that a person reads names them. Searches over many versions, such as paths and the lint, do without them,
because comparing spellings takes long if a matrix lists a thousand releases.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from itertools import islice
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from bundlekit.errors import VersionError
from bundlekit.matrix.component_rules import source_for_others

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bundlekit.matrix.read import ReadMatrix, ReadSource
    from bundlekit.model.decision import ComponentDecision, Decision
    from bundlekit.versions import Version

EACH_SIDE: Final = 2
"""Releases that are named before a version, and after it."""

MAX_SIMILAR: Final = 3
"""Releases that are named because they are spelled similarly."""

MAX_COMPARED: Final = 64
"""Versions of one request that are compared with the spelling of the releases: a fleet can have thousands."""

MAX_DECIDED: Final = 1024
"""Versions of one request that are decided to find the supported ones. Another rule can reject each of them."""

MIN_PREFIX: Final = 3
"""The minimum length of a version that is taken as the beginning of another one."""

_UNKNOWN: Final = frozenset({"unknown-version", "unreadable-version"})


class Neighbours:
    """Adds the nearest releases of one matrix to the messages of decisions.

    ``allows`` is whether the matrix allows the update from a version on a model, by all of its rules.
    """

    def __init__(self, matrix: ReadMatrix, allows: Callable[[str, str | None], bool]) -> None:
        self._matrix = matrix
        self._allows = allows
        self._said: dict[tuple[str, str, str | None], str] = {}
        self._allowed: dict[tuple[str, str | None], bool] = {}

    def named(self, decision: Decision, model: str | None = None) -> Decision:
        """The decision. Rulings on unknown and unsupported versions name the nearest releases in their message."""
        changed = {id(one): self._named(one, model) for one in decision.component_decisions if self._concerns(one)}
        if not changed:
            return decision
        component_decisions = tuple(changed.get(id(one), one) for one in decision.component_decisions)
        return replace(
            decision,
            component_decisions=component_decisions,
            overall=changed.get(id(decision.overall), decision.overall),
        )

    def _concerns(self, component_decision: ComponentDecision) -> bool:
        kinds = _UNKNOWN | {"unsupported-source"}
        return (
            component_decision.kind in kinds
            and component_decision.component == self._matrix.primary_component
            and bool(component_decision.installed)
        )

    def _named(self, component_decision: ComponentDecision, model: str | None) -> ComponentDecision:
        key = (component_decision.kind, component_decision.installed, model)
        if key not in self._said:
            find = self._unknown if component_decision.kind in _UNKNOWN else self._unsupported
            self._said[key] = find(component_decision.installed, model)
        return replace(component_decision, message=f"{component_decision.message}{self._said[key]}")

    def _unknown(self, text: str, _model: str | None) -> str:
        similar = self._similar(text)
        asked = f" Did you mean {_either(similar)}?" if similar else ""
        return asked + self._beside(text, "The nearest known releases are", lambda _version: True)

    def _unsupported(self, text: str, model: str | None) -> str:
        return self._elsewhere(text, model) + self._beside(
            text, "The nearest supported releases are", lambda version: self._supports(version, model)
        )

    def _elsewhere(self, text: str, model: str | None) -> str:
        """The source that is about this version on other models, as a sentence; empty if there is none."""
        try:
            installed = self._matrix.parse(self._matrix.primary_component, text)
        except VersionError:
            return ""
        source = source_for_others(self._matrix, installed, model)
        return only_for(source) if source is not None else ""

    def _supports(self, version: Version, model: str | None) -> bool:
        """Whether the update from a version is allowed; False also once too many versions were decided."""
        if not self._has_source(version, model):
            return False
        key = version.text, model
        if key not in self._allowed:
            if len(self._allowed) >= MAX_DECIDED:
                return False
            self._allowed[key] = self._allows(version.text, model)
        return self._allowed[key]

    def _has_source(self, version: Version, model: str | None) -> bool:
        return version < self._matrix.own and any(
            source.entry.method != "reimage"
            and source.admits(version, listed=True)
            and (not source.entry.models or model in source.entry.models)
            for source in self._matrix.sources
        )

    def _beside(self, text: str, what: str, fits: Callable[[Version], bool]) -> str:
        """The releases before and after a version, as a sentence; empty if the version has no place among them."""
        releases = self._matrix.releases
        try:
            installed = self._matrix.parse(self._matrix.primary_component, text)
        except VersionError:
            return ""
        before = reversed(releases[: bisect_left(releases, installed)])
        after = releases[bisect_right(releases, installed) :]
        parts = [
            f"{version} ({side})"
            for side, several in (("older", before), ("newer", after))
            for version in _first(several, fits)
        ]
        if len(parts) == 1:
            what = what.replace("releases are", "release is")
        return f" {what} {_listed(parts)}." if parts else ""

    def _similar(self, text: str) -> list[str]:
        """The releases that are spelled most similarly."""
        if len(self._said) >= MAX_COMPARED:
            return []
        known = (str(version) for version in reversed(self._matrix.releases))
        return list(islice((one for one in known if one != text and alike(one, text)), MAX_SIMILAR))


def only_for(source: ReadSource) -> str:
    """A sentence, after another, about a source that is limited to models."""
    return f" The entry {source.entry.id} allows it only on {_either(list(source.entry.models))}."


def alike(one: str, other: str) -> bool:
    """Whether one typing error turns one version into the other.

    Typing errors are an extra character, two characters in the wrong order, omitted zeros, a missing end, and a
    different letter or separator. A different digit is not one, because the releases of a product differ by single
    digits.
    """
    shorter, longer = sorted((one.casefold(), other.casefold()), key=len)
    if _numbers(shorter) == _numbers(longer) or (longer.startswith(shorter) and len(shorter) >= MIN_PREFIX):
        return True
    if len(longer) - len(shorter) == 1:
        return any(longer[:place] + longer[place + 1 :] == shorter for place in range(len(longer)))
    if len(shorter) != len(longer):
        return False
    match [place for place, pair in enumerate(zip(shorter, longer, strict=True)) if pair[0] != pair[1]]:
        case [place]:
            return not (shorter[place].isdigit() and longer[place].isdigit())
        case [first, second]:
            return second == first + 1 and shorter[first : second + 1] == longer[second] + longer[first]
    return False


def _numbers(text: str) -> list[str]:
    return [part.lstrip("0") for part in re.split(r"[^0-9a-z]+", text)]


def _first(versions: Iterable[Version], fits: Callable[[Version], bool]) -> Iterable[Version]:
    return islice(filter(fits, versions), EACH_SIDE)


def _listed(parts: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def _either(words: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))
