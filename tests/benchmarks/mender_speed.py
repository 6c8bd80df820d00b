"""How long `bundlekit check` of a Mender artifact of 256 MiB takes, against `mender-artifact validate`.

Not compressed, with gzip, and on request with xz. The image is half noise and half text of few words, so that gzip
saves a fifth. It needs ``mender-artifact`` (Debian) on the PATH.
"""

from __future__ import annotations

import random
import shutil
import sys
from pathlib import Path

import harness

ROOT = Path(__file__).parents[2]

TOOL = "mender-artifact"
REFERENCE = f"{TOOL} validate"
TARGETS = {"check": 1.3}
"""Ratio to the reference; there is none for xz, whose decoder is the slower part of both."""

MEMORY = 64.0
"""MiB. The window of xz alone takes as much."""


def image(folder: Path, mib: int) -> Path:
    """An image in which every second MiB is noise, and no two are the same."""
    source = random.Random(mib)  # noqa: S311 - no secret, only nothing that repeats
    noise = source.randbytes(harness.MIB)
    words = [source.randbytes(source.randrange(3, 9)) for _ in range(3000)]
    file = folder / "rootfs.ext4"
    with file.open("wb") as out:
        for number in range(mib):
            out.write(number.to_bytes(8, "big"))
            text = (b"".join(source.choices(words, k=1000)) for _ in range(400))
            out.write(noise[8:] if number % 2 else b"".join(text)[8 : harness.MIB])
    return file


def main() -> None:
    """Measure and print."""
    parser = harness.options(__doc__)
    parser.add_argument("--mib", type=int, default=256, help="size of the image in MiB (default: %(default)s)")
    parser.add_argument("--xz", action="store_true", help="measure xz as well, which takes minutes to make")
    arguments = parser.parse_args()
    if not shutil.which(TOOL):
        sys.exit("mender-artifact is not installed: apt-get install mender-artifact")
    trust = ROOT / "fixtures" / "formats" / "mender" / "trust.toml"
    key = ROOT / "fixtures" / "keys" / "p256.pub.pem"
    with harness.workshop(arguments.dir) as folder:
        rootfs, secret = image(folder, arguments.mib), folder / "p256.pem"
        # Version 3.9 reads no key in PKCS #8. The fixtures are not imported, so that this process stays small.
        harness.run(["openssl", "ec", "-in", str(key).replace(".pub.pem", ".key"), "-out", str(secret)])
        for compression in ("none", "gzip", *(["lzma"] if arguments.xz else [])):
            file = folder / f"{compression}.mender"
            write = [TOOL, "write", "rootfs-image", "-t", "board", "-n", "release", "-f", str(rootfs)]
            harness.run([*write, "-o", str(file), "-k", str(secret), "--compression", compression])
            commands = {
                REFERENCE: [*REFERENCE.split(), "-k", str(key), str(file)],
                "check": [harness.TOOL, "check", str(file), "--trust", str(trust)],
            }
            done = harness.interleave(commands, arguments.runs)
            title = f"{compression}: {file.stat().st_size:,} bytes"
            times = {name: [run.seconds for run in runs] for name, runs in done.items()}
            harness.table(title, "s", times, TARGETS if compression != "lzma" else {}, reference=REFERENCE)
            peaks = {name: [run.peak for run in runs] for name, runs in done.items()}
            harness.table("peak resident memory", "MiB", peaks, {"check": MEMORY} if compression != "lzma" else {})
            file.unlink()


if __name__ == "__main__":
    main()
