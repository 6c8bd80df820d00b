"""The requirements of the hooks page, tested on hooks directly: twice, with a lower fence, on the old version.

Each answer is compared with the model's (see ``oracle``). Untestable requirements are listed, so that no reader takes
them for tested.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from bundlekit.model.primitives import MAX_INTEGER
from bundlekit.update.engine.clock import ManualClock
from bundlekit.update.engine.hooks import Hooks, Request, call, server
from bundlekit.update.engine.job import Job
from bundlekit.update.engine.journal import LEAP
from bundlekit.update.engine.records import Answer
from bundlekit.update.rehearsal.oracle import WRITING, Compared, Mismatch
from bundlekit.update.rehearsal.sandbox import Sandbox, SandboxFactory, from_outside, reimaging

NOT_CHECKED: Final = (
    "validate: that it rejects a component that does not suit the appliance",
    "describe: that free, facts, product, model and role are exact",
    "prepare, apply: that size and digest of the component are compared before it is used",
    "apply, revert: that no change continues in the background after a probe has reported the result",
    "probe: that a component that is half-written or busy is reported as partial or busy",
    "commit: that it drops what a revert would need, and that the counter outlives a loss of power",
    "gate: that it is not ready before the pair is complete",
    "apply, verify, revert: that what runs has the content of the version that is reported",
    "fence: that it is compared and written under one lock",
    "commands: that one survives its controller, and what happens if it is killed during its work",
)
"""What no rehearsal can ask of hooks, because it has no second source or would need a fault inside of them."""


class Contract:
    """The direct questions to the hooks of one sandbox. ``found`` are the answers that break the contract."""

    def __init__(self, make: SandboxFactory, steps: tuple[str, ...] = ()) -> None:
        self.make = make
        self.steps = steps
        self.found: list[Mismatch] = []
        self.not_checked: list[str] = []
        self.made_again = False

    def check(self) -> None:
        """Ask everything."""
        for act in (self._back, self._forward):
            asker = _Asker(self.make)
            self.made_again = asker.box.made_again
            for step in self._steps(asker.job):
                self._until_wrong(asker, step, act(asker, step))
        self._staging()
        self._reimage()
        if not self.made_again:
            self.not_checked.append("crash: that new hooks can continue, because the sandbox has no function for them")

    def _steps(self, job: Job) -> tuple[str, ...]:
        return tuple(step for step in job.targets if step in (self.steps or job.targets))

    def _until_wrong(self, asker: _Asker, step: str, script: Iterator[Answer]) -> None:
        """Follow the script of one component up to the first wrong answer: the rest follows from that."""
        asker.compared.forget()
        for _ in script:
            if (wrong := asker.compared.first) is not None:
                self.found.append(wrong)
                return
        counter = asker.described.get(step)
        if counter is None and (note := f"{step}: the security counter, which describe does not report") not in (
            self.not_checked
        ):
            self.not_checked.append(note)

    def _back(self, ask: _Asker, step: str) -> Iterator[Answer]:
        """Everything up to a revert, twice, and what must be refused."""
        yield ask("probe", step)
        yield ask("describe", step)
        yield ask("describe", step)
        yield ask("verify", step)  # nothing is installed yet
        ask.claim()
        yield ask("revert", step)  # nothing to go back from
        yield ask("probe", step)
        for verb in ("validate", "prepare", "prepare"):
            yield ask(verb, step)
        yield ask("probe", step)
        yield from _refused(ask, step)
        yield from _written_since(
            ask, step, tuple(verb for verb in WRITING if verb != "revert")
        )  # it has nothing to do
        for verb in ("apply", "probe", "describe", "verify", "verify", "probe", "revert", "probe", "revert", "probe"):
            yield ask(verb, step)
        yield ask("verify", step)
        for hold in ("rehearsed", "rehearsed", ""):
            yield ask("cleanup", step, hold=hold)
            yield ask("probe", step)
        yield from _refused(ask, step, ("cleanup",))

    def _forward(self, ask: _Asker, step: str) -> Iterator[Answer]:
        """Everything up to the cleanup after a commit; a question that changes nothing must leave no mark."""
        yield ask("probe", step)
        yield ask("describe", step)
        ask.claim()
        for verb in (
            "prepare",
            "apply",
            "probe",
            "describe",
            "verify",
            "commit",
            "probe",
            "commit",
            "probe",
            "describe",
        ):
            yield ask(verb, step)
        for verb in ("validate", "describe", "probe", "verify"):
            yield ask(verb, step, fence=ask.fence + 1)
        yield ask("probe", step)
        yield from _refused(ask, step, ("commit", "cleanup"))
        for verb in ("cleanup", "probe", "cleanup", "probe", "verify"):
            yield ask(verb, step)
        ask.claim()  # the next run: what is new already needs its fence, too
        for verb in ("prepare", "probe"):
            yield ask(verb, step)
        yield from _written_since(ask, step)
        yield ask("prepare", step, owner="next", fence=ask.fence + 1, fence_seen=ask.fence - 1)  # the same run, resumed
        for verb in ("probe", "cleanup", "probe"):
            yield ask(verb, step, owner="next")

    def _staging(self) -> None:
        """Whether cleanup removes the staging: an apply that is handed nothing has nothing to install then."""
        asker = _Asker(self.make)
        for step in self._steps(asker.job):
            asker.fence = max(asker.fence, asker.bare("probe", step).fence or 0)
            asker.claim()
            if asker.bare("apply", step).kind == "ok":
                self.not_checked.append(f"cleanup of {step}: that the staging is gone, because apply needs none")
                continue
            for verb in ("validate", "describe", "probe", "verify"):
                asker.bare(verb, step)
                if asker.bare("apply", step).kind == "ok" and asker.bare("probe", step).kind == "new":
                    self._staged_wrongly(asker, verb, step, "nothing staged", "it stages the component")
                    return
            if asker.bare("prepare", step, given=True).kind != "ok" or asker.bare("cleanup", step).kind != "ok":
                continue
            again = asker.bare("apply", step)
            if again.kind == "ok" and asker.bare("probe", step).kind == "new":
                came = "ok, but an apply after it still installs what was staged"
                self._staged_wrongly(asker, "cleanup", step, "the staging gone", came)

    def _staged_wrongly(self, asker: _Asker, verb: str, step: str, expected: str, came: str) -> None:
        hook = server(asker.hooks, asker.request(verb, step))
        self.found.append(Mismatch(hook=hook, verb=verb, step=step, expected=expected, came=came))

    def _reimage(self) -> None:
        """Whether each component can be re-imaged, which the recoveries of a rehearsal need."""
        asker = _Asker(self.make)
        for step in self._steps(asker.job):
            if why := asker.reimaged(step):
                self.found.append(
                    Mismatch(
                        hook=server(asker.hooks, reimaging(asker.job, step, "")),
                        verb="reimage",
                        step=step,
                        expected=f"that it puts the component onto {asker.job.targets[step].old}",
                        came=why,
                    )
                )


def _refused(ask: _Asker, step: str, verbs: tuple[str, ...] = WRITING) -> Iterator[Answer]:
    """Each verb that writes, with a lower fence and with the same one of another owner, and the state after it."""
    for verb in verbs:
        yield ask(verb, step, fence=ask.fence - 1, owner="another", run="another")
        yield ask(verb, step, owner="another", run="another")
    yield ask("probe", step)


def _written_since(ask: _Asker, step: str, verbs: tuple[str, ...] = WRITING) -> Iterator[Answer]:
    """Each verb that writes, of a controller that last probed before the present fence came, and the state after it."""
    for verb in verbs:
        yield ask(verb, step, fence=ask.fence + 1, fence_seen=ask.fence - 1, owner="another", run="another")
    yield ask("probe", step)


class _Asker:
    """Asks the hooks of a fresh sandbox, in the name of one claim after the other."""

    def __init__(self, make: SandboxFactory) -> None:
        clock = ManualClock()
        self.box: Sandbox = make(clock)
        self.clock = clock
        self.job = self.box.job
        self.hooks: Hooks = self.box.made()
        self.compared = Compared(self.hooks, self.job, clock)
        self.fence = 0
        self.claims = 0
        self.described: dict[str, int | None] = {}

    def claim(self) -> None:
        """Claim the pair, above all that was seen, with one more digit: compared as text, 9 is above 10."""
        self.claims += 1
        longer = 10 ** len(str(self.fence))
        self.fence = longer if longer < MAX_INTEGER - LEAP else self.fence + 1

    @property
    def run(self) -> str:
        """The run under way."""
        return f"rehearsal-{self.claims}"

    def request(self, verb: str, step: str, **facts: object) -> Request:
        """A request of the run under way."""
        request = from_outside(self.job, verb, step)  # type: ignore[arg-type]
        owner = f"owner-{self.claims}"
        request = replace(request, run=self.run, fence=self.fence, owner=owner, counter=self.job.counter)
        return replace(request, **facts)

    def __call__(self, verb: str, step: str, **facts: object) -> Answer:
        given = self.box.bundle if verb in {"prepare", "apply"} else None
        request = self.request(verb, step, bundle=given, **facts)
        answer: Answer = getattr(self.compared, verb)(request)
        self.fence = max(self.fence, answer.fence or 0) if verb in {"probe", "describe"} else self.fence
        if verb == "describe":
            self.described[step] = answer.counter
        return answer

    def bare(self, verb: str, step: str, *, given: bool = False) -> Answer:
        """Ask without comparison; the component is handed over only if it is ``given``."""
        return call(self.hooks, self.request(verb, step, bundle=self.box.bundle if given else None), self.clock)

    def reimaged(self, step: str) -> str:
        """Why ``step`` cannot be re-imaged onto the version before; empty if it can."""
        answer = call(self.hooks, reimaging(self.job, step, self.job.targets[step].old), self.clock)
        if answer.kind != "ok":
            return f"{answer.kind} ({answer.reason})"
        seen = call(self.hooks, self.request("probe", step), self.clock)
        return "" if seen.kind == "old" else f"ok, but a probe reports {seen.kind} afterwards"
