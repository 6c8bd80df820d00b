"""Bind a plan to one pair and one verified bundle: the only place where a manifest becomes a job."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from bundlekit.errors import ConfigError
from bundlekit.matrix.read import APPLIANCE
from bundlekit.model.appliance import Appliance
from bundlekit.model.manifest import Component, Image, Manifest, labelled
from bundlekit.schema_errors import nearest
from bundlekit.update.engine.job import Job, Payload, Target
from bundlekit.update.engine.plan import Plan, problems
from bundlekit.wording import command


class VerifiedBundle(Payload, Protocol):
    """An open bundle that a full check of this process has accepted: all chunks, this descriptor.

    Only the one who ran the check can make one; a report or a pre-flight verdict cannot become one.
    """

    @property
    def path(self) -> str:
        """Where the file was opened; a resume opens it there again."""

    @property
    def manifest(self) -> Manifest:
        """The manifest in the signed head."""


def bind(
    plan: Plan,
    bundle: VerifiedBundle,
    appliance: Appliance,
    *,
    works_together: Callable[[Mapping[str, str]], bool],
    repair: bool = False,
) -> Job:
    """Bind ``plan`` to a pair and a bundle.

    ``works_together`` is called before anything starts. It states whether the versions that a failure would leave
    (component name to version) are compatible, by the bundle's own matrix.

    Raises ConfigError if the plan contradicts itself, or if the bundle carries nothing that the plan updates. Raises
    ConfigError if the plan leaves out a component of the bundle, or names a component that does not exist. Raises
    ConfigError if the state does not contain the member or version of a step: an unknown component is not updated.
    """
    for problem in problems(plan):
        raise ConfigError(f"plan '{plan.name}': {problem}.", next_step="Correct the plan.")
    manifest = bundle.manifest
    carried = {component.name: component for component in manifest.components}
    targets = {
        name: _target(name, plan, carried[plan.steps[name].component], manifest, appliance)
        for name in plan.order
        if plan.steps[name].component in carried
    }
    if not targets:
        raise ConfigError(
            f"The bundle contains none of the components that plan '{plan.name}' updates.",
            next_step="Compare the plan's [steps] with `bundlekit inspect`.",
        )
    for wrong in _unknown_components(plan, carried, appliance):
        raise ConfigError(
            wrong, next_step="Correct the plan's [steps]; `bundlekit inspect` shows what the bundle contains."
        )
    for wrong in _left_out(plan, carried, appliance):
        raise ConfigError(wrong, next_step="Add a step for it to the plan. An update without it cannot succeed.")
    old = {target.component: target.old for target in targets.values()}
    old |= {name: installed.version for name, installed in appliance.components.items() if name not in old}
    incompatible = {}
    for step in plan.groups[0].steps:
        kept = tuple(name for name in plan.policy(step).keep if name in targets)
        if kept and not works_together(old | {targets[k].component: targets[k].new for k in kept}):
            incompatible[step] = kept
    return Job(
        plan=plan,
        pair=appliance.pair,
        bundle_id=bundle.bundle_id,
        path=bundle.path,
        version=manifest.version,
        targets=targets,
        product=appliance.product,
        model=appliance.model,
        incompatible=incompatible,
        counter=manifest.counter,
        counter_before=appliance.counter,
        free=manifest.requirements.free,
        facts=manifest.requirements.facts,
        minutes=manifest.impact.minutes,
        revert_minutes=manifest.impact.revert_minutes,
        hold=appliance.hold or "",
        repair=repair,
    )


def _unknown_components(plan: Plan, carried: Mapping[str, Component], appliance: Appliance) -> Iterator[str]:
    """Steps about a component that is neither in the bundle nor on the pair: one that is on the pair alone stays."""
    known = {*carried, *appliance.components, APPLIANCE}
    for name in plan.order:
        component = plan.steps[name].component
        if component not in known:
            yield (
                f"Step '{name}' of plan '{plan.name}' updates '{component}', "
                f"which neither the bundle carries nor the pair has{nearest(component, known)}"
            )


def _left_out(plan: Plan, carried: Mapping[str, Component], appliance: Appliance) -> Iterator[str]:
    """The components of the bundle that no step of the plan installs, although the pair does not have them yet."""
    for name, component in carried.items():
        steps = [step for step in plan.steps.values() if step.component == name]
        what = f"Plan '{plan.name}' has no step for {name} {component.version}, which the bundle contains"
        if name == APPLIANCE:
            reached = {step.member for step in steps}
            yield from (
                f"{what}, on the {member.role}: {serial} has {member.version}."
                for serial, member in appliance.members.items()
                if member.role not in reached and member.version != component.version
            )
            continue
        installed = appliance.components.get(name)
        if not steps and (installed is None or installed.version != component.version):
            yield f"{what}: the pair has {installed.version if installed else 'no version of it that is known'}."


def _target(name: str, plan: Plan, component: Component, manifest: Manifest, appliance: Appliance) -> Target:
    step = plan.steps[name]
    if step.member:
        serials = [serial for serial, member in appliance.members.items() if member.role == step.member]
        if len(serials) != 1:
            raise ConfigError(
                f"Step '{name}' is about the {step.member}, but the state names {len(serials)} of that role.",
                next_step=f"Read the state of the pair again: {command('update state')}.",
            )
        identity, old = serials[0], appliance.members[serials[0]].version
    elif component.name in appliance.components:
        identity, old = appliance.pair, appliance.components[component.name].version
    else:
        raise ConfigError(
            f"The state does not contain the installed version of '{component.name}'.",
            next_step=f"Read the state of the pair again: {command('update state')}.",
        )
    image = _image(component, appliance.model)
    label = next(entry.label for entry in labelled(manifest) if entry.stored is image)
    dated = component.name == APPLIANCE or component.version == manifest.version
    return Target(
        component=component.name,
        label=label,
        identity=identity,
        role=step.member or "shared",
        old=old,
        new=component.version,
        size=image.size,
        digest=image.digest,
        released=manifest.released if dated else "",
        build=(manifest.build or "") if dated else "",
    )


def _image(component: Component, model: str) -> Image:
    for image in component.images:
        if not image.models or model in image.models:
            return image
    raise ConfigError(
        f"The bundle has no image of '{component.name}' for model {model}.",
        next_step="Get the bundle for this model.",
    )
