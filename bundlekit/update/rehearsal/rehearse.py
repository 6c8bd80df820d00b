"""Rehearsal: run a plan over and over, put a fault at every position, look at every end.

The faults are between the executor and the hooks. So the same sweep runs over the simulated pair and over an
integrator's own hooks in a sandbox. Every run is checked against the invariants, and against the end that the plan
itself leads to. Every answer of the hooks is compared with that of correct ones. Every kind of end is followed by its
recovery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec.structs import replace

from bundlekit.model.primitives import Frozen
from bundlekit.update.engine.clock import ManualClock
from bundlekit.update.engine.plan import Plan
from bundlekit.update.engine.records import Outcome
from bundlekit.update.rehearsal.contract import NOT_CHECKED, Contract
from bundlekit.update.rehearsal.expectation import Expectations, Expected, Faults, deciding, visits_of, worse
from bundlekit.update.rehearsal.faults import ELSEWHERE, FAULTS, InjectedFault, Position
from bundlekit.update.rehearsal.invariants import broken as _broken
from bundlekit.update.rehearsal.invariants import broken_beside
from bundlekit.update.rehearsal.oracle import WRITING, Mismatch
from bundlekit.update.rehearsal.sandbox import EmptyBundle, Sandbox, SandboxFactory, calm, over, simulated
from bundlekit.update.rehearsal.trial import Trial

__all__ = [
    "EmptyBundle",
    "Rehearsal",
    "RehearsalFinding",
    "RehearsalRun",
    "Sandbox",
    "calm",
    "label",
    "over",
    "rehearse",
    "simulated",
]

RehearsalProgress = Callable[[int, int], None]
"""Called with the number of runs done, and of all runs. The total grows while deeper sweeps find more."""


class RehearsalRun(Frozen, frozen=True, kw_only=True):
    """One rehearsed run: its faults, its outcome, and the invariants it broke.

    ``like``: it was not made, because its hooks would have been asked exactly what they were asked in that run.
    """

    faults: tuple[InjectedFault, ...]
    outcome: Outcome
    broken: tuple[str, ...] = ()
    like: tuple[InjectedFault, ...] | None = None

    @property
    def end(self) -> tuple[object, ...]:
        """What a crash must not change. A resume can only know better what was not touched."""
        outcome = self.outcome
        states = tuple((step, state.replace("untouched", "old")) for step, state in outcome.states.items())
        return outcome.kind, outcome.hold, outcome.ha, outcome.committed, states


class RehearsalFinding(Frozen, frozen=True, kw_only=True):
    """An end that is worse than the plan's, or an answer that correct hooks would not give.

    ``faults`` are those of the first run that showed it (empty: it shows without one), ``runs`` how many did.
    ``hook`` is the class and the method, or the command, that answered; ``answer`` is the answer that led there.
    """

    what: str
    verb: str
    step: str
    hook: str
    faults: str
    expected: str
    came: str
    answer: str
    runs: int = 1


class Rehearsal(Frozen, frozen=True, kw_only=True):
    """All runs of a sweep; ``recoveries``: for each kind of end, its recoveries and where each of them led.

    ``broken`` are sentences about all that is wrong, ``findings`` those of them that are about hooks, in parts.
    ``not_checked`` are the demands on hooks that this rehearsal could not check.
    """

    plan: Plan
    runs: tuple[RehearsalRun, ...]
    recoveries: dict[str, dict[str, str]]
    broken: tuple[str, ...]
    findings: tuple[RehearsalFinding, ...] = ()
    not_checked: tuple[str, ...] = ()


def rehearse(
    sandbox: SandboxFactory | None = None,
    *,
    faults: int = 1,
    verbs: tuple[str, ...] = (),
    steps: tuple[str, ...] = (),
    elsewhere: bool = True,
    progress: RehearsalProgress = lambda _done, _all: None,
) -> Rehearsal:
    """Run every sequence of at most ``faults`` faults, and check ends, answers, invariants and each recovery once.

    ``sandbox`` makes the pair for a run; the default is a simulated pair. ``verbs`` and ``steps``, which can be names
    of gates too, restrict where faults are put; empty means everywhere. ``elsewhere`` adds another controller as a
    fault. ``progress`` is called with the number of runs done and to do. Raises ConfigError if the hooks do not report
    that they are a sandbox, or cannot reset it between runs.
    """
    kinds = {verb: letters if elsewhere else letters.rstrip(ELSEWHERE) for verb, letters in FAULTS.items()}
    return _Sweep(sandbox or simulated(), kinds, verbs, steps, progress).all(faults)


class _Sweep:
    """The runs of one rehearsal and what is found in them."""

    def __init__(
        self,
        make: SandboxFactory,
        kinds: dict[str, str],
        verbs: tuple[str, ...],
        steps: tuple[str, ...],
        progress: RehearsalProgress,
    ) -> None:
        self.make, self.kinds = make, kinds
        self.verbs, self.steps, self.progress = verbs, steps, progress
        self.runs: dict[Faults, RehearsalRun] = {}
        self.recoveries: dict[str, dict[str, str]] = {}
        self.broken: list[str] = []
        self.findings: dict[tuple[str, ...], RehearsalFinding] = {}
        self.not_checked: tuple[str, ...] = ()
        self.asked: dict[tuple[object, ...], RehearsalRun] = {}
        first = make(ManualClock())
        self.plan, self.real, self.simulated = first.job.plan, first.real, first.simulated
        self.expectations = Expectations(first.job)

    def all(self, faults: int) -> Rehearsal:
        if not self.simulated:
            self._contract()
        frontier = self._one((), -1)
        for depth in range(1, faults + 1):
            planned = list(self._extended(frontier, depth))
            frontier = []
            for number, (placed, last, visits) in enumerate(planned):
                self.progress(number + 1, len(planned) + 1)
                frontier += self._one(placed, last, visits, deeper=depth < faults)
            self.progress(len(planned) + 1, len(planned) + 1)
        self._crashes()
        named = [finding.what for finding in self.findings.values()]
        return Rehearsal(
            plan=self.plan,
            runs=tuple(self.runs.values()),
            recoveries=self.recoveries,
            broken=(*named, *self.broken),
            findings=tuple(self.findings.values()),
            not_checked=self.not_checked,
        )

    def _contract(self) -> None:
        contract = Contract(self.make, tuple(step for step in self.steps if step in self.plan.steps))
        contract.check()
        for mismatch in contract.found:
            self._mismatch((), mismatch, "asked directly")
        self.not_checked = (*NOT_CHECKED, *contract.not_checked)

    def _one(
        self, placed: Faults, last: int, visits: tuple[tuple[str, str, int], ...] = (), *, deeper: bool = True
    ) -> list[tuple[Faults, int, tuple[Position, ...]]]:
        """One run with the faults ``placed``, the last of them at position ``last``, and the positions to extend it."""
        expected = None if self.simulated else self.expectations.of(placed, visits)
        like = self.asked.get(expected.passed) if self.real and expected is not None and not deeper else None
        if like is not None and expected is not None and label(expected.outcome) in self.recoveries:
            self.runs[placed] = RehearsalRun(faults=placed, outcome=expected.outcome, like=like.faults)
            return []
        trial = Trial(self.make, placed)
        outcome = trial.to_the_end()
        trace = tuple(trial.hooks.trace)  # without the recovery, which is not always walked
        states = trial.states()
        run = self.runs[placed] = RehearsalRun(
            faults=placed, outcome=outcome, broken=tuple(self._broken_in(trial, outcome, states))
        )
        self.broken += [f"{_names(placed)}: {what}" for what in run.broken]
        sound = not run.broken and self._as_expected(placed, trial, outcome, states, expected)
        self._walk(placed, trial, outcome)
        if sound and expected is not None and trial.mismatch is None:
            self.asked.setdefault(expected.passed, run)
        return [(placed, last, trace)] if deeper else []

    def _broken_in(self, trial: Trial, outcome: Outcome, states: dict[str, str]) -> Iterator[str]:
        yield from trial.hooks.violations
        if trial.other is not None:
            touched = trial.marks() != trial.left
            yield from broken_beside(trial.job, trial.records, outcome, trial.other, touched=touched)
        else:
            yield from _broken(trial.job, trial.records, outcome, states)

    def _as_expected(
        self, placed: Faults, trial: Trial, outcome: Outcome, states: dict[str, str], expected: Expected | None
    ) -> bool:
        """Whether the run ended as the plan promises; what did not is found."""
        mismatch = trial.mismatch
        if mismatch is not None:
            self._mismatch(placed, mismatch, _names(placed))
        if expected is None or not worse(expected, outcome, states):
            return True
        answer = str(mismatch) if mismatch is not None else deciding(trial.records, outcome)
        wanted, came = label(expected.outcome), label(outcome)
        if wanted == came:
            wanted, came = f"{wanted} ({_words(expected.states)})", f"{came} ({_words(states)})"
        self._find(
            ("end", *map(str, placed)),
            RehearsalFinding(
                what=f"{_names(placed)}: expected {wanted}, came {came}; {answer}",
                verb=mismatch.verb if mismatch else placed[-1].verb if placed else "",
                step=mismatch.step if mismatch else placed[-1].step if placed else outcome.failed,
                hook=mismatch.hook if mismatch else "",
                faults=_names(placed),
                expected=wanted,
                came=came,
                answer=answer,
            ),
        )
        return False

    def _mismatch(self, placed: Faults, mismatch: Mismatch, where: str) -> None:
        self._find(
            (mismatch.hook, mismatch.verb, mismatch.step, mismatch.expected, mismatch.came, mismatch.after),
            RehearsalFinding(
                what=f"{where}: {mismatch}",
                verb=mismatch.verb,
                step=mismatch.step,
                hook=mismatch.hook,
                faults=_names(placed) if placed else "",
                expected=mismatch.expected,
                came=mismatch.came,
                answer=str(mismatch),
            ),
        )

    def _find(self, key: tuple[str, ...], finding: RehearsalFinding) -> None:
        known = self.findings.get(key)
        self.findings[key] = replace(known, runs=known.runs + 1) if known else finding

    def _walk(self, placed: Faults, trial: Trial, outcome: Outcome) -> None:
        """Walk a recovery that was not walked yet."""
        recoveries = self.recoveries.setdefault(label(outcome), {})
        recovery = ", ".join(" ".join(filter(None, (one.verb, one.step, one.version))) for one in outcome.recovery)
        if recovery in recoveries or outcome.kind in {"busy", "on-hold"}:
            return
        before = trial.mismatch
        recoveries[recovery] = trial.walk_out(outcome)
        if trial.mismatch is not None and before is None:
            self._mismatch(placed, trial.mismatch, f"{_names(placed)}, then {recovery}")
        if recoveries[recovery] != "succeeded":
            self.broken.append(f"{_names(placed)}: recovery '{recovery}' leads to '{recoveries[recovery]}'")

    def _crashes(self) -> None:
        for placed, run in list(self.runs.items()):
            calm_faults = tuple(fault for fault in placed if fault.kind not in "KC")
            if calm_faults != placed and run.like is None:
                same = self.runs.get(calm_faults) or self._alone(calm_faults)
                if same is not None and same.end != run.end:
                    self.broken.append(
                        f"{_names(placed)}: the crash changes {label(same.outcome)} to {label(run.outcome)}"
                    )

    def _alone(self, faults: Faults) -> RehearsalRun | None:
        """The run with ``faults``. None if one is at a gate that only a resume asks, where its answer counts."""
        trial = Trial(self.make, faults)
        outcome = trial.to_the_end()
        unmet = any(fault.verb == "gate" for fault in trial.hooks.pending)
        return None if unmet else RehearsalRun(faults=faults, outcome=outcome)

    def _extended(
        self, frontier: list[tuple[Faults, int, tuple[Position, ...]]], depth: int
    ) -> Iterator[tuple[Faults, int, tuple[tuple[str, str, int], ...]]]:
        """Each run of the frontier with one more fault, at each later position of its trace, of each kind.

        Polling the same thing again is one position: what comes of it does not depend on how often it is asked.
        """
        for placed, last, trace in frontier:
            if placed and placed[-1].kind in ELSEWHERE:
                continue
            visits = visits_of(trace)
            for index in range(last + 1, len(trace)):
                here, before = trace[index], trace[index - 1] if index - 1 > last else None
                if before is not None and (before.verb, before.step) == (here.verb, here.step):
                    continue
                if (self.verbs and here.verb not in self.verbs) or (self.steps and here.step not in self.steps):
                    continue
                for kind in self.kinds[here.verb]:
                    if kind in ELSEWHERE and (depth > 1 or (self.real and here.verb not in WRITING)):
                        continue  # hooks cannot distinguish two moments between two changes
                    yield (
                        (*placed, InjectedFault(verb=here.verb, step=here.step, nth=here.nth, kind=kind)),
                        index,
                        visits,
                    )


def label(outcome: Outcome) -> str:
    """An end in a few words, for tables."""
    if outcome.kind == "reverted":
        kept = [step for step, state in outcome.states.items() if state == "kept-new"]
        detail = f" ({', '.join(kept)} kept new)" if kept else ""
    elif outcome.kind == "degraded":
        detail = f" ({outcome.failed}{'' if outcome.committed else ', all old'})"
    elif outcome.kind == "needs-operator":
        detail = " (" + ", ".join(f"{step} {state}" for step, state in outcome.states.items()) + ")"
    else:
        detail = ""
    return f"{outcome.kind}{detail}{', hold' if outcome.hold else ''}"


def _words(states: dict[str, str]) -> str:
    return ", ".join(f"{step} {state}" for step, state in states.items())


def _names(faults: Faults) -> str:
    return " + ".join(map(str, faults)) or "no fault"
