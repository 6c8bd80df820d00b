"""Byte coverage, from claims alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundlekit.integrity import coverage
from bundlekit.model.bundle import Bundle, ChunkClaim, DecodedClaim, DigestClaim, SignatureClaim, Span, ZeroClaim
from tests.integrity.claims import span

SIGNATURE = SignatureClaim(
    index=0, signed=(span(0, 10),), blob=span(14, 20), entry=span(10, 20), form="cms-strict", value=b"signed"
)
CHUNKS = ChunkClaim(subject="image", span=span(30, 50), index=span(24, 30), chunk_size=20, algorithm="sha256")
INDEX = DigestClaim(subject="index", span=span(24, 30), expected="")
PLAIN = DigestClaim(subject="image", span=span(30, 50), expected="", serial=True)
REST = ZeroClaim(subject="padding", span=span(20, 24))


def covered(size, *claims):
    signatures = tuple(one for one in claims if isinstance(one, SignatureClaim))
    others = tuple(one for one in claims if not isinstance(one, SignatureClaim))
    bundle = Bundle(format="of no kind", aspects=frozenset(), size=size, signatures=signatures, claims=others)
    spans = coverage(bundle)
    return [(one.span.start, one.span.stop, one.by) for one in spans]


@pytest.mark.parametrize(
    ("size", "claims", "expected"),
    [
        (0, [], []),
        (7, [], [(0, 7, "nothing")]),
        (20, [SIGNATURE], [(0, 10, "signed"), (10, 20, "signature")]),
        (
            50,
            [CHUNKS, INDEX, PLAIN, REST, SIGNATURE],
            [(0, 10, "signed"), (10, 20, "signature"), (20, 24, "zero"), (24, 30, "digest"), (30, 50, "chunks")],
        ),
        (50, [PLAIN], [(0, 50, "nothing")]),
        (50, [CHUNKS], [(0, 30, "nothing"), (30, 50, "chunks")]),
        (60, [CHUNKS], [(0, 30, "nothing"), (30, 50, "chunks"), (50, 60, "nothing")]),
        (40, [CHUNKS], [(0, 30, "nothing"), (30, 40, "chunks")]),
        (20, [CHUNKS], [(0, 20, "nothing")]),
        (24, [SIGNATURE, SIGNATURE, REST], [(0, 10, "signed"), (10, 20, "signature"), (20, 24, "zero")]),
        (
            30,
            [ZeroClaim(subject="a", span=span(0, 20)), INDEX, ZeroClaim(subject="b", span=span(10, 26))],
            [(0, 20, "zero"), (20, 26, "zero"), (26, 30, "digest")],
        ),
        (
            20,
            [
                DigestClaim(subject="whole", span=span(0, 10), expected="sha256:"),
                DigestClaim(subject="part", span=span(0, 5), expected="sha256:"),
                SIGNATURE,
            ],
            [(0, 10, "signed"), (10, 20, "signature")],
        ),
    ],
    ids=[
        "an empty file",
        "no claims",
        "a head",
        "a whole bundle",
        "a plain digest alone",
        "a gap before",
        "a gap behind",
        "a claim past the end",
        "a claim behind the end",
        "two signatures over one head",
        "overlapping claims",
        "digests of signed bytes",
    ],
)
def test_what_vouches_for_each_byte(size, claims, expected):
    assert covered(size, *claims) == expected


SPANS = st.tuples(st.integers(0, 120), st.integers(0, 120)).map(lambda ends: span(min(ends), max(ends)))


@given(st.integers(0, 100), st.lists(SPANS, max_size=12))
def test_coverage_is_the_union_of_the_claims_without_gap_or_overlap(size, spans):
    found = covered(size, *(ZeroClaim(subject=str(n), span=one) for n, one in enumerate(spans)))
    assert [at for start, stop, _ in found for at in range(start, stop)] == list(range(size))
    claimed = {at for one in spans for at in range(one.start, min(one.stop, size))}
    assert {at for start, stop, by in found if by == "zero" for at in range(start, stop)} == claimed


def test_a_decoded_stream_has_a_coverage_of_its_own():
    claims = (
        DecodedClaim(subject="text", span=span(0, 30), stream="inner"),
        ZeroClaim(subject="padding", span=Span(start=4, stop=9, stream="inner")),
    )
    bundle = Bundle(
        format="of no kind", aspects=frozenset(), size=30, signatures=(), claims=claims, streams={"inner": bytes(10)}
    )
    assert [(one.span, one.by) for one in coverage(bundle)] == [(span(0, 30), "decoded")]
    assert [(one.span.start, one.span.stop, one.by) for one in coverage(bundle, "inner")] == [
        (0, 4, "nothing"),
        (4, 9, "zero"),
        (9, 10, "nothing"),
    ]
    assert {one.span.stream for one in coverage(bundle, "inner")} == {"inner"}


def test_of_two_claims_about_one_span_the_signature_is_named():
    digest = DigestClaim(subject="image", span=span(0, 10), expected="")
    assert covered(20, digest, SIGNATURE) == [(0, 10, "signed"), (10, 20, "signature")]
