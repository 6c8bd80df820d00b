"""States that lead to the same decision: for a fleet, one search for each class replaces one for each pair.

Two states are in one class if they differ in nothing that a decision reads. Names, serial numbers, the time of the
observation, and the text of a hold make no difference. Facts count if a matrix names them, and free space counts by the
requirements that it meets.
"""

from __future__ import annotations

import bisect
import hashlib
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bundlekit.facts import fact_text
from bundlekit.matrix.hardware import BOARD, MODE, SELECTION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bundlekit.matrix.candidates import CandidateBundle
    from bundlekit.model.appliance import Appliance, InstalledComponent

_ENCODER: Final = msgspec.json.Encoder(order="deterministic")


class StateClasses:
    """What decisions with these bundles read of a state."""

    def __init__(self, candidates: Iterable[CandidateBundle]) -> None:
        facts, needs = {BOARD, MODE, SELECTION}, dict[str, set[int]]()
        for one in candidates:
            facts |= set(_facts_named(msgspec.to_builtins(one.manifest)))
            for place, need in one.manifest.requirements.free.items():
                needs.setdefault(place, set()).add(need)
        self._facts = sorted(facts)
        self._needs = {place: sorted(found) for place, found in needs.items()}

    def key(self, state: Appliance) -> bytes:
        """Equal for two states of one class."""
        parts = (
            state.product,
            state.model,
            sorted(_ENCODER.encode((one.role, one.counter, self._part(one))) for one in state.members.values()),
            {name: self._part(one) for name, one in state.components.items()},
            state.counter,
            state.includes,
            state.trusts,
            state.provides,
            state.tool,
            state.hold is None,
            state.update is None,
            {
                name: (isinstance(state.facts[name], str), fact_text(state.facts[name]))
                for name in self._facts
                if name in state.facts
            },
        )
        return hashlib.sha256(_ENCODER.encode(parts)).digest()

    def _part(self, part: InstalledComponent) -> tuple[Any, ...]:
        free = {
            place: bisect.bisect_right(needs, part.free[place])
            for place, needs in self._needs.items()
            if place in part.free
        }
        return part.version, part.build, part.released, free


def _facts_named(value: Any) -> Iterable[str]:  # noqa: ANN401 - any JSON value
    """The facts of all conditions in a manifest, at any depth."""
    if isinstance(value, dict):
        if isinstance(value.get("fact"), str):
            yield value["fact"]
        for item in value.values():
            yield from _facts_named(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _facts_named(item)
