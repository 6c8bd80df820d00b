"""``bundlekit fleet``: rollouts over many pairs."""

from __future__ import annotations

from typing import Final

import click

from bundlekit.cli.verbs import Verbs

FLEET_VERBS: Final = {
    "plan": "Show which pairs of a fleet can be updated, on which path, in which wave, and which are refused.",
    "rehearse": "Simulate a rollout: when it ends, when it stops, and how many pairs are without HA at once.",
}
"""The verbs of ``bundlekit fleet``, and the first lines of their help."""


@click.group(
    cls=Verbs, verbs=FLEET_VERBS, package=__name__, epilog="Example: bundlekit fleet plan FLEET.toml --format json"
)
def command() -> None:
    """Show what a rollout over many pairs would do.

    Workers that carry it out do not exist yet.
    """
