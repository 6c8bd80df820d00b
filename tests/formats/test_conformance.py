"""What holds for every format, without a word in its own tests: these run for each one that is registered."""

import random

import pytest

from bundlekit import formats
from tests.formats.conformance import SAMPLES, check, good
from tests.turning import Turning

pytestmark = pytest.mark.usefixtures("_toys")
each = pytest.mark.parametrize(("name", "sample"), SAMPLES, ids=[f"{name}-{sample}" for name, sample in SAMPLES])


def changed(data, at):
    """The bytes with another bit at one place, the lowest one, which makes another digit or number of it."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def parsed(data):
    """Where a reader reads, and how often it does."""
    source = Turning(data, data, 0)
    formats.read(formats.once(source))
    return source.reads


@each
def test_what_was_parsed_is_what_is_verified(name, sample):
    """The file is exchanged during the check: for each read, and some of the bytes that are read."""
    data = good(name)[sample]
    truth = check(name, data).release
    reads = parsed(data)
    pick = random.Random(len(data))  # noqa: S311 - the same places in every run
    places = sorted({pick.randrange(at, at + size) for at, size in reads if size})
    for at in pick.sample(places, min(len(places), 12)):
        other = changed(data, at)
        for first, then in ((data, other), (other, data)):
            for after in range(1, len(parsed(first)) + 1):
                source = Turning(first, then, after)
                report = check(name, source)
                assert source.turned
                assert report.verdict != "accept" or report.release == truth, (at, after)
