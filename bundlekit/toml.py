"""A total reader for hand-written TOML: every sequence of bytes gives values or a ValueError, in linear time.

The parser of the standard library takes quadratic time for a key of many parts and recurses for each bracket. One
pass over the text, which knows strings and comments, therefore bounds both before the parser runs.
"""

from __future__ import annotations

import re
from typing import Any, Final

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
