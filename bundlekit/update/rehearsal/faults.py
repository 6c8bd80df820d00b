"""Faults, and hooks that have them: put between the executor and any hooks, so they need no support there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bundlekit.model.primitives import Frozen
from bundlekit.update.engine.clock import ManualClock
from bundlekit.update.engine.hooks import Hooks, PassThrough, Request
from bundlekit.update.engine.records import Answer

KINDS: Final = {
    "F": "the hook fails",
    "T": "its deadline passes, nothing done",
    "P": "its deadline passes, part done",
    "L": "its deadline passes, but it is done",
    "B": "its deadline passes and it stays busy",
    "X": "the hook is killed during its work",
    "K": "the controller is killed before the hook",
    "C": "the controller is killed after the hook",
    "S": "another controller installs the same bundle meanwhile, and takes over what is in progress",
    "O": "another controller installs another bundle meanwhile, and takes over what is in progress",
    "A": "another controller tries an update meanwhile, and takes nothing over",
}
"""The kinds of faults, by the letters that tables use."""

FAULTS: Final = {
    "validate": "FTCSOA",
    "describe": "FTCSOA",
    "probe": "FTCSOA",
    "prepare": "FTKCSOA",
    "apply": "FTPLBXKCSOA",
    "verify": "FTCSOA",
    "commit": "FTKCSOA",
    "revert": "FTPLBXKCSOA",
    "gate": "FTCSOA",
    "cleanup": "FTCSOA",
}
"""Which kinds make a difference to which verb: before or after a hook that changes nothing is the same."""

ELSEWHERE: Final = "SOA"
"""The kinds that are another controller, at work before the hook is called. They are rehearsed singly."""


FAILED: Final = {"validate": "rejected", "describe": "rejected", "prepare": "rejected", "probe": "unknown"}
"""What *fails* is called where *failed* is not an answer."""


class InjectedFault(Frozen, frozen=True, kw_only=True):
    """One fault: a kind, at the n-th answered call of a verb on a step (from 0)."""

    verb: str
    step: str
    nth: int
    kind: str

    def __str__(self) -> str:
        again = f" ({self.nth + 1}.)" if self.nth else ""
        return f"{self.step} {self.verb}{again}: {self.kind}"


class Position(Frozen, frozen=True, kw_only=True):
    """One call of a run, as a place for a fault."""

    verb: str
    step: str
    nth: int


Passed = tuple[str, str, str, int, int | None, bool, str]
"""All that an answer of a hook can depend on.

These are verb, step, new version, fence, fence seen before, whether on hold, and the moment of a gate.
"""


class ControllerKilled(BaseException):
    """The controller is gone. It is not an Exception, because no code must catch it."""


class FaultyHooks(PassThrough):
    """Hooks with faults before them, and the state of the appliance that follows from these.

    ``overrides`` lists the components that are half-written or busy, whatever the wrapped hooks answer.
    ``violations`` are calls that must never be made. ``elsewhere`` is another controller. It is called with the kind of
    the fault, and its work takes no time of this one. ``passed`` are the calls that reached the wrapped hooks.
    """

    def __init__(
        self,
        hooks: Hooks,
        clock: ManualClock,
        faults: tuple[InjectedFault, ...],
        elsewhere: Callable[[str], None] = lambda _kind: None,
    ) -> None:
        super().__init__(hooks)
        self.elsewhere = elsewhere
        self.passed: list[Passed] = []
        self.clock = clock
        self.pending = list(faults)
        self.overrides: dict[str, str] = {}
        self.answered: dict[tuple[str, str], int] = {}
        self.trace: list[Position] = []
        self.violations: list[str] = []

    def ask(self, request: Request) -> Answer:
        """Meet the fault that is put at this position, if any."""
        verb, step = request.verb, request.step
        nth = self.answered.get((verb, step), 0)
        self.trace.append(Position(verb=verb, step=step, nth=nth))
        if verb in {"apply", "revert"} and self.overrides.get(step) == "busy":
            self.violations.append(f"{verb} of {step} while it was still busy")
        fault = next((f for f in self.pending if (f.verb, f.step, f.nth) == (verb, step, nth)), None)
        if fault is not None:
            self.pending.remove(fault)
            answer = self._inject(request, fault.kind)
        else:
            answer = self._pass_on(request)
        self.answered[verb, step] = nth + 1
        return answer

    def _inject(self, request: Request, kind: str) -> Answer:
        changes = request.verb in {"apply", "revert"}
        if kind in ELSEWHERE:
            ticks, wall = self.clock.ticks, self.clock.wall
            self.elsewhere(kind)
            self.clock.ticks, self.clock.wall = ticks, wall
            return self._pass_on(request)
        if kind == "K":
            raise ControllerKilled
        if kind == "C":
            self._pass_on(request)
            raise ControllerKilled
        if kind == "L":
            self._pass_on(request)
        if changes and kind in "FPX":
            self.overrides[request.step] = "partial"
        if kind == "B":
            self.overrides[request.step] = "busy"
        if kind in "TPLB":
            self.clock.sleep(request.deadline)
            if request.verb == "gate":
                self.overrides[request.step] = "not-yet"
            return Answer(kind="timeout")
        if kind == "X":
            return Answer(kind="died")
        return Answer(kind=FAILED.get(request.verb, "failed"), reason="fault put here")  # type: ignore[arg-type]

    def _pass_on(self, request: Request) -> Answer:
        override = self.overrides.get(request.step)
        if request.verb == "probe" and override:
            return Answer(kind=override)  # type: ignore[arg-type]
        if request.verb == "gate" and self.overrides:
            return Answer(kind="not-yet", reason="the pair is not complete")
        new = request.target.new if request.target is not None else ""
        self.passed.append(
            (request.verb, request.step, new, request.fence, request.fence_seen, bool(request.hold), request.after)
        )
        answer = super().ask(request)
        if request.verb in {"apply", "revert"} and getattr(answer, "kind", "") == "ok":
            self.overrides.pop(request.step, None)
        return answer
