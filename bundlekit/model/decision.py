"""What a matrix says about one appliance and one bundle: a value, the entry that decided, and a way on."""

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
    "already-there",
    "stays",
]
"""The closed list, in the order in which one stands for the whole where several were given.

``undecided``: something has to be known that is not; never a yes. ``already-there``: has this version, while
another part still has to move. ``stays``: the bundle does not carry this part.
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
    "already-there": None,
    "stays": None,
}
"""Why a bundle is refused where that is the decision; None where it is no refusal."""

PRECEDENCE: Final[dict[DecisionKind, int]] = {kind: place for place, kind in enumerate(CAUSES)}


class Acceptance(Frozen, frozen=True, kw_only=True):
    """A risk that somebody accepts: the id of its entry, and the digest of the entry as it was accepted.

    With a ``digest`` it holds only while the entry says the same; without, for the entry as it is now. With
    the id of a ``bundle`` it holds for that bundle only; so the report records every acceptance.
    """

    risk: str
    digest: str = ""
    bundle: str = ""


class Policy(Frozen, frozen=True, kw_only=True):
    """What the operator allows beyond the matrix: separate overrides by name, never one for all.

    ``allow_same_version``: another build of the installed version. ``allow_reinstall``: the installed version
    and build once more. ``allow_downgrade``: an older version, which the matrix must still name as a source.
    A security counter, a product, a block, a stop or a dead end cannot be overridden.
    """

    allow_same_version: bool = False
    allow_reinstall: bool = False
    allow_downgrade: bool = False
    accepted_risks: tuple[Acceptance, ...] = ()


class ComponentDecision(Frozen, frozen=True, kw_only=True):
    """The decision for one part, or one reason that concerns the whole pair.

    ``subject`` is the member's serial, the name of a shared component, the name of the pair, or the version
    (and model) that was asked about. ``component`` is the component it is about; empty: the whole pair.
    ``entry`` is the id of the matrix entry that decided. ``override`` names the policy that allowed what is
    else refused. ``next`` is what to do now.
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
        """Whether the update may go on as far as this is concerned."""
        return bool(self.override) or self.kind in ("upgrade", "already-there", "stays")

    @property
    def refused(self) -> bool:
        """Whether this is a certain no; what is neither allowed nor refused is undecided."""
        return not self.allowed and self.kind != "undecided"

    @property
    def cause(self) -> Cause | None:
        """Why the bundle is refused; None if it is not."""
        return CAUSES[self.kind] if self.refused else None


class Leftover(Frozen, frozen=True, kw_only=True):
    """A state that a failure can leave, and what the executor does about it.

    ``failure`` is what fails: the ``active`` or ``standby`` member, or a component that the pair shares.
    ``components`` are the versions found then; ``works`` says whether they work together, and ``entry`` which
    entry says so. None: the matrix does not say, so they are treated as if not. ``reverts`` are the components
    that the executor brings back, ``keeps`` those it leaves on their new version, ``outcome`` its outcome,
    and ``hold`` whether the pair is on hold afterwards.
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
    """Whether a bundle may be installed, for each part and as a whole.

    ``pair`` is the name of the pair that it is for; empty where only a version was asked about.
    ``rulings`` has one for each member and shared component, and one more for each fault of the pair as
    such; ``whole`` is the one that decides. ``not_judged`` lists what the question left open, and ``left_open``
    what kinds of decision could still come of that; ``accepted`` the risks that were accepted, with their
    digests, ``leftovers`` the states that a failure can leave.
    """

    product: str
    version: str
    pair: str = ""
    whole: ComponentDecision
    rulings: tuple[ComponentDecision, ...]
    leftovers: tuple[Leftover, ...] = ()
    accepted: tuple[Acceptance, ...] = ()
    not_judged: tuple[str, ...] = ()
    left_open: tuple[DecisionKind, ...] = ()

    def about(self, ruling: ComponentDecision, *, several: bool) -> str:
        """What one of the rulings is about: the part, and where there are ``several`` decisions whose."""
        pair = self.pair if several else ""
        return " ".join(dict.fromkeys(filter(None, (pair, ruling.subject, ruling.component))))

    @property
    def kind(self) -> DecisionKind:
        """The decision for the whole."""
        return self.whole.kind

    @property
    def allowed(self) -> bool:
        """Whether every part allows the update: fail closed, so an undecided one does not."""
        return self.whole.allowed
