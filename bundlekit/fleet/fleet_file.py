"""``FLEET.toml``: what is rolled out, to which pairs, in which order, and what stops it."""

# Without `from __future__ import annotations`, so that msgspec need not compile each annotation at the first use.

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta, field

from bundlekit import config, toml
from bundlekit.errors import ConfigError
from bundlekit.files import LIMITS
from bundlekit.fleet.windows import DAYS, Day, WallWindow, minute_of, zone_named
from bundlekit.model.primitives import END, FactName, Name, Strict, Text, VersionText
from bundlekit.model.project import ProjectPath, ProjectPaths
from bundlekit.remote.url import remote_url
from bundlekit.schema_errors import explain, first_key, place_of
from bundlekit.update.engine.plan import Argv, Duration, seconds

MAX_PAIRS: Final = 1_000_000
"""The most pairs of a fleet."""

LONGEST_WAIT: Final = 366 * 86400
"""The most seconds of a soak time, and of the time until a pair is silent."""

FailureKind = Literal["rejected", "cancelled", "reverted", "degraded", "needs-operator", "silent"]
"""What can count as a failure: an outcome of an update, or *silent*, a pair that no longer reports."""

FAILURES: Final[tuple[FailureKind, ...]] = ("reverted", "degraded", "needs-operator", "silent")
"""What counts as a failure by default."""

PairCount = Annotated[int, Meta(ge=1, le=MAX_PAIRS)]
Percent = Annotated[int, Meta(ge=1, le=100)]
WallTime = Annotated[
    str,
    Meta(pattern=r"^(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00)" + END, description='A time of day, such as "22:30".'),
]
LabelValue = Annotated[Text, Meta(min_length=1)]


class Inventory(Strict, frozen=True, kw_only=True):
    """Where the states of the pairs come from: a ``file`` of JSON lines, or a ``command`` that prints them.

    The command must end within ``timeout``, with exit code 0.
    """

    file: ProjectPath | None = None
    command: Argv = ()
    timeout: Duration = "10 min"


class FleetWave(Strict, frozen=True, kw_only=True):
    """Pairs that are updated before the next wave starts: ``pairs`` by name, a ``count``, or a ``percent`` of all.

    The last wave has none of these keys, because it takes the pairs that remain. ``soak`` is the time between the end
    of its last pair and the next wave. With ``approval``, a person must also approve the next wave.
    """

    name: Name
    pairs: Annotated[tuple[Name, ...], Meta(max_length=10_000)] = ()
    count: PairCount | None = None
    percent: Percent | None = None
    soak: Duration | None = None
    approval: bool = False


class InFlight(Strict, frozen=True, kw_only=True):
    """How many pairs can be in flight: of ``all``, and of those with the same value of a label.

    A label is ``product``, ``model``, or the name of a fact of the state.
    """

    all: PairCount
    per: Annotated[dict[FactName, PairCount], Meta(max_length=8)] = {}


class FleetWindow(Strict, frozen=True, kw_only=True):
    """When an update can start: on these ``days``, ``from`` a time of day ``to`` another, on the clock at the pair.

    The clock is that of a time ``zone``, or of the zone that the fact ``zone-fact`` of the pair names. With ``where``,
    the window is only for pairs with these labels.
    """

    days: Annotated[tuple[Day, ...], Meta(min_length=1, max_length=7)] = DAYS
    from_: WallTime = field(name="from", default="00:00")
    to: WallTime = "24:00"
    zone: Text | None = None
    zone_fact: FactName | None = None
    where: Annotated[dict[FactName, LabelValue], Meta(max_length=8)] = {}


class AbortRule(Strict, frozen=True, kw_only=True):
    """Stop if, after ``minimum-ended`` pairs, at least ``percent`` of the ended ones have one of these ``failures``.

    The pairs are counted ``per`` wave, or over the whole fleet.
    """

    failures: Annotated[tuple[FailureKind, ...], Meta(min_length=1)] = FAILURES
    minimum_ended: PairCount = 1
    percent: Percent
    per: Literal["wave", "fleet"] = "wave"


class FleetFile(Strict, frozen=True, kw_only=True):
    """The whole of a ``FLEET.toml``, version 1. Paths are relative to its folder.

    ``bundles`` are bundle files, folders of them, and catalogs. ``target`` is the version to reach. ``plan`` is the
    PLAN.toml of each update; without it the built-in plan is used. ``seed`` decides which pairs are in a wave, by
    default the name of the fleet. A pair without a report for ``silent-after`` counts as *silent*.
    """

    fleet: Literal[1]
    name: Name
    bundles: Annotated[tuple[ProjectPath, ...], Meta(min_length=1, max_length=256)]
    target: VersionText
    trust: Annotated[tuple[ProjectPath, ...], Meta(min_length=1, max_length=256)]
    plan: ProjectPath | None = None
    matrix: ProjectPaths = ()
    advisories: ProjectPath | None = None
    seed: Text | None = None
    silent_after: Duration = "6 h"
    inventory: Inventory
    max_in_flight: InFlight
    waves: Annotated[tuple[FleetWave, ...], Meta(min_length=1, max_length=64)]
    windows: Annotated[tuple[FleetWindow, ...], Meta(max_length=64)] = ()
    abort: Annotated[tuple[AbortRule, ...], Meta(min_length=1, max_length=16)]

    @property
    def silence(self) -> int:
        """Seconds without a report after which a pair is silent."""
        return seconds(self.silent_after)


class FleetAt(NamedTuple):
    """A fleet file and the path that it was read from."""

    path: Path
    file: FleetFile

    def resolved(self, name: str) -> Path:
        """A path of the file, which is relative to its folder."""
        return self.path.parent / name

    @property
    def bundles(self) -> tuple[Path, ...]:
        """The places of the bundles: paths, and URLs as they are."""
        places: list[Any] = [remote_url(name) or self.resolved(name) for name in self.file.bundles]
        return tuple(places)  # what reads bundles takes a URL wherever it takes a path

    @property
    def inputs(self) -> tuple[Path, ...]:
        """All files and folders that the file names."""
        file = self.file
        named = (
            *file.trust,
            *file.matrix,
            file.plan,
            file.advisories,
            file.inventory.file,
            *file.inventory.command[:1],
        )
        return (
            *(one for one in self.bundles if remote_url(one) is None),
            *(self.resolved(one) for one in named if one),
        )


def load_fleet(path: Path) -> FleetAt:
    """Read a ``FLEET.toml``. Raises ConfigError, which names the key and its line."""
    return parse_fleet(config.read_file(path, limit=LIMITS["toml"]), path)


def parse_fleet(data: bytes, path: Path) -> FleetAt:
    """The fleet file with the content ``data``, as it would be at ``path``. Raises ConfigError as `load_fleet` does."""
    values = config.parse_toml(data, where=str(path))

    def at(key: str) -> str:
        line = toml.line_of(data, key)
        return f"{path}: line {line}" if line else str(path)

    if values.get("fleet") != 1 or isinstance(values["fleet"], bool):
        raise ConfigError(f"{at('fleet')}: has {first_key(values, 'fleet')}; a fleet begins with fleet = 1")
    try:
        file = msgspec.convert(values, FleetFile, strict=True)
    except msgspec.ValidationError as error:
        place = place_of(error, FleetFile, values).lstrip(".")
        raise ConfigError(f"{at(place)}: {explain(error, FleetFile, values, toml=True)}") from error
    for key, problem in _problems(file, values):
        raise ConfigError(f"{at(key)}: {problem}", next_step="See `bundlekit explain fleet`.")
    return FleetAt(path=path, file=file)


def wall_window(window: FleetWindow) -> WallWindow:
    """The days and times of a window, without its zone."""
    return WallWindow(
        days=frozenset(DAYS.index(day) for day in window.days), start=minute_of(window.from_), end=minute_of(window.to)
    )


def _problems(file: FleetFile, values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Faults that the schema cannot express: the key, and a sentence."""
    yield from _wrong_waves(file)
    if bool(file.inventory.file) == bool(file.inventory.command):
        yield "inventory", "[inventory] needs either file or command"
    if "timeout" in values["inventory"] and file.inventory.file:
        yield "inventory.timeout", "timeout is for a command, and the inventory is a file"
    if file.silence > LONGEST_WAIT:
        yield "silent-after", f"silent-after is more than a year: {file.silent_after}"
    for number, window in enumerate(file.windows):
        key = f"windows[{number}]"
        if bool(window.zone) == bool(window.zone_fact):
            yield key, f"{key} needs either zone or zone-fact"
        if window.zone and zone_named(window.zone) is None:
            yield f"{key}.zone", f"{key}.zone = {window.zone!r} is not a time zone of this system"
        if window.from_ == window.to:
            yield f"{key}.to", f"{key}: from and to are the same; omit both for the whole day"
        if window.from_ == "24:00":
            yield f"{key}.from", f'{key}.from = "24:00" is only possible as the end; write "00:00"'
        if len(set(window.days)) < len(window.days):
            yield f"{key}.days", f"{key}.days names a day twice"
    for number, rule in enumerate(file.abort):
        if len(set(rule.failures)) < len(rule.failures):
            yield f"abort[{number}].failures", f"abort[{number}].failures names a kind twice"


def _wrong_waves(file: FleetFile) -> Iterator[tuple[str, str]]:
    names, pairs = set[str](), set[str]()
    for number, wave in enumerate(file.waves):
        key = f"waves[{number}]"
        if wave.name in names:
            yield f"{key}.name", f"two waves have the name {wave.name!r}"
        names.add(wave.name)
        ways = [name for name in ("pairs", "count", "percent") if getattr(wave, name)]
        if len(ways) > 1:
            yield f"{key}.{ways[1]}", f"{key} has both {ways[0]} and {ways[1]}"
        if number < len(file.waves) - 1 and not ways:
            yield key, f"{key} needs pairs, count or percent; only the last wave takes the pairs that remain"
        if number == len(file.waves) - 1 and ways:
            yield f"{key}.{ways[0]}", f"{key}.{ways[0]}: the last wave takes the pairs that remain, so omit the key"
        if wave.soak and seconds(wave.soak) > LONGEST_WAIT:
            yield f"{key}.soak", f"{key}.soak is more than a year: {wave.soak}"
        for pair in wave.pairs:
            if pair in pairs:
                yield f"{key}.pairs", f"{key}.pairs: {pair} is named twice"
            pairs.add(pair)
    last = file.waves[-1]
    for key, value in (("soak", last.soak), ("approval", last.approval)):
        if value:
            yield f"waves[{len(file.waves) - 1}].{key}", f"{key} of the last wave: no wave follows that could wait"
    total = sum(wave.percent or 0 for wave in file.waves)
    if total > 100:
        yield "waves", f"the waves take {total} percent of the pairs"
