"""The declared version scheme: forms as data, and the order of the versions that they read.

A form specifies how a version is spelled (`DeclaredScheme`). A declaration is rejected when it is read, at build and
lint, if its forms would silently compare incorrectly. One example is a number that is decimal in one form and
hexadecimal in another. Others are a word after ``~`` without a place in the order, and an epoch that some forms lack.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bundlekit.errors import VersionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.model.matrix import DeclaredScheme

MAX_LENGTH: Final = 64
"""Characters of the longest version; the manifest's schema has the same limit (`VersionText`)."""

DIGITS: Final = frozenset("0123456789")
HEXADECIMAL: Final = frozenset("0123456789abcdefABCDEF")
LETTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
PUNCTUATION: Final = frozenset(".+~!()_-")
ALPHABET: Final = DIGITS | LETTERS | PUNCTUATION


class Reading(NamedTuple):
    """A string as its scheme reads it.

    ``key`` orders it. ``release`` is the key without the pre-release part. ``numbers`` are the leading release numbers.
    ``build`` identifies the build, if the string contains it.
    """

    key: Any
    release: Any
    numbers: tuple[int, ...]
    build: str = ""


class MisfitError(ValueError):
    """Why a string does not fit. `VersionScheme.parse` adds the string and the scheme."""


def quoted(text: str) -> str:
    """Text from outside, shortened, without characters that could disturb a terminal."""
    return ascii(text if len(text) <= MAX_LENGTH else text[: MAX_LENGTH - 1] + "~")


HEX_PREFIX: Final = ("0x", "0X")
"""The prefixes of a hexadecimal number. Such a number compares by value with decimal numbers."""

_TAKES: Final = {"#": DIGITS, "%": HEXADECIMAL, "@": LETTERS, "*": ALPHABET}
_PATTERNS: Final = {"#": "([0-9]++)", "%": "([0-9A-Fa-f]++)", "@": "([A-Za-z]++)", "*": "(.++)"}
"""The placeholders as possessive patterns, which give back no character that they have matched."""

MAX_FORMS_NAMED: Final = 4
"""Forms of a declared scheme that a message names."""

BEFORE_A_RELEASE: Final = frozenset({"alpha", "beta", "dev", "pre", "preview", "rc", "snapshot"})
"""Words that commonly mean a pre-release; a form that contains one must list it."""

# The order of the pieces, compared from left to right: a pre-release < no further piece < a word < a number.
_PRE, _END, _WORD, _NUMBER = range(4)

_TILDE: Final = (_PRE, -1)
"""The first key of a number after ``~``, as in Debian: 1.2~1 comes before 1.2~rc1, and both before 1.2."""

_Piece = int | str
"""A number, a word, or one punctuation mark of a version."""

_Rank = tuple[Any, ...]
"""The key that orders a piece."""


class Forms:
    """A declared scheme, ready to read versions.

    A placeholder takes every character it can. The next element of the form must not match the same characters. A form
    therefore fits in at most one way, which is found in one pass.
    """

    def __init__(self, declared: DeclaredScheme) -> None:
        self.declared = declared
        self.forms = [_Form(form) for form in declared.forms]
        self.pre_releases = {mark: place for place, mark in enumerate(declared.pre_releases)}
        self.ignored = frozenset(declared.ignored)
        self.folded = {mark.casefold(): mark for mark in (*declared.ignored, *declared.pre_releases)}
        if both := self.ignored & self.pre_releases.keys():
            raise VersionError(f"The declared scheme both ignores and compares {quoted(min(both))}.")
        if "~" in self.ignored:
            raise VersionError(
                "The declared scheme ignores '~', which makes what follows it older.",
                next_step="Remove '~' from ignored; list the words that follow it in pre-releases.",
            )
        for form in self.forms:
            self._require_places(form)
        _require_one_base(self.forms, self.ignored)
        _require_one_epoch(declared.forms)

    def read(self, text: str) -> Reading:
        """The string as the scheme reads it. Raises MisfitError if it fits no form."""
        for form in self.forms:
            if (pieces := form.fit(text)) is not None:
                return self._reading(*pieces)
        named, more = self.declared.forms[:MAX_FORMS_NAMED], len(self.forms) - MAX_FORMS_NAMED
        raise MisfitError(f"it matches none of the forms {', '.join(named)}" + f" and {more} more" * (more > 0))

    def guessed(self, text: str) -> tuple[str, ...]:
        """The words of a version that mean a pre-release and that the scheme does not list; none if it fits no form.

        They are read by ``@``, and count as later than the release, like any other word.
        """
        for form in self.forms:
            if (found := form.fit(text)) is not None:
                words = (piece for piece in found[0] if isinstance(piece, str) and piece.casefold() in BEFORE_A_RELEASE)
                return tuple(word for word in words if word not in self.ignored and word not in self.pre_releases)
        return ()

    def _reading(self, pieces: list[_Piece], build: str) -> Reading:
        ranks: list[_Rank] = []
        marks = ""  # the punctuation before the last number or word, and after it
        since = ""
        release = None
        for piece in pieces:
            if piece in self.ignored:
                continue
            older = "~" in since
            if piece in self.pre_releases:
                release = release or _key(ranks, marks)
                ranks.append((_PRE, self.pre_releases[str(piece)]))
            elif isinstance(piece, int):
                if older:
                    release = release or _key(ranks, marks)
                    ranks.append(_TILDE)
                ranks.append((_NUMBER, piece))
            elif piece in PUNCTUATION:
                since += piece
                continue
            else:
                self._require_listed(piece, older=older)
                ranks.append(_word(piece))
            marks, since = marks + since, ""
        key = _key(ranks, marks if build else marks + since)
        release = release or key
        if self.declared.build == "compared":
            key, release = (*key, _natural(build)), (*release, _natural(build))
        numbers = tuple(int(rank[1]) for rank in itertools.takewhile(lambda rank: rank[0] == _NUMBER, ranks))
        return Reading(key, release, numbers, build)

    def _require_listed(self, word: str, *, older: bool) -> None:
        """Raise MisfitError for a word whose place in the order would be a guess."""
        if (listed := self.folded.get(word.casefold())) is not None:
            raise MisfitError(f"its word {quoted(word)} differs from {quoted(listed)} of the scheme only in case")
        if older:
            raise MisfitError(f"its word {quoted(word)} follows '~', and pre-releases does not list it")

    def _require_places(self, form: _Form) -> None:
        """Raise VersionError for a word or '~' of a form that marks an older version, but is no listed pre-release."""
        listed = self.pre_releases.keys() | self.ignored
        for at, element in enumerate(form.elements):
            if element[0] in LETTERS and element not in listed:
                if (near := self.folded.get(element.casefold())) is not None:
                    raise VersionError(
                        f"The form {quoted(form.text)} has {quoted(element)}, and the scheme lists {quoted(near)}.",
                        next_step="Write the word in the same case in both, or list both.",
                    )
                if element.casefold() in BEFORE_A_RELEASE and any(one not in PUNCTUATION for one in form.elements[:at]):
                    raise VersionError(
                        f"The form {quoted(form.text)} has {quoted(element)}, which pre-releases does not list, so "
                        "it would be newer than the release.",
                        next_step=f"List {quoted(element)} in pre-releases, or in ignored if it does not count.",
                    )
            if element == "~" and element not in self.pre_releases:
                rest = (one for one in form.elements[at + 1 :] if one not in PUNCTUATION and one not in self.ignored)
                follows = next(rest, "")
                if not (follows in self.pre_releases or follows == "@" or _base(follows)):
                    raise VersionError(
                        f"In the form {quoted(form.text)} '~' makes what follows older, and "
                        + ("nothing follows." if not follows else f"{quoted(follows)} has no position in that order."),
                        next_step="List the word that follows '~' in pre-releases, or '~' itself.",
                    )


class _Form:
    """One form: its placeholders, words, numbers and punctuation marks in order, and one pattern of them all.

    It is a pattern because a matrix can name ten thousand versions that nearly fit each of 32 long forms.
    """

    def __init__(self, form: str) -> None:
        self.text = form
        self.elements = _elements(form)
        self.pattern = re.compile("".join(map(_pattern, self.elements)))

    def fit(self, text: str) -> tuple[list[_Piece], str] | None:
        """The pieces of ``text`` and its build, or None if it does not have this form."""
        if (found := self.pattern.fullmatch(text)) is None:
            return None
        pieces: list[_Piece] = []
        for element, piece in zip(self.elements, found.groups(), strict=True):
            if element == "*":
                return pieces, piece
            base = _base(element)
            pieces.append(int(piece, 10 if base == "decimal" else 16) if base else piece)
        return pieces, ""


def _pattern(element: str) -> str:
    if element[:-1] in HEX_PREFIX:
        return f"{element[:-1]}{_PATTERNS['%']}"
    return _PATTERNS.get(element) or f"({re.escape(element)})"


def _base(element: str) -> str:
    """The base of an element: ``decimal``, ``hexadecimal``, or ``prefixed``; empty if it is not a number."""
    if element[:-1] in HEX_PREFIX:
        return "prefixed"
    if element == "%":
        return "hexadecimal"
    return "decimal" if element == "#" or (element and DIGITS.issuperset(element)) else ""


def _elements(form: str) -> list[str]:
    """Placeholders, words, numbers and punctuation marks of a form, in order; ``0x%`` is one number."""
    for here, following in itertools.pairwise(form):
        if not _TAKES.get(here, frozenset()).isdisjoint(_TAKES.get(following, following)):
            raise VersionError(
                f"The form {quoted(form)} of the declared scheme does not define where {here!r} ends "
                f"and {following!r} begins.",
                next_step="Put a separating character between the two; '*' can only be the last.",
            )
    elements: list[str] = []
    for run in _runs(form):
        if run == "%" and len(elements) > 1 and "".join(elements[-2:]) in HEX_PREFIX:
            elements[-2:] = ["".join((*elements[-2:], run))]
        else:
            elements.append(run)
    for first, second, third in zip(elements, elements[1:], elements[2:], strict=False):
        if first == "#" and second in ("x", "X") and third == "%":
            raise VersionError(
                f"The form {quoted(form)} reads 0x1f as the number 0 and the number 1f.",
                next_step="Write 0x% for a hexadecimal number.",
            )
    return elements


def _require_one_base(forms: list[_Form], ignored: frozenset[str]) -> None:
    """Raise VersionError if two versions could have a decimal and a bare hexadecimal number at the same place."""
    if not any("%" in form.elements for form in forms):
        return
    droppable = any(mark[0] in LETTERS for mark in ignored)
    compared = [
        [one for one in form.elements if one not in PUNCTUATION and one != "*" and one not in ignored] for form in forms
    ]
    for (one, left), (other, right) in itertools.combinations_with_replacement(zip(forms, compared, strict=True), 2):
        if _bases_meet(left, right, droppable=droppable):
            raise VersionError(
                f"The forms {quoted(one.text)} and {quoted(other.text)} have a decimal and a hexadecimal number at the "
                "same place, so versions would compare wrongly.",
                next_step="Write the hexadecimal number with its prefix, 0x%, or use one kind of number in all forms.",
            )


def _bases_meet(left: list[str], right: list[str], *, droppable: bool) -> bool:
    """Whether a decimal and a bare hexadecimal number can be compared, after equal pieces.

    ``droppable``: a word that ``@`` takes can be an ignored one, which leaves its place to the next piece.
    """
    seen, ahead = set(), [(0, 0)]
    while ahead:
        at = ahead.pop()
        if at in seen or at[0] == len(left) or at[1] == len(right):
            continue
        seen.add(at)
        one, other = left[at[0]], right[at[1]]
        bases = {_base(one), _base(other)}
        if bases == {"decimal", "hexadecimal"}:
            return True
        words_meet = bases == {""} and ("@" in (one, other) or one.casefold() == other.casefold())
        if words_meet or "" not in bases:
            ahead.append((at[0] + 1, at[1] + 1))
        if droppable and one == "@":
            ahead.append((at[0] + 1, at[1]))
        if droppable and other == "@":
            ahead.append((at[0], at[1] + 1))
    return False


def _require_one_epoch(forms: tuple[str, ...]) -> None:
    """Raise VersionError if only some forms have an epoch (``#!``): a missing epoch would count as newer."""
    without = [form for form in forms if "!" not in form]
    if without and len(without) < len(forms):
        raise VersionError(
            f"The form {quoted(without[0])} has no epoch, and other forms have one before '!'.",
            next_step="Use '!' in all forms or in none; 0!1.2 has the epoch 0.",
        )


def _runs(text: str) -> Iterator[str]:
    """Runs of digits and of letters, and every other character by itself."""

    def kind(numbered: tuple[int, str]) -> int:
        place, character = numbered
        return -1 if character in DIGITS else -2 if character in LETTERS else place

    for _, run in itertools.groupby(enumerate(text), kind):
        yield "".join(character for _, character in run)


def _key(ranks: list[_Rank], marks: str) -> tuple[object, ...]:
    # Punctuation comes last: its only effect is that 1.2-3 is not 1.2.3.
    return ((*ranks, (_END,)), marks)


def _word(word: str) -> _Rank:
    """Words are ordered by their letters, then by case: b comes before C, and case decides only between equal words."""
    return _WORD, word.casefold(), word


def _natural(build: str) -> tuple[_Rank, ...]:
    """A build id in natural order: its numbers are compared as numbers."""
    if "~" in build:
        raise MisfitError("its build has '~', and builds are compared")
    ranks: list[_Rank] = []
    for run in re.findall(r"0[xX][0-9A-Fa-f]+(?![0-9A-Za-z])|[0-9]+|[A-Za-z]+|.", build):
        if run[:2] in HEX_PREFIX:
            ranks.append((_NUMBER, int(run, 16)))
        else:
            ranks.append((_NUMBER, int(run)) if DIGITS.issuperset(run) else _word(run))
    return tuple(ranks)
