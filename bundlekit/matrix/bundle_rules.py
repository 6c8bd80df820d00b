"""The rules about the bundle and the pair as such: numbers 2 to 6 and 18 to 20 of the order in decide.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundlekit.config import size_in_words
from bundlekit.errors import VersionError
from bundlekit.facts import in_words
from bundlekit.matrix.compatibility import work_together
from bundlekit.matrix.context import models_of, why
from bundlekit.matrix.nearby import alike
from bundlekit.matrix.read import APPLIANCE
from bundlekit.model.decision import ComponentDecision, Leftover
from bundlekit.versions import scheme_named

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from bundlekit.matrix.context import EvaluationContext
    from bundlekit.model.appliance import Appliance, VersionFacts
    from bundlekit.model.decision import DecisionKind
    from bundlekit.versions import Version


def rule_bundle(context: EvaluationContext, subject: str) -> ComponentDecision | None:
    """Rules 2 to 4: the first fault of the bundle as such, whatever is installed."""
    manifest, appliance = context.manifest, context.appliance

    def fault(kind: DecisionKind, message: str, remedy: str) -> ComponentDecision:
        return ComponentDecision(subject=subject, kind=kind, message=message, next=remedy, target=manifest.version)

    if appliance is not None:  # 2
        if manifest.product != appliance.product:
            return fault(
                "wrong-product",
                f"The bundle is for the product {manifest.product}, and this is {appliance.product}.",
                f"Take a bundle for {appliance.product}.",
            )
        if appliance.model not in models_of(context.matrix):
            return fault("wrong-model", *_wrong_model(context, appliance.model))
    if manifest.kind == "reimage":  # 3
        return fault(
            "reimage-only",
            f"The bundle is a re-image of {manifest.version}, which is never taken as an update.",
            f"Re-image with it, or take the update bundle of {manifest.version}.",
        )
    return rule_withdrawn(context, subject)  # 4


def _wrong_model(context: EvaluationContext, model: str) -> tuple[str, str]:
    """What is wrong where a bundle has no image for a model, and what to do about it."""
    fitting = models_of(context.matrix)
    if model in context.manifest.models:
        primary, has = context.matrix.primary_component, ", ".join(fitting) or "no model"
        return (
            f"The bundle names the model {model}, but its images of {primary} are for {has} only.",
            f"Ask the vendor for a bundle with an image of {primary} for {model}.",
        )
    likely = next((one for one in fitting if alike(one, model)), "")
    hint = f" If the appliance is the model {likely}, correct `model` in its state." if likely else ""
    return (
        f"The bundle is for {', '.join(context.manifest.models)}, and this is the model {model}.",
        f"Take a bundle for {model}.{hint}",
    )


def rule_withdrawn(context: EvaluationContext, subject: str) -> ComponentDecision | None:
    """Rule 4: the bundle has been withdrawn. That holds for a re-image as well."""
    for withdrawn in context.matrix.withdrawn:
        if context.matrix.own in withdrawn.range:
            return ComponentDecision(
                subject=subject,
                kind="withdrawn",
                message=f"{context.manifest.version} has been withdrawn.{why(withdrawn.entry)}",
                next="Take a release that has not been withdrawn.",
                entry=withdrawn.entry.id,
                target=context.manifest.version,
            )
    return None


def rule_pair(context: EvaluationContext, appliance: Appliance) -> Iterator[ComponentDecision]:
    """Rules 5 and 6: the faults of the pair as such, whatever its versions."""
    if appliance.hold is not None:  # 5
        yield _of_pair(
            context,
            "on-hold",
            f"Updates of the pair are on hold: {appliance.hold}",
            "Fix the fault that caused the hold, then clear the hold.",
        )
    if appliance.update is not None:
        yield _of_pair(
            context,
            "update-pending",
            f"An update of the pair has not ended: {appliance.update}",
            "Resume that update, or cancel it, first.",
        )
    own, of_members = context.manifest.counter, [member.counter for member in appliance.members.values()]
    demanded = [counter for counter in (appliance.counter, *of_members) if counter is not None]  # 6
    if demanded and own < max(demanded):
        yield _counter_too_low(context, "", max(demanded))
    elif appliance.counter is None and None in of_members:
        yield _of_pair(
            context,
            "undecided",
            "The security counter that the pair demands is not known; unknown is not zero.",
            "Give the counter in the appliance state.",
        )


def rule_pair_again(
    context: EvaluationContext, appliance: Appliance, parts: Sequence[ComponentDecision]
) -> Iterator[ComponentDecision]:
    """Rules 18 to 20: what the update, taken as a whole, would lose, break or need."""
    yield from _fixes(context, appliance, parts)  # 18
    yield from _final_states(context, appliance, parts)  # 19
    yield from _requirements(context, appliance)  # 20


def rule_version(
    context: EvaluationContext, version: str, facts: VersionFacts, parts: Sequence[ComponentDecision]
) -> Iterator[ComponentDecision]:
    """Rules 6, 18 and 19 for a mere version, as far as its own bundle tells; what it does not tell is left open."""
    context.leave_open("product and model", "wrong-product", "wrong-model")
    context.leave_open("holds and pending updates", "on-hold", "update-pending")
    if facts.counter is None:
        context.leave_open("the security counter", "counter-too-low")
    elif context.manifest.counter < facts.counter:
        yield _counter_too_low(context, version, facts.counter)
    if facts.includes is None:
        context.leave_open("fixes that get lost", "loses-fix")
    elif _may_lose_fixes(context, parts):
        yield from _lost_fixes(context, version, facts.includes)
    others = {name: text for name, text in facts.components if name != context.matrix.primary_component}
    for name in context.matrix.carried:
        if name != context.matrix.primary_component and name not in others:
            context.leave_open(f"the installed {name}", "incompatible")
    if any(part.refused for part in parts):
        return
    try:
        left = {
            name: context.matrix.parse(name, text)
            for name, text in others.items()
            if name not in context.matrix.carried
        }
    except VersionError:
        return
    state = context.matrix.carried | left
    # What one bundle carries is for the lint; what stays behind is for the decision.
    if left and work_together(context.matrix, state)[0] is False:
        yield _of_pair(context, "incompatible", *_not_together(state), subject=version)


def leave_open_beyond_versions(context: EvaluationContext) -> None:
    """Leave open the requirements, which no mere version can meet."""
    requirements = context.manifest.requirements
    if requirements.tool is not None:
        context.leave_open(f"the requirement of tool {requirements.tool}", "requirement-not-met")
    for place in requirements.free:
        context.leave_open(f"the requirement of free space for {place}", "requirement-not-met")
    for condition in requirements.facts:
        context.leave_open(f"the requirement that {in_words(condition)}", "requirement-not-met")


def leftovers(
    context: EvaluationContext, appliance: Appliance, parts: Sequence[ComponentDecision]
) -> Iterator[Leftover]:
    """Each state that a failure can leave, in the order in which an update could meet it.

    The active member and the components that the pair shares go first. Until all of them have succeeded, a
    failure reverts the member; a new shared component stays only if the matrix says that it works with the
    old member. After that nothing is reverted: the standby's failure leaves the pair degraded.
    """
    moving = {part.component for part in parts if _moves(part)}
    shared = tuple(sorted(moving - {APPLIANCE}))
    members = [APPLIANCE] * (APPLIANCE in moving)
    roles = {member.role for member in appliance.members.values()}
    for version in dict.fromkeys(member.version for member in appliance.members.values() if member.role == "active"):
        kept, old, done = (_state(context, appliance, version, new=new) for new in (shared, (), moving))
        if members and shared:
            yield _active_fails(context, kept, shared)
        for name in shared:
            back = (*members, name)
            yield Leftover(
                failure=name,
                components=_texts(old),
                works=True,
                reverts=back,
                outcome="reverted",
                hold=True,
                message=f"If the update of {name} fails, {_listed(back)} {'revert' if members else 'reverts'}; "
                "the pair is on hold until the fault is cleared.",
            )
        if members and "standby" in roles:
            yield Leftover(
                failure="standby",
                components=_texts(done),
                works=True,
                keeps=(*members, *shared),
                outcome="degraded",
                hold=True,
                message="If the update of the standby member fails, nothing is reverted: the active member serves "
                f"with {_named(done)}, and HA is missing until the standby is repaired.",
            )


def _active_fails(context: EvaluationContext, state: Mapping[str, Version], shared: tuple[str, ...]) -> Leftover:
    """The active member fails after the shared components had succeeded: it is old again, and they are new."""
    works, entry = work_together(context.matrix, state)
    found, those = _named(state), _listed(shared)
    if works:
        what = f"are left, which work together: {those} stays new."
    else:
        doubt = "do not" if works is False else "may not"
        what = f"would be left, which {doubt} work together: {those} reverts too."
    return Leftover(
        failure="active",
        components=_texts(state),
        works=works,
        entry=entry,
        reverts=(APPLIANCE,) if works else (APPLIANCE, *shared),
        keeps=shared if works else (),
        outcome="reverted",
        message=f"If the update of the active member fails, it reverts; {found} {what}",
    )


def _texts(state: Mapping[str, Version]) -> dict[str, str]:
    return {name: version.text for name, version in state.items()}


def _listed(names: Sequence[str]) -> str:
    return " and ".join(names)


def _counter_too_low(context: EvaluationContext, subject: str, demanded: int) -> ComponentDecision:
    who = subject or "the pair"
    return _of_pair(
        context,
        "counter-too-low",
        f"The bundle's security counter is {context.manifest.counter}, and {who} demands at least {demanded}.",
        f"Take a release with a counter of {demanded} or more; nothing overrides this.",
        subject=subject,
    )


def _not_together(state: Mapping[str, Version]) -> tuple[str, str]:
    return (
        f"After the update the pair would have {_named(state)}, which do not work together.",
        "First update the other components to versions that work with both.",
    )


def _of_pair(
    context: EvaluationContext, kind: DecisionKind, message: str, remedy: str, *, subject: str = ""
) -> ComponentDecision:
    subject = subject or (context.appliance.pair if context.appliance else "")
    return ComponentDecision(subject=subject, kind=kind, message=message, next=remedy, target=context.manifest.version)


def _moves(part: ComponentDecision) -> bool:
    """Whether the update changes this part, as far as can be told."""
    return part.kind not in ("already-there", "stays")


def _named(state: Mapping[str, Version]) -> str:
    return " and ".join(f"{name} {version}" for name, version in state.items())


def _fixes(
    context: EvaluationContext, appliance: Appliance, parts: Sequence[ComponentDecision]
) -> Iterator[ComponentDecision]:
    if not _may_lose_fixes(context, parts):
        return
    if appliance.includes is None:
        yield _of_pair(
            context,
            "undecided",
            "It is not known which fixes the pair has, so one could get lost.",
            "Give the included fixes in the appliance state; an empty list if there are none.",
        )
    else:
        yield from _lost_fixes(context, "", appliance.includes)


def _may_lose_fixes(context: EvaluationContext, parts: Sequence[ComponentDecision]) -> bool:
    # An edge that names one version was made by someone who knows what that version has.
    edges = {source.entry.id for source in context.matrix.sources if source.range.exact is not None}
    return any(
        part.component == context.matrix.primary_component and _moves(part) and part.entry not in edges
        for part in parts
    )


def _lost_fixes(context: EvaluationContext, subject: str, includes: Sequence[str]) -> Iterator[ComponentDecision]:
    if lost := [fix for fix in includes if fix not in context.manifest.includes]:
        yield _of_pair(
            context,
            "loses-fix",
            f"{subject or 'The pair'} has {', '.join(lost)}, and the bundle does not include it.",
            f"Take a release that includes {', '.join(lost)}.",
            subject=subject,
        )


def _final_states(
    context: EvaluationContext, appliance: Appliance, parts: Sequence[ComponentDecision]
) -> Iterator[ComponentDecision]:
    moved = {part.component for part in parts if part.kind != "stays"}
    left = [] if APPLIANCE in moved else [member.version for member in appliance.members.values()]
    for text in dict.fromkeys(left) or [context.manifest.version]:
        state = _state(context, appliance, text, new=moved)
        works, _ = work_together(context.matrix, state)
        found = _named(state)
        if works is False:
            yield _of_pair(context, "incompatible", *_not_together(state))
        elif works is None and not state.keys() <= context.matrix.carried.keys():
            # What one bundle carries was made to work together; what stays behind needs an entry.
            yield _of_pair(
                context,
                "undecided",
                f"The matrix does not state whether {found} work together, as the pair would have after the update.",
                "Ask the vendor for a bundle whose matrix states this in [[works-together]].",
            )


def _state(
    context: EvaluationContext, appliance: Appliance, member: str, *, new: Collection[str]
) -> dict[str, Version]:
    """The component versions around a member with that version; those in ``new`` are as the bundle has them."""
    shared = {name: part.version for name, part in appliance.components.items()}
    installed = shared | {APPLIANCE: member}
    return {
        name: context.matrix.carried[name] if name in new else context.matrix.parse(name, installed[name])
        for name in dict.fromkeys((APPLIANCE, *shared, *new))
    }


def _requirements(context: EvaluationContext, appliance: Appliance) -> Iterator[ComponentDecision]:
    requirements = context.manifest.requirements
    if requirements.tool is not None:
        yield from _tool(context, requirements.tool, appliance.tool)
    for place, need in requirements.free.items():
        shared = {name: installed for name, installed in appliance.components.items() if place in installed.free}
        for serial, member in (*appliance.members.items(), *shared.items()):
            have = member.free.get(place)
            if have is None and shared:
                continue  # a component that the pair shares has the place
            if have is None:
                yield _of_pair(
                    context,
                    "undecided",
                    f"{serial} needs {size_in_words(need)} free for {place}; how much it has is not known.",
                    f'Add the number of free bytes to the appliance state: "free": {{"{place}": …}} '
                    f'inside "{serial}" of "members".',
                )
            elif have < need:
                yield _of_pair(
                    context,
                    "requirement-not-met",
                    f"{serial} needs {size_in_words(need)} free for {place}, and has {size_in_words(have)}.",
                    f"Free {size_in_words(need - have)} more for {place} on {serial}.",
                )
    for condition in requirements.facts:
        if (met := context.holds(condition)) is None:
            because, remedy = context.unknown(condition)
            yield _of_pair(context, "undecided", f"The update needs that {in_words(condition)}, and {because}.", remedy)
        elif not met:
            yield _of_pair(
                context,
                "requirement-not-met",
                f"The update needs that {in_words(condition)}; it is {appliance.facts[condition.fact]}.",
                "Meet this condition, then try again.",
            )


def _tool(context: EvaluationContext, need: str, have: str | None) -> Iterator[ComponentDecision]:
    scheme = scheme_named("pep440")  # the update tool is a Python package, and versioned like one
    try:
        if have is not None and scheme.parse(have) >= scheme.parse(need):
            return
    except VersionError:
        have = None
    if have is None:
        yield _of_pair(
            context,
            "undecided",
            f"The update needs the tool in version {need} or later; which one is there is not known.",
            "Give the version of the tool in the appliance state.",
        )
    else:
        yield _of_pair(
            context,
            "requirement-not-met",
            f"The update needs the tool in version {need} or later; version {have} is used.",
            f"Update the tool to {need} first.",
        )
