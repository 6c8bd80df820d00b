"""The decisions of a check, for each installed version and each state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from bundlekit.errors import AdvisoryError, ConfigError
from bundlekit.matrix import decide, decide_from, read_matrix, restricted, withdrawn
from bundlekit.matrix.nearby import Neighbours
from bundlekit.matrix.read import ReadMatrix
from bundlekit.matrix.shipped import signatures_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from bundlekit.matrix.operator import OperatorMatrix
    from bundlekit.matrix.read import UnreadableMatrix
    from bundlekit.model.advisory import Advice
    from bundlekit.model.bundle import Bundle
    from bundlekit.model.decision import Decision, Policy
    from bundlekit.model.manifest import Manifest
    from bundlekit.model.question import Question


def basis(bundle: Bundle, question: Question, operator: OperatorMatrix | None) -> Manifest | None:
    """The manifest that the decisions about ``bundle`` are made from; None if there is none.

    It is the bundle's own. For a format without a matrix it is made of the bundle's own statements and the operator's
    matrix. Raises ConfigError if the operator gave a matrix for a bundle that has one, or left out what decisions need.
    """
    if "manifest" in bundle.aspects:
        if operator and bundle.manifest:
            raise ConfigError(
                f"{operator.file}: this bundle has an upgrade matrix of its own, which its vendor signed",
                next_step="Omit the matrix. Signed advisories can restrict a release that has shipped.",
            )
        return bundle.manifest
    release = bundle.release
    if release is None or not question.asks_who:
        return None
    from bundlekit.matrix.operator import NOTHING, manifest_for

    if operator is None:
        return manifest_for(replace(release, version="0"), NOTHING) if release.models else None
    if question.appliances and not (release.models or operator.release.models):
        raise ConfigError(
            f"{operator.file}: this bundle does not name its models",
            next_step="Add [release] with models = [...] to the matrix.",
        )
    return manifest_for(release, operator)


def decisions_about(
    bundle: Bundle,
    manifest: Manifest | None,
    matrix: ReadMatrix | UnreadableMatrix | None,
    question: Question,
    signers: Collection[str] | None,
    operator: OperatorMatrix | None,
) -> tuple[Decision, ...]:
    """One decision for each version and each state that was asked about; the matrix is read once for all.

    ``manifest`` is the basis of the decisions. Without any matrix, only what the bundle alone rules out is decided.
    """
    if manifest is None or not (question.asks_who or question.advice):
        return ()
    if operator and bundle.release:
        from bundlekit.matrix.operator import about_another

        asked = [(version, "") for version in question.sources]
        asked += [(appliance.pair, appliance.pair) for appliance in question.appliances]
        others = [about_another(bundle.release, operator, subject, pair=pair) for subject, pair in asked]
        if any(others):
            return tuple(filter(None, others))
    if question.advice:
        manifest, matrix = advised(manifest, question.advice), None
        if not question.asks_who:
            return tuple(filter(None, (withdrawn(manifest),)))
    policy = _policy_for(bundle, question.policy)
    signatures = signatures_of(bundle, question.at)
    known: dict[str, Any] = {"signers": signers, "signatures": signatures, "matrix": matrix or read_matrix(manifest)}
    read = known["matrix"]
    near = Neighbours(read) if isinstance(read, ReadMatrix) else None
    decisions = [decide_from(manifest, version, policy, **known) for version in question.sources]
    models: list[str | None] = [None] * len(decisions)
    for appliance in question.appliances:
        decisions.append(decide(manifest, appliance, policy, **known))
        models.append(appliance.model)
    if near:
        decisions = [near.named(decision, model) for decision, model in zip(decisions, models, strict=True)]
    if bundle.manifest is None and operator is None:
        return tuple(filter(None, (_certain(decision, bundle) for decision in decisions)))
    return tuple(_bound(decision, bundle.id or "") for decision in decisions)


def _certain(decision: Decision, bundle: Bundle) -> Decision | None:
    """The part of a decision that follows from the bundle alone; None if nothing does."""
    from bundlekit.matrix.operator import CERTAIN

    version = bundle.release.version if bundle.release else ""
    kept = [replace(one, target=version) for one in decision.component_decisions if one.kind in CERTAIN]
    return replace(decision, version=version, overall=kept[0], component_decisions=tuple(kept)) if kept else None


def advised(manifest: Manifest, advice: Advice) -> Manifest:
    """The manifest as the advisories restrict it; AdvisoryError if they are about something else."""
    if advice.advisory.product != manifest.product:
        raise AdvisoryError(
            f"The advisories are for the product {advice.advisory.product}, and the bundle is for {manifest.product}.",
            rule="advisory-wrong-product",
            next_step=f"Give the advisories for {manifest.product}.",
        )
    return restricted(manifest, advice.advisory)


def _policy_for(bundle: Bundle, policy: Policy) -> Policy:
    """The policy without the risks that were accepted for another bundle."""
    accepted = tuple(risk for risk in policy.accepted_risks if risk.bundle in ("", bundle.id))
    return policy if len(accepted) == len(policy.accepted_risks) else replace(policy, accepted_risks=accepted)


def _bound(decision: Decision, bundle_id: str) -> Decision:
    """Record the acceptances for this bundle, so that they cannot be taken for those of another."""
    if not decision.accepted:
        return decision
    return replace(decision, accepted=tuple(replace(risk, bundle=bundle_id) for risk in decision.accepted))
