"""A way from what is installed to a wanted version: its hops, or how far it goes and what is in the way."""

from __future__ import annotations

from msgspec import field

from bundlekit.model.advisory import AdvisoryUse
from bundlekit.model.primitives import Frozen


class Move(Frozen, frozen=True, kw_only=True):
    """A part that a hop brings from one version to another: a member by serial, or a shared component.

    ``component`` is the component; ``entry`` the id of the matrix entry that allows it.
    """

    subject: str
    component: str
    from_: str = field(name="from")
    to: str
    entry: str = ""


class Hop(Frozen, frozen=True, kw_only=True):
    """One update on the way.

    ``from_`` and ``to`` are the versions of the component that the hop is about. In a plain update graph
    that is all there is, but for ``risks``, the names of risks that had to be accepted. A hop with a bundle
    names it (``bundle`` the file, ``id`` the digest of its head), who signed it (``signers``; empty: nobody
    who is trusted), why it is allowed, what it moves, and the end of its support. ``minutes`` is what the
    matrix expects of it, or the bundle's impact; None: neither says.
    """

    from_: str = field(name="from")
    to: str
    bundle: str = ""
    id: str = ""
    component: str = ""
    reason: str = ""
    entry: str = ""
    method: str = ""
    minutes: int | None = None
    signers: tuple[str, ...] = ()
    supported_until: str = ""
    risks: tuple[str, ...] = ()
    moves: tuple[Move, ...] = ()


class Obstacle(Frozen, frozen=True, kw_only=True):
    """What keeps the way from going on: a decision or a fact about ``subject`` (a bundle, a version), and what then.

    ``kind`` is the decision's, or ``not-in-hand``, ``unknown-version``, ``no-update-from``, ``no-update-to``, ``risk``,
    ``not-connected`` or ``not-authentic``. ``origin`` is where the entry stands: in a matrix, or in the advisories.
    """

    subject: str
    kind: str
    message: str
    next: str = ""
    entry: str = ""
    origin: str = "matrix"


class Path(Frozen, frozen=True, kw_only=True):
    """The answer to: how does one get from here to there?

    ``found``: there is a way, and ``hops`` is the shortest (none: already there). Otherwise ``nearest`` is
    the version nearest to the wanted one that can be reached (None: it cannot be told), ``hops`` the way there, and
    ``obstacles`` say what blocks the rest. ``verified``: every bundle on the way is vouched for by somebody
    trusted; None where there are no bundles, in a plain update graph. ``left_out`` are bundles that could not
    be used, ``accepted`` the names of risks that were accepted, ``not_judged`` what remained open,
    ``advisories`` which advisories were used (None: none were).
    """

    from_: str = field(name="from")
    to: str
    found: bool
    verified: bool | None = None
    hops: tuple[Hop, ...] = ()
    minutes: int | None = None
    nearest: str | None = None
    obstacles: tuple[Obstacle, ...] = ()
    accepted: tuple[str, ...] = ()
    not_judged: tuple[str, ...] = ()
    left_out: tuple[Obstacle, ...] = ()
    advisories: AdvisoryUse | None = None
