"""The plan: which steps, in which groups, and what to do when one fails. Data, one per product.

Another product updates its standby first, keeps other versions, waits longer: it writes another ``PLAN.toml``
(:func:`load_plan`), never other code. The pair of this project's seed is :data:`PAIR`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from msgspec import Meta
from msgspec.structs import replace

from bundlekit.config import convert, load_toml, parse_duration
from bundlekit.errors import ConfigError
from bundlekit.model.primitives import END, KeyName, Name, Strict, Text
from bundlekit.schema_errors import first_key, nearest

Verb = Literal[
    "validate", "describe", "prepare", "apply", "probe", "verify", "commit", "revert", "gate", "cleanup",
    "reimage",  # in a rehearsal only
]  # fmt: skip
"""The verbs of hooks. ``notify`` is not one of them, because nothing depends on its answer."""

OutcomeKind = Literal[
    "succeeded", "rejected", "cancelled", "reverted", "degraded", "needs-operator", "superseded",  # ends of a run
    "on-hold", "busy", "waiting", "nothing-to-resume",                               # no end, or no run
]  # fmt: skip
"""The outcomes of an update. The page about outcomes explains each of them."""

GateMoment = Literal["group", "success", "revert"]
"""When a gate is polled: before the next group is changed, after all groups, or after the reverts."""

Duration = Annotated[
    str,
    Meta(
        pattern=r"^[1-9][0-9]{0,5} (?:s|min|h|days)" + END,
        description="A whole number and a unit: '30 s', '45 min', '2 h', '1 days'.",
    ),
]


ON_MEMBERS: Final = "appliance"
"""The component that each member of a pair runs. Upgrade matrix and state use the same name for it."""

PLACEHOLDERS: Final = ("pair", "identity", "component")
"""The names in braces that an argument of a hook can contain. ``identity`` is the member's serial, or the pair's name.
"""

PLACEHOLDER: Final = re.compile(r"\{([A-Za-z][A-Za-z0-9_-]*)\}")

Argv = Annotated[tuple[Text, ...], Meta(max_length=16)]
"""An external command: a program's path and its first arguments, in which ``{pair}`` and such are filled in."""


@cache
def seconds(duration: str) -> int:
    """Seconds of a :data:`Duration`."""
    return parse_duration(duration, where="duration")


class Step(Strict, frozen=True, kw_only=True):
    """One thing to update: a component of the bundle, on one member of the pair or shared by both.

    ``member`` is the role *at the start*. After that the member is named by its identity, because roles change.
    ``hook`` is the argv of an external command. Without one the step is served by ``[slots]``. The command gets the
    component as a *file*, or as a *pipe* if it opted in.
    """

    component: KeyName
    member: Literal["active", "standby"] | None = None
    hook: Argv = ()
    handover: Literal["file", "pipe"] = "file"


class Slots(Strict, frozen=True, kw_only=True):
    """Pairs that exist as folders with A/B slots; ``root`` holds them, relative to the plan's folder."""

    root: Annotated[Text, Meta(min_length=1)]


class IfIncompatible(Strict, frozen=True, kw_only=True):
    """The order of reverts where what the plan would keep does not suit the old rest: all that it names or keeps."""

    revert: Annotated[tuple[KeyName, ...], Meta(min_length=1, max_length=8)]


class OnFailure(Strict, frozen=True, kw_only=True):
    """What to do when the step of this name fails.

    Before the commit point, the outcome is *reverted*: ``revert`` these steps, in this order, and ``keep`` those on
    their new version, unless that does not work together with the old rest. Then they are reverted too, in the order
    that ``if_incompatible`` gives, by default last. ``hold`` puts the pair on hold.
    After the commit point nothing is reverted. The outcome is *degraded*, the pair is on hold, and ``recovery`` is how
    it is repaired; no other key is allowed there.
    """

    revert: tuple[KeyName, ...] = ()
    keep: tuple[KeyName, ...] = ()
    if_incompatible: Literal["revert"] | IfIncompatible = "revert"
    hold: bool = False
    recovery: Literal["repair", "reimage"] = "repair"


class Group(Strict, frozen=True, kw_only=True):
    """Steps that succeed or fail together. The commit point follows the first group."""

    steps: Annotated[tuple[KeyName, ...], Meta(min_length=1, max_length=8)]
    on_failure: dict[KeyName, OnFailure]


class Gate(Strict, frozen=True, kw_only=True):
    """A state of the whole pair to wait for, such as the re-formed cluster.

    Polled every ``poll``. Operators are shown that it is usual between the two durations of ``expect``. After
    ``deadline`` the pair is degraded. ``hook`` is polled, by default the hook of the first step. A gate ``after`` a
    *group* is waited for before the next group is touched. It can check that the new active is in HA before the standby
    is taken down.
    """

    hook: Argv = ()
    after: Annotated[tuple[GateMoment, ...], Meta(min_length=1)] = ("success", "revert")
    poll: Duration = "30 s"
    expect: tuple[Duration, Duration]
    deadline: Duration


class Deadlines(Strict, frozen=True, kw_only=True):
    """How long each hook can take. ``settle``: how long a component can still be busy after that.

    ``settle-poll`` is the pause between two probes of a component that is busy or unknown. It is also the pause before
    a hook that answered *retry later* is asked again.
    """

    validate: Duration = "1 min"
    describe: Duration = "1 min"
    prepare: Duration = "60 min"
    apply: Duration = "90 min"
    probe: Duration = "1 min"
    verify: Duration = "10 min"
    commit: Duration = "10 min"
    revert: Duration = "90 min"
    gate: Duration = "1 min"
    cleanup: Duration = "10 min"
    settle: Duration = "10 min"
    settle_poll: Duration = "30 s"


class Plan(Strict, frozen=True, kw_only=True):
    """How the update of one product goes, in the order of its groups. ``messages`` are shown with an outcome.

    A file has to name its version; in a program and in a journal ``plan`` is as this class is.
    """

    plan: Literal[1] = 1
    name: Text
    steps: Annotated[dict[KeyName, Step], Meta(min_length=1, max_length=8)]
    groups: Annotated[tuple[Group, ...], Meta(min_length=1, max_length=8)]
    gates: Annotated[dict[Name, Gate], Meta(max_length=4)] = {}
    deadlines: Deadlines = Deadlines()
    slots: Slots | None = None
    messages: dict[OutcomeKind, Text] = {}

    @property
    def order(self) -> tuple[str, ...]:
        """The names of the steps in the order of the groups."""
        return tuple(step for group in self.groups for step in group.steps)

    @property
    def in_program(self) -> bool:
        """Whether a program has the hooks: neither a command nor ``[slots]`` serves each of the steps."""
        return self.slots is None and not all(step.hook for step in self.steps.values())

    def policy(self, step: str) -> OnFailure:
        """What to do when ``step`` fails."""
        return next(group.on_failure[step] for group in self.groups if step in group.steps)

    def deadline(self, verb: Verb) -> int:
        """Seconds that a hook can take for ``verb``."""
        return seconds(getattr(self.deadlines, verb))


HA_FORMED: Final = Gate(expect=("45 min", "60 min"), deadline="90 min")
"""The cluster re-forms in 45 to 60 minutes on the real product (the vendor's release notes)."""

PAIR: Final = Plan(
    name="appliance pair, active first",
    steps={
        "storage": Step(component="storage"),
        "active": Step(component="appliance", member="active"),
        "standby": Step(component="appliance", member="standby"),
    },
    groups=(
        Group(
            steps=("storage", "active"),
            on_failure={
                "storage": OnFailure(revert=("active", "storage"), hold=True),
                "active": OnFailure(revert=("active",), keep=("storage",)),
            },
        ),
        Group(steps=("standby",), on_failure={"standby": OnFailure()}),
    ),
    gates={"ha-formed": HA_FORMED},
)
"""The default plan of this project: storage and active succeed or fail together, then the standby follows."""


def load_plan(path: Path) -> Plan:
    """Read ``PLAN.toml``; raises ConfigError, which names the key and what to write instead.

    Paths in it are relative to its folder. They come back absolute, so that a run can be resumed from anywhere.
    """
    data = load_toml(path)
    if data.get("plan") != 1:
        found = first_key(data, "plan")
        raise ConfigError(f"{path}: has {found}; a plan begins with plan = 1")
    plan = _located(convert(data, Plan, where=str(path)), Path(os.path.abspath(path)).parent)
    for problem in (*_contradictions(data), *problems(plan)):
        raise ConfigError(f"{path}: {problem}", next_step="See `bundlekit explain executor`.")
    return plan


def _contradictions(data: dict[str, Any]) -> Iterator[str]:
    """What a file spells out and a :class:`Plan` cannot show any more, since a key left out means the same."""
    for table in ("steps", "gates"):
        for name, entry in data.get(table, {}).items():
            if entry.get("hook") == []:
                yield f"{table}.{name} has hook = [], which names no program; omit the key, or name one"
            if "handover" in entry and "hook" not in entry:
                yield f"{table}.{name} has a handover and no hook: only a command gets the component handed over"


def _located(plan: Plan, folder: Path) -> Plan:
    def program(argv: tuple[str, ...]) -> tuple[str, ...]:
        return (str(folder / argv[0]), *argv[1:]) if argv else ()

    return replace(
        plan,
        steps={name: replace(step, hook=program(step.hook)) for name, step in plan.steps.items()},
        gates={name: replace(gate, hook=program(gate.hook)) for name, gate in plan.gates.items()},
        slots=replace(plan.slots, root=str(folder / plan.slots.root)) if plan.slots else None,
    )


def _wrong_hooks(plan: Plan) -> Iterator[str]:
    """Placeholders that are none. The program itself has to be the same for every pair."""
    for what, entries in (("step", plan.steps), ("gate", plan.gates)):
        for name, entry in entries.items():
            for number, word in enumerate(entry.hook):
                for placeholder in PLACEHOLDER.findall(word):
                    if number == 0 or placeholder not in PLACEHOLDERS:
                        known = ", ".join(f"{{{known}}}" for known in PLACEHOLDERS)
                        where = "the program's name" if number == 0 else f"word {number + 1}"
                        found = f"the hook of {what} '{name}' has {{{placeholder}}} in {where}"
                        yield f"{found}; arguments can have {known}"


def _wrong_members(plan: Plan) -> Iterator[str]:
    """Steps about a component that members do not run, or that the pair does not share."""
    for name, step in plan.steps.items():
        if step.member and step.component != ON_MEMBERS:
            yield (
                f"step '{name}' has a member and the component '{step.component}', but members run '{ON_MEMBERS}'; "
                f"use '{ON_MEMBERS}' here and in the bundle, or omit member"
            )
        if not step.member and step.component == ON_MEMBERS:
            yield f"step '{name}' updates '{ON_MEMBERS}', which runs on each member; give it a member"


def problems(plan: Plan) -> list[str]:
    """Faults that the schema cannot express, as sentences: unmatched names, and guarantees that cannot be kept."""
    found = []
    order = plan.order
    found += [f"group step '{name}' is not among [steps]" for name in order if name not in plan.steps]
    found += list(_wrong_hooks(plan))
    found += list(_wrong_members(plan))
    served: dict[tuple[str, str], str] = {}
    for name, step in plan.steps.items():
        where = step.component, step.member or ""
        if where in served:
            whom = f"'{step.component}' on the {step.member}" if step.member else f"the shared '{step.component}'"
            found.append(f"steps '{served[where]}' and '{name}' both update {whom}")
        served.setdefault(where, name)
    found += [
        f"gate '{name}' has the name of a step, so it would use the hook of that step; name it after what it waits for"
        for name in plan.gates
        if name in plan.steps
    ]
    found += [f"step '{name}' is in no group" for name in plan.steps if name not in order]
    found += [f"step '{name}' is in two groups" for name in plan.steps if order.count(name) > 1]
    for number, group in enumerate(plan.groups):
        found += [
            f"on-failure names '{name}', which is not in its group"
            for name in group.on_failure
            if name not in group.steps
        ]
        for name in group.steps:
            policy = group.on_failure.get(name)
            if policy is None:
                found.append(f"step '{name}' has no on-failure entry, so the result of its failure is undefined")
            elif number:
                if policy.hold or policy.revert or policy.keep:
                    found.append(
                        f"step '{name}' comes after the commit point, where nothing is reverted and its failure always "
                        "puts the pair on hold: its on-failure can have recovery only"
                    )
            else:
                named = (*policy.revert, *policy.keep)
                if name not in policy.revert:
                    found.append(f"step '{name}' comes before the commit point, so its on-failure has to revert it")
                found += [
                    f"on-failure of '{name}' names '{other}', which is not in its group"
                    + (nearest(other, set(plan.steps)) if other not in plan.steps else "")
                    for other in named
                    if other not in group.steps
                ]
                if sorted(named) != sorted(set(named)):
                    found.append(f"on-failure of '{name}' names a step twice")
                order_of_reverts = policy.if_incompatible
                if order_of_reverts != "revert" and sorted(order_of_reverts.revert) != sorted(named):
                    found.append(
                        f"on-failure of '{name}': if-incompatible has to revert exactly what revert and keep name "
                        f"({', '.join(named)}), each once"
                    )
                earlier = group.steps[: group.steps.index(name)]
                found += [
                    f"on-failure of '{name}' does not mention '{other}', which is updated before it"
                    for other in earlier
                    if other not in named
                ]
    for name, gate in plan.gates.items():
        if "group" in gate.after and len(plan.groups) < 2:
            found.append(f"gate '{name}' is polled after a group, but no group follows the first")
        shortest, longest = map(seconds, gate.expect)
        if not seconds(gate.poll) <= seconds(gate.deadline) or not shortest <= longest <= seconds(gate.deadline):
            found.append(f"gate '{name}' needs poll <= deadline and expect[0] <= expect[1] <= deadline")
    return found
