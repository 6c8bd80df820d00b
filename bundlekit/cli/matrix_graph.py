"""``bundlekit matrix import`` and ``export``: matrices from update graphs, and update graphs from bundles."""

from __future__ import annotations

from pathlib import Path

import click

from bundlekit.cli import common, options
from bundlekit.cli.parameters import path_type
from bundlekit.cli.verbs import CliVerb
from bundlekit.matrix.graph.cincinnati import SCHEMES, load_graph, release_order, scheme_of, write_graph
from bundlekit.matrix.graph.exchange import graph_of, matrix_of
from bundlekit.matrix.toml_writer import matrix_to_toml
from bundlekit.report.escape import escape

IMPORT_EXAMPLES = """\b
Examples:
  bundlekit matrix import graph.json --to 4.8.54 -o matrix.toml
"""

EXPORT_EXAMPLES = """\b
Examples:
  bundlekit matrix export releases/*.bin --trust root.pem -o graph.json
Exit codes: 0 exported, 1 a bundle is not signed by a trusted signer, 2 usage, 3 a bundle or its matrix cannot be read.
"""


@click.command("import", cls=CliVerb, epilog=IMPORT_EXAMPLES)
@click.argument("graph", type=path_type, metavar="GRAPH.json")
@click.option("--to", "version", metavar="VERSION", help="Make the matrix of this release. The default is the newest.")
@click.option(
    "--scheme", type=click.Choice(SCHEMES), help="Use this version scheme. The default is the first that fits."
)
@options.output_option("Write the matrix.toml to this file.")
def import_command(graph: Path, version: str | None, scheme: str | None, output: Path | None) -> int:
    """Make the matrix.toml of one release from an update graph (Cincinnati JSON).

    Each edge into the release becomes a source, and a conditional edge keeps its risks. Releases keep their order.
    """
    common.refuse_to_overwrite(output)
    read = load_graph(graph)
    if not read.nodes:
        raise click.UsageError(f"{graph} has no releases")
    version = version or read.nodes[release_order(read.nodes)[-1]].version
    matrix = matrix_of(read, version, scheme=scheme, where=str(graph))
    named = scheme or scheme_of([node.version for node in read.nodes])
    origin = f'# The matrix of {escape(version)}, for a SPEC with scheme = "{named}", from an update graph.\n'
    common.write(origin + matrix_to_toml(matrix), output)
    return 0


@click.command("export", cls=CliVerb, epilog=EXPORT_EXAMPLES)
@options.bundles_argument
@options.trust_option
@options.at_option
@options.output_option("Write the graph to this file.")
def export_command(bundles: tuple[Path, ...], trusted: tuple[Path, ...], at: object, output: Path | None) -> int:
    """Make an update graph (Cincinnati JSON) from the matrices of bundles.

    An edge is an update that the matrix of its target allows. It is conditional if facts can forbid it.
    """
    common.refuse_to_overwrite(output)
    from bundlekit.catalog import collect

    found = collect(bundles, trust=common.load_trusted(trusted), at=at)  # type: ignore[arg-type] # click made it a time
    for skipped in found.skipped:
        click.echo(escape(f"bundlekit: {skipped.subject}: {skipped.message}"), err=True)
    if found.skipped:
        return 1 if trusted else 3
    if not trusted:
        click.echo("NOT VERIFIED: the signatures were not checked (--trust)", err=True)
    common.write(write_graph(graph_of((one.manifest, one.id) for one in found.candidates)).decode(), output)
    return 0
