"""``bundlekit catalog``."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bundlekit import catalog
from bundlekit.cli import common, options
from bundlekit.cli.verbs import VerbGroup
from bundlekit.report import json as as_json
from bundlekit.report.escape import escape

if TYPE_CHECKING:
    from bundlekit.catalog import WithoutMatrix
    from bundlekit.matrix.candidates import CandidateBundle
    from bundlekit.model.manifest import Manifest
    from bundlekit.model.release import Release

EXAMPLES = """\b
Examples:
  bundlekit catalog add releases.cat update-5.30.02.bin --supported-until 2028-06-30
  bundlekit catalog show releases.cat --trust root.pem
"""


@click.group(cls=VerbGroup, epilog=EXAMPLES)
def command() -> None:
    """Manage a catalog of bundle heads for path planning. A catalog contains no payload."""


@command.command("add", epilog="Example: bundlekit catalog add releases.cat update.bin --supported-until 2028-06-30")
@options.catalog_argument
@options.bundles_argument
@click.option(
    "--supported-until", type=click.DateTime(["%Y-%m-%d"]), help="Set the last day of support of these releases."
)
def add(place: Path, bundles: tuple[Path, ...], supported_until: dt.datetime | None) -> int:
    """Add heads of bundles to a catalog, which is a folder that is created if it is missing."""
    until = supported_until.date().isoformat() if supported_until else None
    for identity in catalog.add(place, bundles, supported_until=until):
        click.echo(f"sha256:{identity}")
    return 0


@command.command("show", epilog="Example: bundlekit catalog show releases.cat --trust root.pem")
@options.catalog_argument
@options.trust_option
@options.at_option
@options.format_option()
def show(place: Path, trusted: tuple[Path, ...], at: dt.datetime | None, style: str) -> int:
    """List the bundles of a catalog. Exit code 0, 1 if one cannot be used, 3 without --trust."""
    found = catalog.collect([place], trust=common.load_trusted(trusted), at=at)
    # Versions of two schemes have no order, so each scheme goes by itself.
    candidates = sorted(
        found.candidates,
        key=lambda one: (
            one.manifest.product,
            one.matrix.primary_component,
            one.matrix.own.scheme.name,
            one.matrix.own.key,
        ),
    )
    # Bundles without a matrix have no order of versions at all.
    others = sorted(found.without_matrix, key=lambda one: (one.release.product, one.release.version, one.id))
    rows = [_row(one, one.manifest) for one in candidates] + [_row(one, one.release) for one in others]
    refused = [one for one in found.skipped if one.kind != "no-matrix"]
    if style == "json":
        skipped = [{"bundle": one.subject, "kind": one.kind, "message": one.message} for one in refused]
        click.echo(as_json.render({"verified": bool(trusted), "bundles": rows, "skipped": skipped}))
    else:
        for row in rows:
            signed = f"signed by {'; '.join(row['signers'])}" if row["signers"] else "NOT VERIFIED"
            until = f", supported until {row['supported-until']}" if row["supported-until"] else ""
            released = f", released {row['released']}" if row["released"] else ""
            what = f"{row['product']} {row['version']}{released}{until}, {signed}"
            click.echo(f"bundle {escape(what)}")
            click.echo(f"  file {escape(str(row['bundle']))}  {row['id']}")
        for one in refused:
            click.echo(escape(f"skipped {one.subject}: {one.kind}: {one.message}"))
    return 1 if refused else 0 if trusted else 3


def _row(one: CandidateBundle | WithoutMatrix, what: Manifest | Release) -> dict[str, Any]:
    """What a list shows of a bundle, and the fields of its JSON."""
    return {
        "bundle": one.bundle,
        "id": one.id,
        "product": what.product,
        "version": what.version,
        "released": what.released or "",
        "signers": list(one.signers),
        "supported-until": one.supported_until,
    }
