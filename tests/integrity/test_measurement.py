"""Claims measured over files of no known format: integrity knows spans and claims alone."""

import os
import threading
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bundlekit import pipeline
from bundlekit.errors import CancelledError, ChangedWhileReadError, UnreadableError
from bundlekit.integrity import MAX_REPORTED, compared, measure, measurement
from bundlekit.integrity.measurement import STRIPE
from bundlekit.integrity.worker_pool import BUFFER
from bundlekit.model.bundle import ByteClaim, ChunkClaim, DigestClaim, Span, ZeroClaim
from bundlekit.source import BytesSource, FileSource
from fixtures import forge
from tests.integrity.claims import Slow, Watched, digest_of, indexed, noise, span

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
    monkeypatch.setattr(measurement, "STRIPE", 3000)
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


@pytest.mark.parametrize("place", [None, 0, 9])
def test_padding_can_be_of_another_byte(place):
    data = bytearray(b"\xff" * 10)
    if place is not None:
        data[place] = 0
    claim = ZeroClaim(subject="padding", span=span(0, 10), fill=0xFF)
    (found,) = measure(BytesSource(bytes(data)), [claim]).zeros
    assert (found.fill, found.first_nonzero) == (0xFF, place)


def test_claims_about_a_decoded_stream_are_measured_there():
    inside = Span(start=2, stop=8, stream="inner")
    claims = [
        DigestClaim(subject="image", span=inside, expected=digest_of(b"")),
        ZeroClaim(subject="padding", span=replace(inside, start=0, stop=2)),
    ]
    source = Watched(b"the coded text")
    found = measure(source, claims, streams={"inner": b"\0\0decode!"})
    assert found.digests[0].found == digest_of(b"decode")
    assert found.zeros[0].first_nonzero is None
    assert source.count == 0


def test_a_digest_that_is_known_is_not_computed_again():
    seen = []
    claim = DigestClaim(subject="image", span=span(0, 5), expected=digest_of(b"wrong"))
    other = replace(claim, span=span(5, 9))
    known = {(claim.span, "sha256"): digest_of(b"known"), (other.span, "sha512"): "of another algorithm"}
    source = Watched(b"knownothers")
    found = measure(source, [claim, other], known=known, progress=lambda *counts: seen.append(counts))
    assert [one.found for one in found.digests] == [digest_of(b"known"), digest_of(b"othe")]
    assert source.count == 4
    assert seen[-1] == (4, 4)
    assert compared([claim], known) == found.digests[:1]
    assert compared([claim, other], known) is None
    assert compared([ZeroClaim(subject="padding", span=span(0, 5))], known) is None


def test_an_empty_span_is_zero():
    claim = ZeroClaim(subject="padding", span=span(4, 4))
    (found,) = measure(BytesSource(b"abcd"), [claim]).zeros
    assert found.first_nonzero is None


@pytest.mark.parametrize("serial", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
def test_under_a_damaged_index_nothing_is_read(serial, threads):
    seen = []
    file, chunks, index = indexed(noise(10 * BUFFER), BUFFER)
    other, padding = DigestClaim(subject="other", span=span(0, 5), expected=digest_of(b"12345")), b"\0" * 7
    plain = DigestClaim(subject="image", span=chunks.span, expected=digest_of(b""), serial=True)
    zeros = ZeroClaim(subject="padding", span=span(len(file), len(file) + len(padding)))
    source = Watched(forge.flip(file, index.span.start) + padding)
    found = measure(
        source,
        [plain, chunks, index, other, zeros],
        serial=serial,
        threads=threads,
        progress=lambda *counts: seen.append(counts),
    )
    assert source.count == index.span.size + 5 + 7
    assert (found.chunks, [digest.subject for digest in found.digests]) == ((), ["index", "other"])
    assert found.digests[0].found != index.expected
    assert found.zeros[0].first_nonzero is None
    assert seen[-1][0] == seen[-1][1] == (1 + serial) * chunks.span.size + source.count


def test_a_damaged_index_is_no_reason_to_leave_another_component_alone():
    file, chunks, index = indexed(noise(3000), 1000)
    second = replace(chunks, subject="second", index=span(1, 97))  # another index over the same kind of bytes
    claims: list[ByteClaim] = [chunks, index, DigestClaim(subject="index 2", span=span(1, 97), expected=digest_of(b""))]
    found = measure(BytesSource(file + bytes(1)), [*claims, replace(second, span=span(97, 100))])
    assert [chunk.subject for chunk in found.chunks] == ["image"]


# --- measure: how it runs ---


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("damaged", [False, True])
def test_progress_rises_to_the_whole_and_no_further(threads, damaged):
    data = noise(3 * BUFFER)
    file, chunks, index = indexed(data, 100_000)
    padding = b"x" * damaged + bytes(2 * BUFFER)
    claims: list[ByteClaim] = [
        chunks,
        index,
        ZeroClaim(subject="padding", span=span(len(file), len(file) + len(padding))),
    ]
    seen = []
    measure(BytesSource(file + padding), claims, threads=threads, progress=lambda *counts: seen.append(counts))
    total = sum(claim.span.size for claim in claims)
    assert {whole for _, whole in seen} == {total}
    assert all(one < other for (one, _), (other, _) in pairwise(seen))
    assert seen[-1] == (total, total)


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


def test_after_an_error_the_other_threads_stop_soon(monkeypatch):
    monkeypatch.setattr(measurement, "STRIPE", 40 * BUFFER)
    data = bytes(80 * BUFFER)
    claim = ChunkClaim(
        subject="image", span=span(0, len(data)), index=span(1, 81), chunk_size=BUFFER, algorithm="sha256"
    )
    source = Slow(data, breaks_at=0, error=UnreadableError("a bad sector"))
    with pytest.raises(UnreadableError):
        measure(source, [claim], threads=2)
    assert source.count < 30 * BUFFER


def test_spans_come_in_the_order_of_the_file_whatever_the_threads_do(monkeypatch):
    monkeypatch.setattr(measurement, "STRIPE", 10)
    claim = ChunkClaim(subject="image", span=span(0, 100), index=span(100, 420), chunk_size=10, algorithm="sha256")
    (found,) = measure(Slow(bytes(420)), [claim], threads=2).chunks  # no digest is zero: every chunk differs
    assert (found.damaged, found.damaged_count) == ((span(0, 100),), 10)


def test_an_error_of_the_callers_own_functions_is_raised_too():
    file, chunks, _ = indexed(noise(BUFFER), 1000)
    with pytest.raises(ZeroDivisionError):
        measure(BytesSource(file), [chunks], progress=lambda done, _: 1 // (done - done))


NOTHING = bytes(BUFFER)


class Zeros:
    """Many zeros that are nowhere."""

    name = "<zeros>"

    def __init__(self, size):
        self.size = self.held = size

    def readinto(self, offset, buffer):
        buffer[:] = NOTHING[: len(buffer)]  # made once: it is not the reader's memory

    def ensure_unchanged(self):
        pass


@pytest.mark.parametrize("chunk_size", [2**20, 2**26], ids=["1 MiB", "64 MiB"])
def test_memory_does_not_grow_with_the_file(chunk_size):
    size = 2**27
    chunks = ChunkClaim(
        subject="image", span=span(4096, size), index=span(0, 4096), chunk_size=chunk_size, algorithm="sha256"
    )
    claims: list[ByteClaim] = [chunks, ZeroClaim(subject="padding", span=span(size, size + 2**25))]
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
        with pytest.raises(ChangedWhileReadError, match="ends at byte 0x2328, but had 0x4000"):
            measure(source, [claim])
