"""Canonical JSON: one value, one encoding.

The subset of RFC 8785 that needs no floating point: objects with ``[a-z0-9_-]{1,64}`` keys in ASCII order,
strings, integers 0 .. 2^53-1, booleans and arrays; no null, no blanks, UTF-8 without a byte order mark. A
reader decodes, encodes again and compares bytes, which refuses duplicate keys, blanks, other key orders and
superfluous escapes without having to know them.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, Never

from bundlekit.model.primitives import MAX_INTEGER

MAX_DEPTH: Final = 16
"""Levels of arrays and objects. The manifest of format 1.0 needs 6; extensions may need some more."""

_KEY: Final = re.compile(r"[a-z0-9_-]{1,64}")
_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)
"""A string, ended or not, or a bracket. Possessive and always matching, so that the scan is linear."""


class NotCanonicalError(ValueError):
    """The bytes are not canonical JSON; ``offset`` is the first byte that shows it."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


def encode(value: object) -> bytes:
    """The one encoding of ``value``, which must be made of the types named above."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False).encode()


def decode(data: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """The value of which ``data`` is the one encoding; NotCanonicalError otherwise."""
    _bound_depth(data)
    try:
        text = data.decode("utf-8", "strict")
    except UnicodeDecodeError as error:
        raise NotCanonicalError(f"not UTF-8: {error.reason}", error.start) from error
    try:
        value = json.loads(text, parse_float=_no_float, parse_int=_integer, parse_constant=_no_float)
    except NotCanonicalError as error:
        raise NotCanonicalError(str(error), _locate(data, str(error))) from error
    except json.JSONDecodeError as error:
        raise NotCanonicalError(f"not JSON: {error.msg}", len(text[: error.pos].encode())) from error
    _check_values(value)
    try:
        again = encode(value)
    except UnicodeEncodeError as error:
        raise NotCanonicalError("a string holds half of a surrogate pair", 0) from error
    if again != data:
        raise NotCanonicalError("not in the one canonical form", _first_difference(data, again))
    return value


def _bound_depth(data: bytes) -> None:
    """Refuse deep nesting before the parser recurses into it."""
    depth = 0
    for token in _TOKEN.finditer(data):
        if token[0] in (b"[", b"{"):
            depth += 1
        elif token[0] in (b"]", b"}"):
            depth -= 1
        if depth > MAX_DEPTH:
            raise NotCanonicalError(f"nested deeper than {MAX_DEPTH} levels", token.start())


def _no_float(literal: str) -> Never:
    raise NotCanonicalError(f"{literal[:32]} is not an integer", 0)


def _integer(literal: str) -> int:
    # Length first: converting a literal of a million digits is what an attacker would like us to do.
    if literal.startswith("-") or len(literal) > 16 or int(literal) > MAX_INTEGER:
        raise NotCanonicalError(f"{literal[:32]} is not an integer from 0 to 2^53-1", 0)
    return int(literal)


def _check_values(value: object) -> None:
    """Refuse null and keys outside the alphabet; the depth is bounded by now."""
    if value is None:
        raise NotCanonicalError("null is not a value of this format; leave the key out", 0)
    if isinstance(value, dict):
        for key, item in value.items():
            if not _KEY.fullmatch(key):
                raise NotCanonicalError(f"the key {key[:80]!r} is not made of 1 to 64 of a-z, 0-9, _ and -", 0)
            _check_values(item)
    elif isinstance(value, list):
        for item in value:
            _check_values(item)


def _locate(data: bytes, message: str) -> int:
    """Where the literal that begins the message stands; the parser's hooks are not told."""
    return max(data.find(message.split(" ", 1)[0].encode()), 0)


def _first_difference(one: bytes, other: bytes) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
