"""Every file that a caller names is read within a bound, and what cannot be read is rejected at once."""

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundlekit import config, toml
from bundlekit.authoring.advisory import ADVISORY_EXAMPLE
from bundlekit.authoring.example import MATRIX_EXAMPLE, SPEC_EXAMPLE
from bundlekit.errors import ConfigError, UnreadableError
from bundlekit.files import LIMITS, read_bounded
from bundlekit.source import FileSource
from bundlekit.trust.policy import EXAMPLE as TRUST_EXAMPLE

EXAMPLES = [text.encode() for text in (ADVISORY_EXAMPLE, MATRIX_EXAMPLE, SPEC_EXAMPLE, TRUST_EXAMPLE)]


def make(place, kind):
    path = place / kind
    match kind:
        case "sparse":
            with path.open("wb") as file:
                file.truncate(2**40)
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "zero":
            path.symlink_to("/dev/zero")
        case "dangling":
            path.symlink_to("none")
        case "socket":
            with socket.socket(socket.AF_UNIX) as one, contextlib.chdir(place):  # its name may have 107 bytes
                one.bind(kind)
        case "long":
            path = place / ("x" * 300)
        case "nul":
            path = place / "a\0b"
    return path


SAID = {
    "sparse": "is larger than 1,000 bytes",
    "fifo": "cannot be read: it is a named pipe",
    "folder": "cannot be read: it is a folder",
    "zero": "cannot be read: it is a device",
    "dangling": "cannot be read: No such file or directory",
    "socket": "cannot be read: it is a socket",
    "long": "cannot be read: File name too long",
    "nul": "cannot be read: the name contains a NUL character",
}


@pytest.mark.parametrize("kind", SAID)
def test_what_is_no_file_is_refused_at_once(tmp_path, kind):
    path = make(tmp_path, kind)
    with pytest.raises(ConfigError) as caught:
        read_bounded(path, 1000)
    assert str(caught.value) == f"{path}: {SAID[kind]}"


def test_a_limit_is_the_most_that_is_read(tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 10)
    assert read_bounded(tmp_path / "file", 10) == b"x" * 10
    with pytest.raises(ConfigError, match="is larger than 9 bytes"):
        read_bounded(tmp_path / "file", 9)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc")
def test_a_file_whose_size_is_not_stated_is_read():
    assert b"Pid:" in read_bounded(Path("/proc/self/status"), 10**6)
    with pytest.raises(ConfigError, match="is larger than 3 bytes"):
        read_bounded(Path("/proc/self/status"), 3)
    with pytest.raises(UnreadableError, match="the system does not state its size"):
        FileSource("/proc/self/status")


@pytest.mark.parametrize(("size", "said"), [(10, "10 bytes"), (5000, "cannot: is larger than 1,000 bytes")])
def test_a_pipe_that_is_handed_over_is_read_to_its_end(size, said):
    script = (
        "from pathlib import Path; from bundlekit.files import read_bounded\n"
        "try: print(len(read_bounded(Path('/dev/stdin'), 1000)), 'bytes')\n"
        "except Exception as error: print(str(error).replace('/dev/stdin', 'cannot'))"
    )
    done = subprocess.run([sys.executable, "-c", script], input=b"x" * size, capture_output=True, check=True)
    assert done.stdout.decode().strip() == said


REFUSED = {
    "integer": (b"a = " + b"1" * 5000, "a bare word of more than 256 characters (at line 1, column 5)"),
    "hexadecimal": (b"a = 0x" + b"f" * 5000, "a bare word of more than 256 characters"),
    "dots": (b"a" + b".a" * 30_000 + b" = 1", "a bare word of more than 256 characters"),
    "spaced dots": (b"a" + b" . a" * 30_000 + b" = 1", "a key of more than 32 parts"),
    "quoted dots": (b'"a"' + b'."a"' * 30_000 + b" = 1", "a key of more than 32 parts"),
    "dots in a table": (b"\n[" + b"a" + b" . a" * 30_000 + b"]", "a key of more than 32 parts (at line 2"),
    "arrays": (b"a = " + b"[" * 100_000, "more than 32 brackets are open"),
    "tables": (b"a = " + b"{a=" * 100_000, "more than 32 brackets are open"),
    "mark": (b"\xef\xbb\xbfa = 1", "it begins with a byte order mark; save it as UTF-8 without one"),
    "utf-16": ("a = 1".encode("utf-16"), "it is not UTF-8 (byte 0xff at line 1)"),
    "date": (b"a = 2026-02-30", "Invalid date or datetime"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_toml_that_is_not_written_by_hand_is_refused_with_its_place(name):
    data, said = REFUSED[name]
    with pytest.raises(ConfigError) as caught:
        config.parse_toml(data, where="F")
    assert str(caught.value).startswith(f"F: invalid TOML: {said}")


def test_strings_and_comments_count_neither_as_brackets_nor_as_dots():
    noise = "[{" * 50 + "." * 500 + "1" * 500
    text = (
        f'# {noise}\na = "{noise}\\""\nb = \'{noise}\'\nc = """\n{noise}""\n\\"""""\nd = \'\'\'\n{noise}\'\'\n\'\'\'\n'
    )
    text += "e = [" + "1.5, " * 500 + "]\nf = 1 # " + noise
    assert list(toml.parse(text.encode())) == list("abcdef")


@given(st.binary(max_size=300))
@settings(max_examples=300)
def test_any_bytes_are_toml_or_one_sentence(data):
    total(data)


@given(
    st.sampled_from(EXAMPLES),
    st.integers(0, 3000),
    st.integers(0, 40),
    st.one_of(
        st.binary(max_size=20), st.sampled_from([b'"""', b"'''", b"[", b"]", b"{", b"\\", b"1" * 5000, b".a" * 99])
    ),
)
@settings(max_examples=300)
def test_a_changed_example_is_toml_or_one_sentence(data, at, length, put):
    total(data[:at] + put + data[at + length :])


def total(data):
    with contextlib.suppress(ConfigError):
        assert isinstance(config.parse_toml(data, where="F"), dict)


@pytest.mark.parametrize(
    "piece", ['"""', "'''", '\\"""', '"', "'", "\\", '"\n', '"""\\', "#", "a.", "'a'.", "[", "\n["]
)
def test_the_work_grows_with_the_size(piece):
    """Counted in tokens that the scan looks at and calls that Python makes, for a clock depends on other work."""

    def work(times):
        calls = 0

        def count(*_):
            nonlocal calls
            calls += 1

        before = sys.getprofile()
        sys.setprofile(count)
        try:
            total((piece * times).encode())
        finally:
            sys.setprofile(before)
        return calls

    assert work(4000) <= 8 * work(1000) + 1000


def test_half_a_character_in_json_is_refused(tmp_path):
    (tmp_path / "S").write_text('{"a": "\\ud800"}')
    with pytest.raises(ConfigError, match="invalid JSON"):
        config.load_json(tmp_path / "S")
    (tmp_path / "S").write_text('{"a": "\\ud83d\\ude00"}')
    assert config.load_json(tmp_path / "S") == {"a": "\U0001f600"}


def test_json_with_a_byte_order_mark_is_named(tmp_path):
    (tmp_path / "S").write_bytes(b"\xef\xbb\xbf{}")
    with pytest.raises(ConfigError, match="S: invalid JSON: it begins with a byte order mark"):
        config.load_json(tmp_path / "S")


def test_the_limits_are_on_the_page():
    from bundlekit import docs

    page = docs.page("files")
    for kind, limit in LIMITS.items():
        assert f"{config.size_in_words(limit)}" in page, kind
