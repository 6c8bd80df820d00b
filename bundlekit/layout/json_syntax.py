"""The position of the first syntax error in a JSON text.

The parser of the standard library reports a position too, but it differs between versions of Python. Spans are part of
a report, and a report on the same bytes must always be the same. This scan runs only after the parser has failed.
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
"""The valid part of a string, a scalar, or any other character.

The pattern is possessive and always matches, so that the scan is linear. It is compiled only if the text has a fault.
"""

_AFTER_VALUE: Final = {"": "the end", "[": "a comma or ]", "{": "a comma or }"}
"""The tokens expected after a value, by the innermost open bracket."""
_IS_KEY: Final = ("a key", "a key or }")
_IS_VALUE: Final = ("a value", "a value or ]")


class SyntaxFault(NamedTuple):
    """The first character that no JSON text with this beginning can have, and the fault there."""

    offset: int
    what: str


def first_fault(text: str) -> SyntaxFault | None:
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
            return SyntaxFault(start, f"{expected} is expected")
        if kind == "string" and not lexeme["end"]:
            return _in_string(text, start, stop)
        expected = following
    return None if expected == "the end" else SyntaxFault(len(text), f"{expected} is expected")


def _following(kind: str, first: str, expected: str, opened: list[str]) -> str:
    """The tokens expected after a lexeme; empty if the lexeme itself is not expected. Open brackets are counted."""
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


def _in_string(text: str, start: int, stop: int) -> SyntaxFault:
    """The fault of the string at ``start``. Its part before ``stop`` is valid."""
    if text[stop:] in ("", "\\"):
        return SyntaxFault(start, "the string has no end")
    return SyntaxFault(stop, "the escape is unknown" if text[stop] == "\\" else "a control character is not escaped")
