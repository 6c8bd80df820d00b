"""How long `bundlekit check` of an ESP-IDF image of 16 MiB takes, against `espsecure verify-signature`.

It needs ``espsecure`` (PyPI: esptool) on the PATH, or next to the Python that runs this.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
from pathlib import Path

import harness

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

REFERENCE = "espsecure verify-signature"
TARGETS = {"check": 1.0, "check, three signatures": 1.0}
"""Ratios to the reference."""

MEMORY = 64.0
"""MiB."""


def images(folder: Path) -> tuple[Path, Path]:
    """An image of 16 MiB with one signature, and the same one with three.

    Another process makes them, so that this one is small while it measures the memory of others.
    """
    subprocess.run([sys.executable, __file__, "--make", folder], check=True)
    return folder / "one.bin", folder / "three.bin"


def make(folder: Path) -> None:
    """Write the two images."""
    from fixtures import esp_image, make_keys

    noise = random.Random(16)  # noqa: S311 - no secret, only nothing that repeats
    _, flash, memory = esp_image.CHIPS["esp32s3"]
    data = esp_image.app_description() + noise.randbytes(8 * harness.MIB - 1024)
    more = noise.randbytes(8 * harness.MIB - 1024)
    aligned = 0x42000000 + (32 + len(data) + 8) % 0x10000
    parts = [(flash, data), (aligned, more), (memory, bytes(256))]
    image = esp_image.image("esp32s3", parts)
    keys = [make_keys.bare_key(name) for name in ("rsa-3072", "second-rsa-3072")]
    (folder / "one.bin").write_bytes(esp_image.signed(image, keys[0]))
    (folder / "three.bin").write_bytes(esp_image.signed(image, *keys, keys[0]))


def main() -> None:
    """Measure and print."""
    parser = harness.options(__doc__)
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.make:
        make(arguments.make)
        return
    tool = shutil.which("espsecure") or str(Path(sys.executable).with_name("espsecure"))
    if not Path(tool).exists():
        sys.exit("espsecure is not installed: pip install -e '.[oracles]'")
    with harness.workshop(arguments.dir) as folder:
        one, three = images(folder)
        trust = ROOT / "fixtures" / "formats" / "esp" / "trust.toml"
        key = ROOT / "fixtures" / "keys" / "rsa-3072.pub.pem"
        commands = {
            REFERENCE: [tool, "verify-signature", "--version", "2", "--keyfile", str(key), str(one)],
            "check": [harness.TOOL, "check", str(one), "--trust", str(trust)],
            "check, three signatures": [harness.TOOL, "check", str(three), "--trust", str(trust)],
        }
        done = harness.interleave(commands, arguments.runs)
        times = {name: [run.seconds * 1000 for run in runs] for name, runs in done.items()}
        harness.table(f"{one.stat().st_size:,} bytes", "ms", times, TARGETS, reference=REFERENCE)
        peaks = {name: [run.peak for run in runs] for name, runs in done.items()}
        harness.table("peak resident memory", "MiB", peaks, dict.fromkeys(TARGETS, MEMORY))


if __name__ == "__main__":
    main()
