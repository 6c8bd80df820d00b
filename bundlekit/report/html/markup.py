"""HTML as values: text becomes markup in one place, so that none can be forgotten."""

from __future__ import annotations

from html import escape as entities
from typing import TYPE_CHECKING, Final

from bundlekit.report.escape import escape

if TYPE_CHECKING:
    from collections.abc import Iterable

_VOID: Final = frozenset(["br", "meta"])
_BLOCKS: Final = frozenset(
    {
        "html",
        "head",
        "body",
        "header",
        "main",
        "footer",
        "nav",
        "article",
        "section",
        "div",
        "ul",
        "dl",
        "details",
        "table",
        "thead",
        "tbody",
        "tr",
        "svg",
    }
)
"""Elements whose children begin a line each. In others a line end would be shown as a space."""


class Markup(str):
    """A piece of HTML or SVG. Only `text` and `element` make it, so it has no markup from a bundle."""

    __slots__ = ()


def text(value: object) -> Markup:
    """Any text as the page shows it: control and bidirectional characters spelled out, markup as entities."""
    return Markup(entities(escape(str(value))))


def foreign(value: object) -> Markup:
    """Text from a bundle or a file name. Letters that are written from right to left do not reorder the page."""
    return element("bdi", text(value))


def element(name: str, /, *children: Markup, **attributes: object) -> Markup:
    """An element with children. An attribute that is None is left out; ``_`` in its name stands for ``-``."""
    written = "".join(
        f' {key.strip("_").replace("_", "-")}="{text(value)}"' for key, value in attributes.items() if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{written}>")
    inside = f"\n{joined(children)}\n" if name in _BLOCKS else "".join(children)
    return Markup(f"<{name}{written}>{inside}</{name}>")


def joined(parts: Iterable[Markup], separator: str = "\n") -> Markup:
    """Several pieces, one after another."""
    return Markup(separator.join(parts))
