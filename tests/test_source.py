"""Sources: bounded, read-only views; the file that was opened is the file that is judged."""

import errno
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundlekit import pipeline
from bundlekit import source as source_module
from bundlekit.errors import ChangedWhileReadError, LayoutError, UnreadableError
from bundlekit.model.bundle import Span
from bundlekit.source import BytesSource, FileSource, ReadOnce, read
from fixtures import forge
from tests.integrity.claims import Watched
from tests.turning import Turning

DATA = bytes(range(256)) * 40


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "update.bin"
    file.write_bytes(DATA)
    return file


@pytest.mark.parametrize("span", [(0, 0), (0, 1), (100, 5000), (0, len(DATA)), (len(DATA) - 1, len(DATA))])
def test_both_kinds_give_the_bytes_of_a_span(path, span):
    where = Span(start=span[0], stop=span[1])
    with FileSource(path) as file:
        assert (file.name, file.size, file.held) == (str(path), len(DATA), len(DATA))
        for one in (file, BytesSource(DATA)):
            assert read(one, where) == DATA[slice(*span)]
            one.ensure_unchanged()


def test_the_first_bytes_of_a_larger_file_are_all_that_can_be_read():
    head = BytesSource(DATA, size=2**40)
    assert (head.size, head.held) == (2**40, len(DATA))
    with pytest.raises(UnreadableError, match="bytes up to 0x2801 are needed, 0x2800 were given") as caught:
        read(head, Span(start=len(DATA) - 1, stop=len(DATA) + 1))
    assert "whole head" in caught.value.next_step


def test_short_reads_are_continued(path, monkeypatch):
    monkeypatch.setattr(FileSource, "_read_some", lambda self, at, buffer: os.preadv(self._fd, [buffer[:7]], at))
    with FileSource(path) as file:
        assert read(file, Span(start=3, stop=1000)) == DATA[3:1000]


def test_a_read_that_the_system_refuses_says_where(path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "preadv", refuse)
    with FileSource(path) as file, pytest.raises(UnreadableError, match="cannot be read at byte 0x10: Input/output"):
        read(file, Span(start=16, stop=32))


def test_another_file_of_the_same_name_is_not_the_one_that_was_opened(path):
    """Row 55: who exchanges the file after it was opened changes nothing that is judged or used."""
    with FileSource(path) as file:
        other = path.with_name("other")
        other.write_bytes(b"evil" * len(DATA))
        other.replace(path)
        assert read(file, Span(start=0, stop=len(DATA))) == DATA
        file.ensure_unchanged()


def test_a_link_that_is_turned_changes_nothing_either(path, tmp_path):
    link = tmp_path / "current.bin"
    link.symlink_to(path)
    with FileSource(link) as file:
        link.unlink()
        link.symlink_to("/dev/zero")
        assert read(file, Span(start=0, stop=4)) == DATA[:4]


@pytest.mark.parametrize(
    "change",
    [
        lambda path: os.truncate(path, 100),
        lambda path: os.truncate(path, 10**6),
        lambda path: path.write_bytes(b"evil" * 10),
        lambda path: os.utime(path, ns=(1, 1)),
    ],
    ids=["cut", "grown", "written", "touched"],
)
def test_a_file_that_changed_in_place_is_noticed(path, change):
    """Row 56 (CVE-2020-25860)."""
    with FileSource(path) as file:
        file.ensure_unchanged()
        change(path)
        with pytest.raises(ChangedWhileReadError, match="changed while it was read") as caught:
            file.ensure_unchanged()
    assert "Wait" in caught.value.next_step


def test_a_read_past_the_end_of_a_cut_file_is_no_short_read(path):
    with FileSource(path) as file:
        os.truncate(path, 100)
        with pytest.raises(ChangedWhileReadError, match="ends at byte 0x64, but had 0x2800"):
            read(file, Span(start=0, stop=200))


@pytest.mark.parametrize("name", [".", "missing", "n" * 5000, "a\0b"])
def test_what_cannot_be_opened_leaves_no_descriptor_behind(name, tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(UnreadableError) as caught:
        FileSource(tmp_path / name)
    assert str(tmp_path) in str(caught.value)
    assert len(os.listdir("/proc/self/fd")) == before


def test_after_a_verdict_the_file_is_closed(tmp_path):
    (tmp_path / "update.bin").write_bytes(forge.good())
    before = len(os.listdir("/proc/self/fd"))
    assert pipeline.check(tmp_path / "update.bin", trust=forge.trust()).verdict == "accept"
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_a_reader_has_read_is_what_is_verified_later():
    source = Turning(DATA, bytes(len(DATA)), 2)
    once = ReadOnce(source)
    with once.remembering():
        assert read(once, Span(start=10, stop=20)) == DATA[10:20]
        assert read(once, Span(start=5000, stop=5001)) == DATA[5000:5001]
    assert source.turned
    expected = bytes(10) + DATA[10:20] + bytes(4980) + DATA[5000:5001] + bytes(len(DATA) - 5001)
    assert read(once, Span(start=0, stop=len(DATA))) == expected
    for start, stop in [(0, 12), (12, 15), (15, 25), (20, 30), (4999, 5002), (5001, 5001), (0, 10), (20, 5000)]:
        assert read(once, Span(start=start, stop=stop)) == expected[start:stop]


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30)), max_size=12), st.binary(max_size=20))
def test_no_byte_that_was_read_changes_however_the_reads_overlap(spans, start):
    data = bytes(range(100))
    source = Turning(data, data, 0)
    once = ReadOnce(source, start)
    seen = dict(enumerate(start))
    with once.remembering():
        for at, size in spans:
            found = read(once, Span(start=at, stop=at + size))
            assert [seen.setdefault(place, byte) for place, byte in enumerate(found, at)] == list(found)
    now = bytes(range(100, 200))
    source.rewrite(now)
    whole = read(once, Span(start=0, stop=100))
    assert whole == bytes(seen.get(at, now[at]) for at in range(100))


def test_bytes_that_were_read_are_not_read_again():
    source = Watched(DATA)
    once = ReadOnce(source)
    with once.remembering():
        before = read(once, Span(start=0, stop=100))
        assert read(once, Span(start=20, stop=30)) == before[20:30]
        assert source.count == 100
        assert read(once, Span(start=90, stop=120)) == DATA[90:120]
    assert source.count == 120
    assert read(once.joined({}), Span(start=0, stop=120)) == DATA[:120]
    assert source.count == 120


def test_other_bytes_are_not_kept():
    source = Watched(DATA)
    once = ReadOnce(source)
    for _ in range(2):
        read(once, Span(start=0, stop=100))
    assert source.count == 200


@pytest.mark.parametrize("size", [1, 4096])
def test_what_is_kept_has_a_limit(monkeypatch, size):
    """Many small reads count for what they take in memory."""
    monkeypatch.setattr(source_module, "MAX_REMEMBERED", 8192)
    once = ReadOnce(Watched(bytes(2**20)))

    def read_all():
        for at in range(0, 2**20, 2 * size):
            read(once, Span(start=at, stop=at + size))

    with once.remembering(), pytest.raises(LayoutError, match="needs more than") as caught:
        read_all()
    problem = caught.value.problem
    assert (problem.rule, problem.where.size) == ("header-out-of-bounds", size)
    assert problem.where.start <= 2 * 8192
