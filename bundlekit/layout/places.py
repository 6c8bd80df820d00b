"""Where in the file a value of the manifest stands, so that a finding can point at the bytes it is about."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bundlekit.layout import canonical
from bundlekit.model.bundle import Span

if TYPE_CHECKING:
    from collections.abc import Iterable

_NUMBER: Final = r"\[([0-9]+)\]"
_KEY: Final = r"\.?([^.\[]+)"

NAMES: Final = ("id", "name", "fact")
"""The keys by which an item of a list may be called, where it has one."""


class _Place(NamedTuple):
    """A value, the bytes that are about it (in an object its key as well), and where the value itself begins."""

    value: Any
    where: Span
    start: int


class Places:
    """The places in one canonical document that stands at ``where``.

    In canonical JSON a place follows from the values before it: each of them has one encoding.
    """

    def __init__(self, document: dict[str, Any], where: Span) -> None:
        self._root = _Place(document, where, where.start)
        self._inside: dict[int, dict[str | int, _Place]] = {}  # by the start of a list or object

    def at(self, path: str) -> Span:
        """The place of a path as people write it: ``components[0].images[1].digest``, ``components.storage``.

        Items of a list go by number, or by what they are called. What is not there has the place of what it
        would be in.
        """
        return self._follow(self._root, path).where

    def entry(self, name: str, field: str) -> Span:
        """The place of a field of the matrix entry called ``name``, whatever list of the matrix that is in.

        Without a name it is a field of the matrix itself. What is not there has the place of what it would be in.
        """
        matrix = self._follow(self._root, "matrix")
        entry = self._entries.get(name, matrix)
        ranges = entry.value.get("components") if isinstance(entry.value, dict) else None
        if isinstance(ranges, dict) and field in ranges:  # what works together goes by component
            field = f"components.{field}"
        return self._follow(entry, field).where

    @cached_property
    def _entries(self) -> dict[str, _Place]:
        """The entries of the matrix by id; of two with the same id the first."""
        lists = self._members(self._follow(self._root, "matrix")).values()
        entries = [entry for part in lists if isinstance(part.value, list) for entry in self._members(part).values()]
        return {
            str(entry.value["id"]): entry
            for entry in reversed(entries)
            if isinstance(entry.value, dict) and "id" in entry.value
        }

    def _follow(self, place: _Place, path: str) -> _Place:
        while found := self._step(place, path):
            place, path = found
        return place

    def _step(self, place: _Place, path: str) -> tuple[_Place, str] | None:
        """The member by which ``path`` begins, and what is left of it; None if there is no such member."""
        members = self._members(place)
        key: str | int
        if number := re.match(_NUMBER, path):
            key, rest = int(number[1]), path[number.end() :]
        elif isinstance(place.value, list):
            return self._called(place, path.removeprefix("."))
        elif name := re.match(_KEY, path):
            key, rest = name[1], path[name.end() :]
        else:
            return None
        return (members[key], rest) if key in members else None

    def _called(self, place: _Place, path: str) -> tuple[_Place, str] | None:
        """The item of a list by whose name ``path`` begins, and what is left of it; names may have dots.

        None if there is no such item, or more than one, of which any could be meant.
        """
        if not path:
            return None
        named = ((name, member) for member in self._members(place).values() for name in _names(member.value))
        fitting = [one for one in named if path == one[0] or path.startswith((f"{one[0]}.", f"{one[0]}["))]
        longest = max((len(name) for name, _ in fitting), default=0)
        called = [(member, path[longest:]) for name, member in fitting if len(name) == longest]
        return called[0] if len(called) == 1 else None

    def _members(self, place: _Place) -> dict[str | int, _Place]:
        """What an object or a list consists of; each is encoded once, however often it is asked for."""
        if place.start not in self._inside:
            self._inside[place.start] = dict(_members(place))
        return self._inside[place.start]


def _names(value: object) -> list[str]:
    return [value[key] for key in NAMES if isinstance(value.get(key), str)] if isinstance(value, dict) else []


def _members(place: _Place) -> Iterable[tuple[str | int, _Place]]:
    at = place.start + 1  # behind the bracket
    items: Iterable[tuple[str | int, Any]] = ()
    if isinstance(place.value, dict):
        items = sorted(place.value.items())
    elif isinstance(place.value, list):
        items = enumerate(place.value)
    for key, value in items:
        start = at + (len(canonical.encode(key)) + len(":") if isinstance(key, str) else 0)
        stop = start + len(canonical.encode(value))
        yield key, _Place(value, Span(start=at, stop=stop), start)
        at = stop + len(",")
