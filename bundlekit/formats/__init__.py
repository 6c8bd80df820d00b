"""The formats of bundles. Each one is a module here that reads a file into a `Bundle`: its claims, and nothing more.

A file is recognised by its content, never by its name. The module of a format is loaded only for a file of that format.
``bundlekit explain adding-a-format`` describes what such a module contains.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol, cast, get_args

from bundlekit.errors import LayoutError
from bundlekit.layout import foreign, reader, update_bin
from bundlekit.model.bundle import Bundle, OtherFormat, Span
from bundlekit.source import read as read_span

if TYPE_CHECKING:
    from bundlekit.model.bundle import Aspect
    from bundlekit.source import BytesSource, ReadOnce, Source

FORMATS: Final = {name: f"bundlekit.formats.{name}" for name in get_args(OtherFormat)}
"""The module of each format, by the name that reports and trust.toml have for it. `foreign.KINDS` recognises them."""


class FormatReader(Protocol):
    """What a module of a format has to have. ``ASPECTS`` are the aspects of each bundle in the format."""

    ASPECTS: frozenset[Aspect]

    def read(self, source: Source) -> Bundle:
        """Read the description of the bundle, up to the first fault. The payload is not read, and nothing is verified.

        Faults are data: in ``Bundle.problems``, or raised as LayoutError if the bundle has nothing else to show. Raises
        UnreadableError and ChangedWhileReadError as the source does.
        """


def read(source: ReadOnce | BytesSource) -> Bundle:
    """What ``source`` claims to be. A file of no known format is read as an update.bin, which names the fault.

    ``source`` keeps all bytes that its reader reads, so what is verified with it later is what was parsed here.
    """
    source = once(source)
    name = format_of(source)
    found: FormatReader = cast("FormatReader", import_module(FORMATS[name]) if name else reader)
    try:
        with source.remembering():
            return found.read(source)
    except LayoutError as error:
        form = name or update_bin.FORMAT
        return Bundle(format=form, aspects=found.ASPECTS, size=source.size, problems=(error.problem,))


def format_of(source: ReadOnce | BytesSource) -> str:
    """The format of ``source``; empty for update.bin, and for a file that is in none of the formats."""
    source = once(source)
    with source.remembering():
        start = read_span(source, Span(start=0, stop=min(source.held, len(update_bin.MAGIC))))
        if start == update_bin.MAGIC or not FORMATS:
            return ""
        seen = foreign.view(source)
        kinds = (foreign.KINDS.get(name) for name in FORMATS)  # a format has no row while it is being added
        return next((kind.name for kind in kinds if kind and kind.matches(seen)), "")


def once(source: Source) -> ReadOnce:
    """``source`` with its description read only once, so that the verified bytes are the used bytes.

    The head of an update.bin is read here, in one piece. Other descriptions are kept while `read` reads them.
    """
    return reader.read_once(source)
