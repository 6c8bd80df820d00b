"""Make text that came from a bundle harmless to a terminal and honest to a reader."""

from __future__ import annotations

import re
from typing import Final

_UNSAFE: Final = (
    "[\x00-\x1f\x7f-\x9f"  # C0 and C1 control characters: colours, cursor movement, line breaks
    "\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # invisible, bidirectional
    "\ud800-\udfff\U000e0000-\U000e007f]"  # halves of surrogate pairs, tags
)


def escape(text: str) -> str:
    r"""``text`` with control, invisible and bidirectional characters as ``\u202e``."""
    if text.isprintable():  # nearly always, and then the pattern need not even be compiled
        return text
    return re.sub(_UNSAFE, _spell, text)


def _spell(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
