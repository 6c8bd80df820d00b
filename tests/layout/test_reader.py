"""The reader of update.bin, judged by a bundle that was put together by hand."""

import hashlib
import itertools
import json
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundlekit.layout import reader
from bundlekit.layout.update_bin import MAGIC
from bundlekit.model.bundle import ChunkClaim, DigestClaim, Span, ZeroClaim
from bundlekit.source import BytesSource
from fixtures import by_hand

GOOD = by_hand.bundle()


def read(data):
    return reader.read(BytesSource(data))


def problems(data):
    return [(problem.rule, problem.where) for problem in read(data).problems]


def test_the_bundle_made_by_hand_is_read_as_it_was_made():
    bundle = read(GOOD)
    assert bundle.problems == ()
    assert bundle.document == by_hand.manifest()
    assert bundle.head_bytes == by_hand.head()
    assert bundle.id == "sha256:" + hashlib.sha256(by_hand.head()).hexdigest()
    contents = {claim.subject: claim.span for claim in bundle.claims if isinstance(claim, ChunkClaim)}
    parts = {"appliance/im-100": by_hand.APPLIANCE, "storage": by_hand.STORAGE, "release-notes": by_hand.NOTES}
    assert {name: GOOD[span.start : span.stop] for name, span in contents.items()} == parts
    for claim in bundle.claims:
        found = GOOD[claim.span.start : claim.span.stop]
        match claim:
            case DigestClaim():
                assert by_hand.digest(found) == claim.expected
            case ZeroClaim():
                assert not found.strip(b"\0")


def test_sections_and_padding_make_up_the_whole_file_without_overlap():
    sections = sorted(section.span for section in read(GOOD).sections)
    assert sections[0].start == 0
    assert sections[-1].stop == len(GOOD)
    assert all(one.stop == other.start for one, other in itertools.pairwise(sections))


HEADER = struct.Struct(">8sIIQQ")


def header(**fields):
    """The good bundle with fields of its header set to other values."""
    names = ("magic", "version", "manifest_size", "signature_capacity", "file_size")
    values = dict(zip(names, HEADER.unpack(GOOD[:32]), strict=True)) | fields
    return HEADER.pack(*values.values()) + GOOD[32:]


SIZE = len(GOOD)
HEAD = len(by_hand.head())


@pytest.mark.parametrize(
    ("data", "rule", "where"),
    [
        (b"", "truncated", Span(start=0, stop=32)),
        (GOOD[:5], "truncated", Span(start=5, stop=32)),
        (GOOD[:31], "truncated", Span(start=31, stop=32)),
        (GOOD[:40], "truncated", Span(start=40, stop=SIZE)),
        (GOOD[: HEAD + 5], "truncated", Span(start=HEAD + 5, stop=SIZE)),
        (GOOD[:-1], "truncated", Span(start=SIZE - 1, stop=SIZE)),
        (GOOD + b"x", "trailing-data", Span(start=SIZE, stop=SIZE + 1)),
        (GOOD + bytes(4096), "trailing-data", Span(start=SIZE, stop=SIZE + 4096)),
        (b"PK\x03\x04" + GOOD, "not-a-bundle", Span(start=0, stop=8)),
        (bytes(64), "not-a-bundle", Span(start=0, stop=8)),
        (header(version=0), "header-out-of-bounds", Span(start=8, stop=12)),
        (header(version=3), "tool-too-old", Span(start=8, stop=12)),
        (header(manifest_size=0), "header-out-of-bounds", Span(start=12, stop=16)),
        (header(manifest_size=2**32 - 1), "header-out-of-bounds", Span(start=12, stop=16)),
        (header(signature_capacity=0), "header-out-of-bounds", Span(start=16, stop=24)),
        (header(signature_capacity=2**63 + 5), "header-out-of-bounds", Span(start=16, stop=24)),
        (header(file_size=2**64 - 1), "header-out-of-bounds", Span(start=24, stop=32)),
        (header(file_size=0), "header-out-of-bounds", Span(start=24, stop=32)),
    ],
    ids=lambda value: f"{len(value)} bytes" if isinstance(value, bytes) else str(value),
)
def test_faults_of_file_and_header(data, rule, where):
    assert problems(data) == [(rule, where)]


@pytest.mark.parametrize(
    ("change", "how"),
    [
        (lambda data: data.replace(b"\r\n", b"\n"), "CR LF was turned into LF"),
        (lambda data: data.replace(b"\n", b"\r\n"), "LF was turned into CR LF"),
        (lambda data: data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"), "line ends were turned into CR LF"),
        (lambda data: data.replace(b"\r\n", b"\r").replace(b"\n", b"\r"), "line ends were turned into CR"),
        (lambda data: bytes(byte & 0x7F for byte in data), "the high bit"),
        (lambda data: data.decode("latin-1").encode(), "Latin-1"),
        (lambda data: data.decode("utf-8", "replace").encode(), "UTF-8 text"),
    ],
)
def test_a_text_mode_transfer_is_recognised(change, how):
    (problem,) = read(change(GOOD)).problems
    assert problem.rule == "text-mode-damage"
    assert how in problem.message


@pytest.mark.parametrize("width", [2, 4, 8])
def test_swapped_bytes_are_recognised(width):
    swapped = b"".join(GOOD[at : at + width][::-1] for at in range(0, len(GOOD), width))
    (problem,) = read(swapped).problems
    assert (problem.rule, problem.where) == ("not-a-bundle", Span(start=0, stop=8))
    assert f"units of {width}" in problem.message


def entries(*parts):
    """The good bundle with these bytes at the start of its signature area."""
    area = b"".join(parts).ljust(8192, b"\0")
    return GOOD[:HEAD] + area + GOOD[HEAD + 8192 :]


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (entries(struct.pack(">I", 8189)), Span(start=HEAD, stop=HEAD + 4)),
        (entries(struct.pack(">I", 2**32 - 1)), Span(start=HEAD, stop=HEAD + 4)),
        (entries(struct.pack(">I", 1), b"x", struct.pack(">I", 9000)), Span(start=HEAD + 5, stop=HEAD + 9)),
        (entries(*[b"\0\0\0\1%c" % n for n in range(17)]), Span(start=HEAD + 80, stop=HEAD + 84)),
        (entries(b"\0\0\0\1x", b"\0\0\0\1y", b"\0\0\0\1x"), Span(start=HEAD + 10, stop=HEAD + 14)),
    ],
    ids=["one too long", "much too long", "second too long", "seventeen", "repeated"],
)
def test_malformed_signature_areas(data, where):
    assert problems(data) == [("signature-area-malformed", where)]


def test_an_area_may_be_full_to_its_last_byte():
    assert read(entries(struct.pack(">I", 8188), b"x" * 8188)).blobs == (b"x" * 8188,)
    assert read(entries(struct.pack(">I", 8187), b"x" * 8187)).blobs == (b"x" * 8187,)


def with_manifest(text):
    """A bundle of this manifest and nothing behind its signature area."""
    head = HEADER.pack(MAGIC, 1, len(text), 8192, 32 + len(text) + 8192) + text
    return head + bytes(8192)


def edited(**changes):
    document = by_hand.manifest() | changes
    document = {key: value for key, value in document.items() if value is not ...}
    return with_manifest(json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())


STORED = by_hand.stored(by_hand.STORAGE)


def storage(**changes):
    image = {key: value for key, value in (STORED | changes).items() if value is not ...}
    return edited(components=[{"name": "storage", "version": "3.4.0", "images": [image]}])


@pytest.mark.parametrize(
    ("data", "rule", "message"),
    [
        (edited(surprise=1), "manifest-schema", "unknown key 'surprise'"),
        (edited(countr=1), "manifest-schema", "did you mean 'counter'?"),
        (edited(counter=...), "manifest-schema", "the key 'counter' is missing"),
        (edited(counter="7"), "manifest-schema", "at 'counter': it must be a whole number, not text"),
        (edited(counter=True), "manifest-schema", "at 'counter': it must be a whole number, not true or false"),
        (edited(components=[]), "manifest-schema", "at 'components'"),
        (edited(models=[]), "manifest-schema", "at 'models'"),
        (edited(product="../imager"), "manifest-schema", "at 'product'"),
        (edited(product="-imager"), "manifest-schema", "at 'product'"),
        (edited(product="imager\n"), "manifest-schema", "at 'product'"),
        (edited(product="imager\0"), "manifest-schema", "at 'product'"),
        (edited(product="im\u202eager"), "manifest-schema", "at 'product'"),
        (edited(product="i" * 65), "manifest-schema", "at 'product'"),
        (edited(version="5.40;reboot"), "manifest-schema", "at 'version'"),
        (edited(version="$(id)"), "manifest-schema", "at 'version'"),
        (edited(version="1" * 300), "manifest-schema", "at 'version'"),
        (edited(kind="surprise"), "manifest-schema", "at 'kind'"),
        (edited(released="2026-13-01"), "manifest-schema", "at 'released'"),
        (edited(annotations={"a": "line\nbreak"}), "manifest-schema", "at 'annotations"),
        (storage(digest="sha256:"), "manifest-schema", "digest"),
        (storage(digest=...), "manifest-schema", "digest"),
        (storage(digest=STORED["digest"].upper()), "manifest-schema", "digest"),
        (storage(digest=STORED["digest"][:-1]), "manifest-schema", "digest"),
        (storage(digest="md5:" + "0" * 32), "manifest-schema", "digest"),
        (storage(index=STORED["index"] + "0"), "manifest-schema", "index"),
        (storage(**{"chunk-size": 0}), "manifest-schema", "chunk-size"),
        (storage(**{"chunk-size": 1}), "manifest-schema", "chunk-size"),
        (storage(**{"chunk-size": 65537}), "manifest-schema", "not a power of two"),
        (storage(**{"chunk-size": 2**27}), "manifest-schema", "chunk-size"),
        (storage(size=0), "manifest-schema", "size"),
        (storage(size=2**53 - 1), "manifest-schema", "chunks, but at most"),
        (edited(format={"major": 1, "minor": 2}), "tool-too-old", "format 1.2"),
        (edited(format={"major": 2, "minor": 0}, surprise=1), "tool-too-old", "format 2.0"),
        (edited(requires=["teleport"]), "tool-too-old", "the feature 'teleport'"),
        (edited(format={"major": 1}), "manifest-schema", "the key 'minor' is missing"),
        (edited(counter=None), "manifest-not-canonical", "null"),
        (edited(counter=1.5), "manifest-not-canonical", "1.5"),
        (with_manifest(json.dumps(by_hand.manifest(), indent=1).encode()), "manifest-not-canonical", "canonical form"),
        (with_manifest(b"[]"), "manifest-not-canonical", "not a JSON object"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else value[:30],
)
def test_faults_of_the_manifest(data, rule, message):
    (problem,) = read(data).problems
    assert problem.rule == rule
    assert message in problem.message
    assert problem.where
    assert 32 <= problem.where.start < problem.where.stop <= read(data).head.stop


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_give_a_bundle_with_a_problem(data):
    assert read(data).problems


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_behind_a_good_header_give_a_problem(data):
    capacity = 8192
    head = HEADER.pack(MAGIC, 1, max(len(data), 2), capacity, 32 + len(data) + capacity)
    assert read(head + data + bytes(capacity)).problems
