"""Hooks that are external commands: the verbs of the executor as a process, in any language.

    argv   = [command..., verb, pair, component]     for a gate, its name in the place of the component
    stdin  = one line: a JSON object with the whole request; the same facts are in BUNDLEKIT_* variables
    stdout = JSON lines, all optional: {"progress": 40, "message": "..."}, the last {"result": "old", ...}
    stderr = the log; its last line is the reason
    exit   = 0 ok, 1 failed, 10 rejected, 75 retry later, 64 verb not implemented, 77 fenced

The component is a file without a name that holds verified bytes only; ``image`` is its path. A step that opted in to
``handover = "pipe"`` gets the bytes on stdin instead, exactly ``size`` of them, right after that line.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from bundlekit.errors import BundlekitError, ConfigError
from bundlekit.model.primitives import Frozen
from bundlekit.schema_errors import explain
from bundlekit.update.engine.hooks import ANSWERS, REPORTED, Hooks, Request, printable
from bundlekit.update.engine.plan import PLACEHOLDER
from bundlekit.update.engine.records import Answer
from bundlekit.update.state import private_files
from bundlekit.update.targets.process import Finished, run
from bundlekit.update.targets.program import PATH, ensure_ours

OK: Final = 0
NOT_IMPLEMENTED: Final = 64
"""EX_USAGE of sysexits.h, as 75 is its EX_TEMPFAIL. A code that the contract does not name counts as *died*."""

SUCCESS: Final = {"probe": "unknown", "gate": "ready"}
"""What exit code 0 means if not *ok*. A probe without a result is *unknown*."""

REFUSAL: Final = {"validate": "rejected", "describe": "rejected", "prepare": "rejected", "probe": "unknown"}
"""What exit codes 1 and 10 mean where *failed* is not an answer."""

FENCED: Final = 77
"""EX_NOPERM of sysexits.h: the target belongs to another controller, and the command did nothing."""

LATER: Final = {"prepare": "retry", "gate": "not-yet"}
"""What exit code 75 means; to other verbs there is no later, so there it is a refusal."""

GRACE: Final = 10.0
"""Seconds between TERM and KILL: what init systems and container runtimes give."""

PROGRESS_PAUSE: Final = 0.1
"""Seconds between two reports of progress; a person sees no more."""

HookProgressObserver = Callable[[Request, int | None, str], None]
"""Called with a request, its progress in percent (None if unknown) and a message. Nothing follows from either."""


class Command(Frozen, frozen=True, kw_only=True):
    """An external command: its argv, and whether it gets the component through a pipe."""

    argv: tuple[str, ...]
    pipe: bool = False


class ProgressLine(Frozen, frozen=True, kw_only=True):
    """A line of progress."""

    progress: int | None = None
    message: str = ""


class CommandHooks(Hooks):
    """External commands, by the name of the step or gate they serve.

    ``lock_fd`` (``PairLock.hook_fd``) is inherited by each, so that one that outlives its controller keeps the
    next controller out. ``log_dir`` takes a log per call. ``grace`` is how many seconds a command has between
    TERM and KILL.
    """

    def __init__(
        self,
        commands: Mapping[str, Command],
        *,
        lock_fd: int | None = None,
        log_dir: Path | None = None,
        progress: HookProgressObserver | None = None,
        grace: float = GRACE,
    ) -> None:
        self.commands = commands
        self.lock_fd = lock_fd
        self.log_dir = log_dir
        self.progress = progress
        self.grace = grace

    def server(self, request: Request) -> str:
        """The command and its verb."""
        return f"{self.commands[request.step].argv[0]} {request.verb}"

    def _ask(self, request: Request) -> Answer:
        try:
            finished = self._run(request)
        except (BundlekitError, OSError) as error:  # the command was not started
            return refusal(request.verb, error.message if isinstance(error, BundlekitError) else str(error))
        if finished.code == NOT_IMPLEMENTED and not finished.late and request.verb not in {"gate", "reimage"}:
            # What Hooks does by default; its verify calls probe, so that is the verb from here on.
            default: Answer = getattr(super(), request.verb)(msgspec.structs.replace(request, verb="probe"))
            return default if default.kind == "ok" or request.verb == "verify" else self._without(request, default)
        answer = interpret(request.verb, finished)
        if finished.code == NOT_IMPLEMENTED and not finished.late:
            return self._without(request, answer)
        if answer.kind == "died" and finished.code is not None and finished.code >= 0:
            wrong = printable(f"{self.server(request)}: {answer.reason}")
            return msgspec.structs.replace(answer, reason=wrong, diagnostic=wrong)
        return answer

    def _without(self, request: Request, answer: Answer) -> Answer:
        """``answer``, with the reason that the command does not implement a verb that the plan needs."""
        why = f"{self.commands[request.step].argv[0]} does not implement {request.verb} (exit code {NOT_IMPLEMENTED})"
        return msgspec.structs.replace(answer, reason=f"{why}. {answer.reason}".rstrip(". "))

    validate = describe = prepare = apply = probe = verify = commit = revert = gate = cleanup = reimage = _ask

    def _run(self, request: Request) -> Finished:
        command = self.commands[request.step]
        ensure_ours(command.argv)
        facts = facts_of(request)
        with ExitStack() as stack:
            feed, inherit = None, [] if self.lock_fd is None else [self.lock_fd]
            if request.bundle is not None and command.pipe:
                feed, facts["image"] = request.stream(), "-"
            elif request.bundle is not None:
                image = stack.enter_context(request.stage()).fileno()
                inherit.append(image)
                facts["image"] = f"/proc/self/fd/{image}"
            finished = run(
                [*filled(command.argv, facts), request.verb, request.pair, facts["component"]],
                env=environment(facts),
                stdin=msgspec.json.encode(facts) + b"\n",
                feed=feed,
                inherit=inherit,
                deadline=request.deadline,
                grace=self.grace,
                log=stack.enter_context(self._log(request)),
                heard=self._progress(request),
            )
        if feed is not None and finished.code == OK and not finished.fed:
            why = "it reports ok, but did not read the whole component"
            return msgspec.structs.replace(finished, damage=why)
        return finished

    def _log(self, request: Request) -> AbstractContextManager[BinaryIO | None]:
        """The file for this call's log. An update does not fail for want of a log."""
        if self.log_dir is not None:
            name = f"{request.pair}-{request.run}-{request.step}-{request.verb}-{time.time_ns()}.log"
            with suppress(OSError):
                return open(private_files.new_file(self.log_dir, name), "wb", buffering=0)
        return nullcontext()

    def _progress(self, request: Request) -> Callable[[bytes], None]:
        last = 0.0

        def heard(line: bytes) -> None:
            nonlocal last
            if self.progress is None or time.monotonic() - last < PROGRESS_PAUSE:
                return
            last = time.monotonic()
            with suppress(Exception):  # what is shown changes nothing
                found = msgspec.json.decode(line, type=ProgressLine)
                percent = None if found.progress is None else min(max(found.progress, 0), 100)
                self.progress(request, percent, printable(found.message))

        return heard


def facts_of(request: Request) -> dict[str, Any]:
    """The request for a command, the same as JSON and as variables. ConfigError for a name that is none.

    The names are checked here again, even if the caller has checked them: a remote shell can see them.
    """
    facts: dict[str, Any] = {
        "schema": "bundlekit/hook/1",
        "verb": request.verb,
        "pair": request.pair,
        "step": request.step,
        "component": request.target.component if request.target else request.step,
        "run": request.run,
        "fence": request.fence,
        "owner": request.owner,
        "attempt": request.attempt,
        "deadline": request.deadline,
        "bundle-id": request.bundle_id,
        "counter": request.counter,
        "hold": request.hold,
    }
    if request.fence_seen is not None:
        facts["fence-seen"] = request.fence_seen
    if request.after:
        facts["after"] = request.after
    if request.target is not None:
        target = request.target
        facts |= {name: getattr(target, name) for name in ("identity", "role", "old", "new", "size", "digest")}
        facts |= {name: word for name in ("released", "build") if (word := getattr(target, name))}
    for name in ("pair", "step", "component", "identity"):
        if (word := facts.get(name)) and not REPORTED["identity"].fullmatch(word):
            raise ConfigError(f"{name} {word!r} is not a name that can be passed to a command")
    for name in ("old", "new", "build"):
        if (word := facts.get(name)) and not REPORTED["version"].fullmatch(word):
            raise ConfigError(f"{name} {word!r} is not a version that can be passed to a command")
    return facts


def filled(argv: Sequence[str], facts: Mapping[str, object]) -> list[str]:
    """The words with ``{pair}``, ``{identity}`` and ``{component}`` filled in; a gate's identity is the pair."""
    names = {"identity": facts["pair"]} | dict(facts)
    return [PLACEHOLDER.sub(lambda found: str(names[found[1]]), word) for word in argv]


def environment(facts: Mapping[str, object]) -> dict[str, str]:
    """The whole environment of a command: built from the facts, nothing inherited."""
    named = {f"BUNDLEKIT_{name.upper().replace('-', '_')}": str(value) for name, value in facts.items()}
    return {"PATH": PATH, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", **named}


def interpret(verb: str, finished: Finished) -> Answer:
    """The answer that the end of a command means. Exit code and result must both be positive for a positive answer."""
    reason = finished.reason
    if finished.damage:
        return Answer(kind="died", reason=finished.damage)
    if finished.late:
        stuck = "; it cannot be killed" if finished.code is None else ""
        return Answer(kind="timeout", reason=f"its deadline passed and it was stopped{stuck}. {reason}".rstrip(". "))
    if finished.code is None or finished.code < 0:
        name = signal.Signals(-(finished.code or -9)).name
        return Answer(kind="died", reason=f"it was killed by {name}. {reason}".rstrip(". "))
    try:
        result = msgspec.json.decode(finished.last or b"{}", type=dict[str, Any])
    except msgspec.DecodeError as error:
        return Answer(kind="died", reason=f"its last line of JSON cannot be read: {error}")
    match finished.code:
        case 0:
            kind = result.get("result", SUCCESS.get(verb, "ok"))
        case 1 | 10 | 64:
            kind = REFUSAL.get(verb, "failed")
        case 75:
            kind = LATER.get(verb) or REFUSAL.get(verb, "failed")
        case code if code == FENCED:
            kind = "fenced" if "fenced" in ANSWERS[verb] else REFUSAL.get(verb, "failed")  # type: ignore[index]
        case code:
            return Answer(kind="died", reason=f"exit code {code} has no meaning. {reason}".rstrip(". "))
    if kind != "ok":
        result = {"reason": reason} | result
    try:
        return msgspec.convert(result | {"kind": kind, "diagnostic": ""}, Answer)
    except msgspec.ValidationError as error:
        return Answer(kind="died", reason=f"its result cannot be read: {explain(error, Answer, result)}")


def refusal(verb: str, why: str) -> Answer:
    """The answer for a command that was not started, so that nothing was changed."""
    later = verb == "gate"
    return Answer(kind="not-yet" if later else REFUSAL.get(verb, "failed"), reason=why)  # type: ignore[arg-type]
