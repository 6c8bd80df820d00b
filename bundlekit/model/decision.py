"""The decision of a matrix about one appliance and one bundle: a value, the entry that decided, and the next step."""

from __future__ import annotations

from typing import Final, Literal

from bundlekit.model.finding import Cause
from bundlekit.model.primitives import Frozen

DecisionKind = Literal[
    "wrong-product",
    "wrong-model",
    "on-hold",
    "update-pending",
    "reimage-only",
    "withdrawn",
    "unreadable-version",
    "downgrade",
    "same-version",
    "same-version-other-build",
    "counter-too-low",
    "back-in-time",
    "unknown-version",
    "dead-end",
    "blocked",
    "needs-stop",
    "unsupported-source",
    "cannot-verify",
    "risk",
    "loses-fix",
    "incompatible",
    "requirement-not-met",
    "undecided",
    "upgrade",
    "already-installed",
    "not-included",
]
"""The closed list, in order of precedence: the first one present becomes the decision for the whole.

``undecided``: a required fact is unknown; never an acceptance. ``already-installed``: this part has the version, while
another part still has to be updated. ``not-included``: the bundle does not contain this part.
"""

CAUSES: Final[dict[DecisionKind, Cause | None]] = {
    "wrong-product": "wrong-product",
    "wrong-model": "wrong-product",
    "on-hold": "on-hold",
    "update-pending": "on-hold",
    "reimage-only": "unsupported-source",
    "withdrawn": "unsupported-source",
    "unreadable-version": "unsupported-source",
    "downgrade": "not-newer",
    "same-version": "not-newer",
    "same-version-other-build": "not-newer",
    "counter-too-low": "not-newer",
    "back-in-time": "not-newer",
    "unknown-version": "unsupported-source",
    "dead-end": "unsupported-source",
    "blocked": "unsupported-source",
    "needs-stop": "unsupported-source",
    "unsupported-source": "unsupported-source",
    "cannot-verify": "unsupported-source",
    "risk": "requirements",
    "loses-fix": "requirements",
    "incompatible": "unsupported-source",
    "requirement-not-met": "requirements",
    "undecided": None,
    "upgrade": None,
    "already-installed": None,
    "not-included": None,
}
"""Why a bundle is rejected with that decision; None if the decision does not reject it."""

PRECEDENCE: Final[dict[DecisionKind, int]] = {kind: place for place, kind in enumerate(CAUSES)}


class Acceptance(Frozen, frozen=True, kw_only=True):
    """A risk that the operator accepts: the id of its entry, and the digest of the entry at that time.

    With a ``digest`` the acceptance is valid only while the entry is unchanged; without one, for the entry as it is
    now. With the id of a ``bundle`` it is valid only for that bundle. The report records every acceptance in that form.
    """

    risk: str
    digest: str = ""
    bundle: str = ""


class Policy(Frozen, frozen=True, kw_only=True):
    """What the operator allows beyond the matrix: separate overrides by name, never one for all.

    ``allow_same_version``: another build of the installed version. ``allow_reinstall``: the installed version and build
    again. ``allow_downgrade``: an older version, which the matrix must still list as a source. A security counter, a
    product, a block, a stop or a dead end cannot be overridden.
    """

    allow_same_version: bool = False
    allow_reinstall: bool = False
    allow_downgrade: bool = False
    accepted_risks: tuple[Acceptance, ...] = ()


class ComponentDecision(Frozen, frozen=True, kw_only=True):
    """The decision for one part, or one reason that concerns the whole pair.

    ``subject`` is the serial number of the member, the name of a shared component, or the name of the pair. If the
    request names only versions, it is the version (and model). ``component`` is the component concerned; empty means
    the whole pair. ``entry`` is the id of the matrix entry that decided. ``override`` is the policy that allowed an
    otherwise rejected update. ``next`` is the next step.
    """

    subject: str
    component: str = ""
    kind: DecisionKind
    message: str
    next: str = ""
    entry: str = ""
    installed: str = ""
    target: str = ""
    override: str = ""

    @property
    def allowed(self) -> bool:
        """Whether this decision allows the update to continue."""
        return bool(self.override) or self.kind in ("upgrade", "already-installed", "not-included")

    @property
    def rejected(self) -> bool:
        """Whether this is a definite rejection. A decision that neither allows nor rejects is undecided."""
        return not self.allowed and self.kind != "undecided"

    @property
    def cause(self) -> Cause | None:
        """Why the bundle is rejected; None if it is not."""
        return CAUSES[self.kind] if self.rejected else None


class PartialFailureState(Frozen, frozen=True, kw_only=True):
    """A state that a failure can leave, and what the executor does about it.

    ``failure`` is the part that fails: the ``active`` or ``standby`` member, or a component that the pair shares.
    ``components`` are the versions found then. ``works`` is whether they work together, and ``entry`` is the entry that
    specifies it. None means that the matrix does not specify it; they are then treated as incompatible. ``reverts`` are
    the components that the executor reverts, and ``keeps`` those that stay on their new version. ``outcome`` is its
    outcome. ``hold`` is whether the pair is on hold afterwards.
    """

    failure: str
    components: dict[str, str]
    works: bool | None
    entry: str = ""
    reverts: tuple[str, ...] = ()
    keeps: tuple[str, ...] = ()
    outcome: Literal["reverted", "degraded"]
    hold: bool = False
    message: str


class Decision(Frozen, frozen=True, kw_only=True):
    """Whether a bundle can be installed, for each part and as a whole.

    ``pair`` is the name of the pair; empty if the request names only a version. ``component_decisions`` has one entry
    for each member, each shared component, and each fault of the pair as a whole. ``overall`` is the one that decides.
    ``not_checked`` lists what the request left open. ``possible_kinds`` lists the kinds of decision that could still
    result from that. ``accepted`` are the accepted risks with their digests. ``partial_failures`` are the states that a
    failure can leave.
    """

    product: str
    version: str
    pair: str = ""
    overall: ComponentDecision
    component_decisions: tuple[ComponentDecision, ...]
    partial_failures: tuple[PartialFailureState, ...] = ()
    accepted: tuple[Acceptance, ...] = ()
    not_checked: tuple[str, ...] = ()
    possible_kinds: tuple[DecisionKind, ...] = ()

    def about(self, component_decision: ComponentDecision, *, several: bool) -> str:
        """The subject of a component decision: the part, and with ``several`` decisions also the pair or version."""
        pair = self.pair if several else ""
        return " ".join(dict.fromkeys(filter(None, (pair, component_decision.subject, component_decision.component))))

    @property
    def kind(self) -> DecisionKind:
        """The decision for the whole."""
        return self.overall.kind

    @property
    def allowed(self) -> bool:
        """Whether every part allows the update. An undecided part does not (fail closed)."""
        return self.overall.allowed
