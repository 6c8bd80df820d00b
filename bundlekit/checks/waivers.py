"""Read waivers: from the file that the operator named, or from the project file. Never from a bundle."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING

import msgspec

from bundlekit import config, wall_clock
from bundlekit.checks import RULES
from bundlekit.errors import ConfigError
from bundlekit.model.waiver import WaiverFile, Waivers
from bundlekit.schema_errors import first_key, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bundlekit.model.waiver import ProjectWaiver, Waiver


def load_waivers(path: Path) -> Waivers:
    """The waivers in the file at ``path``. Those that have expired are listed apart, and waive nothing.

    The clock decides that, and not the reference time of the check. Raises ConfigError, also for a waiver of a rule
    that cannot be waived.
    """
    where = str(path)
    data = config.load_toml(path)
    if data.get("waivers") != 1:
        found = first_key(data, "waivers")
        raise ConfigError(f"{where}: has {found}; a waivers file begins with waivers = 1")
    file = config.convert(data, WaiverFile, where=where, toml=True)
    for one in file.waive:
        demand_best_practice(one.rule, where)
    return sorted_by_day(file.waive, f"sha256:{hashlib.sha256(msgspec.json.encode(file)).hexdigest()}")


def demand_best_practice(name: str, where: str, *, what: str = "waived") -> None:
    """ConfigError for a rule that is unknown, or that is not a best-practice rule."""
    waivable = {rule.name for rule in RULES if rule.rule_class == "best-practice"}
    classes = {rule.name: rule.rule_class for rule in RULES}
    if name not in classes:
        raise ConfigError(f"{where}: unknown rule {name!r}{nearest(name, waivable)}")
    if name not in waivable:
        raise ConfigError(
            f"{where}: {name} is a rule of class {classes[name]}, which cannot be {what}; "
            f"possible are {', '.join(sorted(waivable))}"
        )


def sorted_by_day(found: Sequence[Waiver | ProjectWaiver], digest: str) -> Waivers:
    """The waivers that count today, and those that have expired. ``digest`` is that of their file."""
    today = _today()
    return Waivers(
        current=tuple(one for one in found if today <= one.expires),
        digest=digest,
        expired=tuple(one for one in found if today > one.expires),
    )


def _today() -> dt.date:
    return wall_clock.now().date()
