"""``bundlekit path``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bundlekit.cli import common, destination, options
from bundlekit.cli.parameters import bundle_type, path_type
from bundlekit.cli.project import is_set_here
from bundlekit.cli.verbs import CliVerb

if TYPE_CHECKING:
    import datetime as dt

    from bundlekit.model.decision import Acceptance
    from bundlekit.model.path import UpgradePath

EXAMPLES = """\b
Examples:
  bundlekit path releases/*.bin --trust root.pem --from 5.20.03 --to 5.40.00
  bundlekit path --catalog releases.cat --trust root.pem --appliance STATE.json --to 5.40.00 -o path.svg
  bundlekit path releases/ --matrix releases/ --trust trust.toml --from 5.20.03 --to 5.40.00
  bundlekit path --graph graph.json --from 4.7.0 --to 4.8.54 --format json
Exit codes: 0 path found, 1 no path, 2 usage, 3 incomplete, or no --trust for bundles.
"""


@click.command(cls=CliVerb, epilog=EXAMPLES)
@click.argument("bundles", nargs=-1, type=bundle_type, metavar="[BUNDLE]...")
@options.config_options
@options.catalog_option
@click.option("--graph", type=path_type, help="Use an update graph (Cincinnati JSON) instead of bundles.")
@options.trust_option
@options.from_option("version", "Start from this version on every member. Other components are not evaluated.")
@options.appliance_option("Start from the installed state of this pair.")
@click.option("--to", "goal", required=True, metavar="VERSION", help="Set the target version.")
@options.accept_risk_option
@options.matrices_option
@options.advisories_option
@options.serial_option
@options.at_option
@options.format_option("svg", "mermaid")
@options.output_option(
    "Write the path to this file instead. The format is that of the suffix: .txt, .json, .svg, or .mmd (Mermaid)."
)
def command(
    bundles: tuple[Path, ...],
    catalogs: tuple[Path, ...],
    graph: Path | None,
    trusted: tuple[Path, ...],
    version: str | None,
    appliance: Path | None,
    goal: str,
    accepted_risks: tuple[Acceptance, ...],
    matrices: tuple[Path, ...],
    advisories: Path | None,
    serial_at_least: int,
    at: dt.datetime | None,
    style: str,
    output: Path | None,
) -> int:
    """Find the upgrade path from an installed version to a target version.

    The path has the fewest updates, and each of them is allowed by its own bundle. If no path exists, the nearest
    version that can be reached is shown, and what blocks the rest. Bundles that are not authentic are never used.
    Without --trust the result is not verified.
    """
    common.refuse_to_overwrite(output)
    style = destination.style_for(output, style)
    if bool(graph) == bool(bundles or catalogs):
        raise click.UsageError("either bundles (or --catalog) or --graph is required")
    if graph:
        given = {"trusted": trusted, "advisories": advisories, "matrices": matrices}
        if version is None or appliance or any(value and is_set_here(name) for name, value in given.items()):
            raise click.UsageError(
                "--graph needs --from, and cannot be combined with --appliance, --trust, --matrix or --advisories"
            )
        from bundlekit.matrix.graph.cincinnati import load_graph
        from bundlekit.matrix.graph.search import find_graph_path

        found = find_graph_path(load_graph(graph), version, goal, [one.risk for one in accepted_risks])
    else:
        if (version is None) == (appliance is None):
            raise click.UsageError("one of --from and --appliance is required")
        from bundlekit.catalog import find_path
        from bundlekit.model.decision import Policy

        states = common.load_appliances(appliance)
        if len(states) > 1:
            raise click.UsageError(f"{appliance} has {len(states)} states; a path is for one pair")
        trust = common.load_trusted(trusted)
        advice = common.load_advice(advisories, trust, at, serial_at_least)
        found = find_path(
            (*bundles, *catalogs),
            states[0] if states else version or "",
            goal,
            trust=trust,
            policy=Policy(accepted_risks=accepted_risks),
            advice=advice,
            at=at,
            matrices=common.load_matrices(matrices),
        )
    common.write(_rendered(found, style, coloured=output is None and common.colours(sys.stdout)), output)
    return 1 if not found.found else 3 if found.verified is False else 0


def _rendered(found: UpgradePath, style: str, *, coloured: bool) -> str:
    from bundlekit.report import json, path

    if style == "json":
        return json.render(found) + "\n"
    if style == "svg":
        return path.svg(found)
    if style == "mermaid":
        return path.mermaid(found)
    return "".join(common.styled(line, coloured=coloured) + "\n" for line in path.lines(found))
