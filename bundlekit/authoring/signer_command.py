"""A command of the user that signs: a script before an HSM, a token or a key service.

The command gets the message to sign on standard input, and writes the bare signature value to standard output. It is
started directly, never by a shell. Its standard error and its terminal are those of the caller, so that it can ask for
a PIN or a touch. ``bundlekit explain signing-rooms`` describes the interface.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import threading
import time
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from bundlekit.errors import SigningError
from bundlekit.trust.external import MAX_VALUE
from bundlekit.wording import fill

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bundlekit.trust import SigningRequest

DEFAULT_TIMEOUT: Final = 300
"""Seconds that a command has: a person has to find the token, type a PIN and touch it."""

GRACE: Final = 2.0
"""Seconds from TERM to KILL, and after KILL until the command is left behind."""

PAGE: Final = "`bundlekit explain signing-rooms` describes what a signer command gets and returns."


class SignerCommand:
    """A command that signs requests. ``text`` is split into words like a line of a POSIX shell, without expansions."""

    def __init__(self, text: str, *, timeout: int = DEFAULT_TIMEOUT) -> None:
        """``timeout`` is in seconds. SigningError if ``text`` cannot be split."""
        try:
            self.words = _words(text)
        except ValueError as error:
            raise SigningError(f"the signer command {text!r} has an open quotation mark") from error
        if not self.words:
            raise SigningError("the signer command is empty")
        self.name = f"signer {self.words[0]}"
        self._timeout = timeout

    def sign(self, request: SigningRequest) -> bytes:
        """The value that the command returns. It is not verified here. SigningError if the command fails."""
        return run_signer(self.words, self.name, request.message, self._timeout, sign_variables(request))


def sign_variables(request: SigningRequest) -> dict[str, str]:
    """What a command can read about a request."""
    return {
        "BUNDLEKIT_SIGN_ALGORITHM": request.algorithm,
        "BUNDLEKIT_SIGN_HASH": request.hash,
        "BUNDLEKIT_SIGN_SALT": "" if request.salt is None else str(request.salt),
    }


def run_signer(words: Sequence[str], name: str, message: bytes, timeout: float, extra: Mapping[str, str]) -> bytes:
    """The standard output of a command. SigningError if it does not end well, or writes more than any signature has."""
    done = run_limited(words, message, timeout, limit=MAX_VALUE, extra=extra)
    where = f"{name}: nothing was stored"
    if done.fault:
        raise SigningError(f"{where}: the command cannot be started: {done.fault}", next_step=PAGE)
    if len(done.output) > MAX_VALUE:
        raise SigningError(
            f"{where}: the command wrote more than {MAX_VALUE} bytes, which is no signature", next_step=PAGE
        )
    if done.code is None:
        raise SigningError(
            f"{where}: the command did not finish within {timeout:g} seconds, and was stopped",
            next_step=fill("Give it more time ({signer_timeout}), or run it by hand to see what it waits for."),
        )
    if done.code:
        raise SigningError(
            f"{where}: the command failed with {exit_in_words(done.code)}",
            next_step="Its own messages are above. Fix the cause, then run the same command again.",
        )
    return done.output


class EndedCommand(NamedTuple):
    """How a command ended. ``code`` is negative for a signal, and None if the command was stopped.

    ``output`` has at most one byte more than the limit. ``fault`` is why the command could not be started.
    """

    code: int | None
    output: bytes = b""
    fault: str = ""


def run_limited(
    words: Sequence[str], message: bytes, timeout: float, *, limit: int, extra: Mapping[str, str] | None = None
) -> EndedCommand:
    """Run a command with ``message`` as its input. It is stopped after ``timeout`` seconds, or ``limit`` bytes."""
    try:
        process = subprocess.Popen(  # noqa: S603 - the words of the user, or our own; no shell
            list(words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | (extra or {}), bufsize=0
        )
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else "") or str(error)
        return EndedCommand(None, fault=why)
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    output, end = _Output(process.stdout, limit), time.monotonic() + timeout
    try:
        with contextlib.suppress(OSError):  # the output of a command that does not read its input decides
            process.stdin.write(message)  # a few hundred bytes, less than any pipe holds
        with contextlib.suppress(OSError):
            process.stdin.close()
        complete = output.wait(timeout) and (output.excessive or _ended(process, max(0.1, end - time.monotonic())))
    finally:
        _stop(process)
    return EndedCommand(process.returncode if complete else None, output.data)


def _words(text: str) -> list[str]:
    parser = shlex.shlex(text, posix=True, punctuation_chars=False)
    parser.whitespace_split, parser.commenters = True, ""
    if os.name == "nt":
        parser.escape = ""  # a backslash is a part of each path
    return list(parser)


class _Output:
    """Reads a pipe in a thread, up to a limit. A process that inherited the pipe can keep it open for ever."""

    def __init__(self, pipe: IO[bytes], limit: int) -> None:
        self.data = b""
        self._limit = limit
        self._pipe = pipe
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError), self._pipe:
            while len(self.data) <= self._limit and (part := self._pipe.read(self._limit + 1 - len(self.data))):
                self.data += part

    @property
    def excessive(self) -> bool:
        """Whether there was more than the limit."""
        return len(self.data) > self._limit

    def wait(self, timeout: float) -> bool:
        """Whether all of it was read, or too much."""
        self._thread.join(timeout)
        return not self._thread.is_alive()


def _ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a command that still runs."""
    for end in (process.terminate, process.kill):
        if process.poll() is None:
            end()
            _ended(process, GRACE)


def exit_in_words(code: int) -> str:
    """An exit code in words."""
    if code > 0:
        return f"exit code {code}"
    try:
        return f"the signal {signal.Signals(-code).name}"
    except ValueError:
        return f"the signal {-code}"
