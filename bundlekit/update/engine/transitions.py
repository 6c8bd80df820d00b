"""The linear order of an update, and where each failure leads. Both are defined in this module only.

A run has a *mode*. It begins in the mode *forward*. A failure can change the mode, but never back:

    forward   validate, describe, survey, prepare everything, survey again
              apply and verify each step of the first group
              -- commit point --
              commit each step of the first group
              wait for the gates between groups
              apply and verify each step of a later group, then commit each of them
              confirm everything, wait for the gates, ask them again, clean up          -> succeeded
    back      revert what the plan lists, confirm, wait for the gates, ask them again, clean up
                                                                                        -> reverted, cancelled
    stop      clean up                                                                  -> rejected, cancelled
    degrade   confirm, clean up                                                         -> degraded
    operator  confirm what can be, clean up                                             -> needs-operator
    lost      probe, change nothing more                                                -> rejected, superseded

*Survey* and *confirm* are probes: of the state before the run touches anything, and of the state at the end. The
second survey follows when the target has the fence of the run, because only then are other controllers kept out.
No run ends on the answer of a changing hook alone: every mode that changed something has *confirm*. The mode *stop*
cleans up only what this run has staged. The staging, the fence and the hold of a pair that it did not change are not
its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from bundlekit.update.engine.job import Job
from bundlekit.update.engine.plan import OutcomeKind
from bundlekit.update.engine.records import Exit

Way = Literal["forward", "back", "stop", "degrade", "operator", "lost"]

FIRST: Final = ("validate", "describe", "survey", "prepare", "resurvey")
GROUP: Final = ("apply", "verify")
COMMIT_POINT: Final = "commit-point"
LAST: Final[dict[Way, tuple[str, ...]]] = {
    "forward": ("confirm", "gate", "again", "cleanup"),
    "back": ("revert", "confirm", "gate", "again", "cleanup"),
    "stop": ("cleanup",),
    "degrade": ("confirm", "cleanup"),
    "operator": ("confirm", "cleanup"),
    "lost": ("confirm",),
}
"""How each way ends, phase by phase; the way forward has the steps above before it."""

GATES_AFTER: Final = {"forward": "success", "back": "revert"}

FAILURE: Final[dict[str, Exit | Literal["back"] | None]] = {
    "validate": "stop",
    "describe": "stop",
    "survey": "stop",
    "prepare": "stop",
    "resurvey": "stop",
    "apply": "back",
    "verify": "back",
    "commit": None,
    "revert": "operator",
    "confirm": "operator",
    "between": "degrade",
    "gate": "degrade",
    "again": "degrade",
    "cleanup": None,
}
"""Where a failed move leads. None: the failure is noted and the run goes on, because it changes nothing.

``planner.fail`` makes two corrections. After the commit point *back* becomes *degrade*. Before the first apply it
becomes *stop*, because there is nothing to revert.
"""

OUTCOMES: Final[dict[Way, tuple[OutcomeKind, ...]]] = {
    "forward": ("succeeded",),
    "back": ("reverted", "cancelled"),
    "stop": ("rejected", "cancelled"),
    "degrade": ("degraded",),
    "operator": ("needs-operator",),
    "lost": ("rejected", "superseded"),
}


class Move(NamedTuple):
    """One move of a way: a phase, and the step or gate it is for; between groups also the number of the first."""

    phase: str
    step: str
    group: int = 0


def way_of(way: Way, job: Job, revert: tuple[str, ...] = ()) -> tuple[Move, ...]:
    """Every move of ``way``, in order."""
    return tuple(_moves(way, job, revert))


def _moves(way: Way, job: Job, revert: tuple[str, ...]) -> Iterator[Move]:
    if way == "forward":
        for phase in FIRST:
            yield from (Move(phase, step) for step in job.targets)
        for number, group in enumerate(job.groups()):
            yield from (Move(phase, step) for step in group for phase in GROUP)
            if number == 0:
                yield Move(COMMIT_POINT, "")
            yield from (Move("commit", step) for step in group)
            if number < len(job.groups()) - 1:
                gates = job.plan.gates.items()
                yield from (Move("between", name, number) for name, gate in gates if "group" in gate.after)
    for phase in LAST[way]:
        if phase in {"gate", "again"}:
            yield from (Move(phase, name) for name, gate in job.plan.gates.items() if GATES_AFTER[way] in gate.after)
        else:
            yield from (Move(phase, step) for step in (revert if phase == "revert" else job.targets))


def diagram() -> str:
    """The state diagram of a run as Mermaid text, drawn from the tables above. The edges name what failed."""
    lines = ["stateDiagram-v2", "    [*] --> forward"]
    edges: dict[tuple[str, str], list[str]] = {}
    for way in LAST:
        if way == "forward":
            for phase in (*FIRST, *GROUP, "commit"):
                _edge(edges, "forward", phase, FAILURE[phase])
            for phase in GROUP:
                _edge(edges, "forward", f"{phase} after the commit point", "degrade")
        for phase in LAST[way]:
            _edge(edges, way, phase, FAILURE[phase] if way not in {"operator", "lost"} else None)
    for way in ("forward", "back"):
        _edge(edges, way, "still busy, unknown, unexplained", "operator")
    for way in LAST:
        _edge(edges, way, "another controller has the pair", "lost")
    lines += [f"    {here} --> {there}: {', '.join(why)}" for (here, there), why in edges.items()]
    lines += [f"    {way} --> {end.replace('-', '_')}" for way, ends in OUTCOMES.items() for end in ends]
    ends = dict.fromkeys(end for group in OUTCOMES.values() for end in group)
    lines += [f"    {end.replace('-', '_')} --> [*]" for end in ends]
    return "\n".join(lines) + "\n"


def _edge(edges: dict[tuple[str, str], list[str]], here: str, phase: str, there: str | None) -> None:
    if there is not None and there != here:
        edges.setdefault((here, there), []).append(phase)
