"""Several large bundles: `bundlekit check --jobs` against one process for each core, with the memory of both."""

from __future__ import annotations

import os

import harness

TARGET = 1.1
"""Times the time of one process for each core."""

MEMORY = 56.0
"""MiB, whatever the number of bundles."""


def main() -> None:
    """Measure and print."""
    parser = harness.options(__doc__)
    parser.add_argument("--bundles", type=int, default=10, help="how many there are (default: %(default)s)")
    parser.add_argument("--mib", type=int, default=1024, help="size of each in MiB (default: %(default)s)")
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    with harness.workshop(arguments.dir) as folder:
        bundle = harness.build(folder, arguments.mib)
        names = [folder / f"bundle-{number}.bin" for number in range(arguments.bundles)]
        for name in names:
            os.link(bundle, name)
        share = -(-len(names) // cores)
        listed = " ".join(map(str, names))
        trust = ["--trust", str(folder / "pki" / "root.pem")]
        one_each = f"printf '%s\\n' {listed} | xargs -P {cores} -n {share} {harness.TOOL} check {' '.join(trust)}"
        reference, jobs = f"{cores} processes", f"check --jobs {cores}"
        commands = {
            reference: ["sh", "-c", one_each],
            jobs: [harness.TOOL, "check", *map(str, names), "--jobs", str(cores), *trust],
            "check": [harness.TOOL, "check", *map(str, names), *trust],
        }
        done = harness.interleave(commands, arguments.runs)
        title = f"check of {len(names)} bundles of {arguments.mib} MiB"
        seconds = {name: [run.seconds for run in runs] for name, runs in done.items()}
        harness.table(title, "s", seconds, {jobs: TARGET}, reference=reference)
        peaks = {name: [run.peak for run in runs] for name, runs in done.items() if name != reference}
        harness.table("peak resident memory", "MiB", peaks, dict.fromkeys(peaks, MEMORY))


if __name__ == "__main__":
    main()
