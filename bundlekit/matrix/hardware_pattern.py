"""Extended regular expressions of POSIX, as far as hardware revisions need them, in time linear in the text.

Python's ``re`` has another syntax and can take exponential time, and a pattern comes from a bundle. The syntax is that
of IEEE Std 1003.1, section 9.4. What the standard leaves undefined, what depends on the locale, and what only GNU has
is a `PatternError`: two devices could read it differently.
"""

from __future__ import annotations

import string
from typing import Final, NamedTuple

MAX_STATES: Final = 4096
"""States of the automaton. A pattern of 255 characters without counts needs fewer than 600."""
MAX_DEPTH: Final = 16
"""Groups within groups."""
MAX_COUNT: Final = 255
"""The largest count that POSIX requires an implementation to accept (``RE_DUP_MAX``)."""

_ESCAPED: Final = frozenset("^.[$()|*+?{\\")
_CLASSES: Final = {
    "alnum": string.ascii_letters + string.digits,
    "alpha": string.ascii_letters,
    "digit": string.digits,
    "lower": string.ascii_lowercase,
    "upper": string.ascii_uppercase,
    "xdigit": string.hexdigits,
}
_RANGES: Final = (string.digits, string.ascii_lowercase, string.ascii_uppercase)
_ASCII: Final = frozenset(map(chr, range(1, 128)))


class PatternError(ValueError):
    """A pattern that is wrong, or that devices could read differently."""


class _State(NamedTuple):
    """A state: the characters that lead on, or a condition on the position that does; none for a mere fork."""

    characters: frozenset[str] = frozenset()
    at: str = ""


_FORK: Final = _State()


class _Automaton:
    """A nondeterministic automaton. ``next`` are the states that follow each state."""

    def __init__(self) -> None:
        self.states: list[_State] = []
        self.next: list[list[int]] = []

    def add(self, state: _State, *following: int) -> int:
        """A new state, and its number."""
        if len(self.states) == MAX_STATES:
            raise PatternError("it is too large")
        self.states.append(state)
        self.next.append(list(following))
        return len(self.states) - 1


class _Part(NamedTuple):
    """A part of a pattern: its first state, and the last one, which leads nowhere yet."""

    first: int
    last: int


def matches(pattern: str, text: str) -> bool:
    """Whether a part of ``text`` matches ``pattern``. Raises PatternError; so does text beyond ASCII."""
    if not _ASCII.issuperset(text):
        raise PatternError("the revision has characters beyond ASCII")
    automaton = _Automaton()
    whole = _Parser(pattern, automaton).whole()
    reached: set[int] = set()
    for place in range(len(text) + 1):
        _enter(automaton, whole.first, place, len(text), reached)  # a match can begin at each place
        if whole.last in reached:
            return True
        if place < len(text):
            stepped = [state for state in reached if text[place] in automaton.states[state].characters]
            reached = set()
            for state in stepped:
                for one in automaton.next[state]:
                    _enter(automaton, one, place + 1, len(text), reached)
    return False


def _enter(automaton: _Automaton, state: int, place: int, end: int, reached: set[int]) -> None:
    """Add a state, and all states that it leads to without a character."""
    waiting = [state]
    while waiting:
        one = waiting.pop()
        found = automaton.states[one]
        if one in reached or (found.at == "^" and place) or (found.at == "$" and place != end):
            continue
        reached.add(one)
        if not found.characters:
            waiting += automaton.next[one]


class _Parser:
    """Reads a pattern into an automaton, from left to right."""

    def __init__(self, pattern: str, automaton: _Automaton) -> None:
        if not _ASCII.issuperset(pattern):
            raise PatternError("it has characters beyond ASCII")
        self._text = pattern
        self._at = 0
        self._depth = 0
        self._made = automaton

    def whole(self) -> _Part:
        """The whole pattern."""
        part = self._alternatives()
        if self._at < len(self._text):
            raise PatternError("it has a closing parenthesis without an opening one")
        return part

    def _alternatives(self) -> _Part:
        parts = [self._sequence()]
        while self._next() == "|":
            self._at += 1
            parts.append(self._sequence())
        if len(parts) == 1:
            return parts[0]
        last = self._made.add(_FORK)
        for part in parts:
            self._made.next[part.last].append(last)
        return _Part(self._made.add(_FORK, *(part.first for part in parts)), last)

    def _sequence(self) -> _Part:
        found: _Part | None = None
        while self._next() not in ("", "|", ")"):
            part = self._repeated()
            if found:
                self._made.next[found.last].append(part.first)
            found = _Part(found.first, part.last) if found else part
        if found is None:
            raise PatternError("a part of it is empty")
        return found

    def _repeated(self) -> _Part:
        start = self._at
        anchor = self._next() in "^$"
        part = self._atom()
        stop = self._at
        if self._next() not in tuple("*+?{"):
            return part
        if anchor:
            raise PatternError("it repeats an anchor")
        least, most = self._count()
        if self._next() in tuple("*+?{"):
            raise PatternError("it has two counts in a row")
        after = self._at
        copies = [part]
        for _ in range(max(least, most or 0, 1) - 1):
            self._at = start
            copies.append(self._atom())
            if self._at != stop:
                raise PatternError("it cannot be read twice")
        self._at = after
        return self._chained(copies, least, most)

    def _chained(self, copies: list[_Part], least: int, most: int | None) -> _Part:
        """The copies in a row. The first ``least`` are necessary, and the last one is a loop without a maximum."""
        last = self._made.add(_FORK)
        first = last
        for number, part in reversed(list(enumerate(copies))):
            if number == len(copies) - 1 and most is None:
                self._made.next[part.last].append(part.first)
            self._made.next[part.last].append(first)
            first = part.first if number < least else self._made.add(_FORK, part.first, last)
        return _Part(last if most == 0 else first, last)

    def _count(self) -> tuple[int, int | None]:
        sign = self._taken()
        if sign != "{":
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
        text, closed, _ = self._text[self._at :].partition("}")
        low, comma, high = text.partition(",")
        if not closed or not low.isdigit() or (high and not high.isdigit()) or len(text) > 7:
            raise PatternError("it has a count that is none")
        self._at += len(text) + 1
        least, most = int(low), int(high) if high else (None if comma else int(low))
        if max(least, most or 0) > MAX_COUNT or (most is not None and most < least):
            raise PatternError("it has a count that is too large, or from a larger number to a smaller one")
        return least, most

    def _atom(self) -> _Part:
        sign = self._taken()
        match sign:
            case "(":
                return self._group()
            case "[":
                return self._one(self._bracket())
            case ".":
                return self._one(_ASCII)
            case "^" | "$":
                state = self._made.add(_State(at=sign))
                last = self._made.add(_FORK)
                self._made.next[state].append(last)
                return _Part(state, last)
            case "*" | "+" | "?" | "{":
                raise PatternError("it has a count without anything before it")
            case "\\":
                if (sign := self._taken()) not in _ESCAPED:
                    raise PatternError(f"the standard does not define \\{sign}")
        return self._one(frozenset(sign))

    def _group(self) -> _Part:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise PatternError(f"it has more than {MAX_DEPTH} groups within each other")
        part = self._alternatives()
        self._depth -= 1
        if self._taken() != ")":
            raise PatternError("it has a parenthesis without its end")
        return part

    def _one(self, characters: frozenset[str]) -> _Part:
        last = self._made.add(_FORK)
        return _Part(self._made.add(_State(characters), last), last)

    def _bracket(self) -> frozenset[str]:
        """The characters of a bracket expression. A backslash has no meaning in it."""
        others = self._next() == "^"
        self._at += others
        found: set[str] = set()
        first = True
        while first or self._next() != "]":
            first = False
            sign = self._taken()
            if sign == "[" and self._next() in tuple(".=:"):
                found.update(self._class())
            elif self._next() == "-" and self._text[self._at + 1 : self._at + 2] not in ("", "]"):
                self._at += 1
                found.update(self._range(sign, self._taken()))
            elif sign == "-" and found and self._next() != "]":
                raise PatternError("it has a dash whose meaning is not defined")
            else:
                found.add(sign)
        self._at += 1
        if others and found >= _ASCII:
            raise PatternError("it has a bracket expression that no character matches")
        return _ASCII - found if others else frozenset(found)

    def _class(self) -> str:
        name, closed, _ = self._text[self._at + 1 :].partition(":]")
        if self._next() != ":" or not closed or name not in _CLASSES:
            raise PatternError("it has a class of characters that depends on the locale, or none")
        self._at += len(name) + 3
        return _CLASSES[name]

    @staticmethod
    def _range(start: str, stop: str) -> str:
        for one in _RANGES:
            if start in one and stop in one and start <= stop:
                return one[one.index(start) : one.index(stop) + 1]
        raise PatternError("it has a range of characters that depends on the locale")

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _taken(self) -> str:
        if not (sign := self._next()):
            raise PatternError("it ends too early")
        self._at += 1
        return sign
