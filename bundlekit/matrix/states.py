"""The states of the search for a path: a version alone, or a whole pair, and the result of an update."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from bundlekit.matrix.pair import moves
from bundlekit.matrix.read import APPLIANCE, ReadMatrix
from bundlekit.matrix.terms import provided_after
from bundlekit.model.appliance import NO_FACTS, Appliance, VersionFacts
from bundlekit.model.primitives import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bundlekit.model.decision import ComponentDecision, Decision


class VersionState(Frozen, frozen=True, kw_only=True):
    """A version alone on a path, with the facts from the bundles that it came from.

    ``models`` are those that all bundles so far are for; None: none of these bundles is available.
    """

    version: str
    models: tuple[str, ...] | None = None
    facts: VersionFacts = NO_FACTS


Here = VersionState | Appliance
"""A state of the search."""


def is_no_news(state: VersionState, hops: int, reached: Iterable[tuple[int, VersionState]]) -> bool:
    """Whether ``hops`` or fewer already lead to its version, with all its models and without more restrictions."""
    return any(
        before <= hops
        and set(one.models or ()).issuperset(state.models or ())
        and _demands_no_more(one.facts, state.facts)
        for before, one in reached
    )


def _demands_no_more(facts: VersionFacts, than: VersionFacts) -> bool:
    """Whether a version with these facts can go wherever one with those can. An unknown fact rejects nothing."""
    counter = facts.counter is None or (than.counter is not None and facts.counter <= than.counter)
    fixes = facts.includes is None or (than.includes is not None and set(facts.includes) <= set(than.includes))
    return counter and fixes and (facts.released, facts.components) == (than.released, than.components)


def version_texts(state: Here, component: str) -> list[str]:
    """The versions of a component: for the appliance one for each member."""
    if isinstance(state, VersionState):
        return [state.version]
    if component == APPLIANCE:
        return [member.version for member in state.members.values()]
    return [state.components[component].version] if component in state.components else []


def version_text(state: Here, component: str) -> str:
    """The version of a component; if the members have several, all of them."""
    return " and ".join(dict.fromkeys(version_texts(state, component))) or "unknown"


def after_update(state: Appliance, matrix: ReadMatrix, decision: Decision) -> Appliance:
    """The state after an allowed update: updated parts are as in the bundle, and all others are unchanged."""
    manifest, primary = matrix.manifest, matrix.primary_component
    targets = {
        (component_decision.subject, component_decision.component): component_decision.target
        for component_decision in moving_parts(decision)
    }
    counters = [counter for counter in (state.counter, manifest.counter) if counter is not None]

    def moved(subject: str, component: str) -> dict[str, str | None]:
        build = manifest.build if component == primary else None
        return {"version": targets[subject, component], "build": build, "released": manifest.released or None}

    members = {
        serial: replace(member, **moved(serial, APPLIANCE)) if (serial, APPLIANCE) in targets else member
        for serial, member in state.members.items()
    }
    components = {
        name: replace(component, **moved(name, name)) if (name, name) in targets else component
        for name, component in state.components.items()
    }
    # New software has the fixes that it includes, and a hotfix adds its own. The matrix specifies the keys that it
    # trusts.
    is_new = any(component == APPLIANCE for _, component in targets)
    kept = () if is_new and manifest.kind != "hotfix" else state.includes or ()
    return replace(
        state,
        members=members,
        components=components,
        counter=max(counters),
        includes=tuple(sorted({*kept, *manifest.includes})),
        trusts=None if is_new else state.trusts,
        provides=provided_after(matrix.terms, state.provides),
    )


def facts_after(facts: VersionFacts, matrix: ReadMatrix) -> VersionFacts:
    """The known facts about a version alone after an update: those of the bundle, and those that stay."""
    manifest = matrix.manifest
    counters = [counter for counter in (facts.counter, manifest.counter) if counter is not None]
    kept = facts.includes if manifest.kind == "hotfix" else ()
    shared = dict(facts.components) | {name: version.text for name, version in matrix.carried.items()}
    return VersionFacts(
        released=manifest.released or None,
        counter=max(counters),
        includes=None if kept is None else tuple(sorted({*kept, *manifest.includes})),
        components=tuple(sorted((name, text) for name, text in shared.items() if name != matrix.primary_component)),
    )


def moving_parts(decision: Decision) -> list[ComponentDecision]:
    """The decisions about the parts that the update changes."""
    return [one for one in decision.component_decisions if one.component and moves(one)]
