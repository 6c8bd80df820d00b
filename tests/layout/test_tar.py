"""The strict reader of tar, compared with the standard library, and with every form that it must not take."""

import contextlib
import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundlekit.errors import LayoutError
from bundlekit.layout.tar import BLOCK, MAX_OCTAL, check_end, next_member
from bundlekit.model.bundle import Span
from fixtures.mender_artifact import tar_header


class Blocks:
    """An archive in memory."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def block(self):
        found = self.data[self.at : self.at + BLOCK]
        self.at += len(found)
        return found


def members(data, stream=""):
    blocks, found = Blocks(data), []
    while member := next_member(blocks, stream):
        found.append(member)
        blocks.at = member.padding.stop
    check_end(blocks, stream)
    return found


def fault(data):
    with pytest.raises(LayoutError) as raised:
        members(data)
    problem = raised.value.problem
    return problem.rule, (problem.where.start, problem.where.stop)


def made(name="file", data=b"content", form=tarfile.USTAR_FORMAT, **fields):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return tar_header(info, form) + data + bytes(-len(data) % BLOCK)


def changed(at, new):
    """An archive whose first header has other bytes, and the checksum that belongs to them."""
    block = made()[:BLOCK]
    block = block[:at] + new + block[at + len(new) :]
    checksum = b"%06o\0 " % (sum(block[:148]) + 8 * 32 + sum(block[156:]))
    return block[:148] + checksum + block[156:] + made()[BLOCK:] + bytes(1024)


@given(
    st.lists(
        st.tuples(st.text("abz-_.", min_size=1, max_size=99), st.binary(max_size=1500)),
        max_size=4,
        unique_by=lambda one: one[0],
    ),
    st.sampled_from([tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT]),
)
def test_members_are_those_that_the_standard_library_finds(files, form):
    data = b"".join(made(name, content, form) for name, content in files) + bytes(1024)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        expected = [(one.name, one.offset_data, one.size) for one in archive]
    assert [(one.name, one.content.start, one.content.size) for one in members(data)] == expected


@pytest.mark.parametrize("name", ["d" * 90 + "/" + "n" * 80, "n" * 300, "ä" * 60, "a\tb"])
def test_long_names_are_read_from_the_prefix_or_from_pax_records(name):
    form = tarfile.USTAR_FORMAT if "/" in name else tarfile.PAX_FORMAT
    (found,) = members(made(name, form=form, mtime=1.5 if form == tarfile.PAX_FORMAT else 1) + bytes(1024))
    assert (found.name, found.content.size) == (name, 7)
    assert found.header.stop == found.content.start


def test_a_size_that_octal_digits_cannot_hold_is_read():
    info = tarfile.TarInfo("large")
    info.size = MAX_OCTAL
    assert next_member(Blocks(tar_header(info, tarfile.PAX_FORMAT))).content.size == MAX_OCTAL


def test_the_form_of_gnu_is_malformed():
    assert fault(made(form=tarfile.GNU_FORMAT) + bytes(1024)) == ("structure-malformed", (257, 265))


def test_a_short_name_is_not_split():
    assert fault(changed(345, b"folder")) == ("structure-malformed", (345, 500))


@pytest.mark.parametrize(
    ("at", "new"),
    [
        (0, bytes(100)),
        (0, b"a\0b\0"),
        (100, b"000064x\0"),
        (100, b"644\0\0\0\0\0"),
        (108, b"\x80\0\0\0\0\0\0\1"),
        (124, b"0000000000 7"),
        (124, b"00000000007 "),
        (329, bytes(16)),
        (124, b"-0000000007\0"),
        (124, b"\x80\0\0\0\0\0\0\0\0\0\0\x07"),  # octal digits can hold it
        (124, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        (124, b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        (136, b"0000000000x\0"),
        (156, b"\0"),
        (156, b"1"),
        (156, b"2"),
        (156, b"5"),
        (156, b"7"),
        (156, b"g"),
        (156, b"L"),
        (156, b"S"),
        (157, b"target"),
        (257, b"ustar\x0001"),
        (257, bytes(8)),
        (265, b"a\0b\0"),
        (329, b"0000001\0"),
        (345, b"a\0b\0"),
        (500, b"x"),
    ],
)
def test_a_header_of_another_form_is_malformed(at, new):
    rule, (start, stop) = fault(changed(at, new))
    assert rule == "structure-malformed"
    assert start <= at < stop <= BLOCK


def test_the_checksum_has_one_form():
    good = made() + bytes(1024)
    for form in (good[148:155] + b"\0", b" " + good[149:156], good[148:154] + b" \0", bytes(8)):
        assert fault(good[:148] + form + good[156:]) == ("structure-malformed", (0, BLOCK))


def test_a_signed_checksum_of_old_programs_is_not_taken():
    block = made("\xff\xff")[:148]
    block = block.replace("\xff".encode(), b"\xff")
    whole = block.ljust(148, b"\0") + b" " * 8 + made()[156:BLOCK]
    signed = sum(byte - 256 if byte > 127 else byte for byte in whole)
    assert fault(whole[:148] + b"%06o\0 " % signed + whole[156:] + bytes(1024))[0] == "structure-malformed"


@pytest.mark.parametrize("data", [b"", bytes(100), bytes(512), made(), made() + bytes(512), made()[:-1] + bytes(3)])
def test_an_archive_without_its_end_is_malformed(data):
    assert fault(data)[0] == "structure-malformed"


def test_another_header_after_one_block_of_zeros_is_malformed():
    assert fault(bytes(BLOCK) + made() + bytes(1024)) == ("structure-malformed", (0, BLOCK))


def records(data, **fields):
    size = fields.pop("size", len(data))
    return made("pax", data, type=tarfile.XHDTYPE, size=size) + made(**fields) + bytes(1024)


@pytest.mark.parametrize(
    "data",
    [
        b"13 path=abc\n",  # the length is one too large
        b"11 path=abc\n",
        b"011 path=abc",
        b"11 path=abc",
        b"x path=abc\n",
        b"8 path=\n",
        b"6 pat\n",
        b"5 =a\n",
        b"13 path=a\0bc\n",
        b"14 linkpath=a\n",
        b"19 GNU.sparse.x=ab\n",
        b"11 mtime=1\n11 mtime=1\n",
        b"9 size=x\n",
        b"11 size=+7\n",
        b"11 size=07\n",
        b"29 size=99999999999999999999\n",
        b"10 size=6\n",  # the header states another size
    ],
)
def test_pax_records_of_another_form_are_malformed(data):
    rule, (start, stop) = fault(records(data))
    assert rule == "structure-malformed"
    assert BLOCK <= start < stop <= 3 * BLOCK


def test_pax_records_are_limited():
    assert fault(records(b"", size=2**30)) == ("structure-malformed", (124, 136))
    assert fault(records(b"", size=0)) == ("structure-malformed", (124, 136))


def test_the_padding_of_pax_records_is_zero():
    data = records(b"11 mtime=1\n")
    assert fault(data[: BLOCK + 20] + b"x" + data[BLOCK + 21 :]) == ("structure-malformed", (BLOCK + 11, 2 * BLOCK))


def test_records_do_not_follow_records():
    two = made("pax", b"11 mtime=1\n", type=tarfile.XHDTYPE) * 2
    assert fault(two + made() + bytes(1024)) == ("structure-malformed", (2 * BLOCK, 3 * BLOCK))


def test_spans_name_the_stream():
    (found,) = members(made() + bytes(1024), "inner.tar.gz")
    assert found.content == Span(start=512, stop=519, stream="inner.tar.gz")
    assert found.padding == Span(start=519, stop=1024, stream="inner.tar.gz")


@given(st.binary(max_size=2048))
def test_any_bytes_have_members_or_a_fault(data):
    with contextlib.suppress(LayoutError):
        members(data)
