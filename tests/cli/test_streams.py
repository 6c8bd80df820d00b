"""Streams whose reader went away, or that are none."""

import io
import os

import pytest

from bundlekit.cli import streams


@pytest.fixture
def same_descriptors():
    before = set(os.listdir("/proc/self/fd"))
    yield
    assert set(os.listdir("/proc/self/fd")) == before


def closed():
    stream = io.TextIOWrapper(io.BytesIO())
    stream.close()
    return stream


@pytest.mark.parametrize("make", [lambda: None, io.StringIO, closed], ids=["none", "no file", "closed"])
def test_what_cannot_be_discarded_is_left_alone(same_descriptors, make):
    streams.discard(make())


def test_what_is_discarded_goes_nowhere(same_descriptors):
    reader, writer = os.pipe()
    with open(reader, "rb") as received, open(writer, "w") as stream:
        stream.write("what nobody reads")
        streams.discard(stream)
        stream.flush()
        assert received.read() == b""  # its end: the pipe is closed at once
