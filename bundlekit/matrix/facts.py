"""Conditions on facts about an appliance: they hold, or do not, or it cannot be known."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

from bundlekit.config import DURATIONS, UNITS
from bundlekit.errors import VersionError
from bundlekit.model.matrix import Condition
from bundlekit.versions import scheme_named

_TESTS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "is": operator.eq,
    "is-not": operator.ne,
    "below": operator.lt,
    "at-least": operator.ge,
}
_WORDS: Final = {"is": "is", "is-not": "is not", "below": "is below", "at-least": "is at least"}
_DOTTED: Final = scheme_named("dotted")


def holds(condition: Condition, facts: Mapping[str, object]) -> bool | None:
    """Whether the condition holds; None if the fact is not given or cannot be compared with the value."""
    fact = _text(facts.get(condition.fact))
    if fact is None:
        return None
    test = _TESTS[condition.test]
    if condition.test in ("is", "is-not"):
        return test(fact, condition.value)
    have, limit = quantity(fact), quantity(condition.value)
    if have is None or limit is None or have[0] != limit[0]:
        return None
    return test(have[1], limit[1])


def in_words(condition: Condition) -> str:
    """The condition as part of a sentence: ``disk.firmware is below 7.1``."""
    return f"{condition.fact} {_WORDS[condition.test]} {condition.value}"


def quantity(text: str) -> tuple[str, object] | None:
    """The kind (``duration``, ``size``, ``dotted``) and value of what can be compared; None if it cannot.

    Durations are in seconds, sizes in bytes; numbers without a unit are dotted numbers, compared part by
    part, so 7.10 is above 7.9.
    """
    number, blank, unit = text.partition(" ")
    for kind, units in (("duration", DURATIONS), ("size", UNITS)):
        if unit in units and number.isascii() and number.isdigit() and len(number) <= 15:
            return kind, int(number) * units[unit]
    if blank:
        return None
    try:
        return "dotted", _DOTTED.parse(number)
    except VersionError:
        return None


def _text(fact: object) -> str | None:
    """A fact as text. No float: 7.10 has become 7.1 before we see it, so its text would be a guess."""
    if isinstance(fact, bool):
        return "true" if fact else "false"
    return str(fact) if isinstance(fact, (str, int)) else None
