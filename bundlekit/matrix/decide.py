"""The decision for one bundle: a pure function of a manifest and the known facts about an appliance.

rules.py lists the rules in their order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from bundlekit.errors import VersionError
from bundlekit.matrix import bundle_rules
from bundlekit.matrix.component import ComponentQuestion, Installed
from bundlekit.matrix.context import EvaluationContext, has_image
from bundlekit.matrix.pair import PairQuestion
from bundlekit.matrix.partial_failures import partial_failures
from bundlekit.matrix.read import APPLIANCE, ReadMatrix, UnreadableMatrix, read_matrix
from bundlekit.matrix.rules import ask_component, ask_pair
from bundlekit.model.appliance import NO_FACTS
from bundlekit.model.decision import PRECEDENCE, ComponentDecision, Decision, PartialFailureState, Policy

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from bundlekit.matrix.shipped import BundleSignatures
    from bundlekit.model.appliance import Appliance, InstalledComponent, VersionFacts
    from bundlekit.model.decision import DecisionKind
    from bundlekit.model.manifest import Manifest
    from bundlekit.model.matrix import Matrix

STRICT: Final = Policy()
"""No override, no accepted risk."""


def decide(
    manifest: Manifest,
    appliance: Appliance,
    policy: Policy = STRICT,
    *,
    signers: Collection[str] | None = None,
    signatures: BundleSignatures | None = None,
    matrix: ReadMatrix | UnreadableMatrix | None = None,
) -> Decision:
    """Whether this appliance can install this bundle. Reads no file and raises nothing.

    - ``manifest``: of the bundle (`bundlekit.read_manifest`).
    - ``appliance``: what is installed.
    - ``policy``: what the operator allows in addition to the matrix.
    - ``signers``: names of the keys that sign the bundle, as in ``trusted-keys`` of the matrix. Without them,
      ``Decision.not_checked`` lists the versions that might not be able to verify the bundle.
    - ``signatures``: those that the trust files in the matrix (``trust-of``) are checked against.
    - ``matrix``: the matrix of the manifest, read once for many appliances (`bundlekit.matrix.read.read_matrix`).
    """
    read = matrix or read_matrix(manifest)
    if isinstance(read, UnreadableMatrix):
        return _unreadable(manifest, appliance.pair, read, pair=appliance.pair)
    context = EvaluationContext(read, policy, appliance, signers, signatures)
    question = PairQuestion(context, appliance.pair)
    if fault := ask_pair("bundle", question):
        return _decision(context, fault)
    pair = ask_pair("pair", question)
    question.parts = _settle(list(_components(context, appliance)))
    if any(decision.rejected for decision in (*pair, *question.parts)):
        return _decision(context, [*pair, *question.parts])
    whole = ask_pair("whole", question)
    return _decision(context, [*pair, *whole, *question.parts], partial_failures(context, appliance, question.parts))


def decide_from(
    manifest: Manifest,
    version: str,
    policy: Policy = STRICT,
    *,
    model: str | None = None,
    signers: Collection[str] | None = None,
    signatures: BundleSignatures | None = None,
    matrix: ReadMatrix | UnreadableMatrix | None = None,
    facts: VersionFacts = NO_FACTS,
) -> Decision:
    """Whether a pair with ``version`` on every member can install this bundle: only the rules about versions.

    ``facts`` are those of the installed version, if its bundle is available. What is unknown is not validated, and
    ``Decision.not_checked`` names it. Without a ``model``, a matrix that distinguishes models gives one for each.
    All other parameters are as in :func:`decide`. Raises nothing.
    """
    read = matrix or read_matrix(manifest)
    if isinstance(read, UnreadableMatrix):
        return _unreadable(manifest, version, read)
    context = EvaluationContext(read, policy, None, signers, signatures)
    question = PairQuestion(context, version, facts)
    if fault := ask_pair("bundle", question):
        return _decision(context, fault)
    models: Sequence[str | None] = [model]
    if model is None and tells_models_apart(manifest.matrix):
        models = manifest.models
    question.parts = [
        _decide_component(
            context,
            Installed(
                subject=f"{version} on {name}" if name else version,
                component=read.primary_component,
                version=version,
                released=facts.released,
                model=name,
            ),
        )
        for name in models
    ]
    if read.primary_component != APPLIANCE:
        context.not_checked.append(
            f"the members, which the bundle does not update: no component is named {APPLIANCE!r}, and the versions are "
            f"those of {read.primary_component}"
        )
    shared = list(_shared(context, version, facts))
    pair = [*ask_pair("pair", question), *ask_pair("whole", question)]
    return _decision(context, [*pair, *shared, *question.parts])


def _decide_component(context: EvaluationContext, installed: Installed) -> ComponentDecision:
    """The decision about a component that the bundle contains."""
    return ask_component(ComponentQuestion(context, installed, _decide_component))


def _shared(context: EvaluationContext, version: str, facts: VersionFacts) -> Iterator[ComponentDecision]:
    """The decisions that reject the update of a component that the pair shares.

    An installed target version rejects nothing.
    """
    for name, text in facts.components:
        if name in context.matrix.carried:
            component_decision = _decide_component(context, Installed(subject=version, component=name, version=text))
            if component_decision.rejected and not component_decision.kind.startswith("same-version"):
                yield component_decision


def withdrawn(manifest: Manifest) -> Decision | None:
    """The decision for every source if the bundle itself is withdrawn, or possibly withdrawn; otherwise None."""
    read = read_matrix(manifest)
    if isinstance(read, UnreadableMatrix):
        return _unreadable(manifest, manifest.version, read)
    context = EvaluationContext(read, STRICT, None)
    question = PairQuestion(context, manifest.version)
    bundle_rules.not_withdrawn(question)
    return _decision(context, question.decisions) if question.decisions else None


def tells_models_apart(matrix: Matrix) -> bool:
    """Whether the decisions of the matrix depend on the model."""
    return any(source.models for source in matrix.sources) or any(block.models for block in matrix.blocks)


def _components(context: EvaluationContext, appliance: Appliance) -> Iterator[ComponentDecision]:
    """One decision for each member, and for each component that the pair shares."""
    carried = {
        component.name: component.version
        for component in context.manifest.components
        if has_image(component, appliance.model)
    }
    installed: dict[tuple[str, str], InstalledComponent] = {
        **{(serial, APPLIANCE): member for serial, member in appliance.members.items()},
        **{(name, name): component for name, component in appliance.components.items()},
    }
    for (subject, component), found in installed.items():
        part = Installed(
            subject=subject,
            component=component,
            version=found.version,
            build=found.build,
            released=found.released,
            model=appliance.model,
        )
        yield _decide_component(context, part) if component in carried else _unmoved(context, part)
    for name, version in carried.items():
        if name != APPLIANCE and name not in appliance.components:
            yield ComponentDecision(
                subject=name,
                component=name,
                kind="undecided",
                message=f"The installed version of {name} is unknown.",
                next=f"Give the version of {name} in the appliance state.",
                target=version,
            )


def _unmoved(context: EvaluationContext, installed: Installed) -> ComponentDecision:
    """A component that the bundle does not contain. Its version must still work with the new versions."""
    name, version = installed.component, installed.version

    def decided(kind: DecisionKind, message: str, remedy: str = "") -> ComponentDecision:
        subject = installed.subject
        return ComponentDecision(
            subject=subject,
            component=name,
            kind=kind,
            message=message,
            next=remedy,
            installed=version,
            target=version,
        )

    try:
        context.matrix.parse(name, version)
    except VersionError as fault:
        return decided("unreadable-version", str(fault), f"Check the installed version of {name}.")
    return decided("not-included", f"The bundle does not contain {name}, so {version} is kept.")


def _settle(parts: list[ComponentDecision]) -> list[ComponentDecision]:
    """Settle parts that already have the target version: no fault while another part still has to be updated."""
    if all(part.kind in ("same-version", "not-included") for part in parts):
        return parts
    return [
        replace(part, kind="already-installed", next="") if part.kind == "same-version" and part.rejected else part
        for part in parts
    ]


def _unreadable(manifest: Manifest, subject: str, matrix: UnreadableMatrix, *, pair: str = "") -> Decision:
    component_decision = bundle_rules.readable_matrix(manifest, subject, matrix)
    return Decision(
        product=manifest.product,
        version=manifest.version,
        pair=pair,
        overall=component_decision,
        component_decisions=(component_decision,),
    )


def _decision(
    context: EvaluationContext,
    component_decisions: Sequence[ComponentDecision],
    partial_failures: Iterable[PartialFailureState] = (),
) -> Decision:
    def weight(component_decision: ComponentDecision) -> tuple[bool, int]:
        # Obstacles come first. Then the order of the kinds decides, with a definite rejection before a doubt, then the
        # order of the parts.
        return component_decision.allowed, PRECEDENCE[component_decision.kind]

    return Decision(
        product=context.manifest.product,
        version=context.manifest.version,
        pair=context.appliance.pair if context.appliance else "",
        overall=min(component_decisions, key=weight),
        component_decisions=tuple(component_decisions),
        partial_failures=tuple(partial_failures),
        accepted=tuple(context.accepted.values()),
        not_checked=tuple(dict.fromkeys(context.not_checked)),
        possible_kinds=tuple(dict.fromkeys(context.possible_kinds)),
    )
