"""The report as JSON: one object on one line, ASCII only, keys always in the same order."""

from __future__ import annotations

import json

import msgspec


def render(value: msgspec.Struct) -> str:
    """One line of JSON. ASCII, so that no character of a bundle can act on a terminal."""
    return json.dumps(msgspec.to_builtins(value), ensure_ascii=True, separators=(", ", ": "))
