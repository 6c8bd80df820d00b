"""The oldest version of each library that works, and what to report where an older one is installed.

An installer respects the minimum versions in ``pyproject.toml``. A forced installation, or a manually assembled
environment, can still have an older library. Such a library fails while a module is loaded or used, with an error that
does not help the operator. The handler of such an error calls `unmet` first.
"""

from __future__ import annotations

import re
from typing import Final

FLOORS: Final = {
    "click": "8.1.5",
    "construct": "2.10.68",
    "cryptography": "49",
    "msgspec": "0.19",
    "packaging": "22",
    "rich": "13",
}
"""The floors of ``pyproject.toml``, which gives the reasons; a test compares the two."""


def load(module: str, name: str) -> object:
    """The value ``name`` of ``module``, which is imported now.

    Raises ImportError with one sentence if a library is missing or too old.
    """
    from importlib import import_module

    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, TypeError) as error:
        if fault := unmet():
            raise ImportError(fault) from error
        raise


def unmet() -> str:
    """One sentence about a library that is missing or too old; empty if there is none."""
    from importlib.metadata import PackageNotFoundError, version

    for name, floor in FLOORS.items():
        try:
            found = version(name)
        except PackageNotFoundError:
            return f"bundlekit needs {name} {floor} or later, which is not installed."
        if _numbers(found) < _numbers(floor):
            return f"bundlekit needs {name} {floor} or later, and version {found} is installed."
    return ""


REMEDY: Final = "Install bundlekit again with pip into its own environment, together with the libraries that it needs."


def _numbers(version: str) -> tuple[int, ...]:
    """The release number. It has no trailing zeros, so that 49 and 49.0 are the same."""
    digits = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    numbers = [int(one) for one in digits[0].split(".")] if digits else []
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)
