"""The rules about losses, conflicts and requirements of the whole update: numbers 18 to 20 of the list in rules.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundlekit.config import size_in_words
from bundlekit.errors import VersionError
from bundlekit.facts import in_words
from bundlekit.matrix.compatibility import work_together
from bundlekit.matrix.pair import moves, named, state_around
from bundlekit.matrix.read import APPLIANCE
from bundlekit.matrix.terms import beyond_version, open_limits, unmet_demands
from bundlekit.versions import scheme_named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bundlekit.matrix.context import EvaluationContext
    from bundlekit.matrix.pair import PairQuestion
    from bundlekit.model.appliance import Appliance
    from bundlekit.model.decision import ComponentDecision
    from bundlekit.versions import Version


def no_fix_lost(question: PairQuestion) -> None:
    """Rule 18: no fix is lost, unless an explicit edge names the installed version."""
    context, appliance = question.context, question.appliance
    may_lose = _may_lose_fixes(context, question.parts)
    includes = appliance.includes if appliance else question.facts.includes
    if includes is None and appliance is None:
        context.leave_open("fixes that the update loses", "loses-fix")
    elif includes is None and may_lose:
        question.decide(
            "undecided",
            "It is unknown which fixes the pair has, so the update could lose one.",
            "Give the included fixes in the appliance state; an empty list if there are none.",
        )
    elif may_lose and (lost := [fix for fix in includes or () if fix not in context.manifest.includes]):
        who = "The pair" if appliance else question.subject
        question.decide(
            "loses-fix",
            f"{who} has {', '.join(lost)}, which the bundle does not include.",
            f"Get a release that includes {', '.join(lost)}.",
        )


def works_together(question: PairQuestion) -> None:
    """Rule 19: the components that will run together work together."""
    if question.appliance is None:
        _works_with_version(question)
    else:
        _final_states(question, question.appliance)


def requirements_met(question: PairQuestion) -> None:
    """Rule 20: the requirements of the bundle and of its format are met. For a version alone they are left open."""
    if question.appliance is None:
        _leave_requirements_open(question.context)
    else:
        _requirements(question, question.appliance)
        _terms(question, question.appliance)


def _works_with_version(question: PairQuestion) -> None:
    """Rule 19 for a version alone, as far as its own bundle specifies the components that it came with."""
    context, matrix = question.context, question.context.matrix
    others = {name: text for name, text in question.facts.components if name != matrix.primary_component}
    for name in matrix.carried:
        if name != matrix.primary_component and name not in others:
            context.leave_open(f"the installed {name}", "incompatible")
    if any(part.rejected for part in question.parts):
        return
    try:
        left = {name: matrix.parse(name, text) for name, text in others.items() if name not in matrix.carried}
    except VersionError:
        return
    state = matrix.carried | left
    # The lint checks the components of one bundle together. The decision checks them against the remaining ones.
    if left and work_together(matrix, state)[0] is False:
        question.decide("incompatible", *_not_together(state))


def _leave_requirements_open(context: EvaluationContext) -> None:
    requirements = context.manifest.requirements
    if requirements.tool is not None:
        context.leave_open(f"the required version of the tool ({requirements.tool})", "requirement-not-met")
    for place in requirements.free:
        context.leave_open(f"the required free space for {place}", "requirement-not-met")
    for condition in requirements.facts:
        context.leave_open(f"the required condition that {in_words(condition)}", "requirement-not-met")
    for demand in beyond_version(context.matrix.terms):
        context.leave_open(demand, "requirement-not-met")


def _not_together(state: Mapping[str, Version]) -> tuple[str, str]:
    return (
        f"After the update the pair would have {named(state)}, which are incompatible.",
        "First update the other components to versions that are compatible with both.",
    )


def _may_lose_fixes(context: EvaluationContext, parts: Sequence[ComponentDecision]) -> bool:
    # The author of an edge that names one version knows the fixes of that version.
    edges = {source.entry.id for source in context.matrix.sources if source.range.exact is not None}
    return any(
        part.component == context.matrix.primary_component and moves(part) and part.entry not in edges for part in parts
    )


def _final_states(question: PairQuestion, appliance: Appliance) -> None:
    """The states that the pair can have after the update."""
    context, parts = question.context, question.parts
    moved = {part.component for part in parts if part.kind != "not-included"}
    left = [] if APPLIANCE in moved else [member.version for member in appliance.members.values()]
    for text in dict.fromkeys(left) or [context.manifest.version]:
        state = state_around(context, appliance, text, new=moved)
        works, _ = work_together(context.matrix, state)
        found = named(state)
        if works is False:
            question.decide("incompatible", *_not_together(state))
        elif works is None and not state.keys() <= context.matrix.carried.keys():
            # The components of one bundle are made to work together. A remaining component needs an entry.
            question.decide(
                "undecided",
                f"After the update the pair would have {found}. The matrix does not state whether they are compatible.",
                "Ask the vendor for a bundle whose matrix states this in [[works-together]].",
            )


def _requirements(question: PairQuestion, appliance: Appliance) -> None:
    context, requirements = question.context, question.context.manifest.requirements
    if requirements.tool is not None:
        _tool(question, requirements.tool, appliance.tool)
    for place, need in requirements.free.items():
        shared = {name: installed for name, installed in appliance.components.items() if place in installed.free}
        for serial, member in (*appliance.members.items(), *shared.items()):
            have = member.free.get(place)
            if have is None and shared:
                continue  # a shared component has this name
            if have is None:
                question.decide(
                    "undecided",
                    f"{serial} needs {size_in_words(need)} free for {place}, but its free space is unknown.",
                    f'Add the number of free bytes to the appliance state: "free": {{"{place}": …}} '
                    f'inside "{serial}" of "members".',
                )
            elif have < need:
                question.decide(
                    "requirement-not-met",
                    f"{serial} needs {size_in_words(need)} free for {place}, but has {size_in_words(have)}.",
                    f"Free {size_in_words(need - have)} more for {place} on {serial}.",
                )
    for condition in requirements.facts:
        if (met := context.holds(condition)) is None:
            because, remedy = context.unknown(condition)
            question.decide("undecided", f"The update requires that {in_words(condition)}, and {because}.", remedy)
        elif not met:
            question.decide(
                "requirement-not-met",
                f"The update requires that {in_words(condition)}, but it is {appliance.facts[condition.fact]}.",
                "Meet this condition, then try again.",
            )


def _terms(question: PairQuestion, appliance: Appliance) -> None:
    """The demands that the format of the bundle states."""
    terms = question.context.matrix.terms
    for fault in unmet_demands(terms, appliance):
        question.decide(fault.kind, fault.message, fault.next)
    for limit in open_limits(terms, appliance):
        question.context.not_checked.append(limit)


def _tool(question: PairQuestion, need: str, have: str | None) -> None:
    scheme = scheme_named("pep440")  # the update tool is a Python package with such a version
    try:
        if have is not None and scheme.parse(have) >= scheme.parse(need):
            return
    except VersionError:
        have = None
    if have is None:
        question.decide(
            "undecided",
            f"The update requires version {need} or later of the tool, but its version is unknown.",
            "Give the version of the tool in the appliance state.",
        )
    else:
        question.decide(
            "requirement-not-met",
            f"The update requires version {need} or later of the tool, but version {have} is used.",
            f"Update the tool to {need} first.",
        )
