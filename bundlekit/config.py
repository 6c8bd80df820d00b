"""The files users write: TOML and JSON, read strictly, with messages that name the key and the mend."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from bundlekit.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")

MAX_FILE: Final = 16 * 1024 * 1024
"""No file that a person maintains comes near 16 MiB; a larger one is a mistake or an attack."""


def read_file(path: Path) -> bytes:
    """The bytes of a configuration file of at most 16 MiB; ConfigError if it cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > MAX_FILE:
        raise ConfigError(f"{path}: is larger than {MAX_FILE} bytes")
    return data


def load_toml(path: Path) -> dict[str, Any]:
    """A TOML file as plain values; ConfigError with line and column if it is not TOML."""
    import tomllib  # a pre-flight without configuration files should not pay for it

    try:
        return tomllib.loads(read_file(path).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from error


def load_json(path: Path) -> Any:  # noqa: ANN401 - whatever JSON holds
    """A JSON file as plain values; ConfigError if it is not JSON."""
    try:
        return msgspec.json.decode(read_file(path))
    except (msgspec.DecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: is not JSON: {error}") from error


def load_json_lines(path: Path) -> list[Any]:
    """The values of a file that holds one JSON value, or one on each line; ConfigError names the line."""
    data = read_file(path)
    lines = [(number, line) for number, line in enumerate(data.splitlines(), 1) if line.strip()]
    try:
        return [msgspec.json.decode(data)]
    except (msgspec.DecodeError, RecursionError) as error:
        try:
            first = [msgspec.json.decode(line) for _, line in lines[:1]]
        except (msgspec.DecodeError, RecursionError):
            first = []
        if not first or len(lines) == 1:  # one value over several lines, and it is wrong
            raise ConfigError(f"{path}: is not JSON: {error}") from error
    for number, line in lines[1:]:
        try:
            first.append(msgspec.json.decode(line))
        except (msgspec.DecodeError, RecursionError) as error:
            raise ConfigError(f"{path}: line {number} is not JSON: {error}") from error
    return first


def convert(data: object, kind: type[T], *, where: str) -> T:
    """Plain values as ``kind``; ConfigError names file, key, expectation and the nearest key."""
    try:
        return msgspec.convert(data, kind, strict=True)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {explain(error, kind)}") from error


def explain(error: msgspec.ValidationError, kind: type) -> str:
    """A sentence about a value that does not fit, with the nearest known key for an unknown one."""
    text, _, path = str(error).partition(" - at ")
    path = path.strip("`").removeprefix("$").lstrip(".")
    at = f"at {path!r}: " if path else ""
    if match := re.fullmatch(r"Object contains unknown field `(.*)`", text, re.DOTALL):
        return f"{at}unknown key {match[1]!r}{nearest(match[1], known_keys(kind))}"
    if match := re.fullmatch(r"Object missing required field `(.*)`", text):
        return f"{at}the key {match[1]!r} is missing"
    return f"{at}{text[:1].lower()}{text[1:]}".replace("`", "")


def nearest(key: str, known: set[str]) -> str:
    """The end of a sentence: the known key that is nearest, or all of them if they are few."""
    import difflib  # only on the way to an error message

    if near := difflib.get_close_matches(key, known, n=1, cutoff=0.6):
        return f"; did you mean {near[0]!r}?"
    return f"; known are {', '.join(sorted(known))}" if len(known) <= 20 else ""


def known_keys(kind: object) -> set[str]:
    """All keys of a struct type and of the struct types it is made of."""
    seen: set[object] = set()
    keys: set[str] = set()
    todo: list[object] = [kind]
    while todo:
        current = todo.pop()
        if isinstance(current, type) and issubclass(current, msgspec.Struct):
            if current in seen:
                continue
            seen.add(current)
            for field in msgspec.structs.fields(current):
                keys.add(field.encode_name)
                todo.append(field.type)
        else:
            todo.extend(getattr(current, "__args__", ()))
    return keys


UNITS: Final = {
    "B": 1,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
}
DURATIONS: Final = {"s": 1, "min": 60, "h": 3600, "d": 86400, "days": 86400, "day": 86400}


def parse_size(text: str | int, *, where: str) -> int:
    """Bytes of ``"12 GiB"`` (IEC units are powers of two, SI units powers of ten) or of a plain integer."""
    return text if isinstance(text, int) and not isinstance(text, bool) else _quantity(str(text), UNITS, where)


def parse_duration(text: str, *, where: str) -> int:
    """Seconds of ``"45 min"``, ``"90 s"``, ``"24 h"``, ``"30 days"``."""
    return _quantity(text, DURATIONS, where)


def _quantity(text: str, units: dict[str, int], where: str) -> int:
    number, _, unit = text.partition(" ")
    if not re.fullmatch(r"[0-9]{1,12}", number) or unit not in units:
        raise ConfigError(f"{where}: {text!r} is not a number, a blank and one of {', '.join(units)}")
    return int(number) * units[unit]
