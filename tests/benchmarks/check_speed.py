"""How long `bundlekit check` takes, against `openssl dgst -sha256` of the same file, in the page cache.

Also against the machine's own limit: two bare threads that hash the same chunks. On some machines a second thread
gains less than on others, and only this ratio says how much of that is the check's own.
"""

from __future__ import annotations

import sys
from pathlib import Path

import harness

REFERENCE = "openssl dgst -sha256"
TARGETS = {256: {"check": 1.4}, 4096: {"check": 0.5, "check --full": 0.95}}
"""Ratios to the reference, by size in MiB."""

LIMIT = "two bare threads"
TARGETS_OF_LIMIT = {4096: {"check": 1.10}}
"""Ratios to the limit, by size in MiB."""


def main() -> None:
    """Measure and print."""
    parser = harness.options(__doc__)
    parser.add_argument("--mib", type=int, action="append", help="size of the image in MiB (default: 256 and 4096)")
    arguments = parser.parse_args()
    with harness.workshop(arguments.dir) as folder:
        for mib in arguments.mib or (256, 4096):
            bundle = harness.build(folder, mib)
            check = harness.judging("check", bundle)
            commands = {
                REFERENCE: [*REFERENCE.split(), str(bundle)],
                LIMIT: [sys.executable, "-IS", str(Path(__file__).with_name("two_threads.py")), str(bundle)],
                "check": check,
                "check --full": [*check, "--full"],
            }
            done = harness.interleave(commands, arguments.runs)
            bundle.unlink()
            times = {name: [run.seconds for run in runs] for name, runs in done.items()}
            harness.table(f"{mib} MiB", "s", times, TARGETS.get(mib, {}), reference=REFERENCE)
            harness.table(f"{mib} MiB", "s", times, TARGETS_OF_LIMIT.get(mib, {}), reference=LIMIT)


if __name__ == "__main__":
    main()
