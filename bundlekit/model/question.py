"""What was asked: it decides which rules are needed, and nothing else does."""

from __future__ import annotations

from bundlekit.model.appliance import Appliance
from bundlekit.model.finding import Scope
from bundlekit.model.primitives import Frozen


class Question(Frozen, frozen=True, kw_only=True):
    """A question about one bundle.

    ``scope``: ``full`` reads the payload, ``head`` only head and signatures. ``trust`` says whether anything
    to trust was given. ``sources`` are installed versions, ``appliance`` a whole installed state. ``digests``
    asks for the plain digests too, ``strict`` makes a warning refuse. ``at`` is the time used, in RFC 3339.
    """

    scope: Scope = "full"
    trust: bool = False
    sources: tuple[str, ...] = ()
    appliance: Appliance | None = None
    digests: bool = False
    strict: bool = False
    at: str
