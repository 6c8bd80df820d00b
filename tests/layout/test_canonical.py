"""Canonical JSON: one value, one encoding."""

import contextlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundlekit.layout import canonical, json_syntax
from tests.counting import assert_grows_no_faster

KEYS = st.text("abcxyz019_-", min_size=1, max_size=8)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.integers(0, 2**53 - 1) | st.booleans() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
).filter(lambda value: depth(value) <= canonical.MAX_DEPTH)


def depth(value):
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@given(VALUES)
def test_what_is_encoded_decodes_to_itself(value):
    assert canonical.decode(canonical.encode(value)) == value


@given(VALUES)
def test_other_spellings_of_the_same_value_are_refused(value):
    for other in (json.dumps(value, ensure_ascii=True), json.dumps(value, indent=1), f" {json.dumps(value)}"):
        if other.encode() != canonical.encode(value):
            with pytest.raises(canonical.NotCanonicalError):
                canonical.decode(other.encode())


@given(st.binary(max_size=64) | st.text('{}[]",:\\u0123e.-+ntfalsru ', max_size=40).map(str.encode))
def test_any_bytes_are_decoded_or_refused(data):
    try:
        value = canonical.decode(data)
    except canonical.NotCanonicalError as error:
        offset = error.offset
    else:
        offset = 0
        assert canonical.encode(value) == data
    assert 0 <= offset <= len(data)


@pytest.mark.parametrize(
    ("data", "message", "offset"),
    [
        (b'{"a":1,"a":2}', "the key 'a' is given twice", 5),
        (b'{"a":{"b":1,"b":1},"c":2}', "the key 'b' is given twice", 11),
        (b'{"b":1,"a":2}', "not in canonical form", 2),
        (b'{"a": 1}', "not in canonical form", 5),
        (b'{"a":1}\n', "not in canonical form", 7),
        (b'{"a":"\\u0041"}', "not in canonical form", 6),
        (b'{"a":"\\/"}', "not in canonical form", 6),
        (b"\xef\xbb\xbf{}", "not JSON", 0),
        (b'{"a":"\xff"}', "not UTF-8", 6),
        (b'{"a":"\xed\xa0\x80"}', "not UTF-8", 6),
        (b'{"a":"\\ud83d\\ude00","b":"\\\\ud800\\ud800"}', "half of a surrogate pair", 24),
        (b'{"a":"NaN","b":NaN}', "NaN is not an integer", 15),
        (b'{"a":-Infinity}', "-Infinity is not an integer", 5),
        (b'{"a":1,"b":-5x}', "-5 is not an integer from 0", 11),
        (b'{"a":1,"b":1.5x}', "1.5 is not an integer", 11),
        (b'{"a":1,"b":NaNx}', "NaN is not an integer", 11),
        (b'{"a":1,"b":-Infinityy}', "-Infinity is not an integer", 11),
        (b'{"a":"1.5\\"1.5","b":1.5e+3}', "1.5e+3 is not an integer", 20),
        (b'{"a":"1.5","b":11.5,"c":1.5}', "11.5 is not an integer", 15),
        (b'{"a":1e400}', "1e400 is not an integer", 5),
        (b'{"a":-1}', "-1 is not an integer from 0", 5),
        (b'{"a":9007199254740992}', "9007199254740992 is not an integer from 0 to 2^53-1", 5),
        (b'{"a":' + b"9" * 100_000 + b"}", "is not an integer from 0 to 2^53-1", 5),
        (b'{"a":"null","null":[1,null]}', "null is not a value", 22),
        (b'{"a":"A","b":{"\\u0041":1}}', "the key 'A' is not 1 to 64", 14),
        (b'{"a":"" , "" :1}', "the key '' is not 1 to 64", 10),
        (b'{"a":[1,]}', "not JSON", 8),
        (b'{"a":"x', "not JSON", 5),
        (b"", "not JSON", 0),
        (b"[" * 10_000, "nested deeper than 16 levels", 16),
        (b'{"a":' * 17, "nested deeper than 16 levels", 80),
    ],
    ids=lambda value: str(value)[:24] if isinstance(value, bytes) else None,
)
def test_refused_with_reason_and_place(data, message, offset):
    with pytest.raises(canonical.NotCanonicalError) as caught:
        canonical.decode(data)
    assert message in str(caught.value)
    assert caught.value.offset == offset


def test_brackets_in_strings_do_not_count_as_nesting():
    assert canonical.decode(b'{"a":"' + b"[" * 100 + b'"}') == {"a": "[" * 100}


# Bytes in which the place of what is wrong has to be looked for behind the parser's back, by their size.
ENDLESS = {
    "a string of escapes": lambda size: b'{"a":"' + b'\\"' * (size // 2),
    "quotes": lambda size: b'"' * size,
    "backslashes": lambda size: b"\\" * size,
    "many strings": lambda size: b"[" + b'"",' * (size // 3) + b'""]',
    "many lists": lambda size: b"[" + b"[]," * (size // 3) + b"[]]",
    "many lists and a fault": lambda size: b"[" + b"[]," * (size // 3) + b"[]",
    "a long number after many": lambda size: b"[" + b"1," * (size // 4) + b"9" * (size // 2) + b"]",
    "a fault before a string": lambda size: b'[1.5x,"' + b'\\"' * (size // 2),
    "a bad key after many": lambda size: b"[" + b'{"a":1},' * (size // 10) + b'{"A":1}]',
    "half a pair after many": lambda size: b"[" + b'"\\ud83d\\ude00",' * (size // 16) + b'"\\ud800"]',
}


@pytest.mark.parametrize("make", ENDLESS.values(), ids=ENDLESS)
def test_work_grows_with_the_size_and_no_faster(make):
    def decode(size):
        with contextlib.suppress(canonical.NotCanonicalError):
            canonical.decode(make(size))

    assert_grows_no_faster(decode, 16_384)


@given(st.text('"\\[]{}x\n', max_size=30))
def test_every_string_is_taken_at_once_ended_or_not(text):
    """A pattern that scans a string to its end, and then does not take it, scans it again from each later quote."""
    data = f'"{text}'.encode()
    for pattern in (canonical._TOKEN, re.compile(canonical._LEXEME, re.DOTALL)):
        scanned = [lexeme.span() for lexeme in pattern.finditer(data)]
        assert scanned[0][0] == 0
        assert data.count(b'"') == sum(data[start:stop].count(b'"') for start, stop in scanned), (
            "a quote was passed over"
        )
    assert re.match(json_syntax._LEXEME, data.decode())["string"]


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("a long number after many", 2**19 + 1),
        ("a fault before a string", 1),
        ("a bad key after many", 838_858),
        ("half a pair after many", 983_041),
    ],
)
def test_in_a_mebibyte_the_place_is_found(name, place):
    with pytest.raises(canonical.NotCanonicalError) as caught:
        canonical.decode(ENDLESS[name](2**20))
    assert caught.value.offset == place


@given(st.text('{}[]",:\\u0123e.-+ntfalsruN \n\x01', max_size=40) | VALUES.map(json.dumps))
def test_a_text_has_a_fault_exactly_if_the_parser_refuses_it(text):
    fault = json_syntax.first_fault(text)
    try:
        json.loads(text)
    except json.JSONDecodeError:
        assert fault is not None
        assert 0 <= fault.offset <= len(text)
    else:
        assert fault is None


@pytest.mark.parametrize(
    ("text", "offset", "what"),
    [
        ("", 0, "a value is expected"),
        ("[1,]", 3, "a value is expected"),
        ('{"a":1,}', 7, "a key is expected"),
        ("{1:2}", 1, "a key or } is expected"),
        ('{"a" 1}', 5, "a colon is expected"),
        ("[1 2]", 3, "a comma or ] is expected"),
        ('{"a":1 "b":2}', 7, "a comma or } is expected"),
        ("[1}", 2, "a comma or ] is expected"),
        ("[", 1, "a value or ] is expected"),
        ("1 1", 2, "the end is expected"),
        ("[01]", 2, "a comma or ] is expected"),
        ('["a', 1, "the string has no end"),
        ('["a\\', 1, "the string has no end"),
        ('["a\\x"]', 3, "the escape is unknown"),
        ('["a\\u12"]', 3, "the escape is unknown"),
        ('["a\tb"]', 3, "a control character is not escaped"),
        ("\ufeff[]", 0, "a value is expected"),
    ],
)
def test_the_fault_of_a_text_is_where_it_cannot_go_on(text, offset, what):
    """The places do not come from the parser: each version of Python has its own."""
    assert json_syntax.first_fault(text) == (offset, what)
