"""Hooks over components that each keep one small document with the marks of the executor.

The executor asks more of hooks than to install something: fences, owners, the run under way, the commit mark, the hold,
and an order in which they are written (``bundlekit explain hooks``). All of that is the same for every product, and
is here. What is left to write is about the component alone.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from shutil import copyfileobj
from typing import BinaryIO, Final

import msgspec
from msgspec.structs import replace

from bundlekit.errors import BundlekitError
from bundlekit.files import locked, whole_file
from bundlekit.model.primitives import MAX_INTEGER, Frozen
from bundlekit.update.engine.hooks import Hooks, Request
from bundlekit.update.engine.job import Target
from bundlekit.update.engine.records import Answer, AnswerKind


class ComponentMarks(Frozen, frozen=True, kw_only=True):
    """What the executor left at a component: the highest fence and its owner, the run under way, commit mark, hold."""

    fence: int = 0
    owner: str = ""
    run: str = ""
    committed: str = ""
    hold: str = ""

    def refuses(self, request: Request) -> str:
        """Why ``request`` is of a controller that has lost the component; empty if it is not."""
        if (request.fence, request.owner) != (self.fence, self.owner) and request.fence <= self.fence:
            seen = f"it has seen fence {self.fence} of {self.owner}"
            return f"fence {request.fence} of {request.owner} is rejected: {seen}"
        probed = self.fence if request.fence_seen is None else request.fence_seen
        if request.fence > self.fence > probed and self.run != request.run:
            return f"fence {self.fence} of {self.owner} came since the last probe, which saw fence {probed}"
        return ""


PATIENCE: Final = 5.0
"""Seconds that a change waits for another process. Another change is not over in that time."""

PAUSE: Final = 0.02
"""Seconds between two attempts."""

Act = Callable[[Target, Request], None]
"""An action on a component, done alone and with the fence checked."""

_DECODER: Final = msgspec.json.Decoder(ComponentMarks)


class MarkedHooks(Hooks, ABC):
    """Hooks of which only the part about the component is left to write.

    ``exclusive`` is held during every other method. All but ``probe`` try it again for ``PATIENCE`` seconds. A method
    that raises OSError or BundlekitError has failed with that reason; each has to be idempotent. Any other exception
    counts as killed. ``load`` and ``store`` keep the marks, as bytes, at the component itself: ``store`` is atomic and
    durable, and ``load`` returns no bytes before the first ``store``. ``gate`` answers *ready* unless you replace it.
    """

    @abstractmethod
    def exclusive(self, target: Target) -> AbstractContextManager[None]:
        """Keep every other process from the component. Raises BlockingIOError, without a wait, where one has it."""

    @abstractmethod
    def load(self, target: Target) -> bytes:
        """The bytes of the latest ``store``."""

    @abstractmethod
    def store(self, target: Target, marks: bytes) -> None:
        """Replace the marks."""

    @abstractmethod
    def about(self, target: Target) -> Answer:
        """The answer of ``describe``: identity, version, reverts, counter and free space, as they are now."""

    @abstractmethod
    def running(self, target: Target) -> str:
        """The version that runs and is whole; empty where the component is half-written."""

    @abstractmethod
    def stage(self, target: Target, request: Request) -> None:
        """Transfer the component (``request.stage()`` or ``request.stream()``) to where it does not run yet.

        Called only where the new version does not run.
        """

    @abstractmethod
    def switch(self, target: Target, request: Request) -> None:
        """Make what is staged the version that runs, and keep the version before for a revert."""

    @abstractmethod
    def switch_back(self, target: Target, request: Request) -> None:
        """Make the old version the one that runs. Called only where it does not run."""

    @abstractmethod
    def keep(self, target: Target, request: Request) -> None:
        """Give up the revert, then raise the security counter to ``request.counter``."""

    @abstractmethod
    def tidy(self, target: Target, request: Request) -> None:
        """Remove what is staged and does not run, but not the version before."""

    def install(self, target: Target, request: Request) -> None:
        """In a rehearsal only: make ``target.new`` run, and set the security counter to ``request.counter``.

        Without it, a rehearsal cannot test the recoveries that need a re-image.
        """
        raise BundlekitError("these hooks cannot re-image")

    def describe(self, request: Request) -> Answer:
        """What ``about`` reports, and the fence."""
        target = _target(request)
        try:
            with self._alone(target):
                return replace(self.about(target), fence=self._marks(target).fence)
        except (BundlekitError, OSError) as error:
            return Answer(kind="rejected", reason=str(error))

    def prepare(self, request: Request) -> Answer:
        """Stage the component, unless the new version runs already. The fence is left there in either case."""

        def unless_new(target: Target, request: Request) -> None:
            if self.running(target) != target.new:
                self.stage(target, request)

        return self._change(request, unless_new, "rejected")

    def apply(self, request: Request) -> Answer:
        """Switch, unless the new version runs already."""

        def unless_new(target: Target, request: Request) -> None:
            if self.running(target) != target.new:
                self.switch(target, request)

        return self._change(request, unless_new)

    def probe(self, request: Request) -> Answer:
        """Which version runs, and the marks; *busy* while another process has the component."""
        target = _target(request)
        try:
            with self.exclusive(target):
                version, marks = self.running(target), self._marks(target)
        except BlockingIOError:
            return Answer(kind="busy", reason="another process has the component")
        except (BundlekitError, OSError) as error:
            return Answer(kind="unknown", reason=str(error))
        # A run that finds the new version installed is from that version to the same one: *new* counts then.
        kinds: dict[str, AnswerKind] = {"": "partial", target.old: "old", target.new: "new"}
        return Answer(
            kind=kinds.get(version, "unknown"),
            version=version or None,
            fence=marks.fence,
            owner=marks.owner,
            run=marks.run,
            committed=marks.committed or None,
            hold=marks.hold or None,
        )

    def commit(self, request: Request) -> Answer:
        """Keep the new version for good, then leave the commit mark."""

        def mark(target: Target, request: Request) -> None:
            self.keep(target, request)
            self._remember(target, committed=request.run)

        return self._change(request, mark)

    def revert(self, request: Request) -> Answer:
        """Switch back, unless the old version runs."""

        def unless_old(target: Target, request: Request) -> None:
            if self.running(target) != target.old:
                self.switch_back(target, request)

        return self._change(request, unless_old)

    def cleanup(self, request: Request) -> Answer:
        """Tidy up, leave or lift the hold, and forget the run: the last thing that a run does."""

        def tidy(target: Target, request: Request) -> None:
            self.tidy(target, request)
            self._remember(target, hold=request.hold, run="")

        return self._change(request, tidy)

    def reimage(self, request: Request) -> Answer:
        """Install a version, in a rehearsal only, and clear all marks."""
        target = _target(request)
        try:
            with self.exclusive(target):
                self.install(target, request)
                self.store(target, msgspec.json.encode(ComponentMarks()))
        except (BundlekitError, OSError) as error:
            return Answer(kind="failed", reason=str(error))
        return Answer(kind="ok")

    def _change(self, request: Request, act: Act, otherwise: AnswerKind = "failed") -> Answer:
        """Do ``act`` alone and with the fence checked. An obstacle becomes the answer."""
        target = _target(request)
        try:
            with self._alone(target):
                if why := self._marks(target).refuses(request):
                    return Answer(kind="fenced", reason=why)
                self._remember(target, fence=request.fence, owner=request.owner, run=request.run)
                act(target, request)
                return Answer(kind="ok", version=self.running(target) or None)
        except BlockingIOError:
            return Answer(kind=otherwise, reason="another process has the component")
        except (BundlekitError, OSError) as error:
            return Answer(kind=otherwise, reason=str(error))

    def _alone(self, target: Target) -> ExitStack:
        """``exclusive``, after a process that only reads the component, or is rejected, has released it."""
        until = time.monotonic() + PATIENCE
        while True:
            with suppress(BlockingIOError), ExitStack() as stack:
                stack.enter_context(self.exclusive(target))
                return stack.pop_all()
            if time.monotonic() >= until:
                raise BlockingIOError(f"another process has {target.component} of {target.identity}")
            time.sleep(PAUSE)

    def _marks(self, target: Target) -> ComponentMarks:
        """The marks; BundlekitError where they cannot be read, since a fence that is not known protects nothing."""
        data = self.load(target)
        try:
            marks = _DECODER.decode(data) if data else ComponentMarks()
        except msgspec.DecodeError as error:
            raise BundlekitError(
                f"The marks of {target.component} at {target.identity} cannot be read: {error}."
            ) from error
        if not 0 <= marks.fence <= MAX_INTEGER:
            raise BundlekitError(f"The marks of {target.component} at {target.identity} have the fence {marks.fence}.")
        return marks

    def _remember(self, target: Target, **changes: str | int) -> None:
        before = self._marks(target)
        if (after := replace(before, **changes)) != before:
            self.store(target, msgspec.json.encode(after))


class FolderHooks(MarkedHooks):
    """Marked hooks over components that this host reaches as folders: ROOT/IDENTITY/COMPONENT.

    Only ``running``, ``switch`` and ``switch_back`` are left to write. The marks are the file ``marks.json`` in the
    folder of the component, ``staged`` is its staged image, and ``lock`` keeps other processes out. The security
    counter of the pair is the file ``counter`` in ROOT. Replace the methods about it if hardware has the counter.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def at(self, target: Target, name: str) -> Path:
        """The path of the file ``name`` of a component."""
        return self.root / target.identity / target.component / name

    def put(self, target: Target, name: str, data: bytes | BinaryIO) -> None:
        """Write the file ``name`` of a component: durable, and whole at any moment."""
        with whole_file(self.at(target, name)) as file:
            if isinstance(data, bytes):
                file.write(data)
            else:
                copyfileobj(data, file)

    def exclusive(self, target: Target) -> AbstractContextManager[None]:
        """Hold the lock of the component's folder."""
        return locked(self.at(target, "lock"), wait=False)

    def load(self, target: Target) -> bytes:
        """The marks, empty where there are none yet."""
        path = self.at(target, "marks.json")
        return path.read_bytes() if path.exists() else b""

    def store(self, target: Target, marks: bytes) -> None:
        """Replace the marks."""
        self.put(target, "marks.json", marks)

    def about(self, target: Target) -> Answer:
        """The identity is the name of the folder."""
        version = self.running(target) or None
        return Answer(kind="ok", identity=target.identity, version=version, counter=self.counter(), reverts=True)

    def counter(self) -> int | None:
        """The security counter; None if the pair has none yet."""
        path = self.root / "counter"
        try:
            return int(path.read_text()) if path.exists() else None
        except ValueError:
            raise BundlekitError(f"{path}: not a number") from None

    def stage(self, target: Target, request: Request) -> None:
        """Write the verified image to ``staged``."""
        with request.stage() as image:
            self.put(target, "staged", image)

    def keep(self, target: Target, request: Request) -> None:
        """Raise the security counter."""
        if request.counter > (self.counter() or 0):
            with whole_file(self.root / "counter") as file:
                file.write(str(request.counter).encode())

    def tidy(self, target: Target, request: Request) -> None:
        """Remove ``staged``."""
        self.at(target, "staged").unlink(missing_ok=True)


def _target(request: Request) -> Target:
    if request.target is None:
        raise BundlekitError(f"{request.verb} of {request.step} has no component.")
    return request.target
