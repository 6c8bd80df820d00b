"""The words of reports and their meanings, read from the pages that define them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LINE: Final = re.compile(r" {4}(\S+)(?: {2,}(.*))?")


class Sense(NamedTuple):
    """One meaning of a word, the kind of word in that meaning, and the page that defines it."""

    word: str
    kind: str
    meaning: str
    page: str


def senses(read: Callable[[str], str]) -> list[Sense]:
    """Every word with every meaning; ``read`` gives the text of a page."""
    return [
        *(Sense(word, "Cause of a rejection", meaning, "causes") for _, word, meaning in _listed(read("causes"))),
        *(Sense(word, "Outcome of an update", meaning, "outcomes") for word, meaning in _table(read("outcomes"))),
        *(
            Sense(word, f"Exit code of {heading}", meaning, "exit-codes")
            for heading, word, meaning in _listed(read("exit-codes"))
        ),
        *(Sense(word, heading, meaning, "words") for heading, word, meaning in _listed(read("words"))),
    ]


def normal(word: str) -> str:
    """The word as it is listed: reports print ``REJECT`` and ``not run`` for ``reject`` and ``not-run``."""
    return "-".join(word.lower().split())


def _listed(text: str) -> Iterator[tuple[str, str, str]]:
    """Heading, word and meaning of each indented line; deeper lines go on with the one above."""
    heading, found = "", list[list[str]]()
    for line in text.splitlines():
        if match := _LINE.match(line):
            found.append([heading, match[1], match[2] or ""])
        elif line.startswith(" ") and found:
            found[-1][2] += f" {line.strip()}"
        elif line:
            heading = re.sub(r" \(.*\)$", "", line.lstrip("# ").rstrip(":")) if line[-1] == ":" else line.lstrip("# ")
    for where, word, meaning in found:
        yield where, word, meaning.strip()


def _table(text: str) -> Iterator[tuple[str, str]]:
    """Outcome and meaning of each row of the first table."""
    for row in re.findall(r"^\| ([a-z-]+) \| ([^|]+) \| (\d+) \|", text, re.MULTILINE):
        yield row[0], f"{row[1]} (exit code {row[2]})"
