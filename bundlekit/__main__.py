"""The process ``bundlekit``, or ``python -m bundlekit``."""

import contextlib
import gc
import os
import sys


def main() -> None:
    """Run the command line and exit (``bundlekit explain exit-codes``)."""
    # Modules are no garbage, and looking for some after every 700 new objects slows each import down.
    gc.set_threshold(100_000)
    try:
        from bundlekit.cli import run

        code = run()
    except KeyboardInterrupt:  # while modules are loaded; later, whoever is interrupted says so
        sys.stderr.write("interrupted\n")
        code = 130
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError):  # closed, or nobody reads any more: that has been told
            stream.flush()
    # All files are closed and nothing is left to be done at exit. Taking the modules apart would be another 7 ms.
    os._exit(code)


if __name__ == "__main__":
    main()
