"""How long `bundlekit check` of RAUC bundles takes: plain against `rauc info`, verity against `openssl dgst -sha256`.

`rauc info` reads the whole payload of a plain bundle, and nothing of that of a verity bundle. It needs ``rauc`` and
squashfs-tools.
"""

from __future__ import annotations

import random
import shutil
import sys
from pathlib import Path

import harness

MANIFEST = """\
[update]
compatible=benchmark
version=2.0
[bundle]
format={kind}
[image.appliance]
filename=appliance.img
"""
TARGETS = {"plain": {"check": 1.6}, "verity": {"check": 4.0}}
"""Ratios to the reference."""

MEMORY = 64.0
"""MiB."""


def bundle(folder: Path, kind: str, mib: int) -> Path:
    """A bundle with one image of ``mib`` MiB that does not compress."""
    content, made = folder / "content", folder / f"{kind}.raucb"
    content.mkdir()
    noise = random.Random(mib)  # noqa: S311 - no secret, only nothing that repeats
    with (content / "appliance.img").open("wb") as file:
        for _ in range(mib):
            file.write(noise.randbytes(harness.MIB))
    (content / "manifest.raucm").write_text(MANIFEST.format(kind=kind))
    certificate, key = harness.signer(folder)
    harness.run(["rauc", "bundle", f"--cert={certificate}", f"--key={key}", str(content), str(made)])
    shutil.rmtree(content)
    return made


def main() -> None:
    """Measure and print."""
    parser = harness.options(__doc__)
    parser.add_argument("--mib", type=int, default=256, help="size of the image in MiB (default: %(default)s)")
    arguments = parser.parse_args()
    if shutil.which("rauc") is None:
        sys.exit("rauc is not installed: apt-get install rauc squashfs-tools")
    with harness.workshop(arguments.dir) as folder:
        conf = folder / "system.conf"
        keyring = f"[keyring]\npath={folder / 'pki' / 'root.pem'}\ncheck-purpose=codesign\n"
        conf.write_text(f"[system]\ncompatible=benchmark\nbootloader=noop\n{keyring}")
        for kind in ("plain", "verity"):
            made = bundle(folder, kind, arguments.mib)
            info = ["rauc", "info", f"--conf={conf}", str(made)]
            digest = ["openssl", "dgst", "-sha256", str(made)]
            reference = "rauc info" if kind == "plain" else "openssl dgst -sha256"
            commands = {"rauc info": info, "openssl dgst -sha256": digest, "check": harness.judging("check", made)}
            done = harness.interleave(commands, arguments.runs)
            made.unlink()
            times = {name: [run.seconds for run in runs] for name, runs in done.items()}
            peaks = {name: [run.peak for run in runs] for name, runs in done.items()}
            title = f"{kind}, {arguments.mib} MiB"
            harness.table(title, "s", times, TARGETS[kind], reference=reference)
            harness.table(f"{title}, peak memory", "MiB", peaks, {"check": MEMORY})


if __name__ == "__main__":
    main()
