"""The appliance pair as its operator describes it: the contents of a STATE.json.

A state can be stale and is not trusted. It is sufficient to reject a bundle, and to accept one provisionally. The
executor reads everything again before it changes anything.
"""

# Without `from __future__ import annotations`, so that msgspec need not compile each annotation at the first use.

from typing import Annotated, Any, Literal

from msgspec import Meta

from bundlekit.model.primitives import Count, Date, FactName, Frozen, KeyName, Label, Name, Strict, Text, VersionText

STATE_SCHEMA = "bundlekit/state/1"


class Observed(Strict, frozen=True, kw_only=True):
    """When (RFC 3339) and how the state was read."""

    at: Text
    by: Text = ""


class InstalledComponent(Strict, frozen=True, kw_only=True):
    """An installed component that the pair shares, such as the storage software.

    ``free`` is free bytes by place: those of the pair for a shared component, those of the member for a member.
    """

    version: VersionText
    build: VersionText | None = None
    released: Date | None = None
    free: dict[KeyName, Count] = {}


class Member(InstalledComponent, frozen=True, kw_only=True):
    """One appliance of the pair, named by its serial number.

    ``counter`` is the security counter that this member requires.
    """

    role: Literal["active", "standby"]
    counter: Count | None = None


class Appliance(Strict, frozen=True, kw_only=True):
    """An appliance pair: its members by serial number, shared components, and facts.

    A missing value is *unknown*, never zero and never good. ``counter`` is the security counter that the pair requires;
    a higher one of a member takes precedence. ``includes`` are the fixes that the pair has; an empty list means none.
    ``trusts`` are the names of the keys that it trusts. ``provides`` is everything that the update client of a device
    lists as provided, such as ``rootfs-image.version``. A key that is missing there is not provided. ``hold`` is the
    reason why updates are on hold; None or absent means no hold.
    """

    schema: Literal["bundlekit/state/1"]
    pair: Name
    product: Label
    model: Label
    observed: Observed | None = None
    members: Annotated[dict[Name, Member], Meta(min_length=1, max_length=8)]
    components: dict[KeyName, InstalledComponent] = {}
    counter: Count | None = None
    includes: tuple[Name, ...] | None = None
    trusts: tuple[Name, ...] | None = None
    provides: dict[Text, Text] | None = None
    tool: VersionText | None = None
    hold: Text | None = None
    update: Text | None = None
    facts: dict[FactName, Any] = {}


class VersionFacts(Frozen, frozen=True, kw_only=True):
    """Facts about an installed version, known because its bundle is available. None: not known.

    ``components`` are the versions of the components that the pair shares, by name. A missing one is not known.
    """

    released: Date | None = None
    counter: int | None = None
    includes: tuple[str, ...] | None = None
    components: tuple[tuple[str, str], ...] = ()


NO_FACTS = VersionFacts()
"""Only the version is known."""
