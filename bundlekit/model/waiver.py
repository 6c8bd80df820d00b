"""Waivers: an operator accepts a finding of a best-practice rule, by name, for one bundle, until a day."""

# Without `from __future__ import annotations`, so that msgspec need not compile each annotation at the first use.

import datetime as dt
from typing import Annotated, Literal

from msgspec import Meta

from bundlekit.model.primitives import BundleId, Frozen, KeyName, Name, Strict

Reason = Annotated[str, Meta(min_length=1, max_length=1024, pattern=r"^[^\u0000-\u001f\u007f-\u009f]*\S")]


class Waiver(Strict, frozen=True, kw_only=True):
    """One waiver. ``expires`` is its last day. ``bundle`` is the id of the bundle concerned."""

    rule: KeyName
    reason: Reason
    expires: dt.date
    product: Name
    bundle: BundleId


class WaiverFile(Strict, frozen=True, kw_only=True):
    """The whole of a waiver file, version 1."""

    waivers: Literal[1]
    waive: Annotated[tuple[Waiver, ...], Meta(max_length=256)] = ()


class ProjectWaiver(Strict, frozen=True, kw_only=True):
    """One waiver of a project file. Without ``product`` or ``bundle`` it is for every bundle of the project."""

    rule: KeyName
    reason: Reason
    expires: dt.date
    product: Name | None = None
    bundle: BundleId | None = None


class Waivers(Frozen, frozen=True, kw_only=True):
    """Waivers as read, and the digest of the whole file. The clock decides which have expired."""

    current: tuple[Waiver | ProjectWaiver, ...]
    digest: str
    expired: tuple[Waiver | ProjectWaiver, ...] = ()
