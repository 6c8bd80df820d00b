"""JSON that every reader understands in the same way (RFC 8259, with the advice of RFC 7493).

Unlike canonical JSON, any blanks and any order of keys are allowed. Duplicate keys, numbers without a value, deep
nesting and halves of surrogate pairs are rejected.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, Never

from bundlekit.layout.json_syntax import first_fault

MAX_DEPTH: Final = 32
"""Levels of arrays and objects."""
MAX_DIGITS: Final = 400
"""Characters of a number. The largest double has 309 digits, and conversion of very long numbers is slow."""

_TOKEN: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)
"""A string, ended or not, or a bracket. The pattern is possessive and always matches, so that the scan is linear."""


class StrictJsonError(ValueError):
    """The bytes are not JSON, or readers can disagree about them.

    ``offset`` is the first byte that shows it; None if it is not known.
    """

    def __init__(self, message: str, offset: int | None = None) -> None:
        super().__init__(message)
        self.offset = offset


def decode(data: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """The value that ``data`` describes. Raises StrictJsonError."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise StrictJsonError("not UTF-8", error.start) from error
    depth = 0
    for token in _TOKEN.finditer(text):
        depth += (token[0] in "[{") - (token[0] in "]}")
        if depth > MAX_DEPTH:
            at = len(text[: token.start()].encode())
            raise StrictJsonError(f"nested deeper than {MAX_DEPTH} levels", at)
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=_no_number, parse_int=_integer, parse_float=_float
        )
    except json.JSONDecodeError as error:
        offset, what = first_fault(text) or (len(text), "it is not complete")
        raise StrictJsonError(f"not JSON: {what}", len(text[:offset].encode())) from error
    _reject_halves(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise StrictJsonError(f"the key {key[:80]!r} is given twice")
        found[key] = value
    return found


def _no_number(literal: str) -> Never:
    raise StrictJsonError(f"{literal} is not a number")


def _integer(literal: str) -> int:
    if len(literal) > MAX_DIGITS or not -(1 << 63) <= int(literal) < 1 << 63:
        raise StrictJsonError(f"the integer {literal[:32]} does not fit 64 bits")
    return int(literal)


def _float(literal: str) -> float:
    if len(literal) > MAX_DIGITS or abs(value := float(literal)) == float("inf"):
        raise StrictJsonError(f"the number {literal[:32]} is too long or too large")
    return value


def _reject_halves(value: object) -> None:
    """Half of a surrogate pair, or a zero byte, which ends a string in C."""
    match value:
        case str() if re.search("[\0\ud800-\udfff]", value):
            raise StrictJsonError("a string contains a zero byte or half of a surrogate pair")
        case dict():
            for key, item in value.items():
                _reject_halves(key)
                _reject_halves(item)
        case list():
            for item in value:
                _reject_halves(item)
        case _:
            pass
