"""Pairs that exist as folders, bundles of real bytes for them, and the engine between the two."""

import hashlib
from contextlib import contextmanager

from msgspec.structs import replace

from bundlekit.model.bundle import ChunkClaim, DigestClaim, Span
from bundlekit.source import FileSource
from bundlekit.update.bundle import staged
from bundlekit.update.engine.clock import ManualClock
from bundlekit.update.engine.executor import Engine, HoldRelease
from bundlekit.update.engine.journal import MemoryJournal
from bundlekit.update.engine.plan import PAIR
from bundlekit.update.rehearsal.rehearse import calm
from bundlekit.update.rehearsal.simulator import NEW, NEW_STORAGE, OLD, OLD_STORAGE, simulated_job
from bundlekit.update.targets.slot_folder import Place, read_pair
from bundlekit.update.targets.slots import SlotHooks, create_slot_pair

CHUNK = 65536
IMAGES = {"storage": b"storage" * 30_000, "appliance": b"appliance" * 20_000 + b"."}
"""Sizes that are no multiple of a block, a chunk or a piece."""


def digest_of(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class FileBundle:
    """A bundle on disk as its checker hands it over: verified as it is read, through one open descriptor."""

    bundle_id = "0" * 64

    def __init__(self, path, images=IMAGES):
        self.path, self.claims, parts, at = path, {}, [], 0
        for label, data in images.items():
            pieces = [data[n : n + CHUNK] for n in range(0, len(data), CHUNK)]
            index = b"".join(hashlib.sha256(piece).digest() for piece in pieces)
            where = Span(start=at, stop=at + len(index))
            span = Span(start=where.stop, stop=where.stop + len(data))
            self.claims[label] = (
                ChunkClaim(subject=label, span=span, index=where, chunk_size=CHUNK, algorithm="sha256"),
                DigestClaim(subject=label, span=where, expected=digest_of(index)),
            )
            parts += [index, data]
            at = span.stop
        path.write_bytes(b"".join(parts))
        self.source = FileSource(path)

    @contextmanager
    def stage(self, label):
        with staged(self.source, *self.claims[label], self.path.parent) as file:
            yield file

    def chunks(self, label):
        from bundlekit.integrity import verified_chunks

        return verified_chunks(self.source, *self.claims[label])

    def damage(self, label):
        """Change the file in place, behind the back of whoever has checked it."""
        with self.path.open("r+b") as file:
            file.seek(self.claims[label][0].span.stop - 1)
            file.write(b"!")


def job_for(plan=PAIR, *, compatible=True, images=IMAGES, pair="pair-0"):
    job = simulated_job(calm(plan), compatible=compatible, pair=pair)
    targets = {
        step: replace(t, size=len(images[t.label]), digest=digest_of(images[t.label]))
        for step, t in job.targets.items()
    }
    return replace(job, targets=targets)


def make_pair(root, **options):
    create_slot_pair(
        root,
        "pair-0",
        product="imager",
        model="im-200",
        version=OLD,
        storage=OLD_STORAGE,
        members=("SN-active", "SN-standby"),
        counter=6,
        **options,
    )
    return root


class SlotWorld:
    """A pair of folders with everything an update of it needs. Look at the disk, not at the hooks."""

    def __init__(self, folder, *, plan=PAIR, compatible=True, hooks=None, journal=None, **options):
        folder.mkdir(exist_ok=True)
        self.root = make_pair(folder / "target", **{"synchronise": 2700, "sandbox": True} | options)
        self.clock = ManualClock()
        self.job = job_for(plan, compatible=compatible)
        self.bundle = FileBundle(folder / "update.bin")
        self.slots = SlotHooks(self.root, clock=self.clock)
        self.hooks = hooks(self.slots, self) if hooks else self.slots
        self.journal = journal or MemoryJournal()

    @property
    def engine(self):
        return Engine(journal=self.journal, hooks=self.hooks, clock=self.clock)

    def run(self, **options):
        return self.engine.run(self.job, self.bundle, **options)

    def run_again(self, *, repair=False):
        """A new run for the pair as it is now."""
        targets = {step: replace(t, old=self.version(step) or t.old) for step, t in self.job.targets.items()}
        self.job = replace(self.job, targets=targets, counter_before=self.counter, repair=repair)
        return self.run()

    def resume(self, **options):
        return self.engine.resume(self.job.pair, self.bundle, **options)

    def clear(self):
        return self.engine.clear(self.job.pair, HoldRelease(by="Ada", reason="disk replaced"))

    def close(self):
        self.bundle.source.close()

    # what is on the disk

    def folder(self, step):
        target = self.job.targets[step]
        return self.root / "pair-0" / ("shared" if target.role == "shared" else target.identity) / target.component

    def record(self, step):
        with Place(self.folder(step)) as place:
            return place.read()

    def version(self, step):
        running = self.record(step).running
        return running.version if running else None

    def bytes(self, step):
        """The bytes that would run."""
        return (self.folder(step) / self.record(step).active).read_bytes()

    @property
    def counter(self):
        return read_pair(self.root, "pair-0").counter

    def versions(self):
        return tuple(self.version(step) for step in self.job.targets)


ALL_OLD = (OLD_STORAGE, OLD, OLD)
ALL_NEW = (NEW_STORAGE, NEW, NEW)
