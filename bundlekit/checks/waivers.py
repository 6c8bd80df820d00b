"""Read the file of waivers that the operator named. No waiver is read from anywhere else, and never from a bundle."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING

import msgspec

from bundlekit import config
from bundlekit.checks import RULES
from bundlekit.errors import ConfigError
from bundlekit.model.waiver import WaiverFile, Waivers
from bundlekit.schema_errors import first_key, nearest

if TYPE_CHECKING:
    from pathlib import Path


def load_waivers(path: Path) -> Waivers:
    """The waivers in the file at ``path``, without those that have expired.

    The clock decides that, and not the reference time of the check. Raises ConfigError, also for a waiver of a rule
    that cannot be waived.
    """
    where = str(path)
    data = config.load_toml(path)
    if data.get("waivers") != 1:
        found = first_key(data, "waivers")
        raise ConfigError(f"{where}: has {found}; a waivers file begins with waivers = 1")
    file = config.convert(data, WaiverFile, where=where, toml=True)
    waivable = {rule.name for rule in RULES if rule.rule_class == "best-practice"}
    classes = {rule.name: rule.rule_class for rule in RULES}
    for one in file.waive:
        if one.rule not in classes:
            raise ConfigError(f"{where}: unknown rule {one.rule!r}{nearest(one.rule, waivable)}")
        if one.rule not in waivable:
            raise ConfigError(
                f"{where}: {one.rule} is a rule of class {classes[one.rule]}, which cannot be waived; "
                f"waivers are possible for {', '.join(sorted(waivable))}"
            )
    today = _today()
    return Waivers(
        current=tuple(one for one in file.waive if today <= one.expires),
        digest=f"sha256:{hashlib.sha256(msgspec.json.encode(file)).hexdigest()}",
    )


def _today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()
