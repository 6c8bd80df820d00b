"""``bundlekit update state``."""

from __future__ import annotations

from pathlib import Path

import click

from bundlekit import wall_clock
from bundlekit.cli import common, options
from bundlekit.cli.update import common as shared
from bundlekit.cli.update import run_options
from bundlekit.cli.verbs import CliVerb
from bundlekit.report import json as as_json
from bundlekit.update.inventory import observe
from bundlekit.update.targets.slot_folder import read_pair

EXAMPLES = """\b
Examples:
  bundlekit update state --plan PLAN.toml --pair imager-0042 --product imager --model im-200 --includes none \\
      -o STATE.json
  bundlekit update state --plan PLAN.toml --appliance STATE.json -o STATE.json
"""


@click.command(cls=CliVerb, epilog=EXAMPLES)
@run_options.plan_option
@options.appliance_option("Update this older state.")
@options.pair_option("Set the name of the pair. The default is taken from the older state.", required=False)
@click.option(
    "--product", metavar="NAME", help="Set the product of the pair. Another product that the pair reports is an error."
)
@click.option(
    "--model",
    metavar="NAME",
    help="Set the hardware model of the pair. Another model that the pair reports is an error.",
)
@click.option(
    "--includes",
    metavar="FIX,...",
    help="Set the fixes that the pair has, or `none`. The default is taken from the older state.",
)
@options.output_option("Write the state to this file instead.")
def command(
    plan_path: Path | None,
    appliance: Path | None,
    pair: str | None,
    product: str | None,
    model: str | None,
    includes: str | None,
    output: Path | None,
) -> int:
    """Write STATE.json from what the pair reports through the hooks of the plan.

    Product and model come from the slots, the options or the older state. If the pair itself contradicts them, no
    state is written. Values that the hooks do not report are left out and count as unknown. Facts that the bundle
    requires, such as the age of the backup, come from describe or from you.
    """
    common.refuse_to_overwrite(output, in_place="appliance")
    before = shared.state_of(appliance) if appliance else None
    plan = shared.plan_of(plan_path)
    names = {"pair": pair, "product": product, "model": model}
    given = {name: value or (getattr(before, name) if before else None) for name, value in names.items()}
    if plan.slots is not None and given["pair"]:  # the folders contain their values
        found = read_pair(Path(plan.slots.root), given["pair"])
        given = {"product": found.product, "model": found.model} | {name: v for name, v in given.items() if v}
    if missing := [f"--{name}" for name in names if not given.get(name)]:
        raise click.UsageError(f"without an older state (--appliance), these are required: {', '.join(missing)}")
    at = wall_clock.now().replace(microsecond=0).isoformat().replace("+00:00", "Z")
    seen = observe(
        plan,
        shared.hooks_of(plan),
        shared.clock(),
        pair=str(given["pair"]),
        product=str(given["product"]),
        model=str(given["model"]),
        before=before,
        includes=_fixes(includes),
        at=at,
    )
    common.write(as_json.render(seen, indent=2) + "\n", output)
    return 0


def _fixes(text: str | None) -> list[str] | None:
    """The fixes that ``--includes`` names. ``none`` gives an empty list, and a missing option gives None."""
    if text is None:
        return None
    names = [] if text == "none" else text.split(",")
    if not all(name.strip() for name in names):
        raise click.BadParameter("the name between two commas is empty", param_hint="'--includes'")
    return names
