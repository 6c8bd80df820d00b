"""The evaluation of one request by one matrix, with the results collected so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundlekit.facts import holds, unknown

if TYPE_CHECKING:
    from collections.abc import Collection

    from bundlekit.matrix.read import ReadMatrix
    from bundlekit.matrix.shipped import BundleSignatures
    from bundlekit.model.appliance import Appliance
    from bundlekit.model.decision import Acceptance, DecisionKind, Policy
    from bundlekit.model.manifest import Component
    from bundlekit.model.matrix import Condition, MatrixEntry


class EvaluationContext:
    """A matrix, a policy, the appliance (None: only a version is known), and the signers (None: not known).

    ``signatures`` are those of the bundle, for trust files that releases ship (None: not known). ``not_checked``
    collects what cannot be evaluated for a version alone. ``possible_kinds`` collects the kinds of decision that could
    result from it. ``accepted`` are the risks that apply and that the policy accepts, by id.
    """

    def __init__(
        self,
        matrix: ReadMatrix,
        policy: Policy,
        appliance: Appliance | None,
        signers: Collection[str] | None = None,
        signatures: BundleSignatures | None = None,
    ) -> None:
        self.matrix = matrix
        self.manifest = matrix.manifest
        self.policy = policy
        self.appliance = appliance
        self.signers = signers
        self.signatures = signatures
        self.not_checked: list[str] = []
        self.possible_kinds: list[DecisionKind] = []
        self.accepted: dict[str, Acceptance] = {}

    def leave_open(self, what: str, *kinds: DecisionKind) -> None:
        """Record something that is not evaluated, and the kinds of decision that could result from it."""
        self.not_checked.append(what)
        self.possible_kinds.extend(kinds)

    def holds(self, condition: Condition) -> bool | None:
        """Whether a condition holds on the appliance; None if that is unknown."""
        return holds(condition, self.appliance.facts) if self.appliance else None

    def unknown(self, condition: Condition) -> tuple[str, str]:
        """Why that is unknown, as the end of a sentence, and the next step."""
        return unknown(condition, self.appliance.facts if self.appliance else {})


def why(entry: MatrixEntry) -> str:
    """The reason of an entry and its link, to append to a sentence; empty if it has none."""
    return f" {entry.reason}" * bool(entry.reason) + f" See {entry.link}" * bool(entry.link)


def models_of(read: ReadMatrix) -> tuple[str, ...]:
    """The models that a bundle is for and that have an image of the primary component."""
    primary = next(part for part in read.manifest.components if part.name == read.primary_component)
    return tuple(model for model in read.manifest.models if has_image(primary, model))


def has_image(component: Component, model: str) -> bool:
    """Whether the bundle contains an image of the component for this model."""
    return any(not image.models or model in image.models for image in component.images)
