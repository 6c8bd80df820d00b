"""The process ``bundlekit``, or ``python -m bundlekit``."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
from types import FunctionType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType


SIGNALLED: Final = 128
"""The exit code of a command that a signal ended, less the number of the signal."""

INTERRUPTED: Final = SIGNALLED + signal.SIGINT

SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP")
"""What ends a command: Ctrl-C, a job or unit that is stopped, a session that is closed. Windows has no SIGHUP."""


STACK: Final = 2**15
"""Words of the stack that one function claims for itself, which is 256 KiB. Nothing touches these pages."""


def main() -> None:
    """Run the command line and exit (``bundlekit explain exit-codes``)."""
    # Modules are never garbage, and a collection after every 700 new objects slows each import down.
    gc.set_threshold(100_000)
    seen: list[int] = []
    _heed(seen)
    try:
        code = _with_stack(lambda: _run(seen))
        _handle_by(signal.SIG_IGN)  # the exit code is settled
    except KeyboardInterrupt:  # while modules are loaded; later the command line reports it
        sys.stderr.write("interrupted\n")
        code = _interrupted(seen) or INTERRUPTED
    except Exception as error:  # while modules are loaded
        code = _unloaded(error, interrupted=_interrupted(seen))
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError):  # closed, or without a reader: that has been reported
            stream.flush()
    # All files are closed and nothing is left to be done at exit. Taking the modules apart would be another 7 ms.
    os._exit(code)


def _run(seen: list[int]) -> int:
    from bundlekit.cli import run

    return run(interrupted=lambda: _interrupted(seen))


def _with_stack(function: Callable[[], int]) -> int:
    """Call ``function`` where the interpreter needs no more memory for its stack.

    CPython 3.11 keeps the frames of functions in chunks of 16 KiB. Where a chunk ends, it maps a new one for each call,
    and unmaps it when the call returns. A call then takes 200 times as long. Nested imports below the frames of click
    are as deep as that. The start of a command took a sixth longer, most of it for the compilation of regular
    expressions. The frame of a function with a large stack gets a large chunk, and the frames of all calls below share
    it. Python 3.12 keeps a free chunk.
    """
    if sys.version_info >= (3, 12):
        return function()
    call: Callable[[Callable[[], int]], int] = FunctionType(_call.__code__.replace(co_stacksize=STACK), {})
    return call(function)


def _call(function: Callable[[], int]) -> int:
    return function()


def _heed(seen: list[int]) -> None:
    """Let each of `SIGNALS` interrupt as Ctrl-C does, so that what is half-written is removed, and note it in ``seen``.

    A signal that is ignored, as by nohup, stays so.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        first = number not in seen
        seen.append(number)
        if first or number == signal.SIGINT:  # a supervisor that repeats itself must not disturb the cleaning up
            signal.default_int_handler(number, frame)

    _handle_by(interrupt)


def _handle_by(handler: Callable[[int, FrameType | None], None] | int) -> None:
    for name in SIGNALS:
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _interrupted(seen: list[int]) -> int:
    """The exit code of a command that was ended by a signal, as shells have it; 0 if none came."""
    return SIGNALLED + seen[0] if seen else 0


def _unloaded(error: Exception, *, interrupted: int) -> int:
    """The exit code of an error while modules are loaded: a library is missing or too old, or something is broken."""
    if interrupted:  # a library can turn an interrupt during its import into an error of its own
        sys.stderr.write("interrupted\n")
        return interrupted
    if os.environ.get("BUNDLEKIT_DEBUG"):
        raise error
    from bundlekit import dependencies

    if fault := dependencies.unmet():
        sys.stderr.write(f"bundlekit: {fault}\nnext: {dependencies.REMEDY}\n")
        return 3
    sys.stderr.write(f"bundlekit: internal error, please report it: {error!r:.1000}\n")
    return 70


if __name__ == "__main__":
    main()
