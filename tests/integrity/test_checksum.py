"""The checksums of other formats: they find accidents, and cover nothing."""

import functools
import operator

from hypothesis import given
from hypothesis import strategies as st

from bundlekit import integrity
from bundlekit.integrity.checksum import ROW, Xor8
from bundlekit.model.bundle import Bundle, DigestClaim, Span
from bundlekit.source import BytesSource


@given(st.lists(st.binary(max_size=3 * ROW), max_size=4))
def test_the_exclusive_or_is_that_of_all_bytes(pieces):
    state = Xor8()
    for piece in pieces:
        state.update(memoryview(piece))
    assert int(state.hexdigest(), 16) == functools.reduce(operator.xor, b"".join(pieces), 0)


def test_a_checksum_is_measured_and_covers_nothing():
    data = bytes(range(1, 100))
    claim = DigestClaim(subject="x", span=Span(start=0, stop=len(data)), expected="xor8:00", of="checksum")
    (found,) = integrity.measure(BytesSource(data), [claim]).digests
    assert found.found == f"xor8:{functools.reduce(operator.xor, data):02x}"
    bundle = Bundle(format="x", aspects=frozenset(), size=len(data), claims=(claim,))
    assert [one.by for one in integrity.coverage(bundle)] == ["nothing"]
