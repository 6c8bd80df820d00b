"""The formats of bundles. Each one is a module here that reads a file into a `Bundle`: its claims, and nothing more.

A file is recognised by its content, never by its name. The module of a format is loaded only for a file of that format.
``bundlekit explain adding-a-format`` describes what such a module contains.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol, cast

from bundlekit.layout import foreign, reader, update_bin
from bundlekit.model.bundle import Span
from bundlekit.source import read as read_span

if TYPE_CHECKING:
    from bundlekit.model.bundle import Bundle
    from bundlekit.source import Source

FORMATS: Final[dict[str, str]] = {
    "mender": "bundlekit.formats.mender",
    "rauc": "bundlekit.formats.rauc",
    "swupdate": "bundlekit.formats.swupdate",
    "esp": "bundlekit.formats.esp",
    "mcuboot": "bundlekit.formats.mcuboot",
}
"""The module of each format, by the name that reports and trust.toml have for it. `foreign.KINDS` recognises them."""


class FormatReader(Protocol):
    """What a module of a format has to have."""

    def read(self, source: Source) -> Bundle:
        """Read the description of the bundle, up to the first fault. The payload is not read, and nothing is verified.

        Faults are data (``Bundle.problems``). Raises UnreadableError and ChangedWhileReadError as the source does.
        """


def read(source: Source) -> Bundle:
    """What ``source`` claims to be. A file of no known format is read as an update.bin, which names the fault."""
    name = format_of(source)
    found: FormatReader = cast("FormatReader", import_module(FORMATS[name]) if name else reader)
    return found.read(source)


def format_of(source: Source) -> str:
    """The format of ``source``; empty for update.bin, and for a file that is in none of the formats."""
    start = read_span(source, Span(start=0, stop=min(source.held, len(update_bin.MAGIC))))
    if start == update_bin.MAGIC or not FORMATS:
        return ""
    seen = foreign.view(source)
    return next((name for name in FORMATS if foreign.KINDS[name].matches(seen)), "")


def once(source: Source) -> Source:
    """``source`` with its description read only once, so that the verified bytes are the used bytes.

    A reader of another format keeps the bytes that it read in its claims.
    """
    return reader.read_once(source)
