"""Rules about where the bundle can be installed. Each decision of the upgrade matrix has a rule of its own.

The decisions are made in ``bundlekit.matrix``. A rule here only explains a decision and what to do about it.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

from bundlekit.checks.rule import Rule, RuleAnswer, RuleContext, make, rule
from bundlekit.matrix.read import ReadMatrix, read_matrix
from bundlekit.matrix.stages import ends_before
from bundlekit.model.decision import CAUSES
from bundlekit.model.finding import Fault, NotRun, PartialResult
from bundlekit.wording import fill, given

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundlekit.matrix.read import UnreadableMatrix
    from bundlekit.matrix.stages import EndedDecision
    from bundlekit.model.decision import ComponentDecision, Decision, DecisionKind
    from bundlekit.model.question import Question

REIMAGE: Final = "To go back, re-image the appliance: an update never installs an older version."
OTHER_PATH: Final = "Ask the vendor which release to install first from the installed version."
OF_A_PAIR: Final[frozenset[DecisionKind]] = frozenset({"wrong-product", "wrong-model", "on-hold", "update-pending"})
"""Kinds of decision about a pair. They cannot be made from a version alone."""

MAX_OTHERS: Final = 3
"""Matrices for other releases that a reason names."""

NOBODY: Final = NotRun(reason="the upgrade matrix is not signed by a trusted signer, or it could not be read")

UNVERIFIED: Final = NotRun(reason="no trusted signature covers the bundle, so its version is not known for certain")


def _asked(question: Question) -> bool:
    return question.asks_who


def _of_a_pair(question: Question) -> bool:
    return bool(question.appliances)


def _not_asked(context: RuleContext) -> NotRun | None:
    if not _asked(context.question):  # an advisory can still report that the bundle is withdrawn
        return NotRun(reason=fill("no installed version was given ({sources}, {appliance})"))
    if not context.decisions:
        return NOBODY if "manifest" in context.bundle.aspects else _undecided(context)
    return None


def _undecided(context: RuleContext) -> NotRun:
    """Why nothing was decided about a bundle whose format has no matrix."""
    if context.bundle.release is None:
        return NotRun(reason="the description of the bundle could not be read")
    return UNVERIFIED if context.question.matrix is not None else _no_matrix(context.question)


def _has_matrix(context: RuleContext) -> bool:
    return "manifest" in context.bundle.aspects or context.question.matrix is not None


def _no_matrix(question: Question) -> NotRun:
    if others := question.other_matrices:
        return NotRun(
            reason="no upgrade matrix is for this release: "
            + ", ".join(others[:MAX_OTHERS])
            + f" and {len(others) - MAX_OTHERS} more" * (len(others) > MAX_OTHERS),
            next=f"Give the matrix of this release ({given('matrix')}), or correct [release] in it.",
        )
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
    if not found and context.question.asks_who and not _has_matrix(context):
        return _no_matrix(context.question)  # the decisions are only what the bundle alone rules out
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


class DecisionRow(NamedTuple):
    """A rule about one kind of decision. Its cause is that of the kind.

    ``needed``: which requests need the rule. A version alone can leave some kinds open.
    """

    page: str
    remedy: str
    needed: Callable[[Question], bool] = _of_a_pair


DECIDED: Final[dict[DecisionKind, DecisionRow]] = {
    "wrong-product": DecisionRow(
        """The bundle is for a product other than the installed one.""",
        "Get the bundle for the product that is installed.",
    ),
    "wrong-model": DecisionRow(
        """The bundle is for hardware models other than the installed one.""",
        "Get the bundle for the model that is installed.",
    ),
    "on-hold": DecisionRow(
        """The pair is on hold after a failed update. No further update is allowed until the fault is cleared.""",
        "Fix the fault that caused the hold, then clear the hold.",
    ),
    "update-pending": DecisionRow(
        """Another update of the pair is in progress.""",
        "Wait until the update in progress has ended.",
    ),
    "reimage-only": DecisionRow(
        """The bundle is for re-imaging, and is never accepted as an update.""",
        "Use it to re-image an appliance, not to update one.",
        _asked,
    ),
    "unreadable-version": DecisionRow(
        """The installed version is not valid in the version scheme that the bundle declares.

    The bundle is rejected, because a version that is parsed incorrectly is also compared incorrectly.
    """,
        "Check the installed version; the message describes what its scheme expects.",
        _asked,
    ),
    "downgrade": DecisionRow(
        """The installed version is later than the version of the bundle.

    To go back to an earlier version, re-image the appliance.
    """,
        REIMAGE,
        _asked,
    ),
    "same-version": DecisionRow(
        """The version of the bundle is already installed.""",
        "Nothing needs to be done. To install it again, re-image the appliance.",
        _asked,
    ),
    "same-version-other-build": DecisionRow(
        """Another build of the same version is installed. Which of the two builds is newer cannot be determined.""",
        "Ask the vendor which of the two builds you should use.",
        _asked,
    ),
    "counter-too-low": DecisionRow(
        """The pair requires a higher security counter than the bundle has.

    The counter is raised when a release closes a security hole. An older bundle with a valid signature therefore cannot
    reopen the hole. There is no override.
    """,
        "Get a bundle with at least the security counter of the pair.",
    ),
    "back-in-time": DecisionRow(
        """The installed version was released after the bundle, although its number is lower.

    It can have fixes that the bundle lacks, so it needs an entry of its own in the matrix.
    """,
        "Get a bundle that was released after the installed version.",
    ),
    "unknown-version": DecisionRow(
        """The bundle's matrix does not list the installed version. An unknown version is not allowed.""",
        "Check the installed version; if it is right, ask the vendor.",
        _asked,
    ),
    "dead-end": DecisionRow(
        """No update is possible from the installed version; only re-imaging is.""",
        "Re-image the appliance.",
        _asked,
    ),
    "blocked": DecisionRow(
        """The update from the installed version to this release is blocked. The message gives the reason.""",
        OTHER_PATH,
        _asked,
    ),
    "needs-stop": DecisionRow(
        """The installed version must first be updated to another release. The message names it and the reason.""",
        OTHER_PATH,
    ),
    "unsupported-source": DecisionRow(
        """The bundle does not support an update from the installed version.""",
        OTHER_PATH,
        _asked,
    ),
    "cannot-verify": DecisionRow(
        """The installed version trusts none of the keys that the update needs, so it would reject the bundle.""",
        OTHER_PATH,
    ),
    "risk": DecisionRow(
        """A risk from the matrix applies to this appliance, or cannot be excluded.""",
        "Remove the risk, or accept it by the name of its entry.",
    ),
    "loses-fix": DecisionRow(
        """The bundle does not contain a fix that is installed, so the update would lose the fix.""",
        "Get a release that includes the fix.",
    ),
    "incompatible": DecisionRow(
        """The component versions that would be installed together are incompatible.""",
        OTHER_PATH,
    ),
    "requirement-not-met": DecisionRow(
        """The appliance does not meet a requirement of the bundle: free space, a fact, or the version of the tool.""",
        "Make the appliance meet the requirement, then check again.",
    ),
}
"""The kinds of decision that reject a bundle, in their order of precedence."""


def _decided(kind: DecisionKind, row: DecisionRow) -> Rule:
    def run(context: RuleContext) -> RuleAnswer | PartialResult:
        return _refused(context, kind)

    cause = CAUSES[kind]
    assert cause is not None  # noqa: S101 - each kind of the table rejects the bundle
    return make(kind, row.page, run, "compatibility", cause=cause, remedy=row.remedy, see="matrix", needed=row.needed)


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


@rule(
    "compatibility",
    cause="requirements",
    remedy="Add the missing fact to the state of the pair ({appliance}).",
    see="matrix",
    needed=_asked,
)
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


RULES: Final = tuple(
    {"withdrawn": withdrawn, "undecided": undecided}.get(kind) or _decided(kind, DECIDED[kind])
    for kind, cause in CAUSES.items()
    if cause or kind == "undecided"
)
