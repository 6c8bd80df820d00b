"""The request as the rules see it. It alone determines which rules are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundlekit.model.advisory import Advice
from bundlekit.model.appliance import Appliance
from bundlekit.model.bundle import BundleFormat
from bundlekit.model.decision import Policy
from bundlekit.model.finding import Scope
from bundlekit.model.primitives import Frozen

if TYPE_CHECKING:
    from bundlekit.model.waiver import ProjectWaiver, Waiver


class Limits(Frozen, frozen=True, kw_only=True):
    """What a trust file rejects regardless of signatures, and the evidence that it requires.

    ``withdrawn``: reasons by bundle id. ``floors``: the lowest version and counter by product. ``max_age``: seconds
    since the release date. ``crls_required``: whether the revocation status must be known.
    """

    withdrawn: dict[str, str] = {}
    floors: dict[str, tuple[str | None, int | None]] = {}
    max_age: int | None = None
    crls_required: bool = False


class Question(Frozen, frozen=True, kw_only=True):
    """A request about one bundle.

    ``scope``: ``full`` reads the payload, ``head`` only head and signatures. ``trust`` is whether trust anchors were
    given. ``sources`` are installed versions, and ``appliances`` whole installed states. ``matrix`` is the digest of a
    matrix that the operator gave, and ``matrix_file`` its name. ``other_matrices`` are those given for other releases
    only. ``policy`` is what the operator allows beyond the matrix. ``advice`` are advisories signed since the bundle
    shipped. ``digests`` requests the plain digests too. ``strict`` makes a warning reject. ``warn_within`` are
    the seconds within which the end of a signature is a warning; None for no such warning. ``require_evidence`` demands
    records of tests. ``bundle_formats`` are those that are accepted, and none means all of them. ``at`` is the
    reference time, in RFC 3339. ``at_given`` means that the caller gave it; otherwise it is from the clock. ``limits``
    are those of the trust file. ``waivers`` are the operator's, without the ``expired_waivers``. ``waivers_digest`` is
    the digest of their file.
    """

    scope: Scope = "full"
    trust: bool = False
    sources: tuple[str, ...] = ()
    appliances: tuple[Appliance, ...] = ()
    matrix: str | None = None
    matrix_file: str = ""
    other_matrices: tuple[str, ...] = ()
    policy: Policy = Policy()
    advice: Advice | None = None
    digests: bool = False
    strict: bool = False
    warn_within: int | None = None
    require_evidence: bool = False
    bundle_formats: tuple[BundleFormat, ...] = ()
    at: str
    at_given: bool = False
    limits: Limits = Limits()
    waivers: tuple[Waiver | ProjectWaiver, ...] = ()
    expired_waivers: tuple[Waiver | ProjectWaiver, ...] = ()
    waivers_digest: str | None = None

    @property
    def asks_who(self) -> bool:
        """Whether the request names installed versions or states, and not only the bundle itself."""
        return bool(self.sources or self.appliances)
