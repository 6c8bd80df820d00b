"""Digests over whole components are taken from the pieces that are read for the chunks: in any order, each once."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bundlekit.errors import CancelledError, UnreadableError
from bundlekit.integrity import measure, measurement, ordered_digest, worker_pool
from bundlekit.model.bundle import DigestClaim
from bundlekit.source import BytesSource, pages
from tests.integrity.claims import Slow, Watched, digest_of, indexed, noise, span

PIECE, STRIPE, WINDOW = 100, 400, 800
"""The sizes of these tests, small enough to have many pieces in little data."""


@pytest.fixture(autouse=True, scope="module")
def small():
    with pytest.MonkeyPatch.context() as patch:
        for module in (worker_pool, measurement, ordered_digest):
            patch.setattr(module, "BUFFER", PIECE)
        patch.setattr(measurement, "STRIPE", STRIPE)
        patch.setattr(ordered_digest, "WINDOW", WINDOW)
        yield


def whole(chunks, data, algorithm="sha256"):
    """The claim about all bytes of what ``chunks`` speaks of."""
    return DigestClaim(subject="image", span=chunks.span, expected=digest_of(data, algorithm), serial=True)


@given(
    st.integers(1, 5000),
    st.integers(1, 2000) | st.sampled_from([PIECE, STRIPE, WINDOW, 2 * WINDOW]),
    st.integers(1, 4),
    st.sampled_from(["sha256", "sha512"]),
)
def test_the_digest_is_that_of_all_bytes_and_each_is_read_once(size, chunk_size, threads, algorithm):
    data = noise(size)
    file, chunks, index = indexed(data, chunk_size)
    source = Watched(file)
    digest = whole(chunks, data, algorithm)
    found = measure(source, [chunks, index, digest], serial=True, threads=threads)
    assert [one.found for one in found.digests] == [index.expected, digest.expected]
    assert found.chunks[0].damaged == ()
    assert source.count == size + chunks.index.size  # what is compared with is the index whose digest was taken


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_each_component_has_an_ordered_digest_of_its_own(threads):
    one, first, _ = indexed(noise(3000), 100)
    other, second, _ = indexed(noise(2000), 70)
    move = len(one)
    second = replace(
        second,
        subject="other",
        span=span(second.span.start + move, second.span.stop + move),
        index=span(second.index.start + move, second.index.stop + move),
    )
    claims = [first, whole(first, noise(3000)), second, whole(second, noise(2000))]
    found = measure(BytesSource(one + other), claims, serial=True, threads=threads)
    assert all(digest.found == digest.expected for digest in found.digests)
    assert [chunk.damaged_count for chunk in found.chunks] == [0, 0]


def test_a_second_digest_over_the_same_bytes_is_taken_by_itself():
    data = noise(3000)
    file, chunks, _ = indexed(data, 100)
    claims = [chunks, whole(chunks, data), whole(chunks, data, "sha384")]
    found = measure(BytesSource(file), claims, serial=True)
    assert all(digest.found == digest.expected for digest in found.digests)


def test_a_second_index_over_the_same_bytes_leaves_the_digest_alone():
    seen = []
    data = noise(3000)
    file, first, _ = indexed(data, 100)
    second = replace(first, chunk_size=60)
    claims = [first, second, whole(first, data)]
    found = measure(BytesSource(file), claims, serial=True, progress=lambda *counts: seen.append(counts))
    assert all(digest.found == digest.expected for digest in found.digests)
    assert seen[-1] == (9000, 9000)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_damage_is_found_by_chunk_and_by_digest(threads):
    data = noise(5000)
    file, chunks, _ = indexed(data, 64)
    damaged = bytearray(file)
    damaged[chunks.span.start + 4321] ^= 1
    found = measure(BytesSource(bytes(damaged)), [chunks, whole(chunks, data)], serial=True, threads=threads)
    start = chunks.span.start + 4321 - 4321 % 64
    assert found.chunks[0].damaged == (span(start, start + 64),)
    assert found.digests[0].found == digest_of(bytes(damaged[chunks.span.start :]))


def test_no_more_than_a_window_is_kept_however_late_the_first_piece_comes(monkeypatch):
    taken = []
    monkeypatch.setattr(ordered_digest, "pages", lambda size: taken.append(size) or pages(size))
    data = noise(4 * WINDOW)
    file, chunks, _ = indexed(data, PIECE)

    late = Slow(file, slow_at=chunks.span.start)
    found = measure(late, [chunks, whole(chunks, data)], serial=True, threads=3)
    assert found.digests[0].found == found.digests[0].expected
    assert 1 < len(taken) <= WINDOW // PIECE


@pytest.mark.parametrize("error", [UnreadableError("a bad sector"), KeyboardInterrupt()], ids=repr)
def test_who_waits_for_a_piece_that_cannot_be_read_is_sent_home(error):
    file, chunks, _ = indexed(noise(4 * WINDOW), PIECE)

    start = chunks.span.start
    source = Slow(file, slow_at=start, breaks_at=start, error=error)
    with pytest.raises(type(error)) as caught:
        measure(source, [chunks, whole(chunks, b"")], serial=True, threads=3)
    assert caught.value is error
    assert threading.active_count() == 1


def test_who_waits_for_a_piece_is_sent_home_when_the_caller_cancels():
    file, chunks, _ = indexed(noise(4 * WINDOW), PIECE)
    answers = iter([False] * 10)
    with pytest.raises(CancelledError, match="cancelled before"):
        measure(
            Watched(file),
            [chunks, whole(chunks, b"")],
            serial=True,
            threads=3,
            cancel=lambda: next(answers, True),
        )
    assert threading.active_count() == 1
