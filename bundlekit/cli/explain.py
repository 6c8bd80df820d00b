"""``bundlekit explain``."""

from __future__ import annotations

import sys
from typing import Final

import click

from bundlekit.cli.verbs import CliVerb
from bundlekit.docs import api_known, page, topics, words_known
from bundlekit.docs.words import normal
from bundlekit.schema_errors import nearest

SIMILAR: Final = 0.75
"""How similar a suggested word is at least, from 0 to 1. Among so many words, any word is a little similar to one."""


def _completed(_context: click.Context, _parameter: click.Parameter, start: str) -> list[str]:
    return [name for name in sorted({*topics(), *words_known(), *api_known()}) if name.startswith(start)]


@click.command(
    cls=CliVerb, epilog="Examples: bundlekit explain format, bundlekit explain needs-stop, bundlekit explain 3"
)
@click.argument("topic", nargs=-1, shell_complete=_completed)
def command(topic: tuple[str, ...]) -> int:
    """Explain a rule, a page, or a word or exit code of a report; without a topic, list the rules and pages."""
    known = topics()
    if not topic:
        width = max(map(len, known))
        for name, title in known.items():
            click.echo(f"{name:<{width}}  {title}")
        return 0
    words = words_known() | api_known()
    asked = " ".join(topic)
    name = asked if asked in known or asked in words else normal(asked)
    if name not in known and name not in words:
        near = nearest(name, {*known, *words}, cutoff=SIMILAR)
        raise click.UsageError(f"no topic {asked!r}{near}; `bundlekit explain` lists them, `explain words` the words")
    show = click.echo_via_pager if sys.stdout and sys.stdout.isatty() else click.echo
    show(page(name))
    return 0
