"""matrix.toml, as a release engineer writes it, and its conversion to a `Matrix`.

The tables are the entries of `Matrix` (``[[from]]``, ``[[stop]]`` …). Some forms are easier to write. A condition is
``{ fact = "disk.firmware", below = "7.1" }``. Components that work together are keys of their entry. ``aliases``,
``trusted-keys`` and ``trust-of`` are maps. ``trust-of`` names trust files, and their content goes into the matrix.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from bundlekit import config
from bundlekit.errors import ConfigError
from bundlekit.model.advisory import Advisory, AdvisoryBlock, AdvisoryDeadEnd, AdvisoryRisk, AdvisoryStop
from bundlekit.model.manifest import SchemeName
from bundlekit.model.matrix import (
    Alias,
    Block,
    Condition,
    DeadEnd,
    DeclaredScheme,
    Matrix,
    MatrixSource,
    Risk,
    ShippedFile,
    ShippedTrust,
    Skew,
    Stop,
    TrustedKeys,
    TrustText,
    Withdrawn,
    WorksTogether,
)
from bundlekit.model.primitives import Count, Label, Name, Strict, Text, VersionText
from bundlekit.schema_errors import first_key, nearest, shortened

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TESTS: Final = ("is", "is-not", "below", "at-least")
SIGNS: Final = {">=": "at-least", "!=": "is-not", "==": "is", "<": "below", "=": "is"}
"""The notation of a condition on a known fact in one string: ``"< 24 h"``."""


class TrustInline(Strict, frozen=True, kw_only=True):
    """A trust file by content: ``file`` is the trust.toml, and ``files`` are the files that it names."""

    file: TrustText
    files: dict[Text, TrustText] = {}


class MatrixFile(Strict, frozen=True, kw_only=True):
    """The keys of matrix.toml, version 1."""

    matrix: Literal[1]
    scheme: DeclaredScheme | None = None
    order: Literal["version", "listed"] = "version"
    releases: tuple[VersionText, ...] = ()
    aliases: dict[VersionText, VersionText] = {}
    trusted_keys: dict[VersionText, tuple[Name, ...]] = {}
    trust_of: dict[VersionText, str | TrustInline] = {}
    sources: tuple[MatrixSource, ...] = msgspec.field(default=(), name="from")
    stop: tuple[Stop, ...] = ()
    block: tuple[Block, ...] = ()
    withdrawn: tuple[Withdrawn, ...] = ()
    risk: tuple[Risk, ...] = ()
    dead_end: tuple[DeadEnd, ...] = ()
    works_together: tuple[WorksTogether, ...] = ()
    skew: tuple[Skew, ...] = ()


class MatrixRelease(Strict, frozen=True, kw_only=True):
    """``[release]`` of a matrix that the operator gives: what the format of the bundle leaves open.

    ``product`` is the name that appliances have for the product. ``called`` is the one that the bundle has for it, if
    that is different. ``version`` is the release that the matrix is for; without it, the matrix is for every release of
    the product. ``models``, ``released`` and ``counter`` are used if the bundle does not state them.
    """

    product: Label | None = None
    called: Text | None = None
    version: Text | None = None
    models: tuple[Label, ...] = ()
    scheme: SchemeName | None = None
    released: dt.date | None = None
    counter: Count | None = None


class AdvisoryFile(Strict, frozen=True, kw_only=True):
    """The keys of ADVISORY.toml, version 1."""

    advisory: Literal[1]
    product: Name
    serial: int
    issued: dt.date
    until: dt.date
    block: tuple[AdvisoryBlock, ...] = ()
    stop: tuple[AdvisoryStop, ...] = ()
    withdrawn: tuple[Withdrawn, ...] = ()
    risk: tuple[AdvisoryRisk, ...] = ()
    dead_end: tuple[AdvisoryDeadEnd, ...] = ()


def advisory_from_toml(data: dict[str, object], where: str) -> Advisory:
    """The advisory of a parsed ADVISORY.toml. Raises ConfigError as for a matrix."""
    if data.get("advisory") != 1:
        found = first_key(data, "advisory")
        raise ConfigError(f"{where}: has {found}; an advisory begins with advisory = 1")
    file = config.convert(_with_conditions(data, where), AdvisoryFile, where=where, toml=True)
    if file.until < file.issued:
        raise ConfigError(f"{where}: until: {file.until} is before the day of issue, {file.issued}")
    plain = {
        "advisory": file.advisory,
        "product": file.product,
        "serial": file.serial,
        "issued": file.issued.isoformat(),
        "until": file.until.isoformat(),
        "blocks": file.block,
        "stops": file.stop,
        "withdrawn": file.withdrawn,
        "risks": file.risk,
        "dead-ends": file.dead_end,
    }
    return config.convert(msgspec.to_builtins(plain), Advisory, where=where)


def matrix_from_toml(
    data: dict[str, object], where: str, read_trust: Callable[[str], tuple[str, dict[str, str]]] | None = None
) -> Matrix:
    """The matrix of a parsed matrix.toml. ConfigError gives ``where``, the key, and the nearest known one.

    ``read_trust`` returns the content of a trust file that ``trust-of`` names, and of the files that it names.
    """
    if data.get("matrix") != 1:
        found = first_key(data, "matrix")
        raise ConfigError(f"{where}: has {found}; a matrix begins with matrix = 1")
    plain = _with_conditions(data, where)
    plain["works-together"] = _each(data, "works-together", _together)
    plain["skew"] = _each(data, "skew", lambda entry, at: {"id": f"skew-{at + 1}", **entry})
    file = config.convert(plain, MatrixFile, where=where, toml=True)
    matrix = Matrix(
        scheme=file.scheme,
        order=file.order,
        releases=file.releases,
        aliases=tuple(Alias(alias=alias, version=version) for alias, version in file.aliases.items()),
        trusted_keys=tuple(TrustedKeys(since=since, keys=keys) for since, keys in file.trusted_keys.items()),
        trust_of=tuple(
            _shipped(since, trust, f"{where}: trust-of.{since}", read_trust) for since, trust in file.trust_of.items()
        ),
        sources=file.sources,
        stops=file.stop,
        blocks=file.block,
        withdrawn=file.withdrawn,
        risks=file.risk,
        dead_ends=file.dead_end,
        works_together=file.works_together,
        skews=file.skew,
    )
    # Validated again by the schema, which also limits the number of entries.
    return config.convert(msgspec.to_builtins(matrix), Matrix, where=where)


def release_from_toml(data: object, where: str) -> MatrixRelease:
    """The table ``[release]``. Raises ConfigError."""
    return config.convert(data, MatrixRelease, where=f"{where}: release", toml=True)


def trust_text(path: Path, where: str) -> tuple[str, dict[str, str]]:
    """The content of a trust.toml and of the files that it names, with plain line ends. Raises ConfigError."""
    from bundlekit.trust import inlined

    file, files = inlined(path)

    def text(name: str, data: bytes) -> str:
        try:
            return data.decode().replace("\r\n", "\n")
        except UnicodeDecodeError:
            raise ConfigError(f"{where}: {name} is not text (UTF-8)", next_step="Convert it to PEM.") from None

    return text(str(path), file), {name: text(name, data) for name, data in files.items()}


def _shipped(
    since: str, trust: str | TrustInline, where: str, read_trust: Callable[[str], tuple[str, dict[str, str]]] | None
) -> ShippedTrust:
    if isinstance(trust, TrustInline):
        content, named = trust.file, trust.files
    elif read_trust is None:
        raise ConfigError(f"{where}: {trust!r} cannot be read from here; give the content (file, files)")
    else:
        content, named = read_trust(trust)
    files = tuple(ShippedFile(name=name, text=text) for name, text in named.items())
    return ShippedTrust(since=since, file=content, files=files)


def condition_from_toml(fact: str, value: object, where: str) -> Condition:
    """The condition on a known fact, written as ``"synchronised"``, ``"!= failed"``, ``"< 24 h"``, ``">= 7.1"``."""
    text = _plain_text(value, where)
    sign = text[: len(text) - len(text.lstrip("<>=!"))]
    if sign and sign not in SIGNS:
        raise ConfigError(f"{where}: {shortened(repr(text))} begins with a sign that is not one of {', '.join(SIGNS)}")
    plain = {"fact": fact, "test": SIGNS.get(sign, "is"), "value": text[len(sign) :].strip()}
    return config.convert(plain, Condition, where=where, toml=True)


def _each(data: dict[str, object], key: str, change: Callable[[dict[str, object], int], object]) -> object:
    """The entries under ``key``, converted. A value that is not a list of tables is left for the schema to reject."""
    entries = data.get(key, [])
    if not isinstance(entries, list):
        return entries
    return [change(entry, at) if isinstance(entry, dict) else entry for at, entry in enumerate(entries)]


def _with_conditions(data: dict[str, object], where: str) -> dict[str, object]:
    """The file with the conditions of stops and risks converted to their plain form."""
    plain = dict(data)
    plain["stop"] = _each(data, "stop", lambda entry, at: _with_condition(entry, f"{where}: stop[{at}]"))
    plain["risk"] = _each(data, "risk", lambda entry, at: _with_condition(entry, f"{where}: risk[{at}]"))
    return plain


def _with_condition(entry: dict[str, object], where: str) -> dict[str, object]:
    """The entry with ``when = { fact = …, below = … }`` converted to fact, test and value."""
    when = entry.get("when")
    if not isinstance(when, dict):
        return entry
    for key in when:
        if key not in ("fact", *TESTS):
            raise ConfigError(f"{where}.when: unknown key {shortened(repr(key))}{nearest(key, {'fact', *TESTS})}")
    tests = [key for key in when if key != "fact"]
    if len(tests) != 1:
        raise ConfigError(f"{where}.when: needs exactly one of {', '.join(TESTS)}, and has {len(tests)}")
    condition = {key: when[key] for key in when if key == "fact"}
    return entry | {"when": condition | {"test": tests[0], "value": _plain_text(when[tests[0]], f"{where}.when")}}


def _plain_text(value: object, where: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        raise ConfigError(f"{where}: write {value} in quotes, or 7.10 would be 7.1")
    return str(value)


def _together(entry: dict[str, object], at: int) -> dict[str, object]:
    """An entry of works-together.

    Every key other than id, reason and link is a component, and its value is the range.
    """
    common = {key: value for key, value in entry.items() if key in ("id", "reason", "link")}
    components = {key: value for key, value in entry.items() if key not in common}
    return {"id": f"works-together-{at + 1}"} | common | {"components": components}
