"""The matrix of a manifest, read once: texts become versions and ranges, and unreadable ones become problems."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Final, Generic, TypeVar

from msgspec.structs import replace

from bundlekit.errors import VersionError
from bundlekit.matrix.trust_file import ReadTrust
from bundlekit.model.bundle import Problem
from bundlekit.model.manifest import Component, Manifest
from bundlekit.model.matrix import (
    Block,
    DeadEnd,
    MatrixEntry,
    MatrixSource,
    Risk,
    ShippedTrust,
    Skew,
    Stop,
    TrustedKeys,
    Withdrawn,
    WorksTogether,
)
from bundlekit.model.primitives import Frozen
from bundlekit.model.release import NO_TERMS, Terms
from bundlekit.schema_errors import most_likely
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

E = TypeVar("E", bound=MatrixEntry)
R = TypeVar("R", Block, Withdrawn, Risk, DeadEnd)
A = TypeVar("A")
B = TypeVar("B")


class Ranged(Frozen, Generic[E], frozen=True, kw_only=True):
    """An entry, and the versions it is about."""

    entry: E
    range: Range


class ReadSource(Frozen, frozen=True, kw_only=True):
    """A source: its range, and the releases denied within it."""

    entry: MatrixSource
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
    ``trust_of`` are in the order of their versions. ``terms`` are those of a format without a matrix.
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
    terms: Terms = NO_TERMS

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


class UnreadableMatrix(Frozen, frozen=True, kw_only=True):
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


def outside_matrix(field: str, message: str) -> Problem:
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


def read_matrix(manifest: Manifest, terms: Terms = NO_TERMS) -> ReadMatrix | UnreadableMatrix:
    """Read a manifest's matrix, in roughly linear time. ``terms`` are what the format of the bundle itself states."""
    reader = _reader_of(manifest)
    read = reader if isinstance(reader, UnreadableMatrix) else reader.read()
    return replace(read, terms=terms) if terms is not NO_TERMS and isinstance(read, ReadMatrix) else read


def _reader_of(manifest: Manifest) -> _MatrixReader | UnreadableMatrix:
    """The reader of a manifest's matrix: the matrix needs one primary component, a scheme and an order of versions."""
    matrix = manifest.matrix
    primary = primary_component(manifest)
    names = [component.name for component in manifest.components]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        # It is unknown which of them the bundle contains, so neither can decide.
        faults = (f"two components are named {name!r}, so the name is ambiguous." for name in twice)
        return UnreadableMatrix(problems=tuple(outside_matrix("components", fault) for fault in faults))
    if primary is None:
        fault = (
            f"no component has the version of the bundle, {manifest.version}, so the matrix applies to none of them."
        )
        return UnreadableMatrix(problems=(outside_matrix("components", fault),))
    try:
        scheme = in_order = scheme_named(manifest.scheme, matrix.scheme)
    except VersionError as why:
        return UnreadableMatrix(problems=(inconsistent("", "scheme", str(why)),))
    try:
        scheme.parse(manifest.version)
    except VersionError as why:
        return UnreadableMatrix(problems=(outside_matrix("version", str(why)),))
    try:
        if matrix.order == "listed":
            # A release that the list lacks came after all releases of the list.
            in_order = in_listed_order(scheme, (*matrix.releases, manifest.version))
    except VersionError as why:
        return UnreadableMatrix(problems=(inconsistent("", "releases", str(why)),))
    return _MatrixReader(manifest, primary, scheme, in_order)


class _MatrixReader:
    """Reads the entries of one matrix. An entry that cannot be read becomes one of the ``problems``.

    ``scheme`` reads the versions of components. ``in_order`` reads those of the primary one, and orders them as the
    releases are ordered.
    """

    def __init__(self, manifest: Manifest, primary: Component, scheme: VersionScheme, in_order: VersionScheme) -> None:
        self._manifest = manifest
        self._primary = primary
        self._scheme = scheme
        self._in_order = in_order
        self._own = in_order.parse(manifest.version)
        aliases = {alias.alias: alias.version for alias in manifest.matrix.aliases}
        self._parse = _Reader(lambda text: in_order.parse(aliases.get(text, text)))
        self._parse_other = _Reader(scheme.parse)
        self._parsers: dict[str, Callable[[str], Version]] = {}
        self._problems: list[Problem] = []
        self._latest_by_prefix: dict[str, Version] = {}

    def read(self) -> ReadMatrix | UnreadableMatrix:
        """The matrix, or its problems in the order of the manifest."""
        matrix, problems = self._manifest.matrix, self._problems
        carried = self._carried()
        known = frozenset(_each(matrix.releases, lambda text: _at("releases", self._parse, text), problems))
        self._latest_by_prefix = _latest_by_prefix(sorted((*known, self._own)))
        _each(matrix.aliases, lambda alias: _at("aliases", self._in_order.parse, alias.version), problems)
        keys = _each(
            matrix.trusted_keys, lambda entry: (self._since("trusted-keys", entry), frozenset(entry.keys)), problems
        )
        shipped = _each(matrix.trust_of, lambda entry: (self._since("trust-of", entry), ReadTrust(entry)), problems)
        read = ReadMatrix(
            manifest=self._manifest,
            scheme=self._scheme,
            primary_component=self._primary.name,
            own=self._own,
            carried=carried,
            parsers=self._parsers,
            releases=tuple(sorted(known)),
            known=known,
            trusted_keys=tuple(sorted(keys, key=itemgetter(0))),
            trust_of=tuple(sorted(shipped, key=itemgetter(0))),
            sources=_each(matrix.sources, self._source, problems),
            stops=_each(matrix.stops, self._stop, problems),
            blocks=self._ranged(matrix.blocks),
            withdrawn=self._ranged(matrix.withdrawn),
            risks=self._ranged(matrix.risks),
            dead_ends=self._ranged(matrix.dead_ends),
            works_together=_each(matrix.works_together, self._together, problems),
            skews=_each(matrix.skews, self._skew, problems),
        )
        return UnreadableMatrix(problems=tuple(problems)) if problems else read

    def _carried(self) -> dict[str, Version]:
        """The versions of all components in the bundle. The primary one must have the bundle's version and scheme."""
        manifest, primary = self._manifest, self._primary
        carried = dict(
            _each(
                manifest.components,
                self._component,
                self._problems,
                lambda _, field, why: outside_matrix(field, why),
            )
        )
        if primary.scheme not in (None, manifest.scheme) or carried.get(primary.name) != self._own:
            fault = (
                f"{primary.name} must have the version and the scheme of the bundle, {self._own} ({manifest.scheme})."
            )
            self._problems.append(outside_matrix(f"components.{primary.name}", fault))
        return carried

    def _component(self, entry: Component) -> tuple[str, Version]:
        place = f"components.{entry.name}"
        scheme_name = entry.scheme or self._manifest.scheme
        own_scheme = _at(f"{place}.scheme", scheme_named, scheme_name, self._manifest.matrix.scheme)
        parse = self._parsers[entry.name] = self._parse if entry is self._primary else _Reader(own_scheme.parse)
        return entry.name, _at(f"{place}.version", parse, entry.version)

    def _since(self, field: str, entry: TrustedKeys | ShippedTrust) -> Version:
        return _at(field, self._parse, entry.since)

    def _versions(self, entry: MatrixSource | Stop | Block | Withdrawn | Risk | DeadEnd) -> Range:
        return _at("versions", parse_range, entry.versions, self._parse)

    def _ranged(self, entries: Iterable[R]) -> tuple[Ranged[R], ...]:
        return _each(entries, lambda entry: Ranged(entry=entry, range=self._versions(entry)), self._problems)

    def _source(self, entry: MatrixSource) -> ReadSource:
        denied = frozenset(_at("except", self._parse, text) for text in entry.except_)
        return ReadSource(entry=entry, range=self._versions(entry), denied=denied)

    def _stop(self, entry: Stop) -> ReadStop:
        prefix = _at("via", release_prefix, entry.via) if entry.latest else None
        via = _at("via", self._parse, entry.via) if prefix is None else _at("via", self._latest_of, prefix)
        return ReadStop(entry=entry, range=self._versions(entry), via=via, prefix=prefix)

    def _latest_of(self, prefix: tuple[int, ...]) -> Version:
        wanted = _dotted(prefix)
        if (latest := self._latest_by_prefix.get(wanted)) is None:
            raise VersionError(f"no release is listed that begins with {wanted}, so none can be the latest.")
        return latest

    def _together(self, entry: WorksTogether) -> ReadTogether:
        ranges = {
            name: _at(name, parse_range, text, self._parsers.get(name, self._parse_other))
            for name, text in entry.components.items()
        }
        return ReadTogether(entry=entry, ranges=ranges)

    def _skew(self, entry: Skew) -> ReadSkew:
        old, new = (_at(name, parse_range, getattr(entry, name), self._parse) for name in ("old", "new"))
        return ReadSkew(entry=entry, old=old, new=new)


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
