"""What a rehearsal found, as a table: each end, the single faults that lead to it, and the recoveries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from bundlekit.model.primitives import Frozen
from bundlekit.update.engine.plan import Plan
from bundlekit.update.rehearsal.faults import FAULTS, KINDS
from bundlekit.update.rehearsal.rehearse import Rehearsal, label

SAME_LETTER: Final = {"P": "T", "K": "C"}
"""Letters that a table shows as one: a deadline is a deadline, a crash is a crash."""


LEGEND: Final = (
    "F the hook fails, T deadline, L deadline but done, B deadline and still busy, X hook killed, C controller killed"
)
"""The letters of the tables, for people; programs have ``faults.KINDS``."""

LEGEND_OF_ELSEWHERE: Final = (
    "Another controller meanwhile: S installs the same bundle and takes over, O another bundle, A takes nothing over"
)
"""The letters of faults that are another controller's work."""

LEGEND_OF_BROKEN: Final = "P is a T with part done, K a C before the hook"
"""The letters that tables show as one, and that a broken invariant distinguishes."""


class FaultRow(Frozen, frozen=True, kw_only=True):
    """One line of the table: an end, the single faults that lead to it, its recoveries and where they led."""

    outcome: str
    faults: tuple[str, ...]
    recoveries: dict[str, str]


def table(rehearsal: Rehearsal) -> tuple[FaultRow, ...]:
    """The single-fault table: for each end, which kinds of fault at which call lead to it."""
    ends: dict[str, dict[tuple[str, str], list[str]]] = {}
    steps = dict.fromkeys((*rehearsal.plan.order, *rehearsal.plan.gates))
    for run in rehearsal.runs:
        calls = ends.setdefault(label(run.outcome), {})
        if len(run.faults) == 1:
            fault = run.faults[0]
            letters = calls.setdefault((fault.verb, fault.step), [])
            letter = SAME_LETTER.get(fault.kind, fault.kind)
            if letter not in letters:
                letters.append(letter)
    return tuple(
        FaultRow(
            outcome=end,
            faults=tuple(_compressed(calls, tuple(steps), rehearsal.plan)),
            recoveries=rehearsal.recoveries[end],
        )
        for end, calls in ends.items()
    )


def _compressed(calls: dict[tuple[str, str], list[str]], steps: tuple[str, ...], plan: Plan) -> Iterator[str]:
    """Cells such as ``any prepare: F T``: the steps of a verb that have the same letters share one."""
    for verb in FAULTS:
        sharing: dict[str, list[str]] = {}
        for step in steps:
            if (verb, step) in calls:
                sharing.setdefault(" ".join(calls[verb, step]), []).append(step)
        for letters, names in sharing.items():
            whom = "any" if set(names) >= set(plan.order) else ", ".join(names)
            yield f"{whom} {verb}: {letters}"


def render(rehearsal: Rehearsal, form: Literal["text", "json", "markdown"] = "text") -> str:
    """The rehearsal for people (text, Markdown) or programs (JSON)."""
    rows = table(rehearsal)
    if form == "json":
        document = {
            "schema": "bundlekit/rehearsal/1",
            "plan": rehearsal.plan.name,
            "runs": len(rehearsal.runs),
            "kinds": KINDS,
            "outcomes": msgspec.to_builtins(rows),
            "broken": rehearsal.broken,
            "findings": msgspec.to_builtins(rehearsal.findings),
            "not_checked": rehearsal.not_checked,
        }
        return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"
    if form == "markdown":
        lines = ["| outcome | single faults | recovery |", "|---|---|---|"]
        lines += [f"| {row.outcome} | {'; '.join(row.faults)} | {'; '.join(_recoveries(row))} |" for row in rows]
    else:
        lines = []
        for row in rows:
            lines += [row.outcome, *(f"    after {fault}" for fault in row.faults)]
            lines += [f"    recovery: {steps}" for steps in _recoveries(row)]
    lines += ["", *([LEGEND, LEGEND_OF_ELSEWHERE] if form == "text" else [])]
    like = sum(run.like is not None for run in rehearsal.runs)
    alike = f" ({like} skipped: they would send the hooks the same requests as another run)" if like else ""
    lines += [f"{len(rehearsal.runs)} runs{alike}, {_found(rehearsal)}"]
    lines += [f"BROKEN {what}" for what in rehearsal.broken]
    lines += [LEGEND_OF_BROKEN] if rehearsal.broken else []
    if rehearsal.not_checked:
        bullet = "- " if form == "markdown" else "    "
        lines += [
            "",
            "Not checked:",
            *(
                [
                    "",
                ]
                if form == "markdown"
                else []
            ),
        ]
        lines += [f"{bullet}{what}" for what in rehearsal.not_checked]
    return "\n".join(lines) + "\n"


def _found(rehearsal: Rehearsal) -> str:
    """How much is broken; answers and ends of hooks are counted where there were hooks to compare."""
    wrong = len(rehearsal.findings)
    invariants = f"{len(rehearsal.broken) - wrong} broken invariants"
    return f"{wrong} wrong answers or ends, {invariants}" if rehearsal.not_checked else invariants


def _recoveries(row: FaultRow) -> list[str]:
    return [f"{steps} -> {led}" for steps, led in row.recoveries.items() if steps]
