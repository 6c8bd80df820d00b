"""The decision for one bundle: pure, from a manifest and what is known of an appliance.

The order of the rules; the code bears the same numbers. Of what concerns the bundle as such, the first fault
decides, and nothing else is asked. Every part gets one ruling, its first. What cannot be told is *undecided*:
a later refusal still beats it, and it never becomes a yes.

The bundle as such, in bundle_rules.py
  1. its matrix can be read                                   undecided
  2. it is for this product, with an image for this model     wrong-product, wrong-model
  3. it is an update                                          reimage-only
  4. its version has not been withdrawn                       withdrawn
The pair as such, in bundle_rules.py
  5. nothing holds it                                         on-hold, update-pending
  6. the security counter does not fall                       counter-too-low
Each part, in component_rules.py
  7. its version can be read                                  unreadable-version, unknown-version
  8. it is older than the bundle's, or a policy allows it     same-version…, downgrade
Each part that the matrix is about, in component_rules.py
  9. it was not released after the bundle                     back-in-time
 10. its version is known                                     unknown-version
 11. a way leads out of it                                    dead-end
 12. nothing blocks it                                        blocked
 13. no stop lies between                                     needs-stop
 14. the matrix names it as a source                          unsupported-source, reimage-only
 15. it trusts the keys that the source asks for; and the
     trust file that it ships accepts the signatures, or it
     trusts one of the keys that sign, where they have names  cannot-verify
 16. the pair may differ while one member is updated          incompatible
 17. no risk applies but accepted ones                        risk
The pair again, if nothing has been refused, in bundle_rules.py
 18. no fix gets lost                                         loses-fix
 19. what will run together works together                    incompatible
 20. the requirements are met                                 requirement-not-met
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from bundlekit.matrix import bundle_rules
from bundlekit.matrix.component_rules import Installed, rule_part, rule_unmoved_part
from bundlekit.matrix.context import EvaluationContext, has_image
from bundlekit.matrix.read import APPLIANCE, ReadMatrix, Unreadable, read_matrix
from bundlekit.model.appliance import NO_FACTS
from bundlekit.model.decision import PRECEDENCE, ComponentDecision, Decision, Leftover, Policy

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from bundlekit.matrix.shipped import Signatures
    from bundlekit.model.appliance import Appliance, InstalledComponent, VersionFacts
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
    signatures: Signatures | None = None,
    matrix: ReadMatrix | Unreadable | None = None,
) -> Decision:
    """Whether this appliance can install this bundle. Reads no file and raises nothing.

    - ``manifest``: of the bundle (`bundlekit.read_manifest`).
    - ``appliance``: what is installed.
    - ``policy``: what the operator allows in addition to the matrix.
    - ``signers``: names of the keys that sign the bundle, as in ``trusted-keys`` of the matrix. Without them,
      ``Decision.not_judged`` lists the versions that might not be able to verify the bundle.
    - ``signatures``: what the trust files in the matrix (``trust-of``) are asked about.
    - ``matrix``: the matrix of the manifest, read once for many appliances (`bundlekit.matrix.read.read_matrix`).
    """
    read = matrix or read_matrix(manifest)
    if isinstance(read, Unreadable):  # 1
        return _unreadable(manifest, appliance.pair, read, pair=appliance.pair)
    context = EvaluationContext(read, policy, appliance, signers, signatures)
    if fault := bundle_rules.rule_bundle(context, appliance.pair):  # 2-4
        return _decision(context, [fault])
    pair = list(bundle_rules.rule_pair(context, appliance))  # 5-6
    parts = _settle(list(_rule_parts(context, appliance)))  # 7-17
    if any(ruling.refused for ruling in (*pair, *parts)):
        return _decision(context, [*pair, *parts])
    again = bundle_rules.rule_pair_again(context, appliance, parts)  # 18-20
    return _decision(context, [*pair, *again, *parts], bundle_rules.leftovers(context, appliance, parts))


def decide_from(
    manifest: Manifest,
    version: str,
    policy: Policy = STRICT,
    *,
    model: str | None = None,
    signers: Collection[str] | None = None,
    signatures: Signatures | None = None,
    matrix: ReadMatrix | Unreadable | None = None,
    facts: VersionFacts = NO_FACTS,
) -> Decision:
    """Whether a pair with ``version`` on every member can install this bundle: only the rules about versions.

    ``facts`` are those of the installed version, where its bundle is available. What is unknown is not validated, and
    ``Decision.not_judged`` names it. Without a ``model``, a matrix that distinguishes models gives one ruling for each.
    All other parameters are as in :func:`decide`. Raises nothing.
    """
    read = matrix or read_matrix(manifest)
    if isinstance(read, Unreadable):  # 1
        return _unreadable(manifest, version, read)
    context = EvaluationContext(read, policy, None, signers, signatures)
    if fault := bundle_rules.rule_bundle(context, version):  # 3-4
        return _decision(context, [fault])
    models: Sequence[str | None] = [model]
    if model is None and tells_models_apart(manifest.matrix):
        models = manifest.models
    parts = [  # 7-17
        rule_part(
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
    beyond = [*bundle_rules.rule_version(context, version, facts, parts), *_rule_shared(context, version, facts)]
    bundle_rules.leave_open_beyond_versions(context)
    return _decision(context, [*beyond, *parts])


def _rule_shared(context: EvaluationContext, version: str, facts: VersionFacts) -> Iterator[ComponentDecision]:
    """What refuses the update of a component that the pair shares; one that is there already refuses nothing."""
    for name, text in facts.components:
        if name in context.matrix.carried:
            ruling = rule_part(context, Installed(subject=version, component=name, version=text))
            if ruling.refused and not ruling.kind.startswith("same-version"):
                yield ruling


def withdrawn(manifest: Manifest) -> Decision | None:
    """The decision for everybody, where the bundle as such has been withdrawn, or may have been; else None."""
    read = read_matrix(manifest)
    if isinstance(read, Unreadable):
        return _unreadable(manifest, manifest.version, read)
    context = EvaluationContext(read, STRICT, None)
    fault = bundle_rules.rule_withdrawn(context, manifest.version)
    return _decision(context, [fault]) if fault else None


def tells_models_apart(matrix: Matrix) -> bool:
    """Whether what the matrix decides depends on the model."""
    return any(source.models for source in matrix.sources) or any(block.models for block in matrix.blocks)


def _rule_parts(context: EvaluationContext, appliance: Appliance) -> Iterator[ComponentDecision]:
    """One ruling for each member, and for each component that the pair shares."""
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
        yield rule_part(context, part) if component in carried else rule_unmoved_part(context, part)
    for name, version in carried.items():
        if name != APPLIANCE and name not in appliance.components:
            yield ComponentDecision(
                subject=name,
                component=name,
                kind="undecided",
                message=f"The installed version of {name} is not known.",
                next=f"Give the version of {name} in the appliance state.",
                target=version,
            )


def _settle(parts: list[ComponentDecision]) -> list[ComponentDecision]:
    """What has the version already is no fault while another part still has to move."""
    if all(part.kind in ("same-version", "stays") for part in parts):
        return parts
    return [
        replace(part, kind="already-there", next="") if part.kind == "same-version" and part.refused else part
        for part in parts
    ]


def _unreadable(manifest: Manifest, subject: str, matrix: Unreadable, *, pair: str = "") -> Decision:
    first, *others = matrix.problems
    more = f" ({len(others)} more like this.)" if others else ""
    ruling = ComponentDecision(
        subject=subject,
        kind="undecided",
        message=f"The bundle's matrix cannot be read. {first.message}{more}",
        next="Ask the vendor for a bundle with a matrix that can be read.",
        entry=first.subject,
        target=manifest.version,
    )
    return Decision(product=manifest.product, version=manifest.version, pair=pair, whole=ruling, rulings=(ruling,))


def _decision(
    context: EvaluationContext, rulings: Sequence[ComponentDecision], leftovers: Iterable[Leftover] = ()
) -> Decision:
    def weight(ruling: ComponentDecision) -> tuple[bool, int]:
        # What stands in the way before what does not; then the order of the kinds, where a certain no is before
        # a doubt; then that of the parts.
        return ruling.allowed, PRECEDENCE[ruling.kind]

    return Decision(
        product=context.manifest.product,
        version=context.manifest.version,
        pair=context.appliance.pair if context.appliance else "",
        whole=min(rulings, key=weight),
        rulings=tuple(rulings),
        leftovers=tuple(leftovers),
        accepted=tuple(context.accepted.values()),
        not_judged=tuple(dict.fromkeys(context.not_judged)),
        left_open=tuple(dict.fromkeys(context.left_open)),
    )
