"""Claims measured and counted over bundles of no known format: integrity knows spans and claims alone."""

import hashlib
import os
import threading
import time
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundlekit import integrity, pipeline
from bundlekit.errors import CancelledError, ChangedWhileReadError, UnreadableError
from bundlekit.integrity import BUFFER, MAX_REPORTED, STRIPE, coverage, measure, verified_chunks
from bundlekit.model.bundle import Bundle, ChunkClaim, DigestClaim, SignatureClaim, Span, ZeroClaim
from bundlekit.source import BytesSource, FileSource
from fixtures import forge


def span(start, stop):
    return Span(start=start, stop=stop)


def digest_of(data, algorithm="sha256"):
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def noise(size):
    """Bytes that differ from chunk to chunk."""
    return hashlib.shake_128(b"noise").digest(size)


def indexed(data, chunk_size, algorithm="sha256"):
    """A file of an index and ``data``, with the claims about both."""
    index = b"".join(
        hashlib.new(algorithm, data[at : at + chunk_size]).digest() for at in range(0, len(data), chunk_size)
    )
    start = len(index)
    chunks = ChunkClaim(
        subject="image",
        span=span(start, start + len(data)),
        index=span(0, start),
        chunk_size=chunk_size,
        algorithm=algorithm,
    )
    return index + data, chunks, DigestClaim(subject="index", span=span(0, start), expected=digest_of(index))


# --- measure: what it finds ---


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("size", [1, BUFFER - 1, BUFFER, BUFFER + 1, 3 * BUFFER])
def test_digests_are_those_of_hashlib(algorithm, size):
    data = noise(size + 10)
    claim = DigestClaim(subject="image", span=span(10, 10 + size), expected=digest_of(b"", algorithm))
    (found,) = measure(BytesSource(data), [claim]).digests
    assert found.found == digest_of(data[10:], algorithm)


def test_digests_over_whole_components_are_taken_on_request_only():
    claim = DigestClaim(subject="image", span=span(0, 4), expected=digest_of(b""), serial=True)
    assert measure(BytesSource(b"abcd"), [claim]).digests == ()
    (found,) = measure(BytesSource(b"abcd"), [claim], serial=True).digests
    assert (found.serial, found.found) == (True, digest_of(b"abcd"))


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("chunk_size", [1000, BUFFER, BUFFER + 1000, STRIPE + 1, 2 * STRIPE])
@pytest.mark.parametrize("places", [(), (0,), (2_500_000,), (0, 999, 1_999_999, 2_500_000)])
def test_damage_is_located_to_the_chunk(threads, chunk_size, places):
    data = noise(2_500_001)
    file, claim, _ = indexed(data, chunk_size)
    damaged = bytearray(file)
    for place in places:
        damaged[claim.span.start + place] ^= 1
    (found,) = measure(BytesSource(bytes(damaged)), [claim], threads=threads).chunks
    touched = sorted({place // chunk_size for place in places})
    assert found.chunks == -(-len(data) // chunk_size)
    assert found.damaged_count == len(touched)
    assert sum(one.size for one in found.damaged) == sum(
        min(chunk_size, len(data) - chunk * chunk_size) for chunk in touched
    )
    assert all(any(one.start <= claim.span.start + place < one.stop for one in found.damaged) for place in places)


@given(st.sets(st.integers(0, 999), max_size=40), st.integers(1, 64), st.integers(1, 3))
def test_damaged_spans_are_in_order_joined_and_exact(places, chunk_size, threads):
    data = noise(1000)
    file, claim, _ = indexed(data, chunk_size)
    start = claim.span.start
    damaged = bytes(byte ^ (at - start in places) for at, byte in enumerate(file))
    (found,) = measure(BytesSource(damaged), [claim], threads=threads).chunks
    bad = {
        at
        for place in places
        for at in range(place - place % chunk_size, min(place - place % chunk_size + chunk_size, 1000))
    }
    assert {at - start for one in found.damaged for at in range(one.start, one.stop)} == bad
    assert all(one.stop < other.start for one, other in pairwise(found.damaged))


@pytest.mark.parametrize("place", [0, 2999, 3000, 7500, 10_000])
def test_each_piece_of_work_compares_with_its_own_part_of_the_index(monkeypatch, place):
    monkeypatch.setattr("bundlekit.integrity.STRIPE", 3000)
    file, claim, _ = indexed(noise(10_001), 1000)
    damaged = bytearray(file)
    damaged[claim.span.start + place] ^= 1
    (found,) = measure(BytesSource(bytes(damaged)), [claim]).chunks
    start = claim.span.start + place - place % 1000
    assert found.damaged == (span(start, min(start + 1000, claim.span.stop)),)


def test_of_much_damage_the_first_spans_are_kept_and_all_chunks_counted():
    file, claim, _ = indexed(noise(2000), 1)
    every_second = bytes(byte ^ (at >= claim.span.start and at % 2) for at, byte in enumerate(file))
    (found,) = measure(BytesSource(every_second), [claim]).chunks
    assert (found.damaged_count, len(found.damaged)) == (1000, MAX_REPORTED)
    assert found.damaged[0].start - claim.span.start == 1


@pytest.mark.parametrize("place", [None, 5, BUFFER + 4, BUFFER + 5, 2 * BUFFER + 9])
def test_the_first_byte_that_is_not_zero_is_named(place):
    data = bytearray(2 * BUFFER + 10)
    data[0] = data[4] = 1  # before the span
    if place is not None:
        data[place] = data[-1] = 1
    claim = ZeroClaim(subject="padding", span=span(5, len(data)))
    (found,) = measure(BytesSource(bytes(data)), [claim]).zeros
    assert found.first_nonzero == place


def test_an_empty_span_is_zero():
    claim = ZeroClaim(subject="padding", span=span(4, 4))
    (found,) = measure(BytesSource(b"abcd"), [claim]).zeros
    assert found.first_nonzero is None


# --- measure: how it runs ---


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("damaged", [False, True])
def test_progress_rises_to_the_whole_and_no_further(threads, damaged):
    data = noise(3 * BUFFER)
    file, chunks, index = indexed(data, 100_000)
    padding = b"x" * damaged + bytes(2 * BUFFER)
    claims = [chunks, index, ZeroClaim(subject="padding", span=span(len(file), len(file) + len(padding)))]
    seen = []
    measure(BytesSource(file + padding), claims, threads=threads, progress=lambda *counts: seen.append(counts))
    total = sum(claim.span.size for claim in claims)
    assert {whole for _, whole in seen} == {total}
    assert all(one < other for (one, _), (other, _) in pairwise(seen))
    assert seen[-1] == (total, total)


class Watched(BytesSource):
    """Bytes that remember how many of them were read, and break at one place."""

    def __init__(self, data, *, breaks_at=None, error=None):
        super().__init__(data)
        self.breaks_at, self.error, self.count = breaks_at, error, 0
        self.lock = threading.Lock()

    def readinto(self, offset, buffer):
        with self.lock:
            self.count += len(buffer)
        if self.breaks_at is not None and offset <= self.breaks_at < offset + len(buffer):
            raise self.error
        super().readinto(offset, buffer)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_cancel_ends_the_work_soon(threads):
    file, chunks, _ = indexed(noise(40 * BUFFER), BUFFER)
    source = Watched(file)
    answers = iter([False, False, True])
    with pytest.raises(CancelledError, match="cancelled before"):
        measure(source, [chunks], threads=threads, cancel=lambda: next(answers, True))
    assert source.count < (3 + threads) * BUFFER + chunks.index.size


@pytest.mark.parametrize("error", [UnreadableError("a bad sector"), MemoryError(), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("place", ["index", "image"])
def test_an_error_of_any_thread_is_raised_as_it_is(error, threads, place):
    file, chunks, index = indexed(noise(8 * BUFFER), BUFFER)
    source = Watched(file, breaks_at=0 if place == "index" else len(file) - 1, error=error)
    with pytest.raises(type(error)) as caught:
        measure(source, [chunks, index], threads=threads)
    assert caught.value is error
    assert threading.active_count() == 1


class Slow(Watched):
    """A source that takes its time, most of all for its first byte."""

    def readinto(self, offset, buffer):
        time.sleep(0.1 if offset == 0 else 0.005)
        super().readinto(offset, buffer)


def test_after_an_error_the_other_threads_stop_soon(monkeypatch):
    monkeypatch.setattr(integrity, "STRIPE", 40 * BUFFER)
    data = bytes(80 * BUFFER)
    claim = ChunkClaim(
        subject="image", span=span(0, len(data)), index=span(1, 81), chunk_size=BUFFER, algorithm="sha256"
    )
    source = Slow(data, breaks_at=0, error=UnreadableError("a bad sector"))
    with pytest.raises(UnreadableError):
        measure(source, [claim], threads=2)
    assert source.count < 30 * BUFFER


def test_spans_come_in_the_order_of_the_file_whatever_the_threads_do(monkeypatch):
    monkeypatch.setattr(integrity, "STRIPE", 10)
    claim = ChunkClaim(subject="image", span=span(0, 100), index=span(100, 420), chunk_size=10, algorithm="sha256")
    (found,) = measure(Slow(bytes(420)), [claim], threads=2).chunks  # no digest is zero: every chunk differs
    assert (found.damaged, found.damaged_count) == ((span(0, 100),), 10)


def test_an_error_of_the_callers_own_functions_is_raised_too():
    file, chunks, _ = indexed(noise(BUFFER), 1000)
    with pytest.raises(ZeroDivisionError):
        measure(BytesSource(file), [chunks], progress=lambda done, _: 1 // (done - done))


class Zeros:
    """Many zeros that are nowhere."""

    name = "<zeros>"

    def __init__(self, size):
        self.size = self.held = size

    def readinto(self, offset, buffer):
        buffer[:] = bytes(len(buffer))

    def ensure_unchanged(self):
        pass


@pytest.mark.parametrize("chunk_size", [2**20, 2**26], ids=["1 MiB", "64 MiB"])
def test_memory_does_not_grow_with_the_file(chunk_size):
    size = 2**27
    chunks = ChunkClaim(
        subject="image", span=span(4096, size), index=span(0, 4096), chunk_size=chunk_size, algorithm="sha256"
    )
    claims = [chunks, ZeroClaim(subject="padding", span=span(size, size + 2**25))]
    tracemalloc.start()
    try:
        found = measure(Zeros(size + 2**25), claims)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.chunks[0].damaged_count == found.chunks[0].chunks
    assert peak < 2 * 2**20


# --- files that change while they are read ---


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "update.bin"
    path.write_bytes(forge.good())
    return path


def cut(path):
    os.truncate(path, 9000)


def grow(path):
    os.truncate(path, 2**20)


def touch_up(path):
    data = path.read_bytes()
    path.write_bytes(data)
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize("change", [cut, grow, touch_up])
def test_a_file_that_changes_while_it_is_read_gets_no_verdict(file, change):
    with pytest.raises(ChangedWhileReadError) as caught:
        pipeline.check(file, trust=forge.trust(), progress=lambda *_: change(file))
    assert caught.value.next_step


def test_a_file_cut_before_a_read_says_where_it_ends(file):
    with FileSource(file) as source:
        cut(file)
        claim = DigestClaim(subject="image", span=span(0, 16384), expected=digest_of(b""))
        with pytest.raises(ChangedWhileReadError, match="ends at byte 0x2328, it had 0x4000"):
            measure(source, [claim])


# --- verified reading ---


def test_verified_chunks_are_the_bytes_of_the_component():
    data = noise(10_001)
    file, chunks, index = indexed(data, 1000)
    assert b"".join(map(bytes, verified_chunks(BytesSource(file), chunks, index))) == data


@pytest.mark.parametrize("chunk", [0, 4, 10])
def test_nothing_of_a_damaged_chunk_is_handed_over(chunk):
    data = noise(10_001)
    file, chunks, index = indexed(data, 1000)
    damaged = forge.flip(file, chunks.span.start + chunk * 1000)
    got = []
    where = f"0x{chunks.span.start + chunk * 1000:x}\\.\\."
    with pytest.raises(ChangedWhileReadError, match=f"'image' is damaged at {where}"):
        got.extend(bytes(piece) for piece in verified_chunks(BytesSource(damaged), chunks, index))
    assert b"".join(got) == data[: chunk * 1000]


def test_nothing_is_handed_over_under_a_damaged_index():
    file, chunks, index = indexed(noise(10_001), 1000)
    with pytest.raises(ChangedWhileReadError, match="chunk index of 'image' is damaged"):
        next(verified_chunks(BytesSource(forge.flip(file, 0)), chunks, index))


# --- coverage ---

SIGNATURE = SignatureClaim(index=0, signed=span(0, 10), blob=span(14, 20))
CHUNKS = ChunkClaim(subject="image", span=span(30, 50), index=span(24, 30), chunk_size=20, algorithm="sha256")
INDEX = DigestClaim(subject="index", span=span(24, 30), expected="")
PLAIN = DigestClaim(subject="image", span=span(30, 50), expected="", serial=True)
REST = ZeroClaim(subject="padding", span=span(20, 24))


def covered(size, *claims):
    spans = coverage(Bundle(format="of no kind", size=size, claims=claims))
    return [(one.span.start, one.span.stop, one.by) for one in spans]


@pytest.mark.parametrize(
    ("size", "claims", "expected"),
    [
        (0, [], []),
        (7, [], [(0, 7, "nothing")]),
        (20, [SIGNATURE], [(0, 10, "signed"), (10, 20, "signature")]),
        (
            50,
            [CHUNKS, INDEX, PLAIN, REST, SIGNATURE],
            [(0, 10, "signed"), (10, 20, "signature"), (20, 24, "zero"), (24, 30, "digest"), (30, 50, "chunks")],
        ),
        (50, [PLAIN], [(0, 50, "nothing")]),
        (50, [CHUNKS], [(0, 30, "nothing"), (30, 50, "chunks")]),
        (60, [CHUNKS], [(0, 30, "nothing"), (30, 50, "chunks"), (50, 60, "nothing")]),
        (40, [CHUNKS], [(0, 30, "nothing"), (30, 40, "chunks")]),
        (20, [CHUNKS], [(0, 20, "nothing")]),
        (24, [SIGNATURE, SIGNATURE, REST], [(0, 10, "signed"), (10, 20, "signature"), (20, 24, "zero")]),
        (
            30,
            [ZeroClaim(subject="a", span=span(0, 20)), INDEX, ZeroClaim(subject="b", span=span(10, 26))],
            [(0, 20, "zero"), (20, 26, "zero"), (26, 30, "digest")],
        ),
    ],
    ids=[
        "an empty file",
        "no claims",
        "a head",
        "a whole bundle",
        "a plain digest alone",
        "a gap before",
        "a gap behind",
        "a claim past the end",
        "a claim behind the end",
        "two signatures over one head",
        "overlapping claims",
    ],
)
def test_what_vouches_for_each_byte(size, claims, expected):
    assert covered(size, *claims) == expected


SPANS = st.tuples(st.integers(0, 120), st.integers(0, 120)).map(lambda ends: span(min(ends), max(ends)))


@given(st.integers(0, 100), st.lists(SPANS, max_size=12))
def test_coverage_is_the_union_of_the_claims_without_gap_or_overlap(size, spans):
    found = covered(size, *(ZeroClaim(subject=str(n), span=one) for n, one in enumerate(spans)))
    assert [at for start, stop, _ in found for at in range(start, stop)] == list(range(size))
    claimed = {at for one in spans for at in range(one.start, min(one.stop, size))}
    assert {at for start, stop, by in found if by == "zero" for at in range(start, stop)} == claimed
