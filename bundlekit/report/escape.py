"""Make text that came from a bundle harmless to a terminal and honest to a reader."""

from __future__ import annotations

from typing import Final

_SELECTORS: Final = (range(0x180B, 0x1810), range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))  # of variations
_INVISIBLE: Final = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"  # joiners, fillers and blanks that count as letters or marks
    + "".join(chr(code) for codes in _SELECTORS for code in codes)
)
"""What Python calls printable and nobody sees (Unicode Standard Annex 44, Default_Ignorable_Code_Point)."""


def escape(text: str) -> str:
    r"""``text`` with control, invisible and bidirectional characters as ``\u202e``.

    That is whatever is not printable: the general categories C* and Z* but the space, so line ends of all kinds.
    """
    if text.isascii() and text.isprintable():  # nearly always
        return text
    return "".join(one if one.isprintable() and one not in _INVISIBLE else _spell(ord(one)) for one in text)


def _spell(code: int) -> str:
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
