"""``bundlekit rehearse``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from bundlekit.cli import common
from bundlekit.cli.verbs import Verb
from bundlekit.update.plan import PAIR, load_plan
from bundlekit.update.rehearse import rehearse, simulated
from bundlekit.update.table import LEGEND, render

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = f"""\b
Examples:
  bundlekit rehearse
  bundlekit rehearse PLAN.toml --faults 2
  bundlekit rehearse PLAN.toml --format markdown
Exit codes: 0 no invariant is broken, 1 one is, 2 usage, 3 the plan cannot be read.

Faults: {LEGEND}.
"""


@click.command(cls=Verb, epilog=EXAMPLES)
@click.argument("plan", type=common.path_type, required=False, metavar="[PLAN.toml]")
@click.option(
    "--faults",
    type=click.IntRange(1, 3),
    default=1,
    show_default=True,
    help="Set how many faults a run can have. Two take seconds, three a minute.",
)
@click.option(
    "--incompatible", is_flag=True, help="Assume that kept new components are incompatible with reverted ones."
)
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    show_default=True,
    help="Set the output format.",
)
def command(plan: Path | None, faults: int, style: Literal["text", "json", "markdown"], *, incompatible: bool) -> int:
    """Run an update plan against simulated appliances, with a fault at every position.

    Prints every end, the single faults that lead to it, and its way out, walked. Without PLAN.toml: the
    built-in pair, active first. Your own hooks: bundlekit.rehearse() in your tests (bundlekit explain hooks).
    """
    found = rehearse(simulated(load_plan(plan) if plan else PAIR, compatible=not incompatible), faults=faults)
    click.echo(render(found, style), nl=False)
    return 1 if found.broken else 0
