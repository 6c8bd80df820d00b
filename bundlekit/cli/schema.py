"""``bundlekit schema``."""

from __future__ import annotations

import json

import click

from bundlekit.cli.verbs import CliVerb
from bundlekit.schemas import SCHEMAS, schema


@click.command(cls=CliVerb, epilog="Example: bundlekit schema report > report.schema.json")
@click.argument("name", type=click.Choice(sorted(SCHEMAS)))
def command(name: str) -> int:
    """Print the JSON Schema of a file or an output (draft 2020-12)."""
    click.echo(json.dumps(schema(name), indent=2, ensure_ascii=True))
    return 0
