"""The bytes under a signature: digests that are computed once, and serve as evidence afterwards."""

from bundlekit.integrity.content import SignedContent, signed_contents
from bundlekit.model.bundle import Bundle, SignatureClaim, Span
from tests.integrity.claims import Watched, digest_of, span


def claim(index, signed):
    return SignatureClaim(index=index, signed=(signed,), blob=span(0, 0), entry=span(0, 0), form="raw", value=b"")


def test_a_digest_is_computed_once_and_then_known():
    source = Watched(b"0123456789")
    content = SignedContent(source, (span(2, 8),))
    assert content.found() == {}
    assert content.digest("sha256") == content.digest("sha256")
    assert source.count == 6
    assert content.found() == {(span(2, 8), "sha256"): digest_of(b"234567")}


def test_the_digest_of_several_spans_is_that_of_none_of_them():
    content = SignedContent(Watched(b"0123456789"), (span(0, 2), span(4, 6)))
    content.digest("sha256")
    assert content.found() == {}


def test_signatures_over_the_same_bytes_of_a_stream_share_them():
    inside = Span(start=1, stop=4, stream="inner")
    bundle = Bundle(
        format="of no kind",
        aspects=frozenset(),
        size=10,
        signatures=(claim(0, inside), claim(1, inside), claim(2, span(1, 4))),
        streams={"inner": b"abcdef"},
    )
    first, second, outside = signed_contents(Watched(b"0123456789"), bundle)
    assert first is second
    assert (first.whole(), outside.whole()) == (b"bcd", b"123")
