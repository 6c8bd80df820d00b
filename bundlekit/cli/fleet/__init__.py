"""``bundlekit fleet``: rollouts over many pairs."""

from __future__ import annotations

from typing import Final

import click

from bundlekit.cli.verbs import Verbs

FLEET_VERBS: Final = {
    "plan": "Show which pairs of a fleet can be updated, on which path, in which wave, and which are refused.",
    "rehearse": "Simulate a rollout: when it ends, when it stops, and how many pairs are without HA at once.",
    "start": "Start a rollout: its plan is kept in the database, and workers carry it out.",
    "worker": "Run the rollouts in the database. Any number of workers can run, on any hosts.",
    "pause": "Start no more pairs, until the rollout is resumed.",
    "resume": "Continue a rollout after a pause, a stop, or a criterion that stopped it.",
    "approve": "Approve a wave that has ended, so that the next one can start.",
    "stop": "Stop a rollout: no more pairs start, and another rollout can have them.",
    "retry": "Try pairs again that did not succeed. A pair that is on hold must be cleared first.",
    "export": "Export a support bundle of each pair that did not succeed, and the records of the rollout.",
    "status": "Show how far rollouts are, and what each waits for. By default those that have not finished.",
}
"""The verbs of ``bundlekit fleet``, and the first lines of their help."""


@click.group(
    cls=Verbs, verbs=FLEET_VERBS, package=__name__, epilog="Example: bundlekit fleet plan FLEET.toml --format json"
)
def command() -> None:
    """Run rollouts over many pairs: plan, simulate, start, and watch them, with workers on any hosts.

    The rollouts are in a PostgreSQL database (see `bundlekit explain fleet`).
    """
