"""Write a `Matrix` as a matrix.toml that reads back as the same: the inverse of toml.py."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import msgspec

from bundlekit.escape import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.model.matrix import Matrix

TABLES: Final = {
    "sources": "from",
    "stops": "stop",
    "blocks": "block",
    "withdrawn": "withdrawn",
    "risks": "risk",
    "dead-ends": "dead-end",
    "works-together": "works-together",
    "skews": "skew",
}
"""The key of each list of entries in the manifest, and its table in matrix.toml."""


def matrix_to_toml(matrix: Matrix) -> str:
    """The text of a matrix.toml."""
    return "\n".join(_lines(msgspec.to_builtins(matrix))) + "\n"


def _lines(plain: dict[str, Any]) -> Iterator[str]:
    yield "matrix = 1"
    if "order" in plain:
        yield f"order = {_value(plain['order'])}"
    if "releases" in plain:
        yield "releases = ["
        yield from (f"  {_value(release)}," for release in plain["releases"])
        yield "]"
    if "aliases" in plain:
        yield f"aliases = {_value({entry['alias']: entry['version'] for entry in plain['aliases']})}"
    if "trusted-keys" in plain:
        yield f"trusted-keys = {_value({entry['since']: entry['keys'] for entry in plain['trusted-keys']})}"
    if "trust-of" in plain:
        shipped = {
            one["since"]: {"file": one["file"], "files": {file["name"]: file["text"] for file in one.get("files", ())}}
            for one in plain["trust-of"]
        }
        yield f"trust-of = {_value(shipped)}"
    if "scheme" in plain:
        yield from ("", "[scheme]", *(f"{key} = {_value(value)}" for key, value in plain["scheme"].items()))
    for key, table in TABLES.items():
        for entry in plain.get(key, ()):
            yield from ("", f"[[{table}]]", *(f"{_key(name)} = {_value(value)}" for name, value in _flat(entry)))


def _flat(entry: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The keys of an entry as people write them: components next to the id, a condition as fact and test."""
    for key, value in entry.items():
        if key == "components":
            yield from value.items()
        elif key == "when":
            yield key, {"fact": value["fact"], value["test"]: value["value"]}
        else:
            yield key, value


def _value(value: object) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_key(key)} = {_value(item)}' for key, item in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    # JSON text, integers, true and false are valid TOML as well, and so are the escapes of `escape`.
    return escape(json.dumps(value, ensure_ascii=False))


def _key(key: str) -> str:
    return key if key.replace("-", "").replace("_", "").isalnum() and key.isascii() else _value(key)
