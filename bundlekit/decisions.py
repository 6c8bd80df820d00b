"""The decisions of a check, for each installed version and each state."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, Any

from msgspec import UNSET
from msgspec.structs import replace

from bundlekit.errors import AdvisoryError, ConfigError
from bundlekit.matrix import decide, decide_from, read_matrix, restricted, withdrawn
from bundlekit.matrix.decide import tells_models_apart
from bundlekit.matrix.nearby import Neighbours
from bundlekit.matrix.read import ReadMatrix, UnreadableMatrix
from bundlekit.matrix.shipped import signatures_of
from bundlekit.matrix.terms import certain_decisions
from bundlekit.model.decision import PRECEDENCE
from bundlekit.model.release import NO_TERMS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from bundlekit.matrix.operator import OperatorMatrix
    from bundlekit.model.advisory import Advice
    from bundlekit.model.bundle import Bundle
    from bundlekit.model.decision import ComponentDecision, Decision, Policy
    from bundlekit.model.manifest import Manifest
    from bundlekit.model.question import Question
    from bundlekit.model.release import Release, Terms


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
        models = release.models or tuple(dict.fromkeys(appliance.model for appliance in question.appliances))
        return manifest_for(replace(release, version="0", models=models), NOTHING)
    by_model = question.appliances or tells_models_apart(operator.matrix)
    if by_model and not (release.models or operator.release.models):
        raise ConfigError(
            f"{operator.file}: this bundle does not name its models",
            next_step="Add [release] with models = [...] to the matrix.",
        )
    return manifest_for(release, operator)


def read_basis(
    manifest: Manifest | None, bundle: Bundle, operator: OperatorMatrix | None
) -> ReadMatrix | UnreadableMatrix | None:
    """The matrix of the ``manifest`` that `basis` returned, read once for all decisions.

    Raises ConfigError for a fault in the operator's matrix, because that is the operator's to correct.
    """
    if manifest is None:
        return None
    read = read_matrix(manifest, terms_of(bundle.release))
    if operator is not None:
        from bundlekit.matrix.operator import require_consistent

        require_consistent(operator, manifest, read)
    return read


def operator_matrix(
    bundle: Bundle, matrices: Sequence[OperatorMatrix]
) -> tuple[OperatorMatrix | None, tuple[str, ...]]:
    """The matrix of the operator for ``bundle``, or what those that are for other releases are for.

    Raises ConfigError if two of them are for the bundle. For an update.bin, which takes none, a single one is returned.
    """
    if not matrices or bundle.release is None:
        return None, ()
    from bundlekit.matrix.operator import demanded_matrix, matrix_for, subject_of

    if "manifest" in bundle.aspects:
        return matrices[0] if len(matrices) == 1 else matrix_for(bundle.release, matrices), ()
    found = demanded_matrix(bundle.release, matrices)
    return found, () if found else tuple(map(subject_of, matrices))


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
    terms = terms_of(bundle.release)
    if manifest is None or not (question.asks_who or question.advice):
        return ()
    if operator and bundle.release:
        from bundlekit.matrix.operator import about_another

        asked = [(version, "") for version in question.sources]
        asked += [(appliance.pair, appliance.pair) for appliance in question.appliances]
        wrong = [about_another(bundle.release, operator, subject, pair=pair) for subject, pair in asked]
        if any(wrong):
            return tuple(filter(None, wrong))
    if question.advice:
        manifest, matrix = advised(manifest, question.advice), None
        if not question.asks_who:
            return tuple(filter(None, (withdrawn(manifest),)))
    policy = _policy_for(bundle, question.policy)
    signatures = signatures_of(bundle, question.at)
    read = matrix or read_matrix(manifest, terms)
    known: dict[str, Any] = {"signers": signers, "signatures": signatures, "matrix": read}

    def allows(version: str, model: str | None) -> bool:
        return decide_from(manifest, version, policy, model=model, **known).overall.allowed

    near = Neighbours(read, allows) if isinstance(read, ReadMatrix) else None
    decisions = [decide_from(manifest, version, policy, **known) for version in question.sources]
    decisions += [decide(manifest, appliance, policy, **known) for appliance in question.appliances]
    if operator and isinstance(read, UnreadableMatrix):  # the operator's file is consistent, so the two do not fit
        decisions = [_unfit(decision, read, operator) for decision in decisions]
    if bundle.manifest is None and operator is None:
        others = [tuple(certain_decisions(terms, version, None)) for version in question.sources]
        others += [tuple(certain_decisions(terms, one.pair, one)) for one in question.appliances]
        return tuple(filter(None, map(_certain, decisions, others, repeat(bundle))))
    if near:
        models = [*[None] * len(question.sources), *[appliance.model for appliance in question.appliances]]
        decisions = [near.named(decision, model) for decision, model in zip(decisions, models, strict=True)]
    return tuple(_bound(decision, bundle.id or "") for decision in decisions)


def terms_of(release: Release | None) -> Terms:
    """What the format of the bundle itself states about the appliance."""
    return release.terms if release and release.terms is not UNSET else NO_TERMS


def _certain(decision: Decision, others: Iterable[ComponentDecision], bundle: Bundle) -> Decision | None:
    """The part of a decision that follows from the bundle alone; None if nothing does.

    ``others`` are the decisions by the terms of its format.
    """
    from bundlekit.matrix.operator import CERTAIN

    version = bundle.release.version if bundle.release else ""
    kept = [one for one in decision.component_decisions if one.kind in CERTAIN]
    kept = [replace(one, target=version) for one in (*kept, *others)]
    if not kept:
        return None
    overall = min(kept, key=lambda one: PRECEDENCE[one.kind])
    return replace(decision, version=version, overall=overall, component_decisions=tuple(kept), not_checked=())


def _unfit(decision: Decision, read: UnreadableMatrix, operator: OperatorMatrix) -> Decision:
    """The decision if the version of a bundle does not fit the operator's matrix."""
    overall = replace(
        decision.overall,
        message=f"The bundle does not fit the matrix {operator.file}. {read.problems[0].message}",
        next=f"Correct [release] in {operator.file}, if the versions of the bundle have another scheme.",
    )
    return replace(decision, overall=overall, component_decisions=(overall,))


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
