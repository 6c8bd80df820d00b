"""Patterns of hardware revisions: what matches, what is not understood, and the C library as the second reader."""

import ctypes

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bundlekit.matrix.hardware_pattern import PatternError, matches

REG_EXTENDED_NOSUB = 1 | 8


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        (r"^1\.[023]$", "1.2", True),  # the example of the documentation of SWUpdate
        (r"^1\.[023]$", "1.1", False),
        (r"^1\.[023]$", "11.2", False),
        ("1", "rev 21b", True),  # a part is enough
        ("^1", "21", False),
        ("^(a|bc)+$", "abcbca", True),
        ("^(a|bc)+$", "abcb", False),
        ("^a{2,3}$", "aaaa", False),
        ("^a{0}b$", "b", True),
        ("^a{2,}$", "aaaaa", True),
        ("^a{,1}$", "a", None),
        ("^[^0-9]$", "7", False),
        ("^[]a-]+$", "]a-", True),
        (r"^[\.]$", "\\", True),
        ("^rev[[:digit:]]+$", "rev12", True),
        (".", "", False),
        ("^$", "", True),
        ("a$b", "a", False),
        (r"\d", "1", None),
        (r"(a)\1", "aa", None),
        (r"\bx", "x", None),
        ("a**", "a", None),
        ("*a", "a", None),
        ("a|", "a", None),
        ("()", "", None),
        ("(a", "a", None),
        ("a)", "a", None),
        ("[a-Z]", "a", None),
        ("[A-z]", "a", None),
        ("[a", "a", None),
        (f"x[^]{''.join(chr(one) for one in range(1, 128) if chr(one) not in ']^-')}^-]y", "xy", None),  # no character
        ("[[.a.]]", "a", None),
        ("[[=a=]]", "a", None),
        ("[[:space:]]", "a", None),
        ("[z-a]", "a", None),
        ("a{3,2}", "a", None),
        ("a{256}", "a", None),
        ("a{x}", "a", None),
        ("^*", "a", None),
        ("(((((((((((((((((a)))))))))))))))))", "a", None),
        ("((a{99}){99}){99}", "a", None),
        ("é", "é", None),
        ("a", "é", None),
        ("\\", "a", None),
    ],
)
def test_a_pattern(pattern, text, expected):
    if expected is None:
        with pytest.raises(PatternError):
            matches(pattern, text)
    else:
        assert matches(pattern, text) is expected


def test_no_pattern_takes_long():
    """Each of these takes a backtracking engine longer than the universe has existed."""
    for pattern in ("^(a+)+$", "^(a|a)*$", "^(a?){60}a{60}$", "^(a*)*b"):
        matches(pattern, "a" * 255 + "c")


def c_library():
    try:
        library = ctypes.CDLL("libc.so.6")
    except OSError:
        return None
    return library if hasattr(library, "gnu_get_libc_version") else None


C = c_library()


def c_matches(pattern, text):
    """What the C library decides; None if it rejects the pattern."""
    compiled = ctypes.create_string_buffer(256)  # regex_t of glibc has 64 bytes
    if C.regcomp(compiled, pattern.encode(), REG_EXTENDED_NOSUB):
        return None
    found = C.regexec(compiled, text.encode(), 0, None, 0) == 0
    C.regfree(compiled)
    return found


ATOMS = st.sampled_from(["a", "b", "1", ".", r"\.", "[ab]", "[^a]", "[0-9]", "[[:alpha:]]", "^", "$", "-"])
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{0,2}", "{1,}", "{0}"])).map("".join),
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
    ),
    max_leaves=8,
)


@pytest.mark.skipif(C is None, reason="this is not glibc")
@settings(max_examples=400, deadline=None)
@given(st.one_of(PATTERNS, st.text("ab1.*+?|()[]^${}-,2\\:", max_size=12)), st.text("ab1.-", max_size=6))
@example("(^a|b$)*", "ab")
@example("(a{0})b", "b")
def test_the_c_library_agrees(pattern, text):
    try:
        ours = matches(pattern, text)
    except PatternError:
        return
    assert c_matches(pattern, text) is ours
