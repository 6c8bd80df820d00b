"""Version schemes: a bundle declares how its versions are read, and nothing is guessed.

``scheme_named("dotted").parse("5.40.00")`` returns a `Version`. It compares, hashes, and prints as it was written. A
string that does not fit its scheme raises a `VersionError` with the reason. It is never read as 0.0.0.

The schemes:

``pep440``    Python's (PEP 440), parsed by packaging, which is imported only here and only if needed.
``semver``    Semantic Versioning 2.0.0; build metadata does not count.
``dotted``    Numbers joined by dots. Zero padding is allowed, and so is a leading ``v``. A ``-`` and a build can follow
              and do not count: 5.40.00-0500212. If two versions begin alike, the shorter is the older. 6.3 is
              therefore neither 6.3.0 nor 6.30: a label means a release only if an alias defines it.
``declared``  Spelled out as data in the bundle (`DeclaredScheme`); matched in one pass, without backtracking.
"""

from __future__ import annotations

import bisect
import itertools
import operator
from collections.abc import Callable, Container, Sequence
from typing import Any, Final

from bundlekit.errors import VersionError
from bundlekit.model.matrix import DeclaredScheme
from bundlekit.model.primitives import Frozen
from bundlekit.version_forms import (
    ALPHABET,
    DIGITS,
    LETTERS,
    MAX_LENGTH,
    PUNCTUATION,
    Forms,
    MisfitError,
    Reading,
    quoted,
)

__all__ = [
    "MAX_LENGTH",
    "Clause",
    "Range",
    "Version",
    "VersionScheme",
    "in_listed_order",
    "parse_range",
    "quoted",
    "release_prefix",
    "scheme_named",
]


class Version:
    """A version, parsed by a scheme. Versions of one scheme are totally ordered, and equal exactly if their hashes are.

    ``str(version)`` is the original spelling. Versions of two schemes are unequal and cannot be ordered.
    """

    __slots__ = ("build", "key", "numbers", "release", "scheme", "text")

    def __init__(self, text: str, scheme: VersionScheme, reading: Reading) -> None:
        self.text = text
        self.scheme = scheme
        self.key, self.release, self.numbers, self.build = reading

    @property
    def is_prerelease(self) -> bool:
        """Whether this comes before the release with the same numbers: 10.0.0-rc1 has not reached 10.0."""
        return bool(self.key < self.release)

    @property
    def as_release(self) -> Version:
        """The release that this is a pre-release of, or the version itself if it is not one."""
        return Version(self.text, self.scheme, Reading(self.release, self.release, self.numbers, self.build))

    def begins_with(self, numbers: tuple[int, ...]) -> bool:
        """Whether this has reached a release with these leading numbers: 17.3.1 begins with 17.3."""
        return self.numbers[: len(numbers)] == numbers and not self.is_prerelease

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<Version {self.text} ({self.scheme.name})>"

    def __hash__(self) -> int:
        # Strings are hashed with a secret of this process, but numbers are not: 1 and 2**61 collide. The author of a
        # manifest could make all its versions collide, and every set of them quadratic.
        if isinstance(self.key, (tuple, int)):
            return hash(repr(self.key))
        from packaging.utils import canonicalize_version

        return hash(canonicalize_version(self.key))  # PEP 440: 1.0 equals 1.0.0, though the texts differ

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Version):
            return NotImplemented
        return (self.scheme is other.scheme or self.scheme == other.scheme) and bool(self.key == other.key)

    def _ordered(self, other: object, compare: Callable[[Any, Any], object]) -> bool:
        if isinstance(other, Version) and (self.scheme is other.scheme or self.scheme == other.scheme):
            return bool(compare(self.key, other.key))
        raise TypeError(f"{self!r} and {other!r} follow different schemes and have no order")

    def __lt__(self, other: object) -> bool:
        return self._ordered(other, operator.lt)

    def __le__(self, other: object) -> bool:
        return self._ordered(other, operator.le)

    def __gt__(self, other: object) -> bool:
        return self._ordered(other, operator.gt)

    def __ge__(self, other: object) -> bool:
        return self._ordered(other, operator.ge)


class VersionScheme:
    """A set of rules for reading versions; ``parse`` is its only operation.

    ``basis`` is the data that it was made from besides its name. Two schemes are equal if name and basis are.
    """

    __slots__ = ("_read", "basis", "name")

    def __init__(self, name: str, read: Callable[[str], Reading], basis: object = None) -> None:
        self.name = name
        self.basis = basis
        self._read = read

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, VersionScheme):
            return NotImplemented
        return self is other or (self.name == other.name and self.basis == other.basis)

    def __hash__(self) -> int:
        return hash((self.name, self.basis))

    def parse(self, text: str) -> Version:
        """Read a version, in time linear in its length (64 at most). Raises VersionError if it is not one."""
        try:
            _require_alphabet(text)
            return Version(text, self, self._read(text))
        except MisfitError as why:
            raise VersionError(
                f"{quoted(text)} is not a version of the scheme {self.name}: {why}.",
                next_step="Correct the version, or add an alias for it, or declare the scheme it follows.",
            ) from None


def scheme_named(name: str, declared: DeclaredScheme | None = None) -> VersionScheme:
    """The scheme of that name; ``declared`` needs its declaration. Raises VersionError if it cannot be used."""
    if name == "declared" and declared is not None:
        return VersionScheme(name, Forms(declared).read, declared)
    if name in _READERS:
        return VersionScheme(name, _READERS[name])
    if name == "declared":
        raise VersionError(
            "The version scheme is 'declared', but the matrix does not declare one.",
            next_step="Add [scheme] with its forms to the matrix.",
        )
    raise VersionError(
        f"There is no version scheme {quoted(name)}.", next_step=f"Use {', '.join(_READERS)} or declared."
    )


def in_listed_order(scheme: VersionScheme, releases: Sequence[str]) -> VersionScheme:
    """A scheme that reads the same strings but orders them as listed. An unlisted version has no place in the order.

    Raises VersionError if a release does not fit the underlying scheme.
    """
    places: dict[Version, int] = {}
    for release in releases:
        places.setdefault(scheme.parse(release), len(places))

    def read(text: str) -> Reading:
        version = scheme.parse(text)
        place = places.get(version)
        if place is None:
            raise MisfitError("the matrix orders releases as listed, and this one is not listed")
        return Reading(place, place + version.is_prerelease, version.numbers, version.build)

    return VersionScheme(f"{scheme.name}, as listed", read, (scheme, tuple(releases)))


def release_prefix(text: str) -> tuple[int, ...]:
    """The numbers of ``17.3``, which means every release that begins with them. Raises VersionError if it has none."""
    parts = text.split(".")
    if len(text) > MAX_LENGTH or not all(part and DIGITS.issuperset(part) for part in parts):
        raise VersionError(
            f"{quoted(text)} is not the beginning of release numbers.",
            next_step="Write numbers joined by dots, such as 17.3.",
        )
    return tuple(map(int, parts))


def _require_alphabet(text: str) -> None:
    if not text:
        raise MisfitError("it is empty")
    if len(text) > MAX_LENGTH:
        raise MisfitError(f"it has {len(text)} characters, and {MAX_LENGTH} is the limit")
    if not ALPHABET.issuperset(text):
        raise MisfitError("it has a character that is not allowed in versions")
    if text[0] in PUNCTUATION:
        raise MisfitError("it begins with punctuation")


# --- the three fixed schemes --------------------------------------------------------------------------------


def _read_dotted(text: str) -> Reading:
    release, dash, build = text.partition("-")
    parts = release.removeprefix("v").split(".")
    for number, part in enumerate(parts, 1):
        if not part or not DIGITS.issuperset(part):
            raise MisfitError(f"its part {number}, {quoted(part)}, is not a number")
    if dash and not build:
        raise MisfitError("a build must follow '-'")
    numbers = tuple(map(int, parts))
    return Reading(numbers, numbers, numbers, build)


def _read_semver(text: str) -> Reading:
    """Section numbers in the comments are those of Semantic Versioning 2.0.0."""
    precedence, plus, build = text.partition("+")
    core, dash, pre_release = precedence.partition("-")
    parts = core.split(".")
    if len(parts) != 3:  # 2
        raise MisfitError(f"it has {len(parts)} {'part' if len(parts) == 1 else 'parts'} instead of major.minor.patch")
    for part in parts:
        if not part or not DIGITS.issuperset(part):
            raise MisfitError(f"its part {quoted(part)} is not a number")
        _refuse_padding(part)
    if plus:  # 10
        for part in build.split("."):
            _require_identifier(part)
    numbers = tuple(map(int, parts))
    release = (numbers, (1,))
    if not dash:
        return Reading(release, release, numbers, build)
    ranks: list[tuple[int, int | str]] = []
    for part in pre_release.split("."):  # 9
        _require_identifier(part)
        if DIGITS.issuperset(part):
            _refuse_padding(part)
            ranks.append((0, int(part)))  # 11.4.1, 11.4.3: numbers as numbers, before words
        else:
            ranks.append((1, part))  # 11.4.2: words in ASCII order
    return Reading((numbers, (0, *ranks)), release, numbers, build)


def _refuse_padding(part: str) -> None:
    if len(part) > 1 and part[0] == "0":
        raise MisfitError(f"its number {quoted(part)} is padded with a zero")


def _require_identifier(part: str) -> None:
    if not part or not (DIGITS | LETTERS | {"-"}).issuperset(part):
        raise MisfitError(f"its identifier {quoted(part)} is empty or not of letters, digits and hyphens")


def _read_pep440(text: str) -> Reading:
    from packaging.version import InvalidVersion
    from packaging.version import Version as Pep440

    try:
        version = Pep440(text)
    except InvalidVersion:
        raise MisfitError("this form is not valid in PEP 440") from None
    return Reading(version, Pep440(version.base_version), version.release)


_READERS: Final[dict[str, Callable[[str], Reading]]] = {
    "pep440": _read_pep440,
    "semver": _read_semver,
    "dotted": _read_dotted,
}


# --- ranges -------------------------------------------------------------------------------------------------

_OPERATORS: Final[dict[str, Callable[[Any, Any], bool]]] = {  # longer operators before their own prefixes
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    "==": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}


class Clause(Frozen, frozen=True, kw_only=True):
    """One comparison of a range: the version must be ``operator`` (``>=``, ``!=`` …) ``bound``."""

    operator: str
    bound: Version


class Range:
    """Versions that satisfy every comparison: ``>=5.30.02, <5.40.00``. ``*`` has no comparison, so every version fits.

    The order is the plain one of the scheme. 10.0.0-rc1 is below 10.0.0, so ``<10.0.0`` contains it and ``>=10.0.0``
    does not.
    """

    __slots__ = ("ceilings", "clauses", "floors", "text")

    def __init__(self, text: str, clauses: tuple[Clause, ...]) -> None:
        self.text = text
        self.clauses = clauses
        self.floors = [clause for clause in clauses if clause.operator in (">=", ">", "==")]
        self.ceilings = [clause for clause in clauses if clause.operator in ("<=", "<", "==")]

    def __str__(self) -> str:
        return self.text

    @property
    def exact(self) -> Version | None:
        """The only version of the range, if it is spelled as one version."""
        only = self.clauses[0] if len(self.clauses) == 1 else None
        return only.bound if only and only.operator == "==" else None

    def __contains__(self, version: Version) -> bool:
        return all(_OPERATORS[clause.operator](version, clause.bound) for clause in self.clauses)

    def first_of(
        self, rising: Sequence[Version], *, after: Version | None = None, without: Container[Version] = ()
    ) -> Version | None:
        """The first of some versions that is in this range. The versions are in ascending order, without duplicates.

        Takes logarithmic time, and one step for each version that the range or ``without`` excludes.
        """
        start = bisect.bisect_right(rising, after) if after is not None else 0
        for floor in self.floors:
            start = max(start, bisect.bisect_left(rising, floor.bound))
        for version in itertools.islice(rising, start, None):
            if not all(_OPERATORS[ceiling.operator](version, ceiling.bound) for ceiling in self.ceilings):
                # Above the upper bound, or just below an exact version that is missing.
                return None
            if version in self and version not in without:
                return version
        return None

    @property
    def is_empty(self) -> bool:
        """Whether the range cannot contain any version, such as ``>2, <1``."""
        if not self.floors or not self.ceilings:
            return False
        floor = max(clause.bound for clause in self.floors)
        ceiling = min(clause.bound for clause in self.ceilings)
        return floor > ceiling or (floor == ceiling and floor not in self)


def parse_range(text: str, parse: Callable[[str], Version]) -> Range:
    """Read a range whose versions ``parse`` reads. VersionError gives the position of the fault."""
    if text.strip() == "*":
        return Range(text, ())
    clauses = []
    start = 0
    for part in text.split(","):
        comparison = part.strip()
        sign = next((sign for sign in _OPERATORS if comparison.startswith(sign)), "")
        version = comparison[len(sign) :].lstrip()
        position = start + len(part) - len(part.lstrip()) + len(comparison) - len(version) + 1
        if not version:
            raise VersionError(f"The range {quoted(text)} lacks a version at character {position}.")
        if any(place and version[place - 1].isspace() for place, one in enumerate(version) if one in "<>=!~"):
            raise VersionError(
                f"The range {quoted(text)} lacks a comma between two comparisons after character {position}."
            )
        try:
            bound = parse(version)
        except VersionError as why:
            raise VersionError(
                f"The range {quoted(text)} is wrong at character {position}: {why}", next_step=why.next_step
            ) from None
        clauses.append(Clause(operator="==" if sign in ("", "=") else sign, bound=bound))
        start += len(part) + 1
    return Range(text, tuple(clauses))
