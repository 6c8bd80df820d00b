"""Run one external command to its end, within limits of time and output. No process of it is left behind.

No command can hang us or fill our memory. It can ignore TERM, print for ever, or leave a daemon that keeps its pipes
open.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import IO, BinaryIO, Final

from bundlekit.errors import BundlekitError
from bundlekit.model.primitives import Frozen

READ: Final = 64 * 1024
"""Bytes taken from a pipe at once: what a pipe holds (pipe(7))."""

MAX_LINE: Final = 64 * 1024
"""Bytes of a line of output that is still looked at."""

MAX_LOG: Final = 1024 * 1024
"""Bytes of standard error that are kept; the rest is read, counted and dropped."""

MAX_AFTER: Final = 1024 * 1024
"""Bytes read after the command has ended: what its pipes held, and no endless chatter of a daemon."""

HOPELESS: Final = 5.0
"""Seconds after KILL until a process counts as one that the kernel does not let go of."""


class Finished(Frozen, frozen=True, kw_only=True):
    """How a command ended.

    ``code`` is its exit code, negative for a signal, None if not even KILL ended it. ``last`` is the last line of its
    output that begins with ``{``, ``reason`` the last line of its log. ``fed``: it took all its input. ``damage`` is
    why ``feed`` could not go on.
    """

    code: int | None
    late: bool
    fed: bool
    last: bytes
    reason: str
    damage: str = ""


class OutputLines:
    """The last line that looks like JSON, of any amount of output, in bounded memory."""

    def __init__(self) -> None:
        self.last = b""
        self._rest = b"\n"  # what came after the last whole line, from the end of that line on

    def add(self, data: bytes) -> bool:
        """Take output in; True if there is a new last line."""
        text = self._rest + data
        end = text.rfind(b"\n")
        self._rest = text[end:] if len(text) - end <= MAX_LINE else b" "  # too long a line: wait for its end
        begin = text.rfind(b"\n{", 0, end) + 1
        if begin:
            self.last = text[begin : text.find(b"\n", begin)]
        return begin > 0


class Log:
    """Standard error: its beginning goes to a file, its end is kept for the reason."""

    def __init__(self, file: BinaryIO | None) -> None:
        self._file = file
        self._written = 0
        self._tail = b""

    def add(self, data: bytes) -> None:
        """Take output in."""
        self._tail = (self._tail + data)[-4096:]
        kept = data[: max(0, MAX_LOG - self._written)]
        self._written += len(data)
        if self._file is not None and kept:
            with suppress(OSError):  # a full disk under the log fails no update
                self._file.write(kept)

    def close(self) -> None:
        """Report what was dropped."""
        if self._file is not None and self._written > MAX_LOG:
            with suppress(OSError):
                self._file.write(b"\n[%d more bytes were dropped]\n" % (self._written - MAX_LOG))

    @property
    def reason(self) -> str:
        """The last line that is not empty."""
        lines = [line for line in self._tail.decode(errors="replace").splitlines() if line.strip()]
        return lines[-1].strip() if lines else ""


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    stdin: bytes,
    feed: Iterator[memoryview] | None = None,
    inherit: Sequence[int] = (),
    deadline: float,
    grace: float,
    log: BinaryIO | None = None,
    heard: Callable[[bytes], None] = lambda _line: None,
) -> Finished:
    """Run ``argv`` in a session of its own; ``stdin`` and then ``feed`` are its input.

    After ``deadline`` seconds its process group gets TERM, ``grace`` seconds later KILL. What is left of the group when
    the command itself has ended is killed too. If ``feed`` raises, the group is killed *before* its input ends. The
    reason: a command takes the end of its input for the end of the component.

    Raises OSError if the command cannot be started.
    """
    process = subprocess.Popen(  # noqa: S603 -- an argument vector, names checked by the caller; no shell
        list(argv),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(env),
        cwd="/",
        umask=0o077,
        pass_fds=inherit,
        start_new_session=True,
    )
    running = _Run(process, stdin, feed, Log(log), heard)
    try:
        running.watch()
    except BaseException:  # out of descriptors, for instance: nothing else knows of the command
        with process, suppress(ProcessLookupError):  # the end of ``with`` closes its pipes, and waits
            os.killpg(process.pid, signal.SIGKILL)
        running.close()
        raise
    return running.to_the_end(deadline, grace)


class _Run:
    """A running command and its pipes."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        stdin: bytes,
        feed: Iterator[memoryview] | None,
        log: Log,
        heard: Callable[[bytes], None],
    ) -> None:
        self._process = process
        self._feed = feed
        self._piece = memoryview(stdin)
        self._fed = False
        self._damage = ""
        self._log = log
        self._lines = OutputLines()
        self._heard = heard
        self._selector: selectors.BaseSelector = selectors.SelectSelector()  # which holds no descriptor
        self._pidfd = -1

    def watch(self) -> None:
        """Wait for its end and for its pipes from now on. Raises OSError if the system gives no descriptors."""
        process = self._process
        self._selector = selectors.DefaultSelector()
        self._pidfd = os.pidfd_open(process.pid)
        self._selector.register(self._pidfd, selectors.EVENT_READ)
        for pipe, event in (
            (process.stdin, selectors.EVENT_WRITE),
            (process.stdout, selectors.EVENT_READ),
            (process.stderr, selectors.EVENT_READ),
        ):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
                self._selector.register(pipe, event)

    def to_the_end(self, deadline: float, grace: float) -> Finished:
        """Serve the command until it has ended or cannot be ended."""
        try:
            late = not self._wait(deadline)
            if late:
                self._kill(signal.SIGTERM)
                if not self._wait(grace):
                    self._kill(signal.SIGKILL)
                    if not self._wait(HOPELESS):
                        return self._finished(None, late=True)
            # The leader is dead but not yet waited for, so its group's number is still its own.
            self._kill(signal.SIGKILL)
            code = self._process.wait()
            self._drain()
            return self._finished(code, late=late)
        finally:
            self.close()

    def _finished(self, code: int | None, *, late: bool) -> Finished:
        return Finished(
            code=code,
            late=late,
            fed=self._fed,
            last=self._lines.last,
            reason=self._log.reason,
            damage=self._damage,
        )

    def _wait(self, seconds: float) -> bool:
        """Serve the pipes until the command ends (True) or ``seconds`` are over (False)."""
        until = _now() + seconds
        while (left := until - _now()) > 0:
            ready = [key.fileobj for key, _ in self._selector.select(left)]
            for pipe in ready:
                if pipe is self._process.stdin:
                    self._write(self._process.stdin)
                elif not isinstance(pipe, int):
                    self._read(pipe)  # type: ignore[arg-type]
            if self._pidfd in ready:
                return True
        return False

    def _write(self, pipe: IO[bytes]) -> None:
        if not self._piece and self._feed is not None:
            try:
                self._piece = next(self._feed, memoryview(b""))
            except (BundlekitError, OSError) as error:
                self._damage = str(error)
                self._selector.unregister(pipe)
                self._kill(signal.SIGKILL)
                return
        if not self._piece:
            self._fed = True
            self._leave(pipe)
            return
        try:
            count = os.write(pipe.fileno(), self._piece)
        except BlockingIOError:
            return
        except BrokenPipeError:  # it does not want to hear more
            self._leave(pipe)
            return
        self._piece = self._piece[count:]

    def _read(self, pipe: IO[bytes]) -> int:
        try:
            data = os.read(pipe.fileno(), READ)
        except BlockingIOError:
            return 0
        if not data:
            self._leave(pipe)
        elif pipe is self._process.stderr:
            self._log.add(data)
        elif self._lines.add(data):
            self._heard(self._lines.last)
        return len(data)

    def _drain(self) -> None:
        """Take what is in the pipes; a daemon that keeps them open is not waited for."""
        for pipe in (self._process.stdout, self._process.stderr):
            left = MAX_AFTER
            while pipe is not None and not pipe.closed and left > 0 and (count := self._read(pipe)):
                left -= count
        self._lines.add(b"\n")

    def _leave(self, pipe: IO[bytes]) -> None:
        self._selector.unregister(pipe)
        pipe.close()

    def _kill(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def close(self) -> None:
        """Close everything that was opened for the command, which can still be running."""
        self._log.close()
        self._selector.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
