"""The linear order of an update, and where each failure leads. Both are defined in this module only.

A run has a *mode*. It begins in the mode *apply*. A failure can change the mode, but never back:

    apply     validate, describe, survey, prepare everything, survey again
              apply and verify each step of the first group
              -- commit point --
              commit each step of the first group
              wait for the gates between groups
              apply and verify each step of a later group, then commit each of them
              confirm everything, wait for the gates, ask them again, clean up          -> succeeded
    rollback  revert what the plan lists, confirm, wait for the gates, ask them again, clean up
                                                                                        -> reverted, cancelled
    abort     clean up                                                                  -> rejected, cancelled
    degraded  confirm, clean up                                                         -> degraded
    manual    confirm what can be, clean up                                             -> needs-operator
    lost      probe, change nothing more                                                -> rejected, superseded

*Survey* and *confirm* are probes: of the state before the run touches anything, and of the state at the end. The
second survey follows when every component has the fence of the run, because only then are other controllers kept out.
*Prepare* writes it, so it is called for a component that is new already, too.
No run ends on the answer of a changing hook alone: every mode that changed something has *confirm*. The mode *abort*
cleans up only what this run has staged. The staging, the fence and the hold of a pair that it did not change are not
its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from bundlekit.update.engine.job import Job
from bundlekit.update.engine.plan import GateMoment, OutcomeKind
from bundlekit.update.engine.records import EndMode

RunMode = Literal["apply", "rollback", "abort", "degraded", "manual", "lost"]

FIRST: Final = ("validate", "describe", "survey", "prepare", "resurvey")
GROUP: Final = ("apply", "verify")
COMMIT_POINT: Final = "commit-point"
LAST: Final[dict[RunMode, tuple[str, ...]]] = {
    "apply": ("confirm", "gate", "again", "cleanup"),
    "rollback": ("revert", "confirm", "gate", "again", "cleanup"),
    "abort": ("cleanup",),
    "degraded": ("confirm", "cleanup"),
    "manual": ("confirm", "cleanup"),
    "lost": ("confirm",),
}
"""The last phases of each mode. The mode *apply* has the phases above before them."""

GATES_AFTER: Final[dict[RunMode, GateMoment]] = {"apply": "success", "rollback": "revert"}
"""The gates that are polled at the end of a mode."""

FAILURE: Final[dict[str, EndMode | Literal["rollback"] | None]] = {
    "validate": "abort",
    "describe": "abort",
    "survey": "abort",
    "prepare": "abort",
    "resurvey": "abort",
    "apply": "rollback",
    "verify": "rollback",
    "commit": None,
    "revert": "manual",
    "confirm": "manual",
    "between": "degraded",
    "gate": "degraded",
    "again": "degraded",
    "cleanup": None,
}
"""Where a failed task leads. None: the failure is noted and the run goes on, because it changes nothing.

``planner.fail`` makes two corrections. After the commit point *rollback* becomes *degraded*. Before the first apply it
becomes *abort*, because there is nothing to revert.
"""

OUTCOMES: Final[dict[RunMode, tuple[OutcomeKind, ...]]] = {
    "apply": ("succeeded",),
    "rollback": ("reverted", "cancelled"),
    "abort": ("rejected", "cancelled"),
    "degraded": ("degraded",),
    "manual": ("needs-operator",),
    "lost": ("rejected", "superseded"),
}


class PhaseStep(NamedTuple):
    """One task of a mode: a phase, and its step or gate. Between groups also the number of the first group."""

    phase: str
    step: str
    group: int = 0


def phase_steps(mode: RunMode, job: Job, revert: tuple[str, ...] = ()) -> tuple[PhaseStep, ...]:
    """Every task of ``mode``, in order."""
    return tuple(_phase_steps(mode, job, revert))


def _phase_steps(mode: RunMode, job: Job, revert: tuple[str, ...]) -> Iterator[PhaseStep]:
    if mode == "apply":
        for phase in FIRST:
            yield from (PhaseStep(phase, step) for step in job.targets)
        for number, group in enumerate(job.groups()):
            yield from (PhaseStep(phase, step) for step in group for phase in GROUP)
            if number == 0:
                yield PhaseStep(COMMIT_POINT, "")
            yield from (PhaseStep("commit", step) for step in group)
            if number < len(job.groups()) - 1:
                gates = job.plan.gates.items()
                yield from (PhaseStep("between", name, number) for name, gate in gates if "group" in gate.after)
    for phase in LAST[mode]:
        if phase in {"gate", "again"}:
            yield from (
                PhaseStep(phase, name) for name, gate in job.plan.gates.items() if GATES_AFTER[mode] in gate.after
            )
        else:
            yield from (PhaseStep(phase, step) for step in (revert if phase == "revert" else job.targets))


def diagram() -> str:
    """The state diagram of a run as Mermaid text, drawn from the tables above. The edges name what failed."""
    lines = ["stateDiagram-v2", "    [*] --> apply"]
    edges: dict[tuple[str, str], list[str]] = {}
    for mode in LAST:
        if mode == "apply":
            for phase in (*FIRST, *GROUP, "commit"):
                _edge(edges, "apply", phase, FAILURE[phase])
            for phase in GROUP:
                _edge(edges, "apply", f"{phase} after the commit point", "degraded")
        for phase in LAST[mode]:
            _edge(edges, mode, phase, FAILURE[phase] if mode not in {"manual", "lost"} else None)
    for mode in ("apply", "rollback"):
        _edge(edges, mode, "still busy, unknown, unexplained", "manual")
    for mode in LAST:
        _edge(edges, mode, "another controller has the pair", "lost")
    lines += [f"    {here} --> {there}: {', '.join(why)}" for (here, there), why in edges.items()]
    lines += [
        f"    {mode} --> {end.replace('-', '_')}" for mode, ends in OUTCOMES.items() for end in ends if end != mode
    ]
    ends = dict.fromkeys(end for group in OUTCOMES.values() for end in group)
    lines += [f"    {end.replace('-', '_')} --> [*]" for end in ends]
    return "\n".join(lines) + "\n"


def _edge(edges: dict[tuple[str, str], list[str]], here: str, phase: str, there: str | None) -> None:
    if there is not None and there != here:
        edges.setdefault((here, there), []).append(phase)
