r"""The syntax of libconfig, read so that all versions of the library agree about the result.

The grammar is that of the libconfig manual (*Configuration Files*). Where versions 1.5 to 1.8 read a text differently,
the text is rejected. Examples are ``010``, ``0xffffffff`` without ``L``, and ``\b``. ``@include`` is rejected as well.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

MAX_DEPTH: Final = 32
"""Levels of groups, lists and arrays. SWUpdate follows paths of at most 20 names (``MAX_PARSED_NODES``)."""

Value = None | bool | int | float | str | list["Value"] | dict[str, "Value"]

_TOKEN: Final = re.compile(
    r"(?P<blank>[ \t\r\n\f]++|(?:#|//)[^\n]*+|/\*(?:[^*]++|\*(?!/))*+\*/)"
    r'|(?P<string>"(?:[^"\\\x00]++|\\[^\x00])*+")'
    r"|(?P<name>[A-Za-z*][-A-Za-z0-9_*]*+)"
    r"|(?P<number>[-+]?\.?[0-9](?:[eE][-+]|[0-9A-Za-z_.*])*+)"
    r"|(?P<mark>[=:,;{}()\[\]])"
)
"""One token. The pattern is possessive, so that the scan is linear."""

_INTEGER: Final = re.compile(r"(?P<digits>[-+]?(?:0|[1-9][0-9]{0,18})|0[xX][0-9A-Fa-f]{1,16})(?P<long>LL?)?")
_FLOAT: Final = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]{1,3})?")
_ESCAPE: Final = re.compile(r"\\(?:[xX]([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "\\": "\\", '"': '"'}
_DISPUTED: Final = "abv"
"""Letters after a backslash that libconfig 1.8 reads as one control character, and 1.5 as two characters."""


class LibconfigError(ValueError):
    """The text is not in the syntax, or has several readings. ``offset`` is the first byte that shows it."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def decode(data: bytes) -> dict[str, Value]:
    """The settings of a configuration. Raises LibconfigError."""
    return _Parser(data.decode("latin-1")).configuration()


class _Parser:
    """A parser with one token of look-ahead. Bytes are read as Latin-1, and only strings are decoded as UTF-8."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self._next = self._token()

    def configuration(self) -> dict[str, Value]:
        return self._settings("")

    def _token(self) -> _Token:
        while found := _TOKEN.match(self._text, self._at):
            self._at = found.end()
            if found.lastgroup != "blank":
                return _Token(found.lastgroup or "", found[0], found.start())
        if self._at == len(self._text):
            return _Token("end", "", self._at)
        if self._text[self._at] == '"':
            raise LibconfigError("a string has no end, or contains a zero byte", self._at)
        if self._text.startswith("/*", self._at):
            raise LibconfigError("a comment has no end", self._at)
        if self._text.startswith("@", self._at):
            raise LibconfigError("other files cannot be included", self._at)
        raise LibconfigError("this character cannot begin a value or a name", self._at)

    def _take(self) -> _Token:
        token, self._next = self._next, self._token()
        return token

    def _found(self, *marks: str) -> bool:
        """Whether one of ``marks`` is next; it is then taken."""
        if self._next.kind != "mark" or self._next.text not in marks:
            return False
        self._take()
        return True

    def _demand(self, *marks: str) -> None:
        at = self._next.at
        if not self._found(*marks):
            raise LibconfigError(f"{' or '.join(marks)} is expected", at)

    def _settings(self, end: str) -> dict[str, Value]:
        """The settings up to the mark ``end``, or up to the end of the text."""
        found: dict[str, Value] = {}
        while self._next.kind == "name" and self._next.text.lower() not in ("true", "false"):
            name = self._take()
            if name.text in found:
                raise LibconfigError(f"{name.text} is set twice", name.at)
            self._demand("=", ":")
            found[name.text] = self._value()[1]
            self._found(";", ",")
        if end:
            self._demand(end)
        elif self._next.kind != "end":
            raise LibconfigError("the name of a setting is expected", self._next.at)
        return found

    def _value(self) -> tuple[str, Value]:
        """The next value, and its type, which is the same for all values of an array."""
        token = self._take()
        match token.kind, token.text:
            case "string", _:
                return "string", self._string(token)
            case "number", _:
                return _number(token)
            case "name", text if text.lower() in ("true", "false"):
                return "boolean", text.lower() == "true"
            case "mark", "{" | "(" | "[":
                return self._collection(token)
            case _:
                raise LibconfigError("a value is expected", token.at)

    def _collection(self, token: _Token) -> tuple[str, Value]:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise LibconfigError(f"groups and lists are nested deeper than {MAX_DEPTH} levels", token.at)
        value: Value = self._settings("}") if token.text == "{" else self._list(token)
        self._depth -= 1
        return token.text, value

    def _list(self, token: _Token) -> list[Value]:
        """A list, or an array, which has only simple values, and all of one type."""
        end, items, kinds = ")" if token.text == "(" else "]", list[Value](), set[str]()
        while not self._found(end):
            at = self._next.at
            kind, value = self._value()
            items.append(value)
            kinds.add(kind)
            if end == "]" and (len(kinds) > 1 or kind in ("{", "(", "[")):
                raise LibconfigError("an array must have simple values of one type", at)
            if not self._found(","):
                self._demand(end)
                break
        return items

    def _string(self, token: _Token) -> str:
        """The string of ``token``, joined with those that follow directly."""
        parts = [_unescaped(token)]
        while self._next.kind == "string":
            parts.append(_unescaped(self._take()))
        data = "".join(parts).encode("latin-1")
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise LibconfigError("a string is not UTF-8", token.at) from error


def _unescaped(token: _Token) -> str:
    def one(found: re.Match[str]) -> str:
        character = chr(int(found[1], 16)) if found[1] else _ESCAPES.get(found[2], found[0])
        if found[2] and found[2] in _DISPUTED:
            raise LibconfigError(f"versions of libconfig read {found[0]} differently", token.at + 1 + found.start())
        if character == "\0":
            raise LibconfigError("a string contains a zero byte", token.at + 1 + found.start())
        return character

    return _ESCAPE.sub(one, token.text[1:-1])


def _number(token: _Token) -> tuple[str, Value]:
    """A number. Integers have 32 bits, or 64 with the suffix ``L``. Other sizes depend on the version of libconfig."""
    if found := _INTEGER.fullmatch(token.text):
        digits, bits = found["digits"], 63 if found["long"] else 31
        number = int(digits, 16 if digits[:2] in ("0x", "0X") else 10)
        if not -(1 << bits) <= number < 1 << bits:
            suffix = "" if found["long"] else " without the suffix L"
            raise LibconfigError(f"the integer does not fit {bits + 1} bits{suffix}", token.at)
        return ("long" if found["long"] else "integer"), number
    if _FLOAT.fullmatch(token.text) and abs(value := float(token.text)) < float("inf"):
        return "float", value
    raise LibconfigError("versions of libconfig read this form of a number in different ways", token.at)
