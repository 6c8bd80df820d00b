"""What the benchmarks share: bundles of any size, interleaved runs, and a table of what was measured.

Every command runs as users run it: the installed console script, its modules compiled by the run that warms up.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MIB = 2**20
TOOL = str(Path(sys.executable).with_name("bundlekit"))
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

SPEC = """\
spec     = 1
kind     = "release"
product  = "benchmark"
models   = ["m-1"]
version  = "2.0"
scheme   = "dotted"
released = 2026-11-23
counter  = 1

[components.appliance]
version = "2.0"
file    = "appliance.img"
"""


class Run(NamedTuple):
    """One run of a command: wall-clock seconds (CPU seconds with ``--cpu``), and the most memory it held, in MiB.

    No ``peak`` is below the memory of the small process that begins the command, about 10 MiB.
    """

    seconds: float
    peak: float


STARTER = """
import os, sys, time
silence = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
start = time.perf_counter()
process = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=silence)
_, status, usage = os.wait4(process, 0)
seconds = time.perf_counter() - start
if os.environ.get("BENCHMARK_CPU"):
    seconds = usage.ru_utime + usage.ru_stime
print(os.waitstatus_to_exitcode(status), seconds, usage.ru_maxrss)
"""
"""A small process that begins a command and measures it. The process of a benchmark is larger than some commands."""


def options(description: str) -> argparse.ArgumentParser:
    """The options that all benchmarks have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--dir", type=Path, help="where to make the bundles (4 GiB need 8); they are removed")
    parser.add_argument("--runs", type=int, default=15, help="runs of each command (default: %(default)s)")
    parser.add_argument(
        "--cpu",
        action=_Cpu,
        nargs=0,
        help="measure CPU time of all threads, for a machine that is busy; targets are for wall-clock time",
    )
    return parser


class _Cpu(argparse.Action):
    """Let the starter measure CPU time."""

    def __call__(self, *_: object) -> None:
        ENVIRONMENT["BENCHMARK_CPU"] = "1"


@contextlib.contextmanager
def workshop(folder: Path | None) -> Iterator[Path]:
    """A folder with a throw-away PKI, gone in the end."""
    if not Path(TOOL).exists():
        sys.exit(f"{TOOL} is not there: install bundlekit beside the Python that runs this")
    with tempfile.TemporaryDirectory(prefix="bundlekit-benchmark-", dir=folder) as name:
        run([TOOL, "keygen", f"{name}/pki", "--algorithm", "ecdsa-p384"])
        yield Path(name)


def signer(folder: Path) -> tuple[Path, Path]:
    """The certificate and the key that the bundles of a workshop are signed with."""
    return folder / "pki" / "signer.pem", folder / "pki" / "signer.key"


def judging(verb: str, bundle: Path) -> list[str]:
    """The command that judges a bundle of a workshop with its root trusted."""
    return [TOOL, verb, str(bundle), "--trust", str(bundle.parent / "pki" / "root.pem")]


def build(folder: Path, mib: int) -> Path:
    """A signed bundle with one image of ``mib`` MiB, no two blocks of which are the same."""
    image, spec, bundle = folder / "appliance.img", folder / "SPEC.toml", folder / f"{mib}.bin"
    noise = random.Random(mib).randbytes(MIB)  # noqa: S311 - no secret, only nothing that repeats
    with image.open("wb") as file:
        for number in range(mib):
            file.write(number.to_bytes(8, "big") + noise[8:])
    spec.write_text(SPEC)
    certificate, key = signer(folder)
    run([TOOL, "build", str(spec), "-o", str(bundle), "--cert", str(certificate), "--key", str(key)])
    image.unlink()
    return bundle


def run(command: Sequence[str], *, expected: int = 0) -> Run:
    """Run a command to its end, its output thrown away; another exit code than ``expected`` ends it all."""
    starter = [sys.executable, "-I", "-S", "-c", STARTER, *command]
    done = subprocess.run(starter, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, check=True)
    code, seconds, kib = done.stdout.split()
    if int(code) != expected:
        sys.exit(f"exit code {code} instead of {expected}: {' '.join(command)}")
    # Linux counts the memory of the starter as well until the command replaces its image.
    return Run(seconds=float(seconds), peak=int(kib) / 1024)


def interleave(commands: dict[str, list[str]], runs: int) -> dict[str, list[Run]]:
    """Run the commands in turn, once to warm up and ``runs`` times: what disturbs one disturbs all."""
    for command in commands.values():
        run(command)
    done: dict[str, list[Run]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            done[name].append(run(command))
    return done


def table(
    title: str, unit: str, figures: dict[str, list[float]], targets: dict[str, float], *, reference: str = ""
) -> None:
    """Print minimum and median by command, and how they compare with those of the reference.

    Targets are for the ratios where there is a reference, else for the figures.
    """
    print(f"\n{title}")
    print(f"{'':32} {'runs':>4} {'minimum':>13} {'median':>13} {'ratios':>13} {'target':>10}")
    for name, values in figures.items():
        measured = f"{min(values):9.3f} {unit:3} {statistics.median(values):9.3f} {unit:3}"
        ratios = ""
        if reference not in {"", name}:
            base = figures[reference]
            ratios = f"{min(values) / min(base):.3f} {statistics.median(values) / statistics.median(base):.3f}"
        target = f"<= {targets[name]:g}" if name in targets else ""
        print(f"{name:32} {len(values):4} {measured} {ratios:>13} {target:>10}", flush=True)


def sparse(folder: Path, size: int, *, chunk_size: int = MIB, algorithm: str = "sha256") -> Path:
    """A signed bundle with one image of ``size`` bytes that is a hole; the digests are not those of its zeros.

    It may be installed over 1.0.
    """
    # Imported here, so that this process is small while it measures the memory of others.
    from bundlekit.authoring.sign import load_signers, signature_area
    from bundlekit.layout import manifest as manifest_layout
    from bundlekit.layout import update_bin
    from bundlekit.model.manifest import Component, FormatVersion, Image, Manifest
    from bundlekit.model.matrix import Matrix, MatrixSource

    index = f"{algorithm}:{'0' * 2 * update_bin.DIGEST_SIZES[algorithm]}"
    image = Image(size=size, digest=f"sha256:{64 * '0'}", chunk_size=chunk_size, index=index)
    manifest = Manifest(
        format=FormatVersion(major=1, minor=0),
        kind="release",
        product="benchmark",
        models=("m-1",),
        version="2.0",
        scheme="dotted",
        released="2026-11-23",
        counter=1,
        components=(Component(name="appliance", version="2.0", images=(image,)),),
        matrix=Matrix(releases=("1.0", "2.0"), sources=(MatrixSource(id="earlier", versions=">=1.0, <2.0"),)),
    )
    encoded = manifest_layout.encode(manifest)
    capacity = update_bin.DEFAULT_CAPACITY
    end = update_bin.place(manifest, update_bin.HEADER_SIZE + len(encoded) + capacity).end
    header = update_bin.Header(manifest_size=len(encoded), signature_capacity=capacity, file_size=end)
    head = update_bin.encode_header(header) + encoded
    certificate, key = signer(folder)
    (only,) = load_signers([key], [certificate], ask=lambda _: b"")
    bundle = folder / "sparse.bin"
    with bundle.open("wb") as file:
        file.write(head + signature_area([only.sign(head)], capacity))
        file.truncate(end)
    return bundle
