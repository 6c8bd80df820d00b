"""A total reader for hand-written TOML: every sequence of bytes gives values or a ValueError, in linear time.

The parser of the standard library takes quadratic time for a key of many parts and recurses for each bracket. One
pass over the text, which knows strings and comments, therefore bounds both before the parser runs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_PARTS: Final = 32
"""The most parts of a dotted key. No file that bundlekit reads needs more than 6."""

MAX_DEPTH: Final = 32
"""The most brackets and braces that are open at once."""

MAX_WORD: Final = 256
"""The most characters of a bare key, a number or a date. Integers of thousands of digits have no use."""

# Every string alternative also matches without its end, so that no position is scanned twice. A string that has no
# end is left for the parser to report.
_TOKEN: Final = re.compile(
    r"""
      (?P<comment> \#[^\n]*+ )
    | (?P<string>
          \"{3} [^"\\]*+ (?: (?: \\(?s:.) | "(?!"") )  [^"\\]*+ )*+ (?: \"{3} | \\?\Z )
        | '{3} [^']*+ (?: '(?!'') [^']*+ )*+ (?: '{3} | \Z )
        | " [^"\\\n]*+ (?: \\. [^"\\\n]*+ )*+ "?
        | ' [^'\n]*+ '?
      )
    | (?P<open> [\[{] )
    | (?P<close> [\]}] )
    | (?P<word> [^\s"'\#=,\[\]{}]++ )
    | (?P<break> [\n=,] )
    """,
    re.VERBOSE,
)


def parse(data: bytes) -> dict[str, Any]:
    """The values of a TOML document. ValueError states the fault, with line and column where they are known."""
    import tomllib  # a pre-flight without configuration files should not pay for it

    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(f"it is not UTF-8 (byte 0x{data[error.start]:02x} at line {line})") from error
    if text.startswith("\ufeff"):
        raise ValueError("it begins with a byte order mark; save it as UTF-8 without one")
    _bound(text)
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("its values are nested too deeply") from error


def _bound(text: str) -> None:
    """ValueError for what a file written by hand does not contain."""
    depth = parts = 0
    for token in _TOKEN.finditer(text):
        match token.lastgroup:
            case "word":
                if token.end() - token.start() > MAX_WORD:
                    raise _fault(f"a bare word of more than {MAX_WORD} characters", text, token.start())
                parts += token[0].count(".")
                if parts >= MAX_PARTS:
                    raise _fault(f"a key of more than {MAX_PARTS} parts", text, token.start())
            case "open":
                depth, parts = depth + 1, 0
                if depth > MAX_DEPTH:
                    raise _fault(f"more than {MAX_DEPTH} brackets are open", text, token.start())
            case "close":
                depth, parts = max(depth - 1, 0), 0
            case "break":
                parts = 0
            case _:
                pass


def _fault(what: str, text: str, at: int) -> ValueError:
    line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
    return ValueError(f"{what} (at line {line}, column {column})")


_HEADER: Final = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]")
_KEY: Final = re.compile(r"\s*([A-Za-z0-9_.\-\"' \t]+?)\s*=")


def line_of(data: bytes, path: str) -> int | None:
    """The line of the key ``path``, such as ``waive[1].reason``, or of the nearest table that contains it.

    None if the document names neither. Inline tables are found by the line of their key.
    """
    text = data.decode()
    wanted = path.replace('"', "").replace("'", "")
    counts: dict[str, int] = {}
    table, best, found = "", 0, None
    for number, line in _lines(text):
        if header := _HEADER.match(line):
            table = header[2].replace('"', "").replace("'", "")
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = f"{table}[{counts[table]}]"
            here = table
        elif key := _KEY.match(line):
            name = re.sub(r"[\s\"']", "", key[1])
            here = f"{table}.{name}" if table else name
        else:
            continue
        if (here == wanted or re.match(rf"{re.escape(here)}[.\[]", wanted)) and len(here) > best:
            best, found = len(here), number
    return found


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that begin a key or a table, with their numbers, without those inside of a value."""
    inside, depth, at, number = set[int](), 0, 0, 1
    for token in _TOKEN.finditer(text):
        number += text.count("\n", at, token.start())
        at, more = token.start(), token[0].count("\n")
        if depth or token.lastgroup == "string":
            inside |= set(range(number + 1, number + more + 1))
        if token.lastgroup in ("open", "close"):
            depth = max(depth + (1 if token.lastgroup == "open" else -1), 0)
    return ((number, line) for number, line in enumerate(text.split("\n"), 1) if number not in inside)
