"""The files of a rollout on the host of a worker: those that its FLEET.toml names, relative to its folder there.

The database contains their names only. So write access to the database is not enough to add keys, hooks or advisories.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundlekit import wall_clock
from bundlekit.fleet.bundle_shelf import BundleShelf
from bundlekit.model.decision import Policy
from bundlekit.update.engine.plan import PAIR, load_plan
from bundlekit.update.targets.program import ensure_unchangeable

if TYPE_CHECKING:
    from pathlib import Path

    from bundlekit.fleet.fleet_report import FleetStop
    from bundlekit.fleet.store import StoredRollout
    from bundlekit.model.advisory import Advice
    from bundlekit.trust import TrustStore
    from bundlekit.update.engine.plan import Plan


class HostFiles:
    """The files of the rollout ``stored``. Copies of bundles on servers are in ``folder``. For several threads.

    Raises ConfigError if the plan cannot be used, or if others can change it.
    """

    def __init__(self, stored: StoredRollout, folder: Path) -> None:
        self._fleet = stored.fleet
        self._shelf = BundleShelf(stored.fleet, folder / "bundles")
        self.policy = Policy(accepted_risks=stored.accepted_risks)
        self.silence = stored.fleet.file.silence
        self.plan: Plan = PAIR
        if stored.fleet.file.plan is not None:
            path = stored.fleet.resolved(stored.fleet.file.plan)
            ensure_unchangeable(path, "plan")
            self.plan = load_plan(path)

    def bundle(self, stop: FleetStop) -> Path:
        """The file of the bundle of a stop; BundlekitError if this host has none."""
        return self._shelf.file(stop.id, stop.bundle)

    def trust(self) -> TrustStore:
        """Whom this host trusts now."""
        from bundlekit.trust import load_trust

        return load_trust([self._fleet.resolved(name) for name in self._fleet.file.trust])

    def advice(self) -> Advice | None:
        """The advisories of the rollout, as they are now; None if it names none."""
        from bundlekit.advisories import load_advisory

        name = self._fleet.file.advisories
        if name is None:
            return None
        return load_advisory(self._fleet.resolved(name), trust=self.trust(), at=wall_clock.now())
