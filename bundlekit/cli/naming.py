"""Parameters of the library as the options of the command line, for messages."""

from __future__ import annotations

from typing import Final

OTHERWISE: Final = {"sources": "from", "advice": "advisories", "advisory_serial": "advisory-serial-at-least"}
"""The options whose names are not those of the parameters."""


def as_option(name: str, value: str) -> str:
    """The option for the parameter ``name``, with ``value`` if it is not empty."""
    option = f"--{OTHERWISE.get(name, name.replace('_', '-'))}"
    return f"{option} {value}" if value else option
