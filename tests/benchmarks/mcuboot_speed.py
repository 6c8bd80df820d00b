"""How long `bundlekit check` of an MCUboot image of 256 MiB takes, against `imgtool verify` with the same key.

It needs ``imgtool`` (PyPI: imgtool) on the PATH, or next to the Python that runs this.
"""

from __future__ import annotations

import random
import shutil
import sys
from pathlib import Path

import harness

ROOT = Path(__file__).parents[2]
KEYS = ROOT / "fixtures" / "keys"

REFERENCE = "imgtool verify"
TARGETS = {"check": 0.3}
"""Ratios to the reference."""

MEMORY = 64.0
"""MiB."""

START = "check of 1 KiB"
"""The part of a check that does not depend on the size of the image."""


def signed(tool: str, folder: Path, mib: int) -> Path:
    """An image of ``mib`` MiB, no two blocks of which are the same, or of 1 KiB for 0.

    The tool makes it, so that this process is small while it measures the memory of others.
    """
    noise = random.Random(mib).randbytes(harness.MIB)  # noqa: S311 - no secret, only nothing that repeats
    body, image, key = folder / "body.bin", folder / f"{mib}.bin", folder / "secret.pem"
    with body.open("wb") as file:
        file.write(noise[:1024])
        for number in range(mib):
            file.write(number.to_bytes(8, "big") + noise[8:])
    text = (KEYS / "p256.key").read_text()
    key.write_text(text[text.index("-----BEGIN") :])
    options = ["-k", str(key), "-v", "1.2.3+45", "-H", "0x200", "--pad-header", "-S", "0x20000000"]
    harness.run([tool, "sign", *options, str(body), str(image)])
    body.unlink()
    return image


def main() -> None:
    """Measure and print."""
    parser = harness.options(__doc__)
    parser.add_argument("--mib", type=int, default=256, help="size of the image in MiB (default: %(default)s)")
    arguments = parser.parse_args()
    tool = shutil.which("imgtool") or str(Path(sys.executable).with_name("imgtool"))
    if not Path(tool).exists():
        sys.exit("imgtool is not installed: pip install -e '.[oracles]'")
    with harness.workshop(arguments.dir) as folder:
        image, small = signed(tool, folder, arguments.mib), signed(tool, folder, 0)
        trust = str(ROOT / "fixtures" / "formats" / "mcuboot" / "trust.toml")
        commands = {
            REFERENCE: [tool, "verify", "-k", str(KEYS / "p256.pub.pem"), str(image)],
            "check": [harness.TOOL, "check", str(image), "--trust", trust],
            START: [harness.TOOL, "check", str(small), "--trust", trust],
        }
        done = harness.interleave(commands, arguments.runs)
        times = {name: [run.seconds for run in runs] for name, runs in done.items()}
        harness.table(f"{arguments.mib} MiB", "s", times, TARGETS, reference=REFERENCE)
        peaks = {name: [run.peak for run in runs] for name, runs in done.items()}
        harness.table("peak resident memory", "MiB", peaks, {"check": MEMORY})


if __name__ == "__main__":
    main()
