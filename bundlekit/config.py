"""The configuration files: TOML and JSON, read strictly. Messages name the key and the fix."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from bundlekit import toml
from bundlekit.errors import ConfigError
from bundlekit.files import LIMITS, read_bounded
from bundlekit.schema_errors import explain, shortened

if TYPE_CHECKING:
    from bundlekit.model.appliance import Appliance

T = TypeVar("T")

MAX_FILE: Final = LIMITS["json"]
"""The maximum size in bytes. A file written by hand stays far below 16 MiB; a larger one is a mistake or an attack."""

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


def read_file(path: Path, *, limit: int = MAX_FILE) -> bytes:
    """The bytes of a configuration file of at most ``limit`` bytes; ConfigError if it cannot be read."""
    return read_bounded(path, limit)


def load_toml(path: Path) -> dict[str, Any]:
    """A TOML file as plain values; ConfigError with line and column if it is not TOML."""
    return parse_toml(read_file(path, limit=LIMITS["toml"]), where=str(path))


def parse_toml(data: bytes, *, where: str) -> dict[str, Any]:
    """The bytes of a TOML file as plain values; ConfigError with line and column if they are not TOML."""
    if len(data) > LIMITS["toml"]:
        raise ConfigError(f"{where}: is larger than {LIMITS['toml']:,} bytes")
    try:
        return toml.parse(data)
    except ValueError as error:
        raise ConfigError(f"{where}: invalid TOML: {error}") from error


def decode_json(data: bytes) -> Any:  # noqa: ANN401 - whatever JSON holds
    """The value in ``data``. Raises ValueError, also for a key that an object has twice."""
    if data.startswith(BYTE_ORDER_MARK):
        raise ValueError("it begins with a byte order mark; save it as UTF-8 without one")
    try:
        value = json.loads(data, object_pairs_hook=_object)
    except RecursionError as error:
        raise ValueError("its values are nested too deeply") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 (byte 0x{data[error.start]:02x} at offset {error.start})") from error
    if _SURROGATE.search(data):  # half a character cannot be encoded; UnicodeEncodeError is a ValueError
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {shortened(repr(key))} is given twice")
        found[key] = value
    return found


def load_json(path: Path) -> Any:  # noqa: ANN401 - whatever JSON holds
    """A JSON file as plain values; ConfigError if it is not JSON."""
    try:
        return decode_json(read_file(path))
    except ValueError as error:
        raise ConfigError(f"{path}: invalid JSON: {error}") from error


def load_json_lines(path: Path, *, wrong: list[str] | None = None) -> list[tuple[int, Any]]:
    """The values of a file that contains one JSON value, or one on each line, with their line numbers.

    ConfigError names the first line that is not JSON. With ``wrong``, all such lines are described in that list
    instead.
    """
    data = read_file(path)
    lines = [(number, line) for number, line in enumerate(data.splitlines(), 1) if line.strip()]
    try:
        return [(1, decode_json(data))]
    except ValueError as error:
        whole = error
    found, faults = [], []
    for number, line in lines:
        try:
            found.append((number, decode_json(line)))
        except ValueError as error:
            faults.append(f"{path}: line {number} is not JSON: {error}")
    # A line can be JSON by chance, such as the last brace of a long value. The file then contains one value.
    if not any(isinstance(value, dict) for _, value in found) or len(lines) == 1:
        raise ConfigError(f"{path}: invalid JSON: {whole}") from whole
    if faults and wrong is None:
        raise ConfigError(faults[0])
    if wrong is not None:
        wrong += faults
    return found


def load_appliance(path: str | Path) -> Appliance:
    """The installed state of one pair, from the STATE.json at ``path`` (see ``schema state``). Raises ConfigError."""
    from bundlekit.model.appliance import Appliance

    path = Path(path)
    values = load_json_lines(path)
    if len(values) != 1:
        raise ConfigError(f"{path} contains the states of {len(values)} pairs, not of one.")
    return convert(values[0][1], Appliance, where=str(path))


def convert(data: object, kind: type[T], *, where: str, toml: bool = False) -> T:
    """Plain values as ``kind``. ConfigError names the file, the key, the expected value and the nearest known key.

    ``toml``: the values were written as TOML, and the message uses its terms.
    """
    try:
        return msgspec.convert(data, kind, strict=True)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {explain(error, kind, data, toml=toml)}") from error


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
MAX_COUNTED: Final = 10_000
"""The highest count of one unit that is printed on its own. Above it the next unit follows, as an approximation."""

DURATIONS: Final = {"s": 1, "min": 60, "h": 3600, "d": 86400, "days": 86400, "day": 86400}


def parse_size(text: str | int, *, where: str) -> int:
    """Bytes of ``"12 GiB"`` (IEC units are powers of two, SI units powers of ten) or of a plain integer."""
    return text if isinstance(text, int) and not isinstance(text, bool) else _quantity(str(text), UNITS, where)


def size_in_words(size: int) -> str:
    """``12 GiB``: exact, in the largest unit that is exact. Otherwise ``about 1.5 KiB (1,500 bytes)``."""
    fitting = [(unit, factor) for unit, factor in UNITS.items() if unit.endswith("iB") and size >= factor]
    if not fitting:
        return f"{size:,} byte{'' if size == 1 else 's'}"
    for unit, factor in reversed(fitting):
        if size % factor == 0 and size // factor < MAX_COUNTED:
            return f"{size // factor:,} {unit}"
    unit, factor = fitting[-1]
    return f"about {size / factor:,.1f} {unit} ({size:,} bytes)"


def parse_duration(text: str, *, where: str) -> int:
    """Seconds of ``"45 min"``, ``"90 s"``, ``"24 h"``, ``"30 days"``."""
    return _quantity(text, DURATIONS, where)


def duration_in_words(duration: int) -> str:
    """``36 h``: the duration of so many seconds, in the largest unit that is exact."""
    unit = next(unit for unit in ("days", "h", "min", "s") if duration % DURATIONS[unit] == 0)
    count = duration // DURATIONS[unit]
    return f"{count:,} {'day' if (unit, count) == ('days', 1) else unit}"


def _quantity(text: str, units: dict[str, int], where: str) -> int:
    number, _, unit = text.partition(" ")
    if not re.fullmatch(r"[0-9]{1,12}", number) or unit not in units:
        raise ConfigError(f"{where}: {shortened(repr(text))} is not a number, a space and one of {', '.join(units)}")
    return int(number) * units[unit]
