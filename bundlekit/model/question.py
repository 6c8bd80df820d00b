"""What was asked: it decides which rules are needed, and nothing else does."""

from __future__ import annotations

from bundlekit.model.advisory import Advice
from bundlekit.model.appliance import Appliance
from bundlekit.model.decision import Policy
from bundlekit.model.finding import Scope
from bundlekit.model.primitives import Frozen


class Question(Frozen, frozen=True, kw_only=True):
    """A question about one bundle.

    ``scope``: ``full`` reads the payload, ``head`` only head and signatures. ``trust`` says whether anything
    to trust was given. ``sources`` are installed versions, ``appliances`` whole installed states, ``policy``
    what the operator allows beyond the matrix, ``advice`` what was learnt since the bundle shipped.
    ``digests`` asks for the plain digests too, ``strict`` makes a warning refuse. ``at`` is the time used, in
    RFC 3339.
    """

    scope: Scope = "full"
    trust: bool = False
    sources: tuple[str, ...] = ()
    appliances: tuple[Appliance, ...] = ()
    policy: Policy = Policy()
    advice: Advice | None = None
    digests: bool = False
    strict: bool = False
    at: str

    @property
    def asks_who(self) -> bool:
        """Whether installed versions or states were asked about, or only the bundle itself."""
        return bool(self.sources or self.appliances)
