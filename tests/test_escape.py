"""What came from a bundle cannot act on a terminal, hide, or change the order of what is read."""

import sys
import unicodedata

import pytest

from bundlekit.report.escape import escape


@pytest.mark.parametrize("text", ["", "CN=Ada King", "Überprüfung", "日本語", "emoji 😀", "a b", 'quotes " and \\'])
def test_what_people_write_stays(text):
    assert escape(text) == text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("\x1b[32mACCEPT", "\\u001b[32mACCEPT"),
        ("one\ntwo", "one\\u000atwo"),
        ("one\u2028two\u0085three", "one\\u2028two\\u0085three"),
        ("\u202eTPECCA", "\\u202eTPECCA"),
        ("\U000e0041", "\\U000e0041"),
        ("\U0001d173", "\\U0001d173"),
        ("\u3164\u115f\u2800\u034f\ufe0f", "\\u3164\\u115f\\u2800\\u034f\\ufe0f"),
        ("\ud800", "\\ud800"),
        ("\u00a0", "\\u00a0"),
    ],
)
def test_what_acts_or_hides_is_spelled_out(text, escaped):
    assert escape(text) == escaped


def test_nothing_but_what_can_be_seen_is_left():
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    escaped = escape(every)
    left = {unicodedata.category(one) for one in set(escaped)}
    assert left == {kind for kind in left if kind[0] in "LMNPS"} | {"Zs"}
    assert " " in escaped
    assert len(escaped.splitlines()) == 1
