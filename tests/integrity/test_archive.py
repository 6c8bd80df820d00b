"""Archives that are read as a stream: digests, every fault of their structure, and limits of time and memory."""

import gzip
import hashlib
import io
import lzma
import tarfile
import threading
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundlekit.errors import CancelledError
from bundlekit.integrity import archive, decoding, measure
from bundlekit.model.bundle import ArchiveClaim, Span
from bundlekit.source import BytesSource
from fixtures.mender_artifact import tar_header
from tests.integrity.claims import Watched, digest_of, noise

FILES = {"one": noise(3000), "two": b"", "three": noise(1024 * 1024 + 1)}


def tar(files, end=bytes(1024)):
    return b"".join(header(name, len(data)) + data + bytes(-len(data) % 512) for name, data in files) + end


def header(name, size, form=tarfile.USTAR_FORMAT):
    info = tarfile.TarInfo(name)
    info.size = size
    return tar_header(info, form)


def gzipped(data, level=6):
    return gzip.compress(data, level, mtime=0)[:9] + b"\xff" + gzip.compress(data, level, mtime=0)[10:]


PACK: dict[str, Callable[[bytes], bytes]] = {"none": bytes, "gzip": gzipped, "xz": lzma.compress}


def claim_for(data, files, compression="none", start=0):
    return ArchiveClaim(
        subject="a.tar",
        span=Span(start=start, stop=start + len(data)),
        compression=compression,
        digests={name: digest_of(content) for name, content in files.items()},
    )


def read(data, files, compression="none", **how):
    (found,) = measure(BytesSource(data), [claim_for(data, files, compression)], **how).archives
    return found


def faults(data, files, compression="none"):
    return [
        (one.rule, one.where.start, one.where.stop, one.where.stream) for one in read(data, files, compression).problems
    ]


@pytest.mark.parametrize("compression", PACK)
def test_the_digest_of_each_member_is_found(compression):
    data = PACK[compression](tar(FILES.items()))
    found = read(data, FILES, compression)
    assert found.problems == ()
    assert found.digests == {name: digest_of(content) for name, content in FILES.items()}
    stream = "" if compression == "none" else "a.tar"
    assert found.members["one"] == Span(start=512, stop=3512, stream=stream)


def test_spans_in_a_plain_archive_are_those_of_the_file():
    data = tar(FILES.items())
    (found,) = measure(BytesSource(b"x" * 100 + data), [claim_for(data, FILES, start=100)]).archives
    assert found.members["one"] == Span(start=612, stop=3612)


def test_an_archive_without_members_is_read():
    assert (read(bytes(1024), {}).digests, read(bytes(1024), {}).problems) == ({}, ())


def test_two_archives_are_read():
    one, two = tar([("one", b"1")]), gzipped(tar([("two", b"2")]))
    claims = [claim_for(one, {"one": b"1"}), claim_for(two, {"two": b"2"}, "gzip", start=len(one))]
    evidence = measure(BytesSource(one + two), claims)
    assert [list(one.digests) for one in evidence.archives] == [["one"], ["two"]]


def test_each_byte_is_read_once_and_counted():
    data = gzipped(tar(FILES.items()))
    source, seen = Watched(data), []
    measure(source, [claim_for(data, FILES, "gzip")], progress=lambda done, total: seen.append((done, total)))
    assert source.count == len(data)
    assert seen[-1] == (len(data), len(data))


def test_the_count_is_complete_if_reading_ends_early():
    data, seen = tar([("x", noise(9_000_000))]), []
    measure(BytesSource(data), [claim_for(data, FILES)], progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(data), len(data))


@pytest.mark.parametrize(
    ("files", "rule", "at"),
    [
        ([("one", FILES["one"]), ("one", FILES["one"])], "member-duplicate", 3584),
        ([("other", b"")], "member-unlisted", 0),
        ([("./one", FILES["one"])], "member-misplaced", 0),
        ([("../one", FILES["one"])], "member-misplaced", 0),
        ([("/one", FILES["one"])], "member-misplaced", 0),
        ([("..", b"")], "member-misplaced", 0),
    ],
)
def test_a_member_that_must_not_be_there_is_rejected(files, rule, at):
    data = tar(files)
    assert faults(data, {"one": FILES["one"]}) == [(rule, at, at + 512, "")]
    assert faults(gzipped(data), {"one": FILES["one"]}, "gzip") == [(rule, at, at + 512, "a.tar")]


def test_a_missing_member_is_named():
    data = tar([("one", FILES["one"])])
    (problem,) = read(data, {"one": FILES["one"], "two": b""}).problems
    assert (problem.rule, problem.subject, problem.where.stop) == ("member-missing", "two", len(data))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(512),
        tar([("one", b"1")], b""),
        tar([("one", b"1")], bytes(512)),
        tar([("one", b"1")], bytes(1536)),
        tar([("one", b"1")], bytes(1024) + b"x"),
        tar([("one", b"1")])[:513],
        tar([("one", b"1")])[:600],
        tar([("one", b"1")]).replace(b"1" + bytes(511), b"1x" + bytes(510)),
    ],
    ids=["empty", "half-end", "no-end", "one-block", "long-end", "after", "in-content", "in-padding", "padding"],
)
def test_a_broken_structure_is_malformed(data):
    assert [fault[0] for fault in faults(data, {"one": b"1"})] == ["structure-malformed"]
    assert [fault[0] for fault in faults(gzipped(data), {"one": b"1"}, "gzip")] == ["structure-malformed"]


GOOD = tar([("one", FILES["one"])])


@pytest.mark.parametrize("compression", ["gzip", "xz"])
@pytest.mark.parametrize("more", ["stream", "zeros", "byte"])
def test_nothing_follows_the_compressed_stream(compression, more):
    stream = PACK[compression](GOOD)
    after = {"stream": PACK[compression](b""), "zeros": bytes(4), "byte": b"x"}[more]
    where = ("structure-malformed", 0, len(stream) + len(after), "")
    assert faults(stream + after, {"one": FILES["one"]}, compression) == [where]


@pytest.mark.parametrize("compression", ["gzip", "xz"])
def test_a_stream_cut_anywhere_is_malformed(compression):
    stream = PACK[compression](tar([("one", b"1")]))
    for size in range(len(stream)):
        assert faults(stream[:size], {"one": b"1"}, compression)[0][0] == "structure-malformed"


@pytest.mark.parametrize(
    ("at", "new"),
    [
        *((0, b"\x1e"), (2, b"\x07"), (3, b"\x01"), (3, b"\x08"), (4, b"\x01")),
        *((8, b"\x01"), (8, b"\x04"), (9, b"\x07"), (9, b"\x03"), (9, b"\x00")),
    ],
)
def test_a_gzip_header_has_one_form(at, new):
    stream = gzipped(GOOD)
    assert faults(stream[:at] + new + stream[at + 1 :], {"one": FILES["one"]}, "gzip")[0][0] == "structure-malformed"


@pytest.mark.parametrize("time", ["00000000", "00096e88"])
@pytest.mark.parametrize("effort", ["00", "02"])
def test_a_gzip_header_of_go_is_taken(time, effort):
    """The time zero in two forms, and the effort of mender-artifact before and from version 3.10."""
    stream = gzipped(GOOD)
    assert faults(stream[:4] + bytes.fromhex(time + effort) + stream[9:], {"one": FILES["one"]}, "gzip") == []


def test_a_flipped_bit_of_a_gzip_stream_is_taken_only_if_the_archive_stays_the_same():
    """Deflate has bits without effect. In the header, only the second bit of the effort can be flipped."""
    stream, whole, taken = gzipped(tar([("one", b"1")])), tar([("one", b"1")]), set[int]()
    for at in range(len(stream)):
        for bit in range(8):
            changed = stream[:at] + bytes([stream[at] ^ 1 << bit]) + stream[at + 1 :]
            if not faults(changed, {"one": b"1"}, "gzip"):
                assert zlib.decompress(changed, wbits=31) == whole
                taken.add(8 * at + bit)
    assert {one for one in taken if one < 8 * 10} == {8 * 8 + 1}


def test_a_gzip_header_with_a_name_is_not_taken():
    out = io.BytesIO()
    with gzip.GzipFile("name", "wb", fileobj=out, mtime=0) as file:
        file.write(GOOD)
    assert faults(out.getvalue(), {"one": FILES["one"]}, "gzip")[0][0] == "structure-malformed"


def test_other_containers_of_the_same_algorithms_are_not_taken():
    one = {"one": FILES["one"]}
    assert faults(lzma.compress(GOOD, lzma.FORMAT_ALONE), one, "xz")[0][0] == "structure-malformed"
    assert faults(zlib.compress(GOOD), one, "gzip")[0][0] == "structure-malformed"
    assert faults(GOOD, one, "gzip")[0][0] == "structure-malformed"
    assert faults(gzipped(GOOD), one)[0][0] == "structure-malformed"


def test_a_bomb_is_refused_by_the_size_in_its_header():
    bomb = header("one", archive.PLAUSIBLE, tarfile.PAX_FORMAT) + bytes(4096)
    start, stop = 0, 1536
    assert faults(gzipped(bomb), {"one": b""}, "gzip") == [("structure-malformed", start, stop, "a.tar")]
    assert "larger than 8,589,934,592 bytes" in read(gzipped(bomb), {"one": b""}, "gzip").problems[0].message


def test_a_large_archive_can_be_as_large_as_its_stored_bytes_allow(monkeypatch):
    monkeypatch.setattr(archive, "PLAUSIBLE", 0)
    monkeypatch.setattr(archive, "EXPANSION", 2)
    data = tar([("one", noise(100_000))])
    assert read(gzipped(data), {"one": b""}, "gzip").problems == ()
    zeros = gzipped(tar([("one", bytes(100_000))]))
    assert read(zeros, {"one": b""}, "gzip").problems[0].rule == "structure-malformed"


def test_zeros_after_the_end_are_not_decoded():
    bomb = gzipped(tar([("one", b"1")], bytes(64 * 1024 * 1024)))
    found = read(bomb, {"one": b"1"}, "gzip").problems
    assert [(one.rule, one.where.start) for one in found] == [("structure-malformed", 2048)]


def test_xz_needs_limited_memory():
    one = {"one": FILES["one"]}
    assert faults(lzma.compress(GOOD, preset=9), one, "xz") == []
    stream = lzma.compress(GOOD, preset=0)
    block = bytearray(stream[12 : 12 + 4 * (stream[12] + 1)])
    block[4] = 36  # the properties of LZMA2: a window of 1 GiB
    block[-4:] = zlib.crc32(block[:-4]).to_bytes(4, "little")
    stream = stream[:12] + bytes(block) + stream[12 + len(block) :]
    assert "memory" in read(stream, one, "xz").problems[0].message


def test_output_that_outlasts_its_input_is_decoded():
    for size in (decoding.DECODED - 1, decoding.DECODED, decoding.DECODED + 1, 5 * decoding.DECODED + 7):
        for compression in ("gzip", "xz"):
            stream = PACK[compression](bytes(size))
            pieces = [bytes(piece) for piece in decoding.decoded(stream, compression)]
            assert b"".join(pieces) == bytes(size)
            assert max(map(len, pieces)) <= decoding.DECODED


def test_an_archive_that_this_python_cannot_decode_has_no_evidence():
    if decoding.readable("zstd"):
        pytest.skip("this Python decodes zstd")
    assert measure(BytesSource(b"x"), [claim_for(b"x", {}, "zstd")]).archives == ()


def test_cancelling_ends_both_threads():
    data = tar([("three", noise(9_000_000))])
    before = threading.active_count()
    with pytest.raises(CancelledError):
        measure(BytesSource(data), [claim_for(data, FILES)], cancel=lambda: True)
    assert threading.active_count() == before


def test_an_error_of_the_source_is_raised():
    data = tar(FILES.items())
    error = OSError("broken")
    with pytest.raises(OSError, match="broken"):
        measure(Watched(data, breaks_at=600_000, error=error), [claim_for(data, FILES)])
    assert threading.active_count() == 1


@given(st.binary(max_size=3000), st.sampled_from(["none", "gzip", "xz"]))
def test_any_bytes_give_evidence(data, compression):
    found = read(data, {"one": b"1"}, compression)
    assert found.problems
    assert hashlib.sha256(b"1").hexdigest() not in str(found.digests) or compression == "none"
