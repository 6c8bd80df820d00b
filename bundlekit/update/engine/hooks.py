"""Hooks, which an integrator writes, and the one function that calls them and distrusts their answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, Final, Literal

import msgspec

from bundlekit.errors import BundlekitError
from bundlekit.model.primitives import MAX_INTEGER, Frozen
from bundlekit.update.engine.clock import Clock
from bundlekit.update.engine.job import Job, Payload, Target
from bundlekit.update.engine.plan import GateMoment, Verb
from bundlekit.update.engine.records import Answer, Record

ANSWERS: Final[dict[Verb, tuple[str, ...]]] = {
    "validate": ("ok", "rejected"),
    "describe": ("ok", "rejected"),
    "prepare": ("ok", "rejected", "retry", "fenced"),
    "apply": ("ok", "failed", "fenced"),
    "probe": ("old", "new", "partial", "busy", "unknown"),
    "verify": ("ok", "failed"),
    "commit": ("ok", "failed", "fenced"),
    "revert": ("ok", "failed", "fenced"),
    "gate": ("ready", "not-yet", "failed"),
    "cleanup": ("ok", "failed", "fenced"),
    "reimage": ("ok", "failed"),
}
"""The answers that each verb allows.

A hook can also answer each verb with ``timeout`` or ``died``. ``timeout``: it passed its deadline. A command is stopped
then, and a method in Python is waited for.
``died``: it was killed, so its progress is unknown. Any other answer counts as ``died``.
"""

REPORTED: Final = {
    "identity": re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"),
    "product": re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"),
    "model": re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"),
    "role": re.compile(r"active|standby|shared"),
    "version": re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~!()_-]{0,63}"),
    "build": re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~!()_-]{0,63}"),
    "released": re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"),
    "owner": re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63})?"),
    "run": re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63})?"),
    "committed": re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63})?"),
}
"""The values an appliance can report about itself: the alphabets of ``Name`` and ``VersionText``, and the roles."""

UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control and bidirectional characters, which have no place in a reason (Unicode TR 36)."""


class Request(Frozen, frozen=True, kw_only=True):
    """The arguments of a hook.

    ``step`` is the name of a step, or of a gate, which has no ``target``. ``fence`` grows with every controller, and
    ``owner`` names the claim of the fence. A target that has seen a higher fence, or the same one from another owner,
    must answer ``fenced`` and do nothing. ``fence_seen`` is the fence that the component reported when this controller
    last probed it, None if it reported none. A target that has seen a higher one since, from another run, must answer
    ``fenced`` too: it is no longer what this controller decided over. ``run`` is what ``commit`` leaves behind at the
    target for ``probe`` to read back. ``hold`` is what ``cleanup`` leaves there: why the pair is on hold, or empty to
    lift the hold. ``deadline`` is in seconds. ``after`` is when a gate is polled. After a *group* the standby can still
    have the old version, and the gate reports whether the pair can spare it. It is empty where a person asks to lift
    the hold, and for all other verbs.
    """

    verb: Verb
    pair: str
    step: str
    run: str
    fence: int
    attempt: int
    deadline: int
    bundle_id: str
    owner: str = ""
    fence_seen: int | None = None
    target: Target | None = None
    counter: int = 0
    hold: str = ""
    after: GateMoment | Literal[""] = ""
    bundle: Any = None

    def stage(self) -> AbstractContextManager[BinaryIO]:
        """The component as a staged, fully verified file; in ``prepare`` and ``apply`` only."""
        bundle: Payload | None = self.bundle
        if bundle is None or self.target is None:
            raise BundlekitError(f"{self.verb} of {self.step} gets no component.")
        return bundle.stage(self.target.label)

    def stream(self) -> Iterator[memoryview]:
        """The component chunk by chunk, each verified before it is handed over; where ``stage`` is allowed."""
        bundle: Payload | None = self.bundle
        if bundle is None or self.target is None:
            raise BundlekitError(f"{self.verb} of {self.step} gets no component.")
        return bundle.chunks(self.target.label)


def question(job: Job, verb: Verb, step: str, **more: Any) -> Request:  # noqa: ANN401 - fields of Request
    """What ``verb`` asks of a step or gate of ``job``; it belongs to no run, unless ``more`` has one.

    The answer counts only if it comes within the deadline that the plan has for the verb.
    """
    asked = Request(
        verb=verb,
        pair=job.pair,
        step=step,
        run="",
        fence=0,
        attempt=1,
        deadline=job.plan.deadline("revert" if verb == "reimage" else verb),
        bundle_id=job.bundle_id,
        target=job.targets.get(step),
        counter=job.counter,
    )
    return msgspec.structs.replace(asked, **more)


class Hooks:
    """Hooks that do nothing. Derive your own from this class, and write the verbs that your product needs.

    Without changes an update over them is rejected, because ``describe`` knows no component. ``probe`` must be exact or
    answer *unknown*. ``verify`` reads the version back, by default through ``probe``. All verbs except ``apply`` must
    be idempotent. ``revert`` does nothing on a component that was never changed. A hook that raises counts as killed.
    No hook is stopped at its deadline: each has to end by itself, and an *ok* that comes later counts as a timeout.
    """

    def server(self, request: Request) -> str:
        """What serves ``request``, as messages name it: the class and the method."""
        return f"{type(self).__name__}.{request.verb}"

    def validate(self, request: Request) -> Answer:
        """Check whether the component suits this appliance. It changes nothing and reads no appliance."""
        return Answer(kind="ok")

    def describe(self, request: Request) -> Answer:
        """Report identity, version, whether it can be reverted, counter and free space, as they are now.

        Report product, model and role too if the appliance knows them: an update made for another one is then not
        begun.
        """
        return Answer(kind="rejected", reason="these hooks cannot describe a component")

    def prepare(self, request: Request) -> Answer:
        """Transfer the component to the appliance, into staging only.

        It is called for every component. Where the new version runs already, only the marks are written: they keep
        other controllers out before the commit point.
        """
        return Answer(kind="ok")

    def apply(self, request: Request) -> Answer:
        """Make the change. *ok* and *failed* both mean that it is no longer running."""
        return Answer(kind="failed", reason="these hooks cannot apply")

    def probe(self, request: Request) -> Answer:
        """Report the current state of the component, and read back fence, commit mark and hold."""
        return Answer(kind="unknown", reason="these hooks cannot probe")

    def verify(self, request: Request) -> Answer:
        """Read the version back from the running component."""
        seen = self.probe(request)
        return Answer(kind="ok" if seen.kind == "new" else "failed", reason=seen.reason, version=seen.version)

    def commit(self, request: Request) -> Answer:
        """Drop what a revert would need, raise the security counter, leave the run as commit mark."""
        return Answer(kind="ok")

    def revert(self, request: Request) -> Answer:
        """Restore the old version. It does nothing where the old version still runs."""
        return Answer(kind="failed", reason="these hooks cannot revert")

    def gate(self, request: Request) -> Answer:
        """Report whether the pair is in the state that the gate is named for; ``request.after`` is when."""
        return Answer(kind="ready")

    def cleanup(self, request: Request) -> Answer:
        """Remove the staging, and leave or lift the hold at the target."""
        return Answer(kind="ok")

    def reimage(self, request: Request) -> Answer:
        """In a rehearsal only: install ``request.target.new`` and set the security counter to ``request.counter``.

        The component is whole afterwards, and its marks are cleared.
        """
        return Answer(kind="failed", reason="these hooks cannot re-image")

    def notify(self, record: Record) -> None:
        """Take note of a record that has become durable; whatever happens here changes nothing."""


class PassThrough(Hooks):
    """Hooks in front of others: every verb goes through ``ask``."""

    def __init__(self, hooks: Hooks) -> None:
        self.hooks = hooks

    def behind(self, request: Request) -> Hooks:
        """The hooks that serve ``request``."""
        return self.hooks

    def ask(self, request: Request) -> Answer:
        """The answer to ``request``; override this to do something before or after."""
        answer: Answer = getattr(self.behind(request), request.verb)(request)
        return answer

    def server(self, request: Request) -> str:
        """The name of the server, from the wrapped hooks."""
        return server(self.behind(request), request)

    def _asked(self, request: Request) -> Answer:
        return self.ask(request)

    validate = describe = prepare = apply = probe = verify = commit = revert = gate = cleanup = reimage = _asked


def call(hooks: Hooks, request: Request, clock: Clock) -> Answer:
    """Call a hook and distrust its answer: wrong kinds, unprintable text and late answers are replaced.

    ``diagnostic`` of the answer states the fault, with the class and the method, or the command, that gave it.
    """
    began = clock.now()
    try:
        answer = getattr(hooks, request.verb)(request)
    except Exception as error:  # an integrator's code can raise anything
        return _wrong(hooks, request, f"{type(error).__name__}: {error}")
    if not isinstance(answer, Answer):
        return _wrong(hooks, request, f"it answered {type(answer).__name__} to {request.verb}")
    if answer.kind not in (*ANSWERS[request.verb], "timeout", "died"):
        return _wrong(hooks, request, f"it answered {answer.kind} to {request.verb}")
    for name, alphabet in REPORTED.items():
        word = getattr(answer, name)
        if word is not None and not alphabet.fullmatch(word):
            return _wrong(hooks, request, f"it reports an invalid {name}: {word!r}")
    for name, number in (("fence", answer.fence), ("counter", answer.counter), *answer.free.items()):
        if number is not None and not 0 <= number <= MAX_INTEGER:
            return _wrong(hooks, request, f"it reports {number} for {name}, which is out of range")
    if answer.kind not in {"timeout", "died"} and began.until(clock.now()) > request.deadline:
        late = _wrong(hooks, request, f"it answered {answer.kind} after its deadline of {request.deadline} s")
        if answer.kind == "ok":
            return msgspec.structs.replace(late, kind="timeout")
        answer = msgspec.structs.replace(answer, diagnostic=late.diagnostic)
    if not answer.reason and not answer.hold:
        return answer
    hold = printable(answer.hold) if answer.hold else None
    return msgspec.structs.replace(answer, reason=printable(answer.reason), hold=hold)


def server(hooks: Hooks, request: Request) -> str:
    """The class and method, or the command, that serves ``request``; for messages."""
    named = getattr(hooks, "server", None)
    return named(request) if named else f"{type(hooks).__name__}.{request.verb}"


def _wrong(hooks: Hooks, request: Request, what: str) -> Answer:
    """The answer in the place of one that is none."""
    what = printable(f"{server(hooks, request)}: {what}")
    return Answer(kind="died", reason=what, diagnostic=what)


def printable(reason: str) -> str:
    """At most 512 characters without the space around them, none of them a control or bidirectional one."""
    return UNPRINTABLE.sub("�", str(reason).strip())[:512]
