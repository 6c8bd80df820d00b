"""Make text that came from a bundle harmless to a terminal and to a CI runner, and honest to a reader."""

from __future__ import annotations

import re
from typing import Final

_SELECTORS: Final = (range(0x180B, 0x1810), range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))  # of variations
_INVISIBLE: Final = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"  # joiners, fillers and blanks that count as letters or marks
    + "".join(chr(code) for codes in _SELECTORS for code in codes)
)
"""What Python calls printable and nobody sees (Unicode Standard Annex 44, Default_Ignorable_Code_Point)."""


_HASHES: Final = re.compile("#(?=#)")
"""Azure Pipelines and GitHub obey ``##vso[``, ``##[`` and their kin anywhere in a line; TeamCity ``##teamcity[``."""

_COMMAND: Final = re.compile(r"#(?=#+[\w.-]*[^\S\n]*\[)")
_LINE_COMMAND: Final = re.compile(r"(?m)^([^\S\n]*):(?=:)")
_ACTING: Final = re.compile(
    r"\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\xa0\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\U000e0000-\U000e0fff]"
)
_HALVES: Final = re.compile(r"[\ud800-\udfff]")


def escape(text: str) -> str:
    r"""``text`` with control, invisible and bidirectional characters as ``\u202e``, and no ``##``.

    That is whatever is not printable: the general categories C* and Z* but the space, so line ends of all kinds.
    JSON and TOML read the spelling as the character that it stands for.
    """
    if text.isascii() and text.isprintable():  # nearly always
        return hashes_spelled(text) if "##" in text else text
    return hashes_spelled(
        "".join(one if one.isprintable() and one not in _INVISIBLE else _spell(ord(one)) for one in text)
    )


def hashes_spelled(text: str) -> str:
    """``text`` without two number signs in a row: runners obey commands that begin with them."""
    return _HASHES.sub(r"\\u0023", text)


def guarded(text: str, *, begins: bool = True, terminal: bool = False) -> str:
    """What leaves the process, whatever made it: no command of a CI runner, no character that acts.

    The last line of defence behind `escape`. A heading in Markdown (``## Title``) stays. ``begins``: the text is at
    the begin of a line. ``terminal``: it goes to a terminal, where colours are wanted.
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
