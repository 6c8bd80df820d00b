"""A strict reader of GLib key files: groups in brackets, and lines ``key=value`` in them.

What GLib reads in exactly one way is read in that way. A repeated group, a repeated key and a translated key are
faults: GLib merges the first, takes the last of the second, and the third depends on the language of the device.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from bundlekit.errors import LayoutError
from bundlekit.model.bundle import Problem, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

SPACE: Final = " \t\n\f\r"
_GROUP: Final = re.compile(r"\[([^\[\]\x00-\x1f\x7f]+)\][ \t]*")
_KEY: Final = re.compile(r"[^\[\]=\x00-\x1f\x7f]+")
_ESCAPE: Final = re.compile(r"\\(.?)", re.DOTALL)
_ESCAPES: Final = {"s": " ", "n": "\n", "t": "\t", "r": "\r", "\\": "\\"}


class KeyFileEntry(NamedTuple):
    """A value as it is written, and the span of its line."""

    raw: str
    where: Span


class KeyFileGroup(NamedTuple):
    """The entries of a group by key, in the order of the file, and the span of its header."""

    entries: dict[str, KeyFileEntry]
    where: Span


class MalformedValueError(ValueError):
    """A value with an escape sequence that GLib does not have."""


def read(data: bytes, where: Span) -> dict[str, KeyFileGroup]:
    """The groups of ``data``, which is at ``where``, by name. Raises LayoutError (``metadata-malformed``)."""
    groups: dict[str, KeyFileGroup] = {}
    current: KeyFileGroup | None = None
    for line, place in _lines(data, where):
        text = line.lstrip(SPACE)
        if not text or text.startswith("#"):
            continue
        if text.startswith("["):
            name = _group_name(text, place)
            if name in groups:
                raise metadata_fault(f"the group [{name}] occurs twice", place)
            current = groups[name] = KeyFileGroup({}, place)
            continue
        key, separator, value = text.partition("=")
        key = key.rstrip(SPACE)
        if not separator:
            raise metadata_fault("a line is neither a group nor key=value", place)
        if current is None:
            raise metadata_fault("the first line is not a group", place)
        if not _KEY.fullmatch(key):
            raise metadata_fault("the name of a key is empty, or has a bracket or a control character", place)
        if key in current.entries:
            raise metadata_fault(f"the key {key!r} occurs twice in one group", place)
        current.entries[key] = KeyFileEntry(value.lstrip(SPACE), place)
    return groups


def metadata_fault(message: str, where: Span) -> LayoutError:
    """The fault of a description that cannot be read in exactly one way."""
    return LayoutError(Problem(rule="metadata-malformed", message=message, where=where))


def string(raw: str) -> str:
    """The value without its escapes. Raises MalformedValueError."""

    def plain(match: re.Match[str]) -> str:
        if match[1] not in _ESCAPES:
            msg = f"the escape sequence {match[0]!r} is unknown"
            raise MalformedValueError(msg)
        return _ESCAPES[match[1]]

    return _ESCAPE.sub(plain, raw)


def strings(raw: str) -> tuple[str, ...]:
    """The items of a list, each ended or separated by a semicolon. Raises MalformedValueError."""
    items = re.findall(r"((?:[^\\;]|\\.)*)(?:;|\Z)", raw, re.DOTALL)
    if items and not items[-1]:
        items.pop()
    return tuple(string(item.replace("\\;", ";")) for item in items)


def _lines(data: bytes, where: Span) -> Iterator[tuple[str, Span]]:
    """The lines without their ends (LF or CR LF), and their spans. Raises LayoutError for text that is not UTF-8."""
    at = where.start
    for line in data.split(b"\n"):
        place = Span(start=at, stop=at + len(line), stream=where.stream)
        at += len(line) + 1
        if b"\0" in line:
            raise metadata_fault("a line has a NUL character", place)
        if at > where.start + len(data) and line.endswith(b"\r"):
            raise metadata_fault("the last line ends with CR and no LF", place)
        try:
            yield line.removesuffix(b"\r").decode(), place
        except UnicodeDecodeError as error:
            start = place.start + error.start
            raise metadata_fault(
                "a line is not UTF-8", Span(start=start, stop=start + 1, stream=where.stream)
            ) from error


def _group_name(text: str, place: Span) -> str:
    if match := _GROUP.fullmatch(text):
        return match[1]
    raise metadata_fault("the header of a group is not one name in brackets", place)
