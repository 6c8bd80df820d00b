"""Lists of versions and other texts in sentences."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bundlekit.versions import Version

MAX_NAMED: Final = 8
"""Versions that one sentence names."""


def named(versions: Iterable[Version]) -> str:
    """Versions in a sentence. If there are many, only the first few."""
    return listed(version.text for version in versions)


def listed(subjects: Iterable[str]) -> str:
    """Texts in a sentence. If there are many, only the first few."""
    texts = list(dict.fromkeys(subjects))
    return listed_of(texts, len(texts))


def listed_of(subjects: Iterable[str], count: int) -> str:
    """The first few of ``count`` texts in a sentence, and the number of the others."""
    more = f" and {count - MAX_NAMED} more" if count > MAX_NAMED else ""
    return ", ".join(islice(subjects, MAX_NAMED)) + more
