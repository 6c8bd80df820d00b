"""The most memory that `bundlekit check` holds, for bundles of several sizes and for the worst one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import harness

if TYPE_CHECKING:
    from pathlib import Path

TARGET = 56.0
"""MiB, whatever the size."""


def worst(folder: Path) -> Path:
    """A bundle with the largest index there may be, 64 MiB of it; index and chunks are all damaged."""
    return harness.sparse(folder, 2**20 * 2**16, chunk_size=2**16, algorithm="sha512")


def main() -> None:
    """Measure and print."""
    parser = harness.options(__doc__)
    parser.add_argument("--mib", type=int, action="append", help="size of the image in MiB (default: 256 and 4096)")
    parser.add_argument("--worst", action="store_true", help="try the worst bundle as well; takes minutes")
    arguments = parser.parse_args()
    with harness.workshop(arguments.dir) as folder:
        peaks: dict[str, list[float]] = {}
        for mib in arguments.mib or (256, 4096):
            bundle = harness.build(folder, mib)
            check = harness.judging("check", bundle)
            commands = {f"check, {mib} MiB": check, f"check --full, {mib} MiB": [*check, "--full"]}
            done = harness.interleave(commands, arguments.runs)
            peaks |= {name: [run.peak for run in runs] for name, runs in done.items()}
            bundle.unlink()
        if arguments.worst:
            run = harness.run(harness.judging("check", worst(folder)), expected=1)
            peaks["check, 1048576 damaged chunks"] = [run.peak]
        harness.table("peak resident memory", "MiB", peaks, dict.fromkeys(peaks, TARGET))


if __name__ == "__main__":
    main()
