"""Staged components: verified bytes only, in a file without a name."""

import hashlib
import os

import pytest

from bundlekit.errors import ChangedWhileReadError
from bundlekit.model.bundle import ChunkClaim, DigestClaim, Span
from bundlekit.source import FileSource
from bundlekit.update.bundle import staged

CHUNK = 65536
DATA = bytes(range(256)) * 1024 + b"tail"


@pytest.fixture
def bundle(tmp_path):
    parts = [DATA[at : at + CHUNK] for at in range(0, len(DATA), CHUNK)]
    index = b"".join(hashlib.sha256(part).digest() for part in parts)
    path = tmp_path / "update.bin"
    path.write_bytes(index + DATA)
    where = Span(start=0, stop=len(index))
    chunks = ChunkClaim(
        subject="storage",
        span=Span(start=len(index), stop=len(index) + len(DATA)),
        index=where,
        chunk_size=CHUNK,
        algorithm="sha256",
    )
    digest = DigestClaim(subject="storage", span=where, expected=f"sha256:{hashlib.sha256(index).hexdigest()}")
    return path, chunks, digest


def test_a_staged_component_is_whole_nameless_and_read_only(bundle, tmp_path):
    path, chunks, digest = bundle
    folder = tmp_path / "staging"
    folder.mkdir()
    with FileSource(path) as source, staged(source, chunks, digest, folder) as file:
        path.write_bytes(b"replaced in place")
        assert file.tell() == 0
        assert file.read() == DATA
        assert list(folder.iterdir()) == []
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(file.fileno(), b"x")


@pytest.mark.parametrize("where", [3, 32 * 5 + 2, -1], ids=["index", "first-chunk", "last-byte"])
def test_damage_hands_nothing_over(bundle, tmp_path, where):
    path, chunks, digest = bundle
    damaged = bytearray(path.read_bytes())
    damaged[where] ^= 1
    path.write_bytes(damaged)
    handed = []
    with FileSource(path) as source, pytest.raises(ChangedWhileReadError):
        handed.extend(staged(source, chunks, digest, tmp_path).__enter__())
    assert handed == []
