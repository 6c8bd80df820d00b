"""The position in the file of each value of the manifest, so that a finding can point at the bytes concerned."""

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
"""The keys that can name an item of a list."""


class _Place(NamedTuple):
    """The bytes of a value (in an object including its key), the value, and where it begins."""

    value: Any
    where: Span
    start: int


class Places:
    """The positions in one canonical document, which is at ``where``.

    In canonical JSON the values before a position determine it, because each of them has one encoding.
    """

    def __init__(self, document: dict[str, Any], where: Span) -> None:
        self._root = _Place(document, where, where.start)
        self._inside: dict[int, dict[str | int, _Place]] = {}  # by the start of a list or object

    def at(self, path: str) -> Span:
        """The position of a path as people write it: ``components[0].images[1].digest``, ``components.storage``.

        Items of a list are addressed by number or by name. A missing value has the position of the object or list that
        lacks it.
        """
        return self._follow(self._root, path).where

    def entry(self, name: str, field: str) -> Span:
        """The position of a field of the matrix entry called ``name``, in any list of the matrix.

        Without a name it is a field of the matrix itself. A missing value has the position of the object or list that
        lacks it.
        """
        matrix = self._follow(self._root, "matrix")
        entry = self._entries.get(name, matrix)
        ranges = entry.value.get("components") if isinstance(entry.value, dict) else None
        if isinstance(ranges, dict) and field in ranges:  # entries of works-together are keyed by component
            field = f"components.{field}"
        return self._follow(entry, field).where

    @cached_property
    def _entries(self) -> dict[str, _Place]:
        """The entries of the matrix by id; the first one if two have the same id."""
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
        """The first member of ``path``, and the rest of the path; None if there is no such member."""
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
        """The list item whose name begins ``path``, and the rest of the path. Names can contain dots.

        None if no item has that name, or more than one has, because either could be meant.
        """
        if not path:
            return None
        named = ((name, member) for member in self._members(place).values() for name in _names(member.value))
        fitting = [one for one in named if path == one[0] or path.startswith((f"{one[0]}.", f"{one[0]}["))]
        longest = max((len(name) for name, _ in fitting), default=0)
        called = [(member, path[longest:]) for name, member in fitting if len(name) == longest]
        return called[0] if len(called) == 1 else None

    def _members(self, place: _Place) -> dict[str | int, _Place]:
        """The parts of an object or a list. Each object or list is encoded only once."""
        if place.start not in self._inside:
            self._inside[place.start] = dict(_members(place))
        return self._inside[place.start]


def _names(value: object) -> list[str]:
    return [value[key] for key in NAMES if isinstance(value.get(key), str)] if isinstance(value, dict) else []


def _members(place: _Place) -> Iterable[tuple[str | int, _Place]]:
    at = place.start + 1  # after the bracket
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
