"""``bundlekit fleet export``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bundlekit.cli.fleet import fleet_options
from bundlekit.cli.parameters import path_type
from bundlekit.cli.update import run_options
from bundlekit.cli.verbs import CliVerb
from bundlekit.report.escape import escape

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = """\b
Examples:
  bundlekit fleet export --into cases/
  bundlekit fleet export spring-2027 --into cases/ --end needs-operator
Exit codes: 0 every support bundle is written, 1 some cannot be written, 2 usage, 3 the database cannot be used.
"""


@click.command(cls=CliVerb, epilog=EXAMPLES)
@fleet_options.rollout_argument
@click.option(
    "--into", "folder", type=path_type, required=True, metavar="FOLDER", help="Write into this folder, which is made."
)
@fleet_options.end_option("Export only pairs that ended so.")
@run_options.state_dir_option
@fleet_options.state_option
def command(name: str | None, folder: Path, kinds: tuple[str, ...], state_dir: Path, state: str) -> int:
    """Export a support bundle of each pair that did not succeed, and the records of the rollout.

    A support bundle has journal, state, report and no secrets. It also has the logs of this host. Pairs that a retry
    has started again are exported as well.
    """
    from bundlekit.cli.update.message import in_words
    from bundlekit.fleet.cases import export_cases
    from bundlekit.update.state.update_state import open_state
    from bundlekit.wording import count

    kept_in = open_state(state, folder=state_dir)
    written, faults = 0, 0
    try:
        with fleet_options.rollouts(state) as store:
            found = fleet_options.one_rollout(store, name, finished=True)
            for pair, fault in export_cases(store, kept_in, found, folder, in_words, kinds=kinds):
                written += not fault
                faults += bool(fault)
                if fault:
                    click.echo(escape(f"pair {pair}: {fault}"), err=True)
    finally:
        kept_in.close()
    click.echo(f"{count(written, 'support bundle')} of rollout {found} written to {escape(str(folder))}")
    return 1 if faults else 0
