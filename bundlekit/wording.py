"""How a message names what its reader can use: parameters and commands.

A message is written once. ``given("trust")`` is ``--trust`` for those who use the command line, and the parameter
``trust`` for a program that calls the library. ``command("check", file)`` is a command that a shell takes, or the name
of the command with its parameters. Some texts, such as the remedy of a rule, are written before their reader is known.
They have the name in braces (``{trust}``), and ``fill`` inserts it when the text is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, NamedTuple

_PLACE: Final = re.compile(r"\{([a-z][a-z_]*)\}")


class Wording(NamedTuple):
    """The words for one kind of reader.

    ``parameter`` names a parameter, given with a value or with an empty one. ``command`` is a command with its
    arguments and its parameters by name; a value of True stands for a parameter without a value.
    """

    parameter: Callable[[str, str], str]
    command: Callable[[str, tuple[object, ...], Mapping[str, object]], str]


def _parameter(name: str, value: str) -> str:
    return f"`{name}={value}`" if value else f"`{name}`"


def _command(verb: str, arguments: tuple[object, ...], parameters: Mapping[str, object]) -> str:
    line = " ".join(["bundlekit", verb, *map(str, arguments)])
    named = [_parameter(name, "" if value is True else str(value)) for name, value in parameters.items()]
    return f"`{line}` with {' and '.join(named)}" if named else f"`{line}`"


LIBRARY: Final = Wording(_parameter, _command)
"""The words for a program that calls the library."""

_wording: ContextVar[Wording] = ContextVar("bundlekit.wording", default=LIBRARY)


def given(name: str, value: str = "") -> str:
    """The parameter ``name`` as the reader of a message gives it, with ``value`` where that is part of the advice."""
    return _wording.get().parameter(name, value)


def command(verb: str, *arguments: object, **parameters: object) -> str:
    """A command of bundlekit in backticks, as the reader of a message uses it."""
    return _wording.get().command(verb, arguments, parameters)


def fill(template: str) -> str:
    """``template`` with each ``{name}`` as ``given(name)``."""
    return _PLACE.sub(lambda found: given(found[1]), template)


def count(number: int, noun: str) -> str:
    """``1 byte``, ``2 bytes``, ``1,024 bytes``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


@contextmanager
def renamed(**names: str) -> Iterator[None]:
    """In this context, ``given`` names each parameter in ``names`` by its value there, such as one of two sides."""
    before = _wording.get()
    with worded(before._replace(parameter=lambda name, value: before.parameter(names.get(name, name), value))):
        yield


@contextmanager
def worded(wording: Wording) -> Iterator[None]:
    """Use ``wording`` for the messages that are made in this context."""
    before = _wording.set(wording)
    try:
        yield
    finally:
        _wording.reset(before)
