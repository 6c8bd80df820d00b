"""How long `bundlekit check` takes for a SWUpdate image, against `swupdate -c` of the same file, in the page cache.

swupdate waits two seconds for more data and for its own threads. On a busy machine the ratio is therefore worse.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import harness

if TYPE_CHECKING:
    from pathlib import Path

REFERENCE = "swupdate -c"
TARGETS = {"check": 0.35}
PEAK = {"check": 64.0}
"""MiB."""

DESCRIPTION = """software = {{
  version = "1.0";
  hardware-compatibility = [ "1.0" ];
  images = ( {{ filename = "rootfs.img"; device = "/dev/null"; type = "raw"; sha256 = "{digest}"; }} );
}};
"""
TRUST = """trust = 1
[signers.vendor]
role = "production"
key = "vendor.pub.pem"
formats = ["swupdate"]
"""
CERTIFICATE = "req -x509 -newkey rsa:3072 -noenc -keyout key.pem -out cert.pem -days 9 -subj /CN=vendor"
EXTENSIONS = ["-addext", "extendedKeyUsage=emailProtection", "-addext", "keyUsage=digitalSignature"]
SIGN = "cms -sign -in sw-description -out sw-description.sig -signer cert.pem -inkey key.pem"
FORM = "-outform DER -nosmimecap -binary"


def main() -> None:
    """Measure and print."""
    parser = harness.options(__doc__)
    parser.add_argument("--mib", type=int, default=256, help="size of the image in MiB (default: %(default)s)")
    parser.add_argument("--format", default="crc", choices=["crc", "newc"], help="cpio format (default: %(default)s)")
    arguments = parser.parse_args()
    for tool in ("swupdate", "cpio", "openssl"):
        if not shutil.which(tool):
            sys.exit(f"{tool} is not installed")
    with harness.workshop(arguments.dir) as folder:
        image = build(folder, arguments.mib, arguments.format)
        commands = {
            REFERENCE: ["swupdate", "-c", "-H", "box:1.0", "-k", str(folder / "cert.pem"), "-i", str(image)],
            "check": [harness.TOOL, "check", str(image), "--trust", str(folder / "trust.toml")],
        }
        done = harness.interleave(commands, arguments.runs)
        times = {name: [run.seconds for run in runs] for name, runs in done.items()}
        harness.table(f"{arguments.mib} MiB, {arguments.format}", "s", times, TARGETS, reference=REFERENCE)
        harness.table("peak memory", "MiB", {name: [run.peak for run in runs] for name, runs in done.items()}, PEAK)


def build(folder: Path, mib: int, form: str) -> Path:
    """A signed image with one file of ``mib`` MiB, no two blocks of which are the same."""
    noise = random.Random(mib).randbytes(harness.MIB)  # noqa: S311 - no secret, only nothing that repeats
    with (folder / "rootfs.img").open("wb") as file:
        for number in range(mib):
            file.write(number.to_bytes(8, "big") + noise[8:])
    digest = shell(folder, "openssl", "dgst", "-sha256", "-r", "rootfs.img").split()[0].decode()
    (folder / "sw-description").write_text(DESCRIPTION.format(digest=digest))
    (folder / "trust.toml").write_text(TRUST)
    shell(folder, "openssl", *CERTIFICATE.split(), *EXTENSIONS)
    (folder / "vendor.pub.pem").write_bytes(shell(folder, "openssl", "x509", "-in", "cert.pem", "-noout", "-pubkey"))
    shell(folder, "openssl", *SIGN.split(), *FORM.split())
    names = b"sw-description\nsw-description.sig\nrootfs.img\n"
    with (folder / "image.swu").open("wb") as out:
        subprocess.run(["cpio", "--quiet", "-o", "-H", form], cwd=folder, input=names, stdout=out, check=True)
    (folder / "rootfs.img").unlink()
    return folder / "image.swu"


def shell(folder: Path, *command: str) -> bytes:
    """The output of a command."""
    return subprocess.run(command, cwd=folder, check=True, capture_output=True).stdout


if __name__ == "__main__":
    main()
