"""What was asked: it decides which rules are needed, and nothing else does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundlekit.model.advisory import Advice
from bundlekit.model.appliance import Appliance
from bundlekit.model.decision import Policy
from bundlekit.model.finding import Scope
from bundlekit.model.primitives import Frozen

if TYPE_CHECKING:
    from bundlekit.model.waiver import Waiver


class Limits(Frozen, frozen=True, kw_only=True):
    """What a trust file refuses however well it is signed, and what it needs to know.

    ``withdrawn``: reasons by bundle id. ``floors``: the lowest version and counter by product. ``max_age``:
    seconds since the release date. ``crls_required``: whether revocation must be known.
    """

    withdrawn: dict[str, str] = {}
    floors: dict[str, tuple[str | None, int | None]] = {}
    max_age: int | None = None
    crls_required: bool = False


class Question(Frozen, frozen=True, kw_only=True):
    """A question about one bundle.

    ``scope``: ``full`` reads the payload, ``head`` only head and signatures. ``trust`` says whether anything
    to trust was given. ``sources`` are installed versions, ``appliances`` whole installed states, ``policy``
    what the operator allows beyond the matrix, ``advice`` what was learnt since the bundle shipped.
    ``digests`` asks for the plain digests too, ``strict`` makes a warning refuse. ``at`` is the time used, in
    RFC 3339; ``at_given`` says that somebody named it, and it is not the clock's. ``limits`` are the trust
    file's, ``waivers`` the operator's, ``waivers_digest`` that of their file.
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
    at_given: bool = False
    limits: Limits = Limits()
    waivers: tuple[Waiver, ...] = ()
    waivers_digest: str | None = None

    @property
    def asks_who(self) -> bool:
        """Whether installed versions or states were asked about, or only the bundle itself."""
        return bool(self.sources or self.appliances)
