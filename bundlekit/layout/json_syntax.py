"""Where a text stops being JSON.

The parser of the standard library reports a place too, but another one in each version of Python. Spans are part of
a report, and a report on the same bytes is the same everywhere. This scan runs only after the parser has refused.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_LEXEME: Final = (
    r"[ \t\n\r]*+(?:"
    r'(?P<string>"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+(?P<end>"?))'
    r"|(?P<scalar>-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][-+]?[0-9]++)?|true|false|null|NaN|-?Infinity)"
    r"|(?P<mark>[^ \t\n\r]))?"
)
"""A string as far as it is one, a scalar, or any other character. Possessive and always matching: the scan is linear.
Compiled only where something is wrong."""

_AFTER_VALUE: Final = {"": "the end", "[": "a comma or ]", "{": "a comma or }"}
"""What is expected after a value, by the innermost bracket that is open."""
_IS_KEY: Final = ("a key", "a key or }")
_IS_VALUE: Final = ("a value", "a value or ]")


class Fault(NamedTuple):
    """The first character at which no JSON text continues like this one, and what is wrong with it."""

    offset: int
    what: str


def first_fault(text: str) -> Fault | None:
    """The first fault of ``text``; None if it is JSON. A string without an end is a fault at its start."""
    opened: list[str] = [""]
    expected = "a value"
    for lexeme in re.finditer(_LEXEME, text):
        kind = "string" if lexeme["string"] is not None else lexeme.lastgroup
        if kind is None:
            break
        start, stop = lexeme.span(kind)
        following = _following(kind, text[start], expected, opened)
        if not following:
            return Fault(start, f"{expected} is expected")
        if kind == "string" and not lexeme["end"]:
            return _in_string(text, start, stop)
        expected = following
    return None if expected == "the end" else Fault(len(text), f"{expected} is expected")


def _following(kind: str, first: str, expected: str, opened: list[str]) -> str:
    """What is expected after a lexeme; empty if the lexeme itself is not expected. Keeps count of open brackets."""
    if kind == "string" and expected in _IS_KEY:
        return "a colon"
    if kind in ("string", "scalar"):
        return _AFTER_VALUE[opened[-1]] if expected in _IS_VALUE else ""
    if first in "[{" and expected in _IS_VALUE:
        opened.append(first)
        return "a value or ]" if first == "[" else "a key or }"
    if first in "]}" and expected.endswith(f" or {first}"):
        opened.pop()
        return _AFTER_VALUE[opened[-1]]
    if first == ":" and expected == "a colon":
        return "a value"
    if first == "," and expected.startswith("a comma"):
        return "a value" if opened[-1] == "[" else "a key"
    return ""


def _in_string(text: str, start: int, stop: int) -> Fault:
    """What is wrong with the string at ``start``, of which the part before ``stop`` is sound."""
    if text[stop:] in ("", "\\"):
        return Fault(start, "the string has no end")
    return Fault(stop, "the escape is unknown" if text[stop] == "\\" else "a control character is not escaped")
