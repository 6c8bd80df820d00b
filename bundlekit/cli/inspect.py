"""``bundlekit inspect``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bundlekit import pipeline
from bundlekit.cli import common, options
from bundlekit.cli.verbs import CliVerb
from bundlekit.report import json as as_json
from bundlekit.report.inspection import lines

EXAMPLES = """\b
Examples:
  bundlekit inspect update.bin
  bundlekit inspect update.bin --format json | jq .manifest.matrix
Exit codes: 0 the head could be read, 2 usage, 3 it could not.
"""


@click.command(cls=CliVerb, epilog=EXAMPLES)
@options.bundle_or_url_argument
@options.format_option()
def command(bundle: Path, style: str) -> int:
    """Show what a bundle claims to be. Nothing is verified: `bundlekit check` does that."""
    inspection = pipeline.inspect(bundle)
    if style == "json":
        common.write(as_json.render(inspection) + "\n", None)
    else:
        coloured = common.colours(sys.stdout)
        common.write("".join(common.styled(line, coloured=coloured) + "\n" for line in lines(inspection)), None)
    return 0 if inspection.manifest is not None else 3
