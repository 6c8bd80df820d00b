"""Compare each answer of hooks with the answer of the simulated pair, which is asked exactly the same.

``SimulatedPair`` is the model of correct hooks. What it cannot know (reasons, free space, facts, how long HA takes) is
not compared.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from bundlekit.model.primitives import Frozen
from bundlekit.update.engine.clock import Clock, ManualClock
from bundlekit.update.engine.hooks import Hooks, PassThrough, Request, call
from bundlekit.update.engine.job import Job
from bundlekit.update.engine.records import Answer
from bundlekit.update.rehearsal.simulator import SimulatedComponent, SimulatedPair

WRITING: Final = ("prepare", "apply", "commit", "revert", "cleanup")
"""The verbs that change something at the target, be it a mark; each is rejected to a fence that is overtaken."""

ABNORMAL: Final = ("timeout", "died", "failed")


class Mismatch(Frozen, frozen=True, kw_only=True):
    """An answer that correct hooks would not have given: its hook, its request, and the last change before it.

    ``hook`` is the class and the method, or the command. ``after`` is the last call that changed the component.
    ``came`` is a kind of answer, or with ``diagnostic`` a sentence about one that is none.
    """

    hook: str
    verb: str
    step: str
    expected: str
    came: str
    after: str = ""
    reason: str = ""
    diagnostic: bool = False

    def __str__(self) -> str:
        came = self.came if self.diagnostic else f"answered {self.came}"
        reason = f" ({self.reason})" if self.reason and not self.diagnostic and self.reason not in self.came else ""
        after = f", after {self.after}" if self.after else ""
        return f"{self.verb} of {self.step} ({self.hook}): {came}{reason}, expected {self.expected}{after}"


class Compared(PassThrough):
    """Hooks passed through; ``first`` is the first answer that differs from the model's."""

    def __init__(self, hooks: Hooks, job: Job, clock: Clock) -> None:
        super().__init__(hooks)
        self.job = job
        self.clock = clock
        self.model = SimulatedPair(job, ManualClock())
        self.first: Mismatch | None = None
        self.raised = ""
        """The call that has raised the security counter of the pair."""
        self.last: dict[str, str] = {}
        self._idle: dict[str, tuple[int, str, str]] = {}
        """The marks from before a revert that had nothing to do, which need not write its own."""
        self._unread = set(job.targets)
        """The components whose marks are taken as the next probe reads them: of a fresh sandbox, or re-imaged.

        Until then the fence in an answer to ``describe`` is not compared: a re-image can have cleared it.
        """

    def ask(self, request: Request) -> Answer:
        """Ask the hooks and the model, and remember the first difference."""
        began = time.monotonic() - getattr(self.hooks, "waited", 0.0)
        answer = call(self.hooks, request, self.clock)
        took = time.monotonic() - getattr(self.hooks, "waited", 0.0) - began
        if request.verb == "probe":
            self._read(request.step, answer)
        component = self.model.components.get(request.step)
        before = (component.version, _marks_of(component)) if component is not None else None
        counter = self.model.counter
        right: Answer = getattr(self.model, request.verb)(request)
        if self.model.counter != counter:
            self.raised = f" since commit of {request.step}"
        if request.verb == "revert" and component is not None and before and component.version == before[0]:
            self._idle.setdefault(request.step, before[1])
        if self.first is None:
            differs = next(self._differences(request, answer, right, took), None)
            if differs is not None:
                self._note(request, answer, *differs)
        if request.verb in WRITING:
            self.last[request.step] = f"{request.verb} of {request.step} (answered {answer.kind})"
        return answer

    def reimage(self, request: Request) -> Answer:
        """Re-image hooks and model; marks and counter are then what the hooks report."""
        answer = call(self.hooks, request, self.clock)
        if answer.kind == "ok":
            self.model.reimage(request)
            self._unread.add(request.step)
            self.model.counter = None
            self.last[request.step] = f"reimage of {request.step}"
        return answer

    def forget(self) -> None:
        """Look for the first difference again."""
        self.first = None

    def _read(self, step: str, answer: Answer) -> None:
        """Let the model remember what it cannot know: marks from before, and those of a revert with nothing to do."""
        component = self.model.components[step]
        if (before := self._idle.pop(step, None)) and before == (
            answer.fence or 0,
            answer.owner or "",
            answer.run or "",
        ):
            component.fence, component.owner, component.run = before
        if step not in self._unread:
            return
        self._unread.discard(step)
        component.fence, component.owner, component.run = answer.fence or 0, answer.owner or "", answer.run or ""
        component.committed, component.hold = answer.committed or "", answer.hold or ""

    def _note(self, request: Request, answer: Answer, expected: str, came: str) -> None:
        self.first = Mismatch(
            hook=self.server(request),
            verb=request.verb,
            step=request.step,
            expected=expected,
            came=came,
            after=self.last.get(request.step, ""),
            reason=answer.reason,
            diagnostic=bool(answer.diagnostic),
        )

    def _differences(self, request: Request, answer: Answer, right: Answer, took: float) -> Iterator[tuple[str, str]]:
        """What was expected and what came, for each difference."""
        if answer.kind == right.kind == "fenced":
            return  # a hook that is slow is found where it does something
        if answer.diagnostic:
            yield (
                "an answer of this verb, within its deadline",
                answer.diagnostic.removeprefix(f"{self.server(request)}: "),
            )
        elif took > request.deadline:
            yield f"an answer within {request.deadline} s", f"{answer.kind} after {took:.0f} s"
        match request.verb:
            case "verify":
                yield from _verified(request, answer, right)
            case "gate":
                if answer.kind in ABNORMAL:
                    yield "ready or not-yet", answer.kind
            case "describe":
                yield from self._described(request, answer, right)
            case _ if answer.kind != right.kind:
                yield f"{right.kind}{self._why(request, right)}", answer.kind
            case "probe":
                yield from _marks(answer, right)

    def _described(self, request: Request, answer: Answer, right: Answer) -> Iterator[tuple[str, str]]:
        if answer.kind != "ok":
            yield "ok", answer.kind
        for name in ("identity", "version"):
            if getattr(answer, name) != getattr(right, name):
                yield f"{name} {getattr(right, name)}", f"{name} {getattr(answer, name) or 'missing'}"
        if request.step in self.job.groups()[0] and not answer.reverts:
            yield "reverts true, which the plan requires", f"reverts {answer.reverts}"
        if self.model.counter is None:
            self.model.counter = answer.counter
        elif answer.counter != self.model.counter and (
            answer.counter is not None or self.job.counter_before is not None
        ):
            yield (
                f"counter {self.model.counter}, the pair's{self.raised}: every component reports it, or none does",
                f"counter {answer.counter}",
            )
        if request.step not in self._unread and answer.fence is not None and answer.fence != right.fence:
            yield f"fence {right.fence}", f"fence {answer.fence}"

    def _why(self, request: Request, right: Answer) -> str:
        """Why the model rejects the call, without names of runs."""
        if right.kind != "fenced":
            return ""
        seen = self.model.components[request.step].fence
        if request.fence < seen:
            return f", because its fence {request.fence} is below {seen}, which the component has seen"
        if request.fence > seen:
            return f", because another run has written the fence {seen} since the probe that saw {request.fence_seen}"
        return f", because the component has seen its fence {request.fence} from another owner"


def _marks_of(component: SimulatedComponent) -> tuple[int, str, str]:
    return component.fence, component.owner, component.run


def _verified(request: Request, answer: Answer, right: Answer) -> Iterator[tuple[str, str]]:
    """*ok* counts only with the version of the target, because the executor compares it."""
    new = request.target.new if request.target else ""
    came = answer.kind == "ok" and answer.version == new
    if came != (right.kind == "ok"):
        found = f"{answer.kind} with version {answer.version or 'missing'}" if answer.kind == "ok" else answer.kind
        yield (f"ok with version {new}" if right.kind == "ok" else f"failed, or ok with version {right.version}"), found


def _marks(answer: Answer, right: Answer) -> Iterator[tuple[str, str]]:
    """What a probe reads back of earlier calls."""
    if answer.kind in {"old", "new"} and answer.version != right.version:
        yield f"version {right.version}", f"version {answer.version or 'missing'}"
    if (answer.fence or 0) != (right.fence or 0):
        yield f"fence {right.fence}", "no fence" if answer.fence is None else f"fence {answer.fence}"
    for name in ("owner", "run", "committed", "hold"):
        came, mark = getattr(answer, name) or "", getattr(right, name) or ""
        if came != mark:
            yield (
                f"{name} as it was written" if mark else f"{name} empty",
                f"{name} empty" if not came else f"{name} {'of another' if mark else 'still set'}",
            )
