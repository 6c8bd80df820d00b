"""What every page has: its head, its heading, and its end. A page loads nothing, and runs nothing."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Final

from bundlekit.report.html.markup import Markup, element, foreign, text

if TYPE_CHECKING:
    from collections.abc import Sequence

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""The page loads nothing and runs nothing, and a browser enforces that (Content Security Policy Level 3)."""


def framed(heading: str, content: Sequence[Markup], made_by: str, *, below: Sequence[Markup] = ()) -> str:
    """A whole page with ``content`` under ``heading``; ``below`` is what belongs to the heading."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", text(f"{heading} (bundlekit)")),
        element("style", Markup(resources.files(__package__).joinpath("page.css").read_text(encoding="utf-8"))),
    )
    body = (
        element("header", element("h1", foreign(heading)), *below),
        element("main", *content),
        element("footer", element("p", text(made_by))),
    )
    return f"<!DOCTYPE html>\n{element('html', head, element('body', *body), lang='en')}\n"
