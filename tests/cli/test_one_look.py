"""Every verb is right about one file: it is rewritten after each of its reads in turn, in the middle of the work.

The time of modification is put back, so that no verb can tell by it. A verb may say what is true of the one file or
of the other, or refuse; never something that is true of neither.
"""

import os
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from bundlekit import extraction, load_trust, pipeline
from bundlekit.errors import UnreadableError
from bundlekit.layout import reader
from bundlekit.model.bundle import ChunkClaim
from bundlekit.source import BytesSource, FileSource

AT = ("--at", "2026-12-05")
TRUST = ("--trust", "keys/root.pem")
MATRIX = 'releases = ["5.30.02"]\n[[from]]\nid = "rolling"\nversions = "<5.40.00"\n'
MOST_READS = 60


class Swap:
    """Rewrites ``path`` in place with ``after``, once ``at`` reads were made; counts the reads."""

    def __init__(self, monkeypatch, path, after):
        self.path, self.after, self.at, self.reads = Path(path), after, None, 0
        self.later = []
        # Chunks are read by several threads: a read that began before the file was rewritten is not counted behind it.
        self.one_at_a_time = threading.Lock()
        self._read_some = FileSource._read_some

        def read(source, *args):
            return self.read(source, *args)

        monkeypatch.setattr(FileSource, "_read_some", read)

    def read(self, source, offset, buffer):
        with self.one_at_a_time:
            count = self._read_some(source, offset, buffer)
            self.reads += 1
            if self.at is not None and self.reads > self.at:
                self.later.append((offset, offset + count))
            if self.reads == self.at:
                self.rewrite(self.after)
            return count

    def rewrite(self, data):
        before = self.path.stat()
        with self.path.open("r+b") as file:
            file.truncate(len(data))
            file.write(data)
        os.utime(self.path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def run(self, before, at, action):
        self.path.write_bytes(before)
        self.at, self.reads, self.later = at, 0, []
        return action()


class Verb(NamedTuple):
    args: tuple[str, ...]
    results: Callable[[], object] = lambda: None


def output():
    return Path("out").read_bytes() if Path("out").exists() else None


def listed():
    return {one.name: one.read_bytes() for one in Path("cat").glob("*")} if Path("cat").exists() else None


def inside():
    return Path("u.bin").read_bytes()


SIGN = ("--cert", "more/signer.pem", "--key", "more/signer.key")
VERBS = {
    "check": Verb(("check", "u.bin", *TRUST, *AT, "--from", "5.30.02", "--format", "json")),
    "check unverified": Verb(("check", "u.bin", *AT, "--full", "--format", "json")),
    "preflight": Verb(("preflight", "u.bin", *TRUST, *AT, "--from", "5.30.02", "--format", "json")),
    "inspect": Verb(("inspect", "u.bin", "--format", "json")),
    "extract": Verb(("extract", "u.bin", "appliance", "-o", "out", *TRUST), output),
    "extract head": Verb(("extract", "u.bin", "--head", "-o", "out", *TRUST), output),
    "extract signature": Verb(("extract", "u.bin", "--signature", "0", "-o", "out", *TRUST), output),
    "extract unverified": Verb(("extract", "u.bin", "appliance", "-o", "out"), output),
    "catalog add": Verb(("catalog", "add", "cat", "u.bin"), listed),
    "path": Verb(("path", "u.bin", *TRUST, *AT, "--from", "5.30.02", "--to", "5.40.00", "--format", "json")),
    "matrix show": Verb(("matrix", "show", "u.bin", *TRUST, "--format", "json")),
    "matrix lint": Verb(("matrix", "lint", "u.bin", *TRUST, *AT, "--format", "json")),
    "matrix export": Verb(("matrix", "export", "u.bin", *TRUST, "-o", "out"), output),
    "sign": Verb(("sign", "u.bin", *SIGN), inside),
    "sign --remove": Verb(("sign", "u.bin", "--remove", "0"), inside),
}


@pytest.fixture
def two(cli, ship):
    """A bundle of the vendor, and a stranger's of the same layout: the same places, other bytes in all of them."""
    cli("keygen", "others")
    cli("keygen", "more")
    Path("image").write_bytes(b"good!" * 30_000)
    good = Path(ship("5.40.00", MATRIX)).read_bytes()
    Path("image").write_bytes(b"evil!" * 30_000)
    evil = Path(ship("5.40.00", MATRIX, signer="others/signer", counter=8)).read_bytes()
    assert len(good) == len(evil)
    return good, evil


@pytest.fixture
def asked(cli, two):
    def ask(verb):
        for name in ("out", *(str(one) for one in Path().glob("cat/*"))):
            Path(name).unlink(missing_ok=True)
        result = cli(*verb.args)
        return result.code, result.out, verb.results()

    return ask


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", VERBS)
@pytest.mark.parametrize("first", [0, 1], ids=["good first", "evil first"])
def test_a_verb_is_right_about_one_file_whenever_that_is_rewritten(asked, two, monkeypatch, name, first):
    verb = VERBS[name]
    before, after = two[first], two[1 - first]
    swap = Swap(monkeypatch, "u.bin", after)
    Path("u.bin").write_bytes(b"")
    truths = [swap.run(data, None, lambda: asked(verb)) for data in (after, before)]
    reads = swap.reads
    assert 0 < reads < MOST_READS
    # What happens to the file after the last look at what was written into it is no matter of the verb.
    for at in range(1, reads if verb.results is inside else reads + 1):
        code, *found = swap.run(before, at, lambda: asked(verb))
        # What is accepted is one of the two, whole. What is refused hands out nothing.
        assert code != 0 or (code, *found) in truths, f"rewritten after read {at} of {reads}"
        if code != 0 and verb.results in {output, listed}:
            assert not found[1], f"rewritten after read {at} of {reads}"


def test_a_chunk_index_is_compared_with_as_it_was_verified(two, monkeypatch, shop):
    """The index is the vendor's when its digest is taken, and fits other bytes when the chunks are compared."""
    good, evil = two
    claims = [c for c in reader.read(BytesSource(good)).claims if isinstance(c, ChunkClaim)]
    spoiled = bytearray(good)
    for claim in claims:
        for span in (claim.index, claim.span):
            spoiled[span.start : span.stop] = evil[span.start : span.stop]
    assert spoiled[: claims[0].index.start] == good[: claims[0].index.start]
    trust, swap = load_trust(["keys/root.pem"]), Swap(monkeypatch, "u.bin", bytes(spoiled))
    Path("u.bin").write_bytes(b"")
    judge = lambda: pipeline.check("u.bin", trust=trust).verdict  # noqa: E731
    assert swap.run(good, None, judge) == "accept"
    spans = [span for claim in claims for span in (claim.index, claim.span)]
    for at in range(1, swap.reads + 1):
        verdict = swap.run(good, at, judge)
        seen = any(start < span.stop and span.start < stop for start, stop in swap.later for span in spans)
        assert verdict == ("reject" if seen else "accept"), f"rewritten after read {at}"


def test_what_the_api_extracts_is_of_the_bundle_that_was_accepted(two, monkeypatch, shop):
    good, evil = two
    trust, swap = load_trust(["keys/root.pem"]), Swap(monkeypatch, "u.bin", evil)
    Path("u.bin").write_bytes(b"")
    out = Path("out")
    extract = lambda: extraction.extract(Path("u.bin"), "appliance", out, trust=trust)  # noqa: E731
    swap.run(good, None, extract)
    for at in range(1, swap.reads + 1):
        out.unlink(missing_ok=True)
        try:
            swap.run(good, at, extract)
        except UnreadableError:
            assert not out.exists()
        else:
            assert out.read_bytes() == b"good!" * 30_000


def test_a_source_of_the_callers_own_is_looked_at_once_too(two):
    """`pipeline.check` takes any Source: the head is not asked of it twice."""

    class Own:
        name = "own"

        def __init__(self, data):
            self.data, self.size, self.held, self.asked = data, len(data), len(data), []

        def readinto(self, offset, buffer):
            self.asked.append((offset, offset + len(buffer)))
            buffer[:] = self.data[offset : offset + len(buffer)]

        def ensure_unchanged(self):
            pass

    own = Own(two[0])
    pipeline.preflight(own, trust=load_trust(["keys/root.pem"]))
    start, *places = own.asked
    assert start == (0, 64)  # which says how long the head is
    assert all(before[1] <= after[0] for before, after in pairwise(sorted(places)))
