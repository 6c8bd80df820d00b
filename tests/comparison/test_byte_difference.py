"""The bytes that differ, counted exactly, and where they are."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundlekit.integrity import byte_difference
from bundlekit.integrity.byte_difference import JOINED, MAX_RANGES, difference
from bundlekit.model.bundle import Span
from bundlekit.source import BytesSource


def found(one, other, *, at=0):
    spans = [Span(start=at, stop=at + len(data)) for data in (one, other)]
    read = []
    result = difference(BytesSource(bytes(at) + one), spans[0], BytesSource(bytes(at) + other), spans[1], read.append)
    assert sum(read) == 2 * min(len(one), len(other))
    return result.count, list(result.ranges)


@pytest.mark.parametrize(
    ("one", "other", "count", "ranges"),
    [
        (b"", b"", 0, []),
        (b"abc", b"abc", 0, []),
        (b"abc", b"abd", 1, [(2, 3)]),
        (b"abc", b"abcde", 2, [(3, 5)]),
        (b"abcde", b"", 5, [(0, 5)]),
        (b"abc", b"abxyz", 3, [(2, 5)]),
        (b"a.......b", b"x.......y", 2, [(0, 9)]),
        (b"a........b", b"x........y", 2, [(0, 1), (9, 10)]),
    ],
)
@pytest.mark.parametrize("at", [0, 5])
def test_ranges_are_offsets_in_the_spans(one, other, count, ranges, at):
    assert found(one, other, at=at) == (count, ranges)


def test_the_ranges_are_limited_and_the_count_is_not():
    one = bytes(20 * (MAX_RANGES + 10))
    other = b"".join(b"\1" + bytes(19) for _ in range(MAX_RANGES + 10))
    count, ranges = found(one, other + b"tail")
    assert count == MAX_RANGES + 10 + 4
    assert ranges == [(20 * number, 20 * number + 1) for number in range(MAX_RANGES)]


@given(
    st.lists(st.tuples(st.binary(max_size=20), st.sampled_from([0, 0, 0, 1, 255])), max_size=20),
    st.binary(max_size=9),
    st.integers(1, 40),
)
def test_the_ranges_contain_every_difference_whatever_the_blocks(pieces, tail, block):
    one = b"".join(data for data, _ in pieces)
    other = b"".join(bytes(byte ^ mask for byte in data) for data, mask in pieces) + tail
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(byte_difference, "BLOCK", block)
        count, ranges = found(one, other)
    differing = [at for at in range(len(other)) if one[at : at + 1] != other[at : at + 1]]
    assert count == len(differing)
    assert {at for at in differing if any(start <= at < stop for start, stop in ranges)} == set(differing)
    assert all(start in differing and stop - 1 in differing for start, stop in ranges)
    assert all(start - stop >= JOINED for (_, stop), (start, _) in itertools.pairwise(ranges))
    assert (count, ranges) == found(one, other)
