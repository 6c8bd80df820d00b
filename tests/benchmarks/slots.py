"""What it costs to stage a component and write it to a slot with read-back, against dd and openssl in the same run.

    python tests/benchmarks/slots.py [FOLDER] [MiB]

The reference is ``dd conv=fsync`` of the same bytes plus one ``openssl dgst -sha256`` of them; FOLDER should lie
on the disk that slots will live on, and needs five times the size. Interleaved, 5 rounds, 1024 MiB; minimum and
median of both, their ratios, and how much the peak of memory grew.
"""

import hashlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from bundlekit.integrity import verified_chunks
from bundlekit.model.bundle import ChunkClaim, DigestClaim, Span
from bundlekit.source import FileSource
from bundlekit.update.bundle import staged
from bundlekit.update.engine.hooks import Request
from bundlekit.update.engine.job import Target
from bundlekit.update.targets.slots import SlotHooks, create_slot_pair, install_slot

ROUNDS = 5
MIB = 2**20


class Bundle:
    """A bundle file that is an image and, behind it, its chunk index."""

    bundle_id = "0" * 64

    def __init__(self, path, mib):
        plain, index = hashlib.sha256(), b""
        with path.open("wb") as file:
            for _ in range(mib):
                piece = os.urandom(MIB)
                plain.update(piece)
                index += hashlib.sha256(piece).digest()
                file.write(piece)
            file.write(index)
        self.path, self.size, self.digest = path, mib * MIB, f"sha256:{plain.hexdigest()}"
        self.source = FileSource(path)
        where = Span(start=self.size, stop=self.size + len(index))
        image = Span(start=0, stop=self.size)
        expected = f"sha256:{hashlib.sha256(index).hexdigest()}"
        self.claims = (
            ChunkClaim(subject="storage", span=image, index=where, chunk_size=MIB, algorithm="sha256"),
            DigestClaim(subject="storage", span=where, expected=expected),
        )

    @contextmanager
    def stage(self, _label):
        with staged(self.source, *self.claims, self.path.parent) as file:
            yield file

    def chunks(self, _label):
        return verified_chunks(self.source, *self.claims)


def main(folder, mib):
    bundle = Bundle(folder / "update.bin", mib)
    place = (
        create_slot_pair(folder / "pairs", "pair", product="p", model="m", version="1", storage="1")
        / "shared"
        / "storage"
    )
    hooks = SlotHooks(folder / "pairs")
    target = Target(
        component="storage", label="storage", identity="pair", role="shared", old="1", new="2",
        size=bundle.size, digest=bundle.digest,
    )  # fmt: skip
    request = Request(
        verb="prepare", pair="pair", step="storage", run="r", fence=1, attempt=1, deadline=3600,
        bundle_id=bundle.bundle_id, target=target, bundle=bundle,
    )  # fmt: skip
    copy = folder / "copy"

    def ours():
        answer = hooks.prepare(request)
        assert answer.kind == "ok", answer.reason

    def reference():
        source, count = f"if={bundle.path}", f"count={mib}"
        subprocess.run(["dd", source, f"of={copy}", "bs=1M", count, "conv=fsync", "status=none"], check=True)
        subprocess.run(["openssl", "dgst", "-sha256", copy], check=True, stdout=subprocess.DEVNULL)

    times = {reference: [], ours: []}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(ROUNDS):
        for what, seen in times.items():
            copy.unlink(missing_ok=True)
            install_slot(place, "1", b"old")
            hooks.cleanup(request)  # so that nothing is prepared
            start = time.perf_counter()
            what()
            seen.append(time.perf_counter() - start)
    for name, value in (("minimum", min), ("median", statistics.median)):
        mine, theirs = value(times[ours]), value(times[reference])
        print(f"{name}: {mine:.2f} s / {theirs:.2f} s = {mine / theirs:.2f}")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"memory: {before / 1024:.0f} MiB, grew by {grown / 1024:.1f} MiB over {mib} MiB")
    bundle.source.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as scratch:
        main(Path(scratch), int(sys.argv[2]) if len(sys.argv) > 2 else 1024)
