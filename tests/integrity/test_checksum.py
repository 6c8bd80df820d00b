"""Checksums: the sum of all bytes, in pieces of any length."""

import random

import pytest

from bundlekit.integrity.checksum import new_state


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 65_536, 100_003])
@pytest.mark.parametrize("fill", [None, 0, 1, 255])
def test_sum32_is_the_sum_of_all_bytes(size, fill):
    data = random.Random(size).randbytes(size) if fill is None else bytes([fill]) * size  # noqa: S311 - no secret
    state = new_state("sum32")
    for at in range(0, size, 1000):
        state.update(memoryview(data)[at : at + 1000])
    assert state.hexdigest() == f"{sum(data):08x}"


def test_sum32_has_32_bits():
    state = new_state("sum32")
    piece = b"\xff" * 2**20
    for _ in range(17):
        state.update(piece)
    assert int(state.hexdigest(), 16) == (17 * 2**20 * 255) % 2**32
