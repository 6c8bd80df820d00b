"""The matrix of a manifest, read once: texts become versions and ranges, and unreadable ones become problems."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Final, Generic, TypeVar

from bundlekit.errors import VersionError
from bundlekit.matrix.shipped import ReadTrust
from bundlekit.mistakes import most_likely
from bundlekit.model.bundle import Problem
from bundlekit.model.manifest import Component, Manifest
from bundlekit.model.matrix import Block, DeadEnd, Entry, Risk, Skew, Source, Stop, Withdrawn, WorksTogether
from bundlekit.model.primitives import Frozen
from bundlekit.versions import (
    Range,
    Version,
    VersionScheme,
    in_listed_order,
    parse_range,
    release_prefix,
    scheme_named,
)

RULE: Final = "manifest-inconsistent"
APPLIANCE: Final = "appliance"
"""The component that each member of the pair runs by itself. The pair shares all other components."""

MAX_REMEMBERED: Final = 65_536
"""Texts that a parser of a matrix remembers. A manifest of 1 MiB has hardly room for more different ones."""

E = TypeVar("E", bound=Entry)
A = TypeVar("A")
B = TypeVar("B")


class Ranged(Frozen, Generic[E], frozen=True, kw_only=True):
    """An entry, and the versions it is about."""

    entry: E
    range: Range


class ReadSource(Frozen, frozen=True, kw_only=True):
    """A source: its range, and the releases denied within it."""

    entry: Source
    range: Range
    denied: frozenset[Version]

    def admits(self, version: Version, *, listed: bool) -> bool:
        """Whether the source covers this version; ``listed`` is whether the matrix lists the version."""
        compared = version.as_release if self.entry.by_release else version
        return (listed or self.entry.unlisted) and compared in self.range and version not in self.denied


class ReadStop(Frozen, frozen=True, kw_only=True):
    """A stop at ``via``. If it is the latest of several, other releases with the numbers ``prefix`` also count."""

    entry: Stop
    range: Range
    via: Version
    prefix: tuple[int, ...] | None

    def lies_between(self, source: Version, target: Version) -> bool:
        """Whether an update from source to target must pass this stop. A source at the stop is past it."""
        is_one = self.prefix is not None and source.begins_with(self.prefix)
        return source in self.range and source < self.via < target and not is_one


class ReadTogether(Frozen, frozen=True, kw_only=True):
    """Component versions that work together."""

    entry: WorksTogether
    ranges: dict[str, Range]


class ReadSkew(Frozen, frozen=True, kw_only=True):
    """Versions that two members can have at once."""

    entry: Skew
    old: Range
    new: Range


class ReadMatrix(Frozen, frozen=True, kw_only=True):
    """The matrix of ``manifest``, ready for decisions: read once, used often.

    The matrix is about the installed version of ``primary_component``. ``own`` is its version in the bundle, and
    ``carried`` are the versions of all components in the bundle. ``parsers`` read the versions of components and
    resolve aliases of the primary one. ``scheme`` reads those of a component that the bundle does not contain.
    ``releases`` are the known versions, oldest first, and ``known`` the same as a set. ``trusted_keys`` and
    ``trust_of`` are in the order of their versions.
    """

    manifest: Manifest
    scheme: VersionScheme
    primary_component: str
    own: Version
    carried: dict[str, Version]
    parsers: dict[str, Callable[[str], Version]]
    releases: tuple[Version, ...]
    known: frozenset[Version]
    trusted_keys: tuple[tuple[Version, frozenset[str]], ...]
    trust_of: tuple[tuple[Version, ReadTrust], ...]
    sources: tuple[ReadSource, ...]
    stops: tuple[ReadStop, ...]
    blocks: tuple[Ranged[Block], ...]
    withdrawn: tuple[Ranged[Withdrawn], ...]
    risks: tuple[Ranged[Risk], ...]
    dead_ends: tuple[Ranged[DeadEnd], ...]
    works_together: tuple[ReadTogether, ...]
    skews: tuple[ReadSkew, ...]

    @property
    def kinship(self) -> tuple[object, ...]:
        """The common properties of two matrices about the same versions: product, component and scheme."""
        return self.manifest.product, self.primary_component, self.own.scheme

    def parse(self, component: str, text: str) -> Version:
        """The version of a component. Raises VersionError if it fits no scheme or has no place in the order."""
        return self.parsers.get(component, self.scheme.parse)(text)

    def trusts(self, version: Version) -> frozenset[str] | None:
        """The names of the keys that a release trusts, by `trusted-keys`; None if that does not cover it."""
        place = bisect_right(self.trusted_keys, version, key=itemgetter(0))
        return self.trusted_keys[place - 1][1] if place else None

    def ships(self, version: Version) -> ReadTrust | None:
        """The trust file that a release ships, by `trust-of`; None if that does not cover it."""
        place = bisect_right(self.trust_of, version, key=itemgetter(0))
        return self.trust_of[place - 1][1] if place else None


class Unreadable(Frozen, frozen=True, kw_only=True):
    """A matrix that cannot be read and therefore allows no update. Each of the ``problems`` names entry and field."""

    problems: tuple[Problem, ...]


class _Reader:
    """A parser that reads each text once: a manifest can name one version a hundred thousand times."""

    def __init__(self, parse: Callable[[str], Version]) -> None:
        self._parse = parse
        self._read: dict[str, Version | VersionError] = {}

    def __call__(self, text: str) -> Version:
        found = self._read.get(text)
        if found is None:
            try:
                found = self._parse(text)
            except VersionError as why:
                found = why
            # A matrix can be used for as long as a service runs. Its own texts come first, and they fit.
            if len(self._read) < MAX_REMEMBERED:
                self._read[text] = found
        if isinstance(found, VersionError):
            # Each call raises a new exception, because an exception that is raised again keeps all its earlier
            # tracebacks.
            raise VersionError(found.message, next_step=found.next_step)
        return found


def inconsistent(entry: str, field: str, message: str) -> Problem:
    """A fault inside a matrix: the entry's id (empty: no entry), the field, and the message."""
    place = f"Matrix entry {entry!r}, {field}" if entry else f"Matrix, {field}"
    return Problem(rule=RULE, message=f"{place}: {message}", subject=entry, params={"entry": entry, "field": field})


def beside_matrix(field: str, message: str) -> Problem:
    """A fault outside the matrix that prevents reading it: a field of the manifest, and the message."""
    params: dict[str, str | int] = {"entry": "", "field": field, "beside": "matrix"}
    return Problem(rule=RULE, message=f"Manifest, {field}: {message}", params=params)


def misspelt_appliance(manifest: Manifest) -> str:
    """The component that is most likely the appliance, misspelt; empty if there is none.

    It would count as a shared component. No member would then be updated, without any message.
    """
    names = [component.name for component in manifest.components]
    if APPLIANCE in names:
        return ""
    return next((name for name in names if most_likely(name, APPLIANCE)), "")


def primary_component(manifest: Manifest) -> Component | None:
    """The component that the matrix is about: the appliance, otherwise the one with the bundle's own version."""
    by_name = {component.name: component for component in manifest.components}
    same_version = (component for component in manifest.components if component.version == manifest.version)
    return by_name.get(APPLIANCE) or next(same_version, None)


def read_matrix(manifest: Manifest) -> ReadMatrix | Unreadable:
    """Read a manifest's matrix, in roughly linear time."""
    matrix = manifest.matrix
    primary = primary_component(manifest)
    names = [component.name for component in manifest.components]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        # It is unknown which of them the bundle contains, so neither can decide.
        faults = (f"two are named {name!r}, and it is ambiguous which of them is meant." for name in twice)
        return Unreadable(problems=tuple(beside_matrix("components", fault) for fault in faults))
    if primary is None:
        fault = f"none has the bundle's own version, {manifest.version}, so none is what the matrix is about."
        return Unreadable(problems=(beside_matrix("components", fault),))
    try:
        scheme = in_order = scheme_named(manifest.scheme, matrix.scheme)
    except VersionError as why:
        return Unreadable(problems=(inconsistent("", "scheme", str(why)),))
    try:
        scheme.parse(manifest.version)
    except VersionError as why:
        return Unreadable(problems=(beside_matrix("version", str(why)),))
    try:
        if matrix.order == "listed":
            # A release that the list lacks came after all releases of the list.
            in_order = in_listed_order(scheme, (*matrix.releases, manifest.version))
    except VersionError as why:
        return Unreadable(problems=(inconsistent("", "releases", str(why)),))
    own = in_order.parse(manifest.version)
    aliases = {alias.alias: alias.version for alias in matrix.aliases}
    parsers: dict[str, Callable[[str], Version]] = {}
    problems: list[Problem] = []

    parse = _Reader(lambda text: in_order.parse(aliases.get(text, text)))
    parse_other = _Reader(scheme.parse)

    def versions(entry: Source | Stop | Block | Withdrawn | Risk | DeadEnd) -> Range:
        return _at("versions", parse_range, entry.versions, parse)

    def component(entry: Component) -> tuple[str, Version]:
        place = f"components.{entry.name}"
        own_scheme = _at(f"{place}.scheme", scheme_named, entry.scheme or manifest.scheme, matrix.scheme)
        parsers[entry.name] = parse if entry is primary else _Reader(own_scheme.parse)
        return entry.name, _at(f"{place}.version", parsers[entry.name], entry.version)

    def source(entry: Source) -> ReadSource:
        denied = frozenset(_at("except", parse, text) for text in entry.except_)
        return ReadSource(entry=entry, range=versions(entry), denied=denied)

    def stop(entry: Stop) -> ReadStop:
        prefix = _at("via", release_prefix, entry.via) if entry.latest else None
        via = _at("via", parse, entry.via) if prefix is None else _at("via", latest_of, prefix)
        return ReadStop(entry=entry, range=versions(entry), via=via, prefix=prefix)

    def latest_of(prefix: tuple[int, ...]) -> Version:
        wanted = _dotted(prefix)
        if (latest := latest_by_prefix.get(wanted)) is None:
            raise VersionError(f"no release is listed that begins with {wanted}, so none can be the latest.")
        return latest

    def together(entry: WorksTogether) -> ReadTogether:
        ranges = {
            name: _at(name, parse_range, text, parsers.get(name, parse_other))
            for name, text in entry.components.items()
        }
        return ReadTogether(entry=entry, ranges=ranges)

    def skew(entry: Skew) -> ReadSkew:
        old, new = (_at(name, parse_range, getattr(entry, name), parse) for name in ("old", "new"))
        return ReadSkew(entry=entry, old=old, new=new)

    carried = dict(_each(manifest.components, component, problems, lambda _, field, why: beside_matrix(field, why)))
    if primary.scheme not in (None, manifest.scheme) or carried.get(primary.name) != own:
        fault = f"{primary.name} has to have the version and the scheme of the bundle, {own} ({manifest.scheme})."
        problems.append(beside_matrix(f"components.{primary.name}", fault))
    known = frozenset(_each(matrix.releases, lambda text: _at("releases", parse, text), problems))
    latest_by_prefix = _latest_by_prefix(sorted((*known, own)))
    _each(matrix.aliases, lambda alias: _at("aliases", in_order.parse, alias.version), problems)
    keys = _each(
        matrix.trusted_keys,
        lambda trusted: (_at("trusted-keys", parse, trusted.since), frozenset(trusted.keys)),
        problems,
    )
    shipped = _each(matrix.trust_of, lambda entry: (_at("trust-of", parse, entry.since), ReadTrust(entry)), problems)
    read = ReadMatrix(
        manifest=manifest,
        scheme=scheme,
        primary_component=primary.name,
        own=own,
        carried=carried,
        parsers=parsers,
        releases=tuple(sorted(known)),
        known=known,
        trusted_keys=tuple(sorted(keys, key=lambda since_and_keys: since_and_keys[0])),
        trust_of=tuple(sorted(shipped, key=lambda since_and_trust: since_and_trust[0])),
        sources=_each(matrix.sources, source, problems),
        stops=_each(matrix.stops, stop, problems),
        blocks=_each(matrix.blocks, lambda entry: Ranged(entry=entry, range=versions(entry)), problems),
        withdrawn=_each(matrix.withdrawn, lambda entry: Ranged(entry=entry, range=versions(entry)), problems),
        risks=_each(matrix.risks, lambda entry: Ranged(entry=entry, range=versions(entry)), problems),
        dead_ends=_each(matrix.dead_ends, lambda entry: Ranged(entry=entry, range=versions(entry)), problems),
        works_together=_each(matrix.works_together, together, problems),
        skews=_each(matrix.skews, skew, problems),
    )
    return Unreadable(problems=tuple(problems)) if problems else read


def _dotted(numbers: Iterable[int]) -> str:
    return ".".join(map(str, numbers))


def _latest_by_prefix(releases: Iterable[Version]) -> dict[str, Version]:
    """The last of ``releases``, which are in ascending order, for each beginning of their numbers; no pre-releases.

    The keys are texts, because hashes of numbers can be made to collide.
    """
    return {
        _dotted(release.numbers[:length]): release
        for release in releases
        if not release.is_prerelease
        for length in range(1, len(release.numbers) + 1)
    }


class _FieldError(Exception):
    """An unreadable field of an entry, and the reason."""

    def __init__(self, field: str, why: VersionError) -> None:
        super().__init__(str(why))
        self.field = field


def _at(field: str, read: Callable[..., A], *arguments: object) -> A:
    try:
        return read(*arguments)
    except VersionError as why:
        raise _FieldError(field, why) from None


def _each(
    entries: Iterable[A],
    read: Callable[[A], B],
    problems: list[Problem],
    problem: Callable[[str, str, str], Problem] = inconsistent,
) -> tuple[B, ...]:
    """The result of ``read`` for each entry. An entry that cannot be read becomes a problem instead."""
    results = []
    for entry in entries:
        try:
            results.append(read(entry))
        except _FieldError as why:
            problems.append(problem(getattr(entry, "id", ""), why.field, str(why)))
    return tuple(results)
