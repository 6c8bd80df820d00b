"""The request of a check as one value, which goes unchanged from the caller to the rules' question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bundlekit.model.decision import Policy
from bundlekit.model.primitives import Frozen

if TYPE_CHECKING:
    import datetime as dt

    from bundlekit.checks.rule import Rule
    from bundlekit.matrix.operator import OperatorMatrix
    from bundlekit.model.advisory import Advice
    from bundlekit.model.appliance import Appliance
    from bundlekit.model.bundle import BundleFormat
    from bundlekit.model.origin import ConfigUse
    from bundlekit.model.waiver import Waivers
    from bundlekit.trust import TrustStore

STRICT: Final = Policy()
"""No override, no accepted risk."""


class CheckRequest(Frozen, frozen=True, kw_only=True):
    """Everything that :func:`bundlekit.check` is asked, apart from the file.

    - ``trust``: the trusted signers. Without it no bundle is accepted.
    - ``sources``: installed versions, and ``appliances``: installed states, that the bundle is to be installed on.
      Without either, the bundle alone is validated.
    - ``matrices``: upgrade matrices for bundles in formats that carry none (`bundlekit.load_matrices`). The one whose
      ``[release]`` fits the bundle is used.
    - ``policy``: what the operator allows in addition to the matrix.
    - ``advice``: advisories that were signed after the release (`load_advisory`).
    - ``at``: the time to use, with a time zone. The default is now.
    - ``full``: compare the plain digests too, and read the payload even if no trusted signature covers the head.
    - ``strict``: treat warnings as errors.
    - ``warn_within``: seconds; warn of a signature that counts no longer than that (``signer-ends-soon``).
    - ``require_evidence``: demand that each source of the matrix names the record of its test in the bundle.
    - ``bundle_formats``: such as ``("update.bin", "rauc")``. Other formats are rejected (``format-not-allowed``).
      A detached head is an update.bin. Without it, bundles in every format can be accepted.
    - ``waivers``: findings that the operator accepts (`bundlekit.checks.waivers.load_waivers`).
    - ``rules``: the rules to apply. The default is all of them.
    - ``config``: the project file that the request was made from (`bundlekit.project`), for the report.
    """

    trust: TrustStore | None = None
    sources: tuple[str, ...] = ()
    appliances: tuple[Appliance, ...] = ()
    matrices: tuple[OperatorMatrix, ...] = ()
    policy: Policy = STRICT
    advice: Advice | None = None
    at: dt.datetime | None = None
    full: bool = False
    strict: bool = False
    warn_within: int | None = None
    require_evidence: bool = False
    bundle_formats: tuple[BundleFormat, ...] = ()
    waivers: Waivers | None = None
    rules: tuple[Rule, ...] | None = None
    config: ConfigUse | None = None


NOTHING_ASKED: Final = CheckRequest()


def one_request(request: CheckRequest | None, keywords: CheckRequest) -> CheckRequest:
    """The request of a call that takes either a request or keywords. Raises TypeError if both are given."""
    if request is None:
        return keywords
    if keywords != NOTHING_ASKED:
        raise TypeError("the call takes either a CheckRequest or its fields as keywords, not both")
    return request
