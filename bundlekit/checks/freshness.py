"""Rules about correctly signed bundles that must not be installed: too old, withdrawn, or below a minimum version.

An old bundle with a valid signature can be used in an attack: it reintroduces faults that were fixed since.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

from bundlekit.checks.layout import NO_HEAD, NO_MANIFEST
from bundlekit.checks.rule import RuleAnswer, RuleContext, rule
from bundlekit.config import duration_in_words
from bundlekit.errors import VersionError
from bundlekit.model.finding import Fault, NotRun
from bundlekit.versions import scheme_named

CURRENT: Final = "Get the vendor's current release."


@rule("authenticity", cause="unauthentic", remedy=CURRENT, see="trust")
def bundle_expired(context: RuleContext) -> RuleAnswer:
    """The bundle is past its own expiry date.

    An old bundle with a valid signature can be used in an attack: it reintroduces faults that were fixed since.
    """
    manifest = context.bundle.manifest
    if manifest is None:
        return NO_MANIFEST
    if manifest.expires is None or context.question.at[:10] <= manifest.expires:
        return ()
    return [Fault(message=f"the bundle was valid until {manifest.expires}", params={"expires": manifest.expires})]


@rule("authenticity", cause="unauthentic", remedy=CURRENT, see="trust")
def too_old(context: RuleContext) -> RuleAnswer:
    """The bundle was released longer ago than the trust file allows (``max-age``).

    An attacker who keeps an appliance from learning of new releases can still offer it old ones.
    """
    manifest, limit = context.bundle.manifest, context.question.limits.max_age
    if manifest is None:
        return NO_MANIFEST
    if limit is None:
        return ()
    age = dt.datetime.fromisoformat(context.question.at) - dt.datetime.fromisoformat(
        f"{manifest.released}T00:00:00+00:00"
    )
    if age.total_seconds() <= limit:
        return ()
    allowed = duration_in_words(limit)
    message = f"it was released on {manifest.released}, {age.days} days ago; the trust file allows {allowed}"
    return [Fault(message=message, params={"released": manifest.released, "days": age.days})]


@rule("authenticity", cause="unauthentic", remedy=CURRENT, see="trust")
def bundle_withdrawn(context: RuleContext) -> RuleAnswer:
    """The bundle was withdrawn: the trust file lists its id as withdrawn."""
    withdrawn = context.question.limits.withdrawn
    if context.bundle.id is None:
        return NO_HEAD
    if context.bundle.id not in withdrawn:
        return ()
    return [Fault(message=f"this bundle was withdrawn: {withdrawn[context.bundle.id]}", where=context.bundle.head)]


@rule("authenticity", cause="unauthentic", remedy=CURRENT, see="trust")
def below_floor(context: RuleContext) -> RuleAnswer:
    """The version or security counter of the bundle is below the minimum that the trust file sets for this product.

    An old bundle with a valid signature can be used in an attack. The minimum lets an operator exclude it permanently.
    """
    manifest = context.bundle.manifest
    if manifest is None:
        return NO_MANIFEST
    version, counter = context.question.limits.floors.get(manifest.product, (None, None))
    found = []
    if counter is not None and manifest.counter < counter:
        message = (
            f"the security counter is {manifest.counter}, the trust file takes {manifest.product} from {counter} on"
        )
        found.append(Fault(message=message, params={"counter": manifest.counter, "floor": counter}))
    if version is not None:
        try:
            scheme = scheme_named(manifest.scheme, manifest.matrix.scheme)
            below = scheme.parse(manifest.version) < scheme.parse(version)
        except VersionError as error:
            return found or NotRun(because=f"the floor of the trust file cannot be compared: {error}")
        if below:
            message = f"its version is {manifest.version}; for {manifest.product} trust takes {version} and up"
            found.append(Fault(message=message, params={"version": manifest.version, "floor": version}))
    return found


RULES: Final = (bundle_expired, too_old, bundle_withdrawn, below_floor)
