"""Canonical JSON: one value, one encoding."""

import contextlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundlekit.layout import canonical

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
        (b'{"a":1,"a":2}', "the key 'a' is there twice", 5),
        (b'{"a":{"b":1,"b":1},"c":2}', "the key 'b' is there twice", 11),
        (b'{"b":1,"a":2}', "not in the one canonical form", 2),
        (b'{"a": 1}', "not in the one canonical form", 5),
        (b'{"a":1}\n', "not in the one canonical form", 7),
        (b'{"a":"\\u0041"}', "not in the one canonical form", 6),
        (b'{"a":"\\/"}', "not in the one canonical form", 6),
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
        (b'{"a":"A","b":{"\\u0041":1}}', "the key 'A' is not made of 1 to 64", 14),
        (b'{"a":"" , "" :1}', "the key '' is not made of 1 to 64", 10),
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


def test_a_mebibyte_of_anything_is_judged_in_bounded_time():
    size = 1024 * 1024
    unending = b'{"a":"' + b'\\"' * (size // 2)
    many_strings = b"[" + b'"",' * (size // 3) + b'""]'
    many_lists = b"[" + b"[]," * (size // 3) + b"[]]"
    # The place of what is wrong has to be looked for behind the parser's back, in whatever surrounds it.
    many_numbers = b"[" + b"1," * (size // 4) + b"9" * (size // 2) + b"]"
    behind_a_number = b'[1.5x,"' + b'\\"' * (size // 2)
    behind_keys = b"[" + b'{"a":1},' * (size // 10) + b'{"A":1}]'
    behind_pairs = b"[" + b'"\\ud83d\\ude00",' * (size // 16) + b'"\\ud800"]'
    start = time.monotonic()
    for data in (unending, many_strings, many_lists, b'"' * size, b"\\" * size):
        with contextlib.suppress(canonical.NotCanonicalError):
            canonical.decode(data)
    for data, place in ((many_numbers, size // 4 * 2 + 1), (behind_a_number, 1)):
        with pytest.raises(canonical.NotCanonicalError) as caught:
            canonical.decode(data)
        assert caught.value.offset == place
    for data in (behind_keys, behind_pairs):
        with pytest.raises(canonical.NotCanonicalError) as caught:
            canonical.decode(data)
        assert caught.value.offset > size // 2
    assert time.monotonic() - start < 10  # quadratic behaviour would take hours
