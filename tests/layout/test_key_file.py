"""Key files of GLib: what GLib reads in one way is read in that way, and everything else is a fault with its span."""

import ctypes
import ctypes.util
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundlekit.errors import LayoutError
from bundlekit.layout.rauc import key_file
from bundlekit.layout.rauc.key_file import MalformedValueError
from bundlekit.model.bundle import Span

WHERE = Span(start=1000, stop=2000)


def read(text):
    groups = key_file.read(text.encode() if isinstance(text, str) else text, WHERE)
    return {name: {key: entry.raw for key, entry in group.entries.items()} for name, group in groups.items()}


def fault(text):
    with pytest.raises(LayoutError) as caught:
        read(text)
    problem = caught.value.problem
    assert problem.rule == "metadata-malformed"
    return problem.message, (problem.where.start - WHERE.start, problem.where.stop - WHERE.start)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("\n\n# only a comment\n", {}),
        ("[a]\n", {"a": {}}),
        ("[a b]  \t\n", {"a b": {}}),
        ("[a]\nk=v", {"a": {"k": "v"}}),
        ("[a]\r\nk=v\r\n", {"a": {"k": "v"}}),
        ("  [a]\n  k  =   v  \n", {"a": {"k": "v  "}}),
        ("[a]\nk=a=b\n", {"a": {"k": "a=b"}}),
        ("[a]\nk=\n", {"a": {"k": ""}}),
        ("[a]\nk=v # no comment\n  # one\n", {"a": {"k": "v # no comment"}}),
        ("[a]\nk=1\n[b]\nk=2\n", {"a": {"k": "1"}, "b": {"k": "2"}}),
        ("[a]\nk=ä\n", {"a": {"k": "ä"}}),
    ],
)
def test_what_is_read(text, expected):
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "message", "where"),
    [
        ("k=v\n", "the first line is not a group", (0, 3)),
        ("[a]\nk=1\nk=2\n", "the key 'k' occurs twice in one group", (8, 11)),
        ("[a]\n[b]\n[a]\n", "the group [a] occurs twice", (8, 11)),
        ("[a]\nk[de]=v\n", "the name of a key is empty, or has a bracket or a control character", (4, 11)),
        ("[a]\n=v\n", "the name of a key is empty, or has a bracket or a control character", (4, 6)),
        ("[a]\nnonsense\n", "a line is neither a group nor key=value", (4, 12)),
        ("[a\n", "the header of a group is not one name in brackets", (0, 2)),
        ("[]\n", "the header of a group is not one name in brackets", (0, 2)),
        ("[a]b\n", "the header of a group is not one name in brackets", (0, 4)),
        ("[a[b]\n", "the header of a group is not one name in brackets", (0, 5)),
        ("[a]\nk=\0\n", "a line has a NUL character", (4, 7)),
        (b"[a]\nk=\xff\n", "a line is not UTF-8", (6, 7)),
        ("\ufeff[a]\n", "a line is neither a group nor key=value", (0, 6)),
        ("[a]\rk=v\n", "the header of a group is not one name in brackets", (0, 7)),
    ],
)
def test_what_is_a_fault(text, message, where):
    assert fault(text) == (message, where)


def test_the_stream_is_kept():
    with pytest.raises(LayoutError) as caught:
        key_file.read(b"x", Span(start=0, stop=1, stream="manifest"))
    assert caught.value.problem.where == Span(start=0, stop=1, stream="manifest")


def test_escapes():
    assert key_file.string(r"a\sb\nc\td\re\\f") == "a b\nc\td\re\\f"
    for raw in (r"\x", "a\\", r"\;"):
        with pytest.raises(MalformedValueError):
            key_file.string(raw)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("", ()),
        ("a", ("a",)),
        ("a;", ("a",)),
        ("a;b", ("a", "b")),
        ("a;b;", ("a", "b")),
        (";", ("",)),
        ("a;;b;", ("a", "", "b")),
        (r"a\;b;c", ("a;b", "c")),
        (r"a\\;b", ("a\\", "b")),
    ],
)
def test_lists(raw, expected):
    assert key_file.strings(raw) == expected


# --- GLib itself as the second reader ---

LIBRARY = ctypes.util.find_library("glib-2.0")
needs_glib = pytest.mark.skipif(LIBRARY is None, reason="GLib is not installed")


@cache
def glib():
    library = ctypes.CDLL(LIBRARY)
    library.g_key_file_new.restype = ctypes.c_void_p
    for name in ("g_key_file_get_string", "g_key_file_get_value"):
        getattr(library, name).restype = ctypes.c_void_p
    return library


def by_glib(text):
    """The groups, keys and values (without escapes) that GLib reads; None if it refuses the text."""
    library = glib()
    file = ctypes.c_void_p(library.g_key_file_new())
    try:
        if not library.g_key_file_load_from_data(file, text, ctypes.c_size_t(len(text)), 0, None):
            return None
        return {
            group: {key: value(file, group, key) for key in names("g_key_file_get_keys", file, group.encode())}
            for group in names("g_key_file_get_groups", file)
        }
    finally:
        library.g_key_file_free(file)


def names(function, file, *arguments):
    library = glib()
    found = getattr(library, function)
    found.restype = ctypes.POINTER(ctypes.c_char_p)
    count = ctypes.c_size_t()
    last = (ctypes.byref(count), None) if arguments else (ctypes.byref(count),)
    items = found(file, *arguments, *last)
    result = [items[at].decode() for at in range(count.value)]
    library.g_strfreev(items)
    return result


def value(file, group, key):
    address = glib().g_key_file_get_string(file, group.encode(), key.encode(), None)
    text = None if address is None else ctypes.string_at(address).decode()
    glib().g_free(ctypes.c_void_p(address))
    return text


lines = st.lists(st.text(alphabet="[]=;\\abn # \t\r\v\f.-ä", max_size=8).map(str.encode), max_size=8).map(b"\n".join)


@needs_glib
@settings(max_examples=500, deadline=None)
@given(lines)
def test_what_is_read_is_what_glib_reads(text):
    try:
        ours = key_file.read(text, WHERE)
    except LayoutError:
        return

    def plain(raw):
        try:
            return key_file.string(raw)
        except MalformedValueError:
            return None

    expected = {name: {key: plain(one.raw) for key, one in group.entries.items()} for name, group in ours.items()}
    found = by_glib(text)
    assert found == expected


@pytest.mark.parametrize("text", [b"[;]\r", b"[a]\nb=c\r", b"[a]\r\r\nb=c\n", b"[a]\x0c\nb=c\n"])
def test_a_carriage_return_alone_is_no_end_of_a_line(text):
    """GLib removes it only before a line feed, and takes nothing but blanks and tabs after a group."""
    with pytest.raises(LayoutError):
        key_file.read(text, WHERE)
