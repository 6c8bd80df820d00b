"""Conditions on facts about an appliance: true, false or unknown."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

from bundlekit.config import DURATIONS, UNITS
from bundlekit.errors import VersionError
from bundlekit.model.matrix import Condition
from bundlekit.versions import MAX_LENGTH, quoted, scheme_named

_TESTS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "is": operator.eq,
    "is-not": operator.ne,
    "below": operator.lt,
    "at-least": operator.ge,
}
_WORDS: Final = {"is": "is", "is-not": "is not", "below": "is below", "at-least": "is at least"}
_FORMS: Final = {
    "duration": ("a duration", "a number, a blank, and s, min, h or d", "3 h"),
    "size": ("a size", "a number, a blank, and B, KiB, MiB, GiB or TiB", "12 GiB"),
    "dotted": ("a dotted number", "numbers joined by dots", "7.10"),
}
"""For each kind of quantity its name, its notation, and one example."""

_DOTTED: Final = scheme_named("dotted")


def holds(condition: Condition, facts: Mapping[str, object]) -> bool | None:
    """Whether the condition holds; None if the fact is not given or cannot be compared with the value."""
    fact = fact_text(facts.get(condition.fact))
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


def unknown(condition: Condition, facts: Mapping[str, object]) -> tuple[str, str]:
    """Why it is unknown whether the condition holds, as the end of a sentence, and the next step."""
    fact, given, limit = condition.fact, facts.get(condition.fact), quantity(condition.value)
    ordered, place = condition.test in ("below", "at-least"), "in `facts` of the appliance state"
    if ordered and limit is None:
        because = f"{quoted(condition.value)} cannot be compared with anything"
        return because, "Ask the vendor for a bundle with a usable value."
    what, form, example = _FORMS[limit[0]] if ordered and limit else ("text", "text", "")
    if given is None:
        return "that is not known", f"Give the fact {fact} {place}{f', such as {example!r}' * ordered}."
    if fact_text(given) is None:
        return f"{_shown(given)}, which was given, is not text", f"Write {fact} {place} in quotes."
    because = f"{_shown(given)}, which was given, cannot be read as {what}"
    return because, f"Write {fact} {place} as {form}: {example!r}."


def _shown(given: object) -> str:
    """An unusable fact, short and safe to print. The contents of lists and objects are not printed, at any depth."""
    if isinstance(given, (bool, int, float)):
        text = str(given)
        return text if len(text) <= MAX_LENGTH else quoted(text)
    return quoted(given) if isinstance(given, str) else "a list or a map"


def quantity(text: str) -> tuple[str, object] | None:
    """The kind (``duration``, ``size``, ``dotted``) and value of a comparable text; None if it is not comparable.

    Durations are in seconds, and sizes in bytes. Numbers without a unit are dotted numbers. They are compared part by
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


def fact_text(fact: object) -> str | None:
    """A fact as text. A float has none: 7.10 has already become 7.1, so its text would be a guess."""
    if isinstance(fact, bool):
        return "true" if fact else "false"
    return str(fact) if isinstance(fact, (str, int)) else None
