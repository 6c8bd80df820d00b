"""Make text from a bundle harmless to a terminal and to a CI runner, and unambiguous to a reader."""

from __future__ import annotations

import re
from typing import Final

_SELECTORS: Final = (range(0x180B, 0x1810), range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))  # of variations
_INVISIBLE: Final = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"  # joiners, fillers and blanks that count as letters or marks
    + "".join(chr(code) for codes in _SELECTORS for code in codes)
)
"""Invisible characters that Python calls printable (Unicode Standard Annex 44, Default_Ignorable_Code_Point)."""


_HASHES: Final = re.compile("#(?=#)")
"""Azure Pipelines and GitHub obey ``##vso[``, ``##[`` and the like anywhere in a line; TeamCity obeys ``##teamcity[``.
"""

_COMMAND: Final = re.compile(r"#(?=#+[\w.-]*[^\S\n]*\[)")
_LINE_COMMAND: Final = re.compile(r"(?m)^([^\S\n]*):(?=:)")
_ACTING: Final = re.compile(
    r"\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\xa0\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\U000e0000-\U000e0fff]"
)
_HALVES: Final = re.compile(r"[\ud800-\udfff]")


def escape(text: str) -> str:
    r"""``text`` with control, invisible and bidirectional characters as ``\u202e``, and no ``##``.

    Everything that is not printable is replaced: the general categories C* and Z* except the space. This includes line
    ends of all kinds. JSON and TOML read the escape as the original character.
    """
    if text.isascii() and text.isprintable():  # the usual case
        return hashes_spelled(text) if "##" in text else text
    return hashes_spelled(
        "".join(one if one.isprintable() and one not in _INVISIBLE else _spell(ord(one)) for one in text)
    )


def hashes_spelled(text: str) -> str:
    """``text`` without two number signs in a row. CI runners obey commands that begin with them."""
    return _HASHES.sub(r"\\u0023", text)


def guarded(text: str, *, begins: bool = True, terminal: bool = False) -> str:
    """Output of any origin without commands of a CI runner and without control characters.

    This is the last line of defence, after `escape`. A heading in Markdown (``## Title``) is kept. ``begins``: the text
    is at the beginning of a line. ``terminal``: the output goes to a terminal that can show colours.
    """
    if "##" in text:
        text = _COMMAND.sub(r"\\u0023", text)
    if "::" in text:
        head, rest = ("", text) if begins else text.partition("\n")[::2]
        head += "" if begins or "\n" not in text else "\n"
        text = head + _LINE_COMMAND.sub(r"\1\\u003a", rest)
    if text.isascii() and text.isprintable():
        return text
    return (_HALVES if terminal else _ACTING).sub(lambda found: _spell(ord(found[0])), text)


def _spell(code: int) -> str:
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
