"""The appliance pair as its owner describes it: the contents of a STATE.json.

A state is stale and untrusted by nature. It is good enough to say no, and to say yes for now; the executor
reads everything again before it touches anything.
"""

# Without `from __future__ import annotations`, so that msgspec need not compile each of them at the first use.

from typing import Annotated, Any, Literal

from msgspec import Meta

from bundlekit.model.primitives import Count, Date, FactName, Frozen, Key, Name, Strict, Text, VersionText

STATE_SCHEMA = "bundlekit/state/1"


class Observed(Strict, frozen=True, kw_only=True):
    """When (RFC 3339) and by what means the state was read."""

    at: Text
    by: Text = ""


class InstalledComponent(Strict, frozen=True, kw_only=True):
    """A component as it is installed: one that the pair shares, such as the storage software.

    ``free`` is free bytes by place: of a shared component what the pair has, of a member what that member has.
    """

    version: VersionText
    build: VersionText | None = None
    released: Date | None = None
    free: dict[Key, Count] = {}


class Member(InstalledComponent, frozen=True, kw_only=True):
    """One appliance of the pair, named by its serial.

    ``counter`` is the security counter this member demands.
    """

    role: Literal["active", "standby"]
    counter: Count | None = None


class Appliance(Strict, frozen=True, kw_only=True):
    """An appliance pair: its members by serial, shared components, and facts.

    What is absent is *unknown*, never zero and never fine. ``counter`` is the security counter the pair
    demands (its highest member's, where a member demands more), ``includes`` the fixes it has (an empty list:
    none), ``trusts`` the key names it trusts, ``hold`` why updates are on hold (None or absent: no hold).
    """

    schema: Literal["bundlekit/state/1"]
    pair: Name
    product: Name
    model: Name
    observed: Observed | None = None
    members: Annotated[dict[Name, Member], Meta(min_length=1, max_length=8)]
    components: dict[Key, InstalledComponent] = {}
    counter: Count | None = None
    includes: tuple[Name, ...] | None = None
    trusts: tuple[Name, ...] | None = None
    tool: VersionText | None = None
    hold: Text | None = None
    update: Text | None = None
    facts: dict[FactName, Any] = {}


class VersionFacts(Frozen, frozen=True, kw_only=True):
    """What is known of an installed version because the bundle it came from is available; None: not known.

    ``components`` are the versions of what the pair shares, by name; one that is missing is not known.
    """

    released: Date | None = None
    counter: int | None = None
    includes: tuple[str, ...] | None = None
    components: tuple[tuple[str, str], ...] = ()


NO_FACTS = VersionFacts()
"""Nothing but the version is known."""
