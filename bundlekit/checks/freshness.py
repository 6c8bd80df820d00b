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
    release = context.bundle.release
    if release is None:
        return NO_MANIFEST
    if release.expires is None or context.question.at[:10] <= release.expires:
        return ()
    return [Fault(message=f"the bundle was valid until {release.expires}", params={"expires": release.expires})]


@rule("authenticity", cause="unauthentic", remedy=CURRENT, see="trust")
def too_old(context: RuleContext) -> RuleAnswer:
    """The bundle was released longer ago than the trust file allows (``max-age``).

    An attacker who keeps an appliance from learning of new releases can still offer it old ones.
    """
    release, limit = context.bundle.release, context.question.limits.max_age
    if release is None:
        return NO_MANIFEST
    if limit is None:
        return ()
    if release.released is None:
        return NotRun(reason="the trust file limits the age of a bundle, and this format has no release date")
    age = dt.datetime.fromisoformat(context.question.at) - dt.datetime.fromisoformat(
        f"{release.released}T00:00:00+00:00"
    )
    if age.total_seconds() <= limit:
        return ()
    allowed = duration_in_words(limit)
    message = f"it was released on {release.released}, {age.days} days ago; the trust file allows {allowed}"
    return [Fault(message=message, params={"released": release.released, "days": age.days})]


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
    release = context.bundle.release
    if release is None:
        return NO_MANIFEST
    version, counter = context.question.limits.floors.get(release.product, (None, None))
    found = []
    if counter is not None and release.counter is None:
        return NotRun(reason="the trust file sets a minimum counter, and this bundle has no security counter")
    if counter is not None and release.counter is not None and release.counter < counter:
        message = f"the security counter is {release.counter}, the trust file takes {release.product} from {counter} on"
        found.append(Fault(message=message, params={"counter": release.counter, "floor": counter}))
    if version is not None:
        try:
            declared = context.bundle.manifest.matrix.scheme if context.bundle.manifest else None
            scheme = scheme_named(release.scheme, declared)
            below = scheme.parse(release.version) < scheme.parse(version)
        except VersionError as error:
            return found or NotRun(reason=f"the floor of the trust file cannot be compared: {error}")
        if below:
            message = f"its version is {release.version}; for {release.product} trust takes {version} and up"
            found.append(Fault(message=message, params={"version": release.version, "floor": version}))
    return found


RULES: Final = (bundle_expired, too_old, bundle_withdrawn, below_floor)
