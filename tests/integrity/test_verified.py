"""Nothing of a component is handed over that was not verified."""

import pytest

from bundlekit.errors import ChangedWhileReadError
from bundlekit.integrity import verified_chunks
from bundlekit.source import BytesSource
from fixtures import forge
from tests.integrity.claims import indexed, noise


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
