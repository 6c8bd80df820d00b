"""``bundlekit rehearse``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

import click

from bundlekit.cli import options
from bundlekit.cli.parameters import path_type
from bundlekit.cli.verbs import CliVerb
from bundlekit.schema_errors import nearest
from bundlekit.update.engine.clock import ManualClock
from bundlekit.update.engine.plan import PAIR, load_plan
from bundlekit.update.rehearsal.faults import FAULTS
from bundlekit.update.rehearsal.rehearse import over, rehearse, simulated
from bundlekit.update.rehearsal.sandbox_job import made_up
from bundlekit.update.rehearsal.table import LEGEND, LEGEND_OF_ELSEWHERE, render
from bundlekit.update.state.activity import span
from bundlekit.update.targets.select import hooks_for

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = f"""\b
Examples:
  bundlekit rehearse
  bundlekit rehearse PLAN.toml --faults 2
  bundlekit rehearse PLAN.toml --hooks --pair sandbox-1
  bundlekit rehearse PLAN.toml --hooks --pair sandbox-1 --only apply --step storage
Exit codes: 0 no fault was found, 1 a fault was found, 2 usage, 3 plan or hooks cannot be used.

Faults: {LEGEND}. {LEGEND_OF_ELSEWHERE}.
"""

PAUSE = 10.0
"""Seconds between two lines about how far a rehearsal over hooks has come."""


@click.command(cls=CliVerb, epilog=EXAMPLES)
@click.argument("plan_path", type=path_type, required=False, metavar="[PLAN.toml]")
@click.option(
    "--faults",
    type=click.IntRange(1, 3),
    default=1,
    show_default=True,
    help="Set how many faults a run can have. Two take half a minute, three take minutes.",
)
@click.option("--hooks", "over_hooks", is_flag=True, help="Use the hooks or slots of the plan, in a sandbox.")
@options.pair_option("Name the pair for --hooks: a sandbox, which is written to repeatedly.", required=False)
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(list(FAULTS)),
    help="Inject faults only at this verb.",
)
@click.option(
    "--step",
    "steps",
    multiple=True,
    metavar="STEP",
    help="Inject faults only at this step or gate.",
)
@click.option(
    "--incompatible", is_flag=True, help="Assume that kept new components are incompatible with reverted ones."
)
@options.format_option("markdown")
def command(
    plan_path: Path | None,
    faults: int,
    pair: str | None,
    only: tuple[str, ...],
    steps: tuple[str, ...],
    style: Literal["text", "json", "markdown"],
    *,
    over_hooks: bool,
    incompatible: bool,
) -> int:
    """Run an update plan against simulated appliances, with a fault at every position.

    Prints every outcome, the single faults that lead to it, and its recovery, which is performed as well. Without
    PLAN.toml, the built-in pair is used, active first. With --hooks, the runs call the hooks of the plan. Each answer
    and outcome is then compared with that of correct hooks (bundlekit explain hooks).
    """
    plan = load_plan(plan_path) if plan_path else PAIR
    if over_hooks and (plan_path is None or pair is None):
        raise click.UsageError("--hooks requires PLAN.toml and --pair, a pair that is a sandbox")
    if pair is not None and not over_hooks:
        raise click.UsageError("--pair requires --hooks")
    for name in steps:
        if name not in plan.steps and name not in plan.gates:
            known = {*plan.steps, *plan.gates}
            raise click.BadParameter(f"the plan has no '{name}'{nearest(name, known)}", param_hint="'--step'")
    if over_hooks:
        hooks = hooks_for(plan, plan_path=plan_path)
        job, bundle = made_up(plan, hooks, ManualClock(), pair=str(pair), compatible=not incompatible)
        make = over(job, lambda: hooks_for(plan, plan_path=plan_path), bundle)  # as each process makes them
    else:
        make = simulated(plan, compatible=not incompatible)
    progress = _Progress() if over_hooks else lambda _done, _all: None
    found = rehearse(make, faults=faults, verbs=only, steps=steps, progress=progress)
    click.echo(render(found, style), nl=False)
    return 1 if found.broken else 0


class _Progress:
    """Lines on standard error about how far a rehearsal has come, and how long the rest will take."""

    def __init__(self) -> None:
        self.started = self.printed = time.monotonic()

    def __call__(self, done: int, runs: int) -> None:
        now = time.monotonic()
        if done < runs and (done > 3 and now - self.printed < PAUSE):
            return
        self.printed = now
        left = (now - self.started) / done * (runs - done)
        about = f", about {span(left)} left" if 2 < done < runs else ""
        click.echo(f"{done} of {runs} runs{about}", err=True)
