"""How long `bundlekit check` of a bundle on a server takes, against the check of the file, in the page cache.

The server is on this machine and shares its processors. ``--delay`` makes each answer wait, as a distant server does.
Also the bytes that a pre-flight of a bundle of 4 GiB reads, and the memory of both checks.
"""

from __future__ import annotations

import sys
from pathlib import Path

import harness

sys.path.append(str(Path(__file__).parents[2]))
from tests.remote.server import FileServer

REFERENCE = "check FILE"
TARGETS = {"check URL": 1.5}
"""Ratio to the check of the file."""

MEMORY = {"check URL": 64.0}
"""MiB, whatever the size."""

MOST = 2**20
"""Bytes that a pre-flight of 4 GiB can read."""


def main() -> None:
    """Measure and print."""
    parser = harness.options(__doc__)
    parser.add_argument("--mib", type=int, action="append", help="size of the image in MiB (default: 1024)")
    parser.add_argument("--delay", type=float, default=0, help="seconds that each answer waits (default: 0)")
    arguments = parser.parse_args()
    with harness.workshop(arguments.dir) as folder, FileServer(folder, delay=arguments.delay) as server:
        trust = str(folder / "pki" / "root.pem")
        for mib in arguments.mib or (1024,):
            bundle = harness.build(folder, mib)
            url = server.url("good", bundle.name)
            check = harness.judging("check", bundle)
            remote = [harness.TOOL, "check", url, "--trust", trust]
            done = harness.interleave({REFERENCE: check, "check URL": remote}, arguments.runs)
            bundle.unlink()
            times = {name: [run.seconds for run in runs] for name, runs in done.items()}
            harness.table(f"{mib} MiB", "s", times, TARGETS, reference=REFERENCE)
            peaks = {name: [run.peak for run in runs] for name, runs in done.items()}
            harness.table("peak resident memory", "MiB", peaks, MEMORY)
        bundle = harness.sparse(folder, 2**32)
        before = server.sent
        harness.run([harness.TOOL, "preflight", server.url("good", bundle.name), "--trust", trust])
        print(f"\npre-flight of {bundle.stat().st_size:,} bytes: the server sent {server.sent - before:,} (< {MOST:,})")


if __name__ == "__main__":
    main()
