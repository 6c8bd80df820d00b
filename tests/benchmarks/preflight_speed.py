"""How long `bundlekit preflight` of a 1 TiB bundle takes, against importing the libraries it is made with."""

from __future__ import annotations

import sys
from pathlib import Path

import harness

from bundlekit import pipeline
from bundlekit.source import FileSource
from bundlekit.trust import load_trust

REFERENCE = "python -c 'import …'"
IMPORTS = (
    "import construct, click, packaging.version, json, tomllib, dataclasses, "
    "cryptography.hazmat.asn1, cryptography.x509.verification"
)
TARGETS = {"preflight": 1.35}
"""Ratios to the reference. Of the bundle, less than 512 KiB are to be read."""


class CountingSource(FileSource):
    """A file that counts the bytes read from it."""

    count = 0

    def readinto(self, offset: int, buffer: memoryview) -> None:
        """Read, and count."""
        super().readinto(offset, buffer)
        self.count += len(buffer)


def bytes_read(bundle: Path) -> int:
    """The bytes that a pre-flight reads from a bundle."""
    with CountingSource(bundle) as source:
        pipeline.preflight(source, trust=load_trust([bundle.parent / "pki" / "root.pem"]))
        return source.count


def main() -> None:
    """Measure and print."""
    arguments = harness.options(__doc__).parse_args()
    with harness.workshop(arguments.dir) as folder:
        bundle = harness.sparse(folder, 2**40)
        preflight = harness.judging("preflight", bundle)
        commands = {
            REFERENCE: [sys.executable, "-c", IMPORTS],
            "preflight": preflight,
            "preflight --from 1.0": [*preflight, "--from", "1.0"],
        }
        done = harness.interleave(commands, arguments.runs)
        times = {name: [run.seconds * 1000 for run in runs] for name, runs in done.items()}
        title = f"{bundle.stat().st_size:,} bytes, of which {bytes_read(bundle):,} are read"
        harness.table(title, "ms", times, TARGETS, reference=REFERENCE)


if __name__ == "__main__":
    main()
