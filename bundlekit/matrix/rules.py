"""The rules of a decision, in their order: the list that the code follows.

In the rules about the bundle, the first fault decides and ends the evaluation. Every component gets one decision, its
first. The pair is evaluated again only if nothing has been rejected by then. A decision that needs an unknown fact is
*undecided*. A later rejection has precedence over it, and it never becomes an acceptance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal

from bundlekit.matrix import bundle_rules, component_rules, key_rules, pair_rules
from bundlekit.model.decision import DecisionKind
from bundlekit.model.primitives import Frozen

if TYPE_CHECKING:
    from bundlekit.matrix.component import ComponentQuestion
    from bundlekit.matrix.pair import PairQuestion
    from bundlekit.model.decision import ComponentDecision

RuleStage = Literal["matrix", "bundle", "pair", "component", "primary", "whole"]
"""The subject of a rule.

``primary``: only the component that the matrix is about. ``whole``: the pair, after the decisions about all components.
"""


class DecisionRule(Frozen, frozen=True, kw_only=True):
    """A rule of a decision: ``line`` is the condition that it checks, and ``kinds`` are the decisions that it makes."""

    number: int
    name: str
    stage: RuleStage
    line: str
    kinds: tuple[DecisionKind, ...]
    ask: Callable[..., Any]


def _rule(number: int, stage: RuleStage, line: str, ask: Callable[..., Any], *kinds: DecisionKind) -> DecisionRule:
    name = ask.__name__.replace("_", "-")
    return DecisionRule(number=number, name=name, stage=stage, line=line, kinds=kinds, ask=ask)


RULES: Final = (
    _rule(1, "matrix", "its matrix can be read", bundle_rules.readable_matrix, "undecided"),
    _rule(
        2,
        "bundle",
        "it is for this product, with an image for this model",
        bundle_rules.for_this_appliance,
        "wrong-product",
        "wrong-model",
    ),
    _rule(3, "bundle", "it is an update", bundle_rules.is_update, "reimage-only"),
    _rule(4, "bundle", "its version has not been withdrawn", bundle_rules.not_withdrawn, "withdrawn"),
    _rule(5, "pair", "it has no hold and no pending update", bundle_rules.not_held, "on-hold", "update-pending"),
    _rule(6, "pair", "the security counter is not lowered", bundle_rules.counter_not_lower, "counter-too-low"),
    _rule(
        7,
        "component",
        "its version can be read",
        component_rules.readable_version,
        "unreadable-version",
        "unknown-version",
    ),
    _rule(
        8,
        "component",
        "it is older than the bundle's, or a policy allows it",
        component_rules.newer_version,
        "same-version",
        "same-version-other-build",
        "downgrade",
    ),
    _rule(9, "primary", "it was not released after the bundle", component_rules.not_back_in_time, "back-in-time"),
    _rule(10, "primary", "its version is known", component_rules.known_version, "unknown-version"),
    _rule(11, "primary", "an update from it is possible", component_rules.no_dead_end, "dead-end"),
    _rule(12, "primary", "no block covers it", component_rules.not_blocked, "blocked"),
    _rule(13, "primary", "no stop is between the two versions", component_rules.no_stop_between, "needs-stop"),
    _rule(
        14,
        "primary",
        "the matrix names it as a source",
        component_rules.has_source,
        "unsupported-source",
        "reimage-only",
    ),
    _rule(
        15,
        "primary",
        "it trusts the keys that its source requires, and accepts the signatures of the bundle",
        key_rules.can_verify,
        "cannot-verify",
    ),
    _rule(
        16,
        "primary",
        "the members can differ while one is updated",
        component_rules.members_may_differ,
        "incompatible",
    ),
    _rule(17, "primary", "no risk applies but accepted ones", component_rules.no_risk, "risk"),
    _rule(18, "whole", "no fix is lost", pair_rules.no_fix_lost, "loses-fix"),
    _rule(19, "whole", "the components after the update are compatible", pair_rules.works_together, "incompatible"),
    _rule(20, "whole", "the requirements are met", pair_rules.requirements_met, "requirement-not-met"),
)


def _asked(*stages: RuleStage) -> tuple[Callable[..., Any], ...]:
    return tuple(rule.ask for rule in RULES if rule.stage in stages)


_COMPONENT: Final = _asked("component")
_PRIMARY: Final = _asked("component", "primary")
_PAIR: Final[dict[RuleStage, tuple[Callable[..., Any], ...]]] = {
    stage: _asked(stage) for stage in ("bundle", "pair", "whole")
}


def ask_component(question: ComponentQuestion) -> ComponentDecision:
    """Rules 7 to 17: the first rejection; otherwise the first doubt; otherwise the update is allowed."""
    for ask in _PRIMARY if question.is_primary else _COMPONENT:
        decision: ComponentDecision | None = ask(question)
        if decision is not None:
            return decision
    return question.doubts[0] if question.doubts else component_rules.allowed(question)


def ask_pair(stage: Literal["bundle", "pair", "whole"], question: PairQuestion) -> list[ComponentDecision]:
    """The decisions of the rules of a stage about the bundle or the pair, in order; for the bundle only the first."""
    before = len(question.decisions)
    for ask in _PAIR[stage]:
        ask(question)
        if stage == "bundle" and question.decisions:
            break
    return question.decisions[before:]
