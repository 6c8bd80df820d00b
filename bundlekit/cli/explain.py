"""``bundlekit explain``."""

from __future__ import annotations

import sys

import click

from bundlekit.cli.verbs import Verb
from bundlekit.docs import page, topics
from bundlekit.mistakes import nearest


@click.command(cls=Verb, epilog="Examples: bundlekit explain format, bundlekit explain chunk-digest-mismatch")
@click.argument(
    "topic", required=False, shell_complete=lambda _, __, start: [name for name in topics() if name.startswith(start)]
)
def command(topic: str | None) -> int:
    """Explain a rule, the format, the exit codes, …; without a topic, list them."""
    known = topics()
    if topic is None:
        width = max(map(len, known))
        for name, title in known.items():
            click.echo(f"{name:<{width}}  {title}")
        return 0
    if topic not in known:
        raise click.UsageError(f"no topic {topic!r}{nearest(topic, set(known))}; `bundlekit explain` lists them")
    show = click.echo_via_pager if sys.stdout and sys.stdout.isatty() else click.echo
    show(page(topic))
    return 0
