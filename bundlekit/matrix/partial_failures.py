"""The states that a failed update can leave, determined before it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundlekit.matrix.compatibility import work_together
from bundlekit.matrix.pair import moves, named, state_around
from bundlekit.matrix.read import APPLIANCE
from bundlekit.model.decision import PartialFailureState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bundlekit.matrix.context import EvaluationContext
    from bundlekit.model.appliance import Appliance
    from bundlekit.model.decision import ComponentDecision
    from bundlekit.versions import Version


def partial_failures(
    context: EvaluationContext, appliance: Appliance, parts: Sequence[ComponentDecision]
) -> Iterator[PartialFailureState]:
    """Each state that a failure can leave, in the order in which an update could reach it.

    The active member and the shared components are updated first. Until all of them have succeeded, a failure reverts
    the member. A new shared component stays only if the matrix specifies that it works with the old member. After that
    nothing is reverted: a failure of the standby leaves the pair degraded.
    """
    moving = {part.component for part in parts if moves(part)}
    shared = tuple(sorted(moving - {APPLIANCE}))
    members = [APPLIANCE] * (APPLIANCE in moving)
    roles = {member.role for member in appliance.members.values()}
    for version in dict.fromkeys(member.version for member in appliance.members.values() if member.role == "active"):
        kept, old, done = (state_around(context, appliance, version, new=new) for new in (shared, (), moving))
        if members and shared:
            yield _active_fails(context, kept, shared)
        for name in shared:
            back = (*members, name)
            yield PartialFailureState(
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
            yield PartialFailureState(
                failure="standby",
                components=_texts(done),
                works=True,
                keeps=(*members, *shared),
                outcome="degraded",
                hold=True,
                message="If the update of the standby member fails, nothing is reverted: the active member serves "
                f"with {named(done)}, and HA is missing until the standby is repaired.",
            )


def _active_fails(
    context: EvaluationContext, state: Mapping[str, Version], shared: tuple[str, ...]
) -> PartialFailureState:
    """The active member fails after the shared components succeeded: it is reverted, and they are new."""
    works, entry = work_together(context.matrix, state)
    found, those = named(state), _listed(shared)
    if works:
        what = f"remain, which are compatible, so {those} stays new."
    else:
        doubt = "are not" if works is False else "are not known to be"
        what = f"would remain, which {doubt} compatible, so {those} is reverted too."
    return PartialFailureState(
        failure="active",
        components=_texts(state),
        works=works,
        entry=entry,
        reverts=(APPLIANCE,) if works else (APPLIANCE, *shared),
        keeps=shared if works else (),
        outcome="reverted",
        message=f"If the update of the active member fails, it is reverted. {found} {what}",
    )


def _texts(state: Mapping[str, Version]) -> dict[str, str]:
    return {name: version.text for name, version in state.items()}


def _listed(names: Sequence[str]) -> str:
    return " and ".join(names)
