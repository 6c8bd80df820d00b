"""The job: a plan bound to one pair and one verified bundle. The first record of every run holds it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol

from bundlekit.errors import ConfigError
from bundlekit.matrix.read import APPLIANCE
from bundlekit.mistakes import nearest
from bundlekit.model.appliance import Appliance
from bundlekit.model.manifest import Component, Image, Manifest, labelled
from bundlekit.model.matrix import Condition
from bundlekit.model.primitives import Frozen
from bundlekit.update.engine.plan import Plan, problems


class Payload(Protocol):
    """What hooks get the component from; see VerifiedBundle."""

    @property
    def bundle_id(self) -> str:
        """The bundle id: ``sha256:`` and the digest of the head, in hex."""

    def stage(self, label: str) -> AbstractContextManager[BinaryIO]:
        """A staged copy of what is stored under ``label``, verified chunk by chunk as it was copied.

        The copy is sealed or unlinked and at its first byte; it is gone when the context ends. Raises
        BundlekitError if the bundle no longer is what was checked: then no byte has been handed over.
        """

    def chunks(self, label: str) -> Iterator[memoryview]:
        """What is stored under ``label``, chunk by chunk, each verified before it is handed over.

        A view is valid until the next one is asked for. Raises BundlekitError at the first chunk that no
        longer is what was checked.
        """


class VerifiedBundle(Payload, Protocol):
    """An open bundle that a full check of this process has accepted: all chunks, this descriptor.

    Only the one who ran the check can make one; a report or a pre-flight verdict cannot become one.
    """

    @property
    def path(self) -> str:
        """Where the file was opened; a resume opens it there again."""

    @property
    def manifest(self) -> Manifest:
        """What the signed head says."""


class Target(Frozen, frozen=True, kw_only=True):
    """What one step is about: which part of the bundle, on whom, from which version to which.

    ``identity`` is the serial of the member, or the pair's name for what the pair shares. ``size`` is in
    bytes, ``digest`` is ``algorithm:hex``. ``released`` (YYYY-MM-DD) and ``build`` are those of the bundle, for the
    component whose version is the bundle's; empty for others.
    """

    component: str
    label: str
    identity: str
    role: str
    old: str
    new: str
    size: int
    digest: str
    released: str = ""
    build: str = ""


class Job(Frozen, frozen=True, kw_only=True):
    """One update of one pair.

    ``targets`` are the steps whose component the bundle carries, in the order of the plan's groups; the other
    components stay. ``incompatible`` maps a failing step to those the plan would keep on their new version
    but the bundle's matrix does not allow beside the old rest. ``counter`` is the bundle's security counter,
    ``counter_before`` what the state says the pair has, ``product`` and ``model`` what it says the pair is (empty in
    the journal of an older version); ``free`` is what must be free, in bytes by place, and ``facts`` are the conditions
    that the bundle sets.
    ``minutes`` and ``revert_minutes`` are what the vendor says the update takes, forward and back. ``hold`` is
    why the state says that the pair is on hold. ``repair`` lets a run start on hold and on a half-written step
    behind the commit point.
    """

    plan: Plan
    pair: str
    bundle_id: str
    path: str
    version: str
    targets: dict[str, Target]
    product: str = ""
    model: str = ""
    incompatible: dict[str, tuple[str, ...]] = {}
    counter: int = 0
    counter_before: int | None = None
    free: dict[str, int] = {}
    facts: tuple[Condition, ...] = ()
    minutes: int | None = None
    revert_minutes: int | None = None
    hold: str = ""
    repair: bool = False

    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The steps of each group that there is something to do for; the first may be empty."""
        return tuple(tuple(step for step in group.steps if step in self.targets) for group in self.plan.groups)


def bind(
    plan: Plan,
    bundle: VerifiedBundle,
    appliance: Appliance,
    *,
    works_together: Callable[[Mapping[str, str]], bool],
    repair: bool = False,
) -> Job:
    """Bind ``plan`` to a pair and a bundle.

    ``works_together`` is asked, before anything starts, whether the versions that a failure would leave
    (component name to version) may run side by side: the bundle's own matrix answers. Raises ConfigError if
    the plan contradicts itself, the bundle carries nothing the plan updates, the plan leaves out something that the
    bundle brings or names a component that nobody has, or the state does not name the member or version that a
    step is about: what is not known is not updated.
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
            f"The bundle carries none of the components that plan '{plan.name}' updates.",
            next_step="Compare the plan's [steps] with `bundlekit inspect`.",
        )
    for wrong in _unknown_components(plan, carried, appliance):
        raise ConfigError(
            wrong, next_step="Correct the plan's [steps]; `bundlekit inspect` shows what the bundle carries."
        )
    for wrong in _left_out(plan, carried, appliance):
        raise ConfigError(wrong, next_step="Give the plan a step for it: no update ends well that leaves it out.")
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
    """What the bundle brings and no step of the plan installs, though the pair has not got it yet."""
    for name, component in carried.items():
        steps = [step for step in plan.steps.values() if step.component == name]
        what = f"Plan '{plan.name}' has no step for {name} {component.version}, which the bundle carries"
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
                next_step="Read the state of the pair again: `bundlekit update state`.",
            )
        identity, old = serials[0], appliance.members[serials[0]].version
    elif component.name in appliance.components:
        identity, old = appliance.pair, appliance.components[component.name].version
    else:
        raise ConfigError(
            f"The state does not say which version of '{component.name}' is installed.",
            next_step="Read the state of the pair again: `bundlekit update state`.",
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
        next_step="Take the bundle that is made for this model.",
    )
