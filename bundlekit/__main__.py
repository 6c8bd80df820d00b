"""The process ``bundlekit``, or ``python -m bundlekit``."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType


def main() -> None:
    """Run the command line and exit (``bundlekit explain exit-codes``)."""
    # Modules are no garbage, and looking for some after every 700 new objects slows each import down.
    gc.set_threshold(100_000)
    seen: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        signal.default_int_handler(number, frame)

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
    try:
        from bundlekit.cli import run

        code = run(interrupted=lambda: bool(seen))
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the exit code is settled
    except KeyboardInterrupt:  # while modules are loaded; later, whoever is interrupted says so
        sys.stderr.write("interrupted\n")
        code = 130
    except Exception as error:  # while modules are loaded
        code = _unloaded(error, interrupted=bool(seen))
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError):  # closed, or nobody reads any more: that has been told
            stream.flush()
    # All files are closed and nothing is left to be done at exit. Taking the modules apart would be another 7 ms.
    os._exit(code)


def _unloaded(error: Exception, *, interrupted: bool) -> int:
    """The exit code of an error while modules are loaded: a library is missing or too old, or something is broken."""
    if interrupted:  # a library may turn an interrupt during its import into an error of its own
        sys.stderr.write("interrupted\n")
        return 130
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
