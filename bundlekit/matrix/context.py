"""One question put to one matrix, with what is learnt on the way to its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundlekit.facts import holds, unknown

if TYPE_CHECKING:
    from collections.abc import Collection

    from bundlekit.matrix.read import ReadMatrix
    from bundlekit.matrix.shipped import Signatures
    from bundlekit.model.appliance import Appliance
    from bundlekit.model.decision import Acceptance, DecisionKind, Policy
    from bundlekit.model.manifest import Component
    from bundlekit.model.matrix import Condition, Entry


class EvaluationContext:
    """A matrix, a policy, the appliance (None: only a version is known), and who signed (None: nobody named them).

    ``signatures`` are those of the bundle, for trust files that releases ship (None: not known).
    ``not_judged`` collects what could not be asked of a mere version, ``left_open`` the kinds of decision that
    could come of it, and ``accepted`` the risks that the policy accepts and that came up, by id.
    """

    def __init__(
        self,
        matrix: ReadMatrix,
        policy: Policy,
        appliance: Appliance | None,
        signers: Collection[str] | None = None,
        signatures: Signatures | None = None,
    ) -> None:
        self.matrix = matrix
        self.manifest = matrix.manifest
        self.policy = policy
        self.appliance = appliance
        self.signers = signers
        self.signatures = signatures
        self.not_judged: list[str] = []
        self.left_open: list[DecisionKind] = []
        self.accepted: dict[str, Acceptance] = {}

    def leave_open(self, what: str, *kinds: DecisionKind) -> None:
        """Say that something is not judged, and what kinds of decision could come of it."""
        self.not_judged.append(what)
        self.left_open.extend(kinds)

    def holds(self, condition: Condition) -> bool | None:
        """Whether a condition holds on the appliance; None if that cannot be known."""
        return holds(condition, self.appliance.facts) if self.appliance else None

    def unknown(self, condition: Condition) -> tuple[str, str]:
        """Why that cannot be known, as the end of a sentence, and what to do about it."""
        return unknown(condition, self.appliance.facts if self.appliance else {})


def why(entry: Entry) -> str:
    """The reason of an entry and where to read on, to be appended to a sentence; empty if it has none."""
    return f" {entry.reason}" * bool(entry.reason) + f" See {entry.link}" * bool(entry.link)


def models_of(read: ReadMatrix) -> tuple[str, ...]:
    """The models that a bundle is for, with an image of what its versions are about."""
    primary = next(part for part in read.manifest.components if part.name == read.primary_component)
    return tuple(model for model in read.manifest.models if has_image(primary, model))


def has_image(component: Component, model: str) -> bool:
    """Whether the bundle carries an image of the component for this model."""
    return any(not image.models or model in image.models for image in component.images)
