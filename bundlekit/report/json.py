"""The report as JSON: one object on one line, ASCII only, keys always in the same order."""

from __future__ import annotations

import json

import msgspec

from bundlekit.report.escape import hashes_spelled


def render(value: object, *, indent: int | None = None) -> str:
    """One line of JSON, or an indented document.

    ASCII, so that no character of a bundle can act on a terminal, and no ``##``, which CI runners obey.
    """
    separators = (",", ": ") if indent else (", ", ": ")
    plain = msgspec.to_builtins(value)
    return hashes_spelled(json.dumps(plain, ensure_ascii=True, separators=separators, indent=indent))
