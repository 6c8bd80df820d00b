"""Waiting for what another process does: by events, with one limit that no machine reaches.

The only module of the tests that looks at a clock. Its limit ends a test that hangs; no test passes or fails by it.
"""

import time
from contextlib import suppress
from pathlib import Path

LIMIT = 300.0
"""Seconds after which something that has not happened never will, however busy the machine is."""


def wait_for(happened, what):
    """Return the first true value of ``happened()``; ``what`` names it if it never comes."""
    until = time.monotonic() + LIMIT
    while not (found := happened()):
        assert time.monotonic() < until, f"{what} did not happen within {LIMIT:.0f} s"
        time.sleep(0.01)
    return found


def at_work(pid):
    """Whether a process exists and has not ended; one that nobody has waited for yet has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):  # it may end between the two system calls
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state not in "ZX"
    return False


def lines_of(path):
    """The lines that a process wrote to a file, the last one only when it is whole."""
    with suppress(FileNotFoundError):
        return path.read_text().split("\n")[:-1]
    return []
