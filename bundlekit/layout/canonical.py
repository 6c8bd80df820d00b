"""Canonical JSON: one value, one encoding.

It is the subset of RFC 8785 that needs no floating point. It has objects with ``[a-z0-9_-]{1,64}`` keys in ASCII order,
strings, integers 0 .. 2^53-1, booleans and arrays. It has no null and no blanks, and is UTF-8 without a byte order
mark. A reader decodes, encodes again and compares bytes. This rejects duplicate keys, blanks, other key orders and
superfluous escapes, without code for each.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Never

from bundlekit.layout.json_syntax import first_fault
from bundlekit.model.primitives import MAX_INTEGER

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_DEPTH: Final = 16
"""Levels of arrays and objects. The manifest of format 1.0 needs 6; extensions can need a few more."""

_KEY: Final = re.compile(r"[a-z0-9_-]{1,64}")
_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)
"""A string, ended or not, or a bracket. The pattern is possessive and always matches, so that the scan is linear."""
_LEXEME: Final = (
    rb'("[^"\\]*+(?:\\.[^"\\]*+)*+"?)(\s*+:)?|null|NaN|-?Infinity|-?[0-9]++(?:\.[0-9]++)?(?:[eE][-+]?[0-9]++)?|[^\s"]'
)
"""One token of the parser: a string, ended or not, with the colon after a key; null; a number; or any other character.

The pattern always matches, so that the scan is linear. It is compiled only if the document has a fault.
"""


class NotCanonicalError(ValueError):
    """The bytes are not canonical JSON. ``offset`` is the first byte that shows it."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


def encode(value: object) -> bytes:
    """The only encoding of ``value``, which must consist of the types above."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False).encode()


def decode(data: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """The value that has ``data`` as its only encoding. Raises NotCanonicalError if there is none."""
    _bound_depth(data)
    try:
        text = data.decode("utf-8", "strict")
    except UnicodeDecodeError as error:
        raise NotCanonicalError(f"not UTF-8: {error.reason}", error.start) from error
    try:
        value = json.loads(text, parse_float=_no_float, parse_int=_integer, parse_constant=_no_float)
        _check_values(value)
    except _UnfitError as unfit:
        raise NotCanonicalError(str(unfit), _first(data, unfit.is_here)) from unfit
    except json.JSONDecodeError as error:
        # The position and the text of the error are not used, because they differ between versions of Python.
        offset, what = first_fault(text) or (len(text), "it is not complete")
        raise NotCanonicalError(f"not JSON: {what}", len(text[:offset].encode())) from error
    try:
        again = encode(value)
    except UnicodeEncodeError as error:
        raise NotCanonicalError("a string contains half of a surrogate pair", _first(data, _is_half_a_pair)) from error
    if again != data:
        twice = _twice(text)
        message = "not in canonical form" if twice is None else f"the key {twice!r} is given twice"
        raise NotCanonicalError(message, _first_difference(data, again))
    return value


def _bound_depth(data: bytes) -> None:
    """Reject deep nesting before the parser recurses into it."""
    depth = 0
    for token in _TOKEN.finditer(data):
        if token[0] in (b"[", b"{"):
            depth += 1
        elif token[0] in (b"]", b"}"):
            depth -= 1
        if depth > MAX_DEPTH:
            raise NotCanonicalError(f"nested deeper than {MAX_DEPTH} levels", token.start())


class _UnfitError(Exception):
    """A JSON value outside the canonical subset. The parser does not report its position, so it is searched for."""

    def __init__(self, message: str, is_here: Callable[[re.Match[bytes]], bool]) -> None:
        super().__init__(message)
        self.is_here = is_here


def _no_float(literal: str) -> Never:
    raise _UnfitError(f"{literal[:32]} is not an integer", _spelled(literal))


def _integer(literal: str) -> int:
    # The length is checked first: an attacker can make the conversion of a literal of a million digits expensive.
    if literal.startswith("-") or len(literal) > 16 or int(literal) > MAX_INTEGER:
        raise _UnfitError(f"{literal[:32]} is not an integer from 0 to 2^53-1", _spelled(literal))
    return int(literal)


def _check_values(value: object) -> None:
    """Reject null and keys outside the alphabet. The depth is already limited here."""
    if value is None:
        raise _UnfitError("null is not a value of this format; omit the key", _spelled("null"))
    if isinstance(value, dict):
        for key, item in value.items():
            if not _KEY.fullmatch(key):
                message = f"the key {key[:80]!r} is not 1 to 64 characters of a-z, 0-9, _ and -"
                raise _UnfitError(message, _is_key(key))
            _check_values(item)
    elif isinstance(value, list):
        for item in value:
            _check_values(item)


def _twice(text: str) -> str | None:
    """The first key that an object has twice. Most parsers keep its last value."""
    found: list[str] = []

    def keys(pairs: list[tuple[str, object]]) -> None:
        if not found:
            found.extend(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)

    json.loads(text, object_pairs_hook=keys)
    return found[0] if found else None


def _first(data: bytes, is_here: Callable[[re.Match[bytes]], bool]) -> int:
    """The position of the first lexeme that satisfies ``is_here``."""
    return next((lexeme.start() for lexeme in re.finditer(_LEXEME, data, re.DOTALL) if is_here(lexeme)), 0)


def _spelled(literal: str) -> Callable[[re.Match[bytes]], bool]:
    spelled = literal.encode()
    return lambda lexeme: lexeme[0] == spelled


def _is_key(key: str) -> Callable[[re.Match[bytes]], bool]:
    return lambda lexeme: lexeme[2] is not None and json.loads(lexeme[1]) == key


def _is_half_a_pair(lexeme: re.Match[bytes]) -> bool:
    if lexeme[1] is None:
        return False
    return any("\ud800" <= character <= "\udfff" for character in json.loads(lexeme[1]))


def _first_difference(one: bytes, other: bytes) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
