"""A whole pair, or only a version on each of its members, in the form that the rules about bundle and pair use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundlekit.matrix.read import APPLIANCE
from bundlekit.model.appliance import NO_FACTS
from bundlekit.model.decision import ComponentDecision

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from bundlekit.matrix.context import EvaluationContext
    from bundlekit.model.appliance import Appliance, VersionFacts
    from bundlekit.model.decision import DecisionKind
    from bundlekit.model.matrix import MatrixEntry
    from bundlekit.versions import Version


class PairQuestion:
    """The question about a pair, or about a version alone.

    ``subject`` is the name of the pair or the version. ``appliance`` is the pair (None: only a version is known).
    ``facts`` are those of the version. ``parts`` are the decisions about its components as soon as they are made.
    ``decisions`` are those about the pair.
    """

    def __init__(self, context: EvaluationContext, subject: str, facts: VersionFacts = NO_FACTS) -> None:
        self.context = context
        self.subject = subject
        self.appliance: Appliance | None = context.appliance
        self.facts = facts
        self.parts: Sequence[ComponentDecision] = ()
        self.decisions: list[ComponentDecision] = []

    def decide(self, kind: DecisionKind, message: str, remedy: str, entry: MatrixEntry | None = None) -> None:
        """Add a decision about the pair as a whole."""
        self.decisions.append(
            ComponentDecision(
                subject=self.subject,
                kind=kind,
                message=message,
                next=remedy,
                entry=entry.id if entry else "",
                target=self.context.manifest.version,
            )
        )


def moves(part: ComponentDecision) -> bool:
    """Whether the update changes this part, as far as is known."""
    return part.kind not in ("already-installed", "not-included")


def named(state: Mapping[str, Version]) -> str:
    """The components of a state with their versions, in a sentence."""
    return " and ".join(f"{name} {version}" for name, version in state.items())


def state_around(
    context: EvaluationContext, appliance: Appliance, member: str, *, new: Collection[str]
) -> dict[str, Version]:
    """The component versions with that version of a member. Those in ``new`` are the versions of the bundle."""
    shared = {name: part.version for name, part in appliance.components.items()}
    installed = shared | {APPLIANCE: member}
    return {
        name: context.matrix.carried[name] if name in new else context.matrix.parse(name, installed[name])
        for name in dict.fromkeys((APPLIANCE, *shared, *new))
    }
