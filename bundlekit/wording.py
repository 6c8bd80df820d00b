"""How a message names what its reader can give: a parameter of the library, or an option of the command line.

A message is written once. ``given("trust")`` is ``--trust`` for those who use the command line, and the parameter
``trust`` for a program that calls the library. Some texts, such as the remedy of a rule, are written before their
reader is known. They have the name in braces (``{trust}``), and ``fill`` inserts it when the text is used.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

Namer = Callable[[str, str], str]
"""Names a parameter, given with a value or with none."""

_PLACE: Final = re.compile(r"\{([a-z][a-z_]*)\}")


def _as_parameter(name: str, value: str) -> str:
    return f"`{name}={value}`" if value else f"`{name}`"


_namer: ContextVar[Namer] = ContextVar("bundlekit.namer", default=_as_parameter)


def given(name: str, value: str = "") -> str:
    """The parameter ``name`` as the reader of a message gives it, with ``value`` where that is part of the advice."""
    return _namer.get()(name, value)


def fill(template: str) -> str:
    """``template`` with each ``{name}`` as ``given(name)``."""
    return _PLACE.sub(lambda found: given(found[1]), template)


def command(verb: str, *arguments: object, **options: object) -> str:
    """A command of bundlekit as a shell takes it. An option that is True has no value; one letter has one dash.

    A command is the same in every message, since a program that calls the library has no other word for it.
    """
    words = ["bundlekit", *verb.split(), *(shlex.quote(str(argument)) for argument in arguments)]
    for name, value in options.items():
        words.append(f"-{name}" if len(name) == 1 else f"--{name.replace('_', '-')}")
        words += [] if value is True else [shlex.quote(str(value))]
    return " ".join(words)


@contextmanager
def naming(namer: Namer) -> Iterator[None]:
    """Let ``namer`` name parameters in the messages that are made in this context."""
    before = _namer.set(namer)
    try:
        yield
    finally:
        _namer.reset(before)
