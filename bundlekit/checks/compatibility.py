"""Rules about where the bundle can be installed. Each decision of the upgrade matrix has a rule of its own.

The decisions are made in ``bundlekit.matrix``. A rule here only explains a decision and what to do about it.
"""

from __future__ import annotations

from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Final

from bundlekit.checks.rule import Rule, RuleAnswer, RuleContext, rule
from bundlekit.matrix.read import ReadMatrix, read_matrix
from bundlekit.matrix.stages import ends_before
from bundlekit.model.finding import Fault, NotRun, PartialResult
from bundlekit.wording import fill, given

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundlekit.checks.rule import RuleFunction
    from bundlekit.matrix.read import UnreadableMatrix
    from bundlekit.matrix.stages import EndedDecision
    from bundlekit.model.decision import ComponentDecision, Decision, DecisionKind
    from bundlekit.model.finding import Cause
    from bundlekit.model.question import Question

REIMAGE: Final = "To go back, re-image the appliance: an update never installs an older version."
OTHER_PATH: Final = "Ask the vendor which release to install first from the installed version."
OF_A_PAIR: Final[frozenset[DecisionKind]] = frozenset({"wrong-product", "wrong-model", "on-hold", "update-pending"})
"""Kinds of decision about a pair. They cannot be made from a version alone."""

NOBODY: Final = NotRun(reason="the upgrade matrix is not signed by a trusted signer, or it could not be read")


def _asked(question: Question) -> bool:
    return question.asks_who


def _of_a_pair(question: Question) -> bool:
    return bool(question.appliances)


def _rule(*, cause: Cause, remedy: str, needed: Callable[[Question], bool] = _asked) -> Callable[[RuleFunction], Rule]:
    return rule("compatibility", cause=cause, remedy=remedy, see="matrix", needed=needed)


_pair_rule = partial(_rule, needed=_of_a_pair)
"""Rules that a version alone can leave open. They are not needed if the request names only versions."""


def _not_asked(context: RuleContext) -> NotRun | None:
    if not _asked(context.question):  # an advisory can still report that the bundle is withdrawn
        return NotRun(reason=fill("no installed version was given ({sources}, {appliance})"))
    if not context.decisions:
        return NOBODY if "manifest" in context.bundle.aspects else _no_matrix()
    return None


def _no_matrix() -> NotRun:
    return NotRun(
        reason="a bundle of this format has no upgrade matrix",
        next=f"Give one ({given('matrix', 'matrix.toml')}); see `bundlekit explain formats`.",
    )


def _refused(context: RuleContext, kind: DecisionKind) -> RuleAnswer | PartialResult:
    """A fault for each component decision of that kind that rejects the bundle. Without one, it can be left open."""
    return _not_asked(context) or _ruled(context, kind)


def _ruled(context: RuleContext, kind: DecisionKind) -> RuleAnswer | PartialResult:
    found = [
        (one, component_decision)
        for one in context.decisions
        for component_decision in one.component_decisions
        if component_decision.kind == kind and component_decision.rejected
    ]
    open_ = [one for one in context.decisions if kind in one.possible_kinds or (not one.pair and kind in OF_A_PAIR)]
    if not found and (ended := _ended(context, kind)):
        because, next_ = _why_not_asked(ended[0].component_decision)
        if len(ended) == len(context.decisions):
            parts = ended[0].parts if len(ended) == 1 else ()
            return NotRun(reason=f"{because} (for {', '.join(parts)})" if parts else because, next=next_)
        if not open_:
            return PartialResult(
                faults=(), reason=f"{len(ended)} of {len(context.decisions)} decisions ended before: {because}"
            )
    if open_ and not found:
        if not _of_a_pair(context.question) and len(open_) == len(context.decisions):
            because = "this cannot be evaluated from a version alone"
            return NotRun(reason=because, next=fill("Give the state of the pair ({appliance})."))
        return PartialResult(
            faults=(), reason="some decisions leave it open; their not-checked lists what it depends on"
        )
    own = _own_entries(context) if found else frozenset()
    return [
        Fault(
            message=component_decision.message,
            subject=decision.about(component_decision, several=len(context.decisions) > 1),
            entry=component_decision.entry,
            next=component_decision.next,
            cause=component_decision.cause,
            params=_params(
                decision,
                component_decision,
                of_advisory=bool(component_decision.entry) and component_decision.entry not in own,
            ),
        )
        for decision, component_decision in found
    ]


def _ended(context: RuleContext, kind: DecisionKind) -> list[EndedDecision]:
    """For each decision that ended before ``kind`` was evaluated for every component, the one that ended it."""
    matrix = _matrix(context)
    if matrix is None:
        return []
    component_decisions = (
        ends_before(one, kind, matrix) for one in context.decisions if kind not in one.possible_kinds
    )
    return [one for one in component_decisions if one is not None]


def _matrix(context: RuleContext) -> ReadMatrix | UnreadableMatrix | None:
    """The matrix of the decisions: that of the bundle, or the one that the operator gave."""
    manifest = context.bundle.manifest
    return context.matrix or (read_matrix(manifest) if manifest else None)


def _why_not_asked(component_decision: ComponentDecision) -> tuple[str, str]:
    """Why the evaluation ended with this component decision, and what to do about it."""
    if component_decision.rejected:
        return f"an earlier rule already rejects the update: {component_decision.kind}", ""
    return component_decision.message, component_decision.next


def _params(decision: Decision, component_decision: ComponentDecision, *, of_advisory: bool) -> dict[str, str | int]:
    """The parameters of a decision for programs. ``origin`` is set if the entry is not from the bundle's own matrix."""
    params: dict[str, str | int] = {
        "installed": component_decision.installed,
        "target": component_decision.target,
        "pair": decision.pair,
    }
    return params | {"origin": "advisory"} if of_advisory else params


def _own_entries(context: RuleContext) -> frozenset[str]:
    """The ids of the entries of the matrix itself. All other entries that decide come from advisories."""
    read = _matrix(context)
    if not isinstance(read, ReadMatrix):
        return frozenset()
    matrix = read.manifest.matrix
    entries = (matrix.sources, matrix.stops, matrix.blocks, matrix.withdrawn, matrix.risks, matrix.dead_ends)
    return frozenset(one.id for one in chain(*entries, matrix.works_together, matrix.skews))


@_pair_rule(cause="wrong-product", remedy="Get the bundle for the product that is installed.")
def wrong_product(context: RuleContext) -> RuleAnswer | PartialResult:
    """The bundle is for a product other than the installed one."""
    return _refused(context, "wrong-product")


@_pair_rule(cause="wrong-product", remedy="Get the bundle for the model that is installed.")
def wrong_model(context: RuleContext) -> RuleAnswer | PartialResult:
    """The bundle is for hardware models other than the installed one."""
    return _refused(context, "wrong-model")


@_pair_rule(cause="on-hold", remedy="Fix the fault that caused the hold, then clear the hold.")
def on_hold(context: RuleContext) -> RuleAnswer | PartialResult:
    """The pair is on hold after a failed update. No further update is allowed until the fault is cleared."""
    return _refused(context, "on-hold")


@_pair_rule(cause="on-hold", remedy="Wait until the update in progress has ended.")
def update_pending(context: RuleContext) -> RuleAnswer | PartialResult:
    """Another update of the pair is in progress."""
    return _refused(context, "update-pending")


@_rule(cause="unsupported-source", remedy="Use it to re-image an appliance, not to update one.")
def reimage_only(context: RuleContext) -> RuleAnswer | PartialResult:
    """The bundle is for re-imaging, and is never accepted as an update."""
    return _refused(context, "reimage-only")


@rule(
    "compatibility",
    cause="unsupported-source",
    remedy="Get the release that replaces it.",
    see="matrix",
    needed=lambda question: question.asks_who or question.advice is not None,
)
def withdrawn(context: RuleContext) -> RuleAnswer | PartialResult:
    """The release was withdrawn and must no longer be installed.

    An advisory withdraws the bundle itself. The rule therefore also fails if the request names no installed version.
    """
    if context.question.asks_who or context.question.advice is None:
        return _refused(context, "withdrawn")
    if context.matrix is None or (context.question.trust and not context.evidence.authentic):
        return NOBODY
    for decision in context.decisions:
        if decision.kind == "undecided":
            return NotRun(reason=decision.overall.message, next=decision.overall.next)
    return _ruled(context, "withdrawn")


@_rule(cause="unsupported-source", remedy="Check the installed version; the message describes what its scheme expects.")
def unreadable_version(context: RuleContext) -> RuleAnswer | PartialResult:
    """The installed version is not valid in the version scheme that the bundle declares.

    The bundle is rejected, because a version that is parsed incorrectly is also compared incorrectly.
    """
    return _refused(context, "unreadable-version")


@_rule(cause="not-newer", remedy=REIMAGE)
def downgrade(context: RuleContext) -> RuleAnswer | PartialResult:
    """The installed version is later than the version of the bundle.

    To go back to an earlier version, re-image the appliance.
    """
    return _refused(context, "downgrade")


@_rule(cause="not-newer", remedy="Nothing needs to be done. To install it again, re-image the appliance.")
def same_version(context: RuleContext) -> RuleAnswer | PartialResult:
    """The version of the bundle is already installed."""
    return _refused(context, "same-version")


@_rule(cause="not-newer", remedy="Ask the vendor which of the two builds you should use.")
def same_version_other_build(context: RuleContext) -> RuleAnswer | PartialResult:
    """Another build of the same version is installed. Which of the two builds is newer cannot be determined."""
    return _refused(context, "same-version-other-build")


@_pair_rule(cause="not-newer", remedy="Get a bundle with at least the security counter of the pair.")
def counter_too_low(context: RuleContext) -> RuleAnswer | PartialResult:
    """The pair requires a higher security counter than the bundle has.

    The counter is raised when a release closes a security hole. An older bundle with a valid signature therefore cannot
    reopen the hole. There is no override.
    """
    return _refused(context, "counter-too-low")


@_pair_rule(cause="not-newer", remedy="Get a bundle that was released after the installed version.")
def back_in_time(context: RuleContext) -> RuleAnswer | PartialResult:
    """The installed version was released after the bundle, although its number is lower.

    It can have fixes that the bundle lacks, so it needs an entry of its own in the matrix.
    """
    return _refused(context, "back-in-time")


@_rule(cause="unsupported-source", remedy="Check the installed version; if it is right, ask the vendor.")
def unknown_version(context: RuleContext) -> RuleAnswer | PartialResult:
    """The bundle's matrix does not list the installed version. An unknown version is not allowed."""
    return _refused(context, "unknown-version")


@_rule(cause="unsupported-source", remedy="Re-image the appliance.")
def dead_end(context: RuleContext) -> RuleAnswer | PartialResult:
    """No update is possible from the installed version; only re-imaging is."""
    return _refused(context, "dead-end")


@_rule(cause="unsupported-source", remedy=OTHER_PATH)
def blocked(context: RuleContext) -> RuleAnswer | PartialResult:
    """The update from the installed version to this release is blocked. The message gives the reason."""
    return _refused(context, "blocked")


@_pair_rule(cause="unsupported-source", remedy=OTHER_PATH)
def needs_stop(context: RuleContext) -> RuleAnswer | PartialResult:
    """The installed version must first be updated to another release. The message names the release and the reason."""
    return _refused(context, "needs-stop")


@_rule(cause="unsupported-source", remedy=OTHER_PATH)
def unsupported_source(context: RuleContext) -> RuleAnswer | PartialResult:
    """The bundle does not support an update from the installed version."""
    return _refused(context, "unsupported-source")


@_pair_rule(cause="unsupported-source", remedy=OTHER_PATH)
def cannot_verify(context: RuleContext) -> RuleAnswer | PartialResult:
    """The installed version trusts none of the keys that the update needs, so it would reject the bundle."""
    return _refused(context, "cannot-verify")


@_pair_rule(cause="requirements", remedy="Remove the risk, or accept it by the name of its entry.")
def risk(context: RuleContext) -> RuleAnswer | PartialResult:
    """A risk from the matrix applies to this appliance, or cannot be excluded."""
    return _refused(context, "risk")


@_pair_rule(cause="requirements", remedy="Get a release that includes the fix.")
def loses_fix(context: RuleContext) -> RuleAnswer | PartialResult:
    """The bundle does not contain a fix that is installed, so the update would lose the fix."""
    return _refused(context, "loses-fix")


@_pair_rule(cause="unsupported-source", remedy=OTHER_PATH)
def incompatible(context: RuleContext) -> RuleAnswer | PartialResult:
    """The component versions that would be installed together are incompatible."""
    return _refused(context, "incompatible")


@_pair_rule(cause="requirements", remedy="Make the appliance meet the requirement, then check again.")
def requirement_not_met(context: RuleContext) -> RuleAnswer | PartialResult:
    """The appliance does not meet a requirement of the bundle: free space, a fact, or the version of the tool."""
    return _refused(context, "requirement-not-met")


@_rule(cause="requirements", remedy="Add the missing fact to the state of the pair ({appliance}).")
def undecided(context: RuleContext) -> RuleAnswer | PartialResult:
    """The decision needs a fact that is unknown. An unknown fact is not allowed, so the bundle is not accepted."""
    unknown = [
        (f"{decision.pair}: " if decision.pair and len(context.decisions) > 1 else "", component_decision)
        for decision in context.decisions
        for component_decision in decision.component_decisions
        if component_decision.kind == "undecided"
    ]
    if answer := _not_asked(context):
        return answer
    if not unknown:
        return ()
    because = " ".join(dict.fromkeys(pair + component_decision.message for pair, component_decision in unknown))
    return NotRun(
        reason=because, next=" ".join(dict.fromkeys(component_decision.next for _, component_decision in unknown))
    )


RULES: Final = (
    wrong_product,
    wrong_model,
    on_hold,
    update_pending,
    reimage_only,
    withdrawn,
    unreadable_version,
    downgrade,
    same_version,
    same_version_other_build,
    counter_too_low,
    back_in_time,
    unknown_version,
    dead_end,
    blocked,
    needs_stop,
    unsupported_source,
    cannot_verify,
    risk,
    loses_fix,
    incompatible,
    requirement_not_met,
    undecided,
)
