"""The kinds of decision that were not evaluated, because an earlier rule had rejected.

The numbers are those of the list in rules.py. If two rules can make a kind of decision, the number is the later one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from bundlekit.errors import VersionError
from bundlekit.matrix.read import ReadMatrix, UnreadableMatrix
from bundlekit.matrix.rules import RULES
from bundlekit.model.decision import DecisionKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.model.decision import ComponentDecision, Decision

STAGES: Final[dict[DecisionKind, float]] = {kind: rule.number for rule in RULES for kind in rule.kinds} | {
    "wrong-model": 2.5,  # evaluated only if the product is right
}
_OF_THE_BUNDLE: Final[dict[DecisionKind, float]] = {
    "wrong-product": 2,
    "wrong-model": 2.5,
    "reimage-only": 3,
    "withdrawn": 4,
}
_OF_THE_PAIR: Final = 5, 6
_OF_ALL: Final = 18
_BEFORE_ALL: Final = 1.0


class EndedDecision(NamedTuple):
    """A decision that ended a decision before a kind was evaluated, for all of its parts or for some of them."""

    component_decision: ComponentDecision
    parts: tuple[str, ...]
    """Members, components or versions without an evaluation of the kind; empty: none had one."""


def ends_before(decision: Decision, kind: DecisionKind, matrix: ReadMatrix | UnreadableMatrix) -> EndedDecision | None:
    """Where a decision ended before ``kind``, and the parts concerned; None if it was evaluated for every part.

    ``matrix`` is that of the bundle.
    """
    stage, whole = STAGES[kind], decision.overall
    if isinstance(matrix, UnreadableMatrix):
        return EndedDecision(whole, ())
    if len(decision.component_decisions) == 1 and not whole.component and whole.kind in _OF_THE_BUNDLE:
        return EndedDecision(whole, ()) if _OF_THE_BUNDLE[whole.kind] < stage else None
    if stage in _OF_THE_PAIR:
        return None
    if stage >= _OF_ALL:
        refused = next(
            (one for one in decision.component_decisions if one.rejected and _ended(one, matrix) < stage), None
        )
        # For a version alone, lost fixes are always evaluated.
        asked = refused is None or (kind == "loses-fix" and not decision.pair)
        return None if asked or refused is None else EndedDecision(refused, ())
    parts = list(_of_primary(decision, matrix))
    ended = [one for one in parts if _ended(one, matrix) < stage]
    if not ended:
        return None
    return EndedDecision(ended[0], () if len(ended) == len(parts) else tuple(one.subject for one in ended))


def _of_primary(decision: Decision, matrix: ReadMatrix) -> Iterator[ComponentDecision]:
    """The decisions about the component that the matrix is about."""
    return (one for one in decision.component_decisions if one.component == matrix.primary_component)


def _ended(component_decision: ComponentDecision, matrix: ReadMatrix) -> float:
    """The rule that ended the evaluation of a part; beyond all rules if none rejected."""
    if component_decision.kind == "undecided" and not component_decision.installed and component_decision.component:
        return _BEFORE_ALL  # its installed version is not known
    if not component_decision.rejected:
        return max(STAGES.values()) + 1
    if component_decision.kind == "unknown-version":
        return 10 if _is_readable(component_decision.installed, matrix) else 7
    if component_decision.kind == "incompatible":
        return 16 if component_decision.component else 19
    return STAGES[component_decision.kind]


def _is_readable(version: str, matrix: ReadMatrix) -> bool:
    try:
        matrix.parse(matrix.primary_component, version)
    except VersionError:
        return False
    return True
