"""An upgrade path from the installed version to a target version: its hops, or how far it goes and what blocks it."""

from __future__ import annotations

from msgspec import UNSET, UnsetType, field

from bundlekit.model.advisory import AdvisoryUse
from bundlekit.model.primitives import Frozen


class Move(Frozen, frozen=True, kw_only=True):
    """A part that a hop updates from one version to another: a member by serial number, or a shared component.

    ``component`` is the component. ``entry`` is the id of the matrix entry that allows the update.
    """

    subject: str
    component: str
    from_: str = field(name="from")
    to: str
    entry: str = ""


class Hop(Frozen, frozen=True, kw_only=True):
    """One update of the path.

    ``from_`` and ``to`` are the versions of the component concerned. A plain update graph provides no more, except
    ``risks``, the names of risks that had to be accepted. A hop with a bundle also has the other fields. ``bundle`` is
    the file, and ``id`` is the digest of its head. ``signers`` are its trusted signers; empty means that there are
    none. The remaining fields are why it is allowed, which parts it updates, and the end of its support. ``minutes`` is
    the duration that the matrix expects, or the one in the bundle's impact. None means that neither specifies it.
    ``matrix_file`` and ``matrix_digest`` are set if the operator gave the matrix, which no signature covers.
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
    matrix_file: str | UnsetType = UNSET
    matrix_digest: str | UnsetType = UNSET


class Obstacle(Frozen, frozen=True, kw_only=True):
    """What blocks the path: a decision or a fact about ``subject`` (a bundle, a version), and the next step.

    ``kind`` is the decision's, or ``not-available``, ``unknown-version``, ``no-update-from``, ``no-update-to``,
    ``risk``, ``not-connected``, ``not-authentic``, ``no-matrix`` or ``unused-matrix``.
    ``origin`` is the source of the entry: a matrix, or the advisories.
    """

    subject: str
    kind: str
    message: str
    next: str = ""
    entry: str = ""
    origin: str = "matrix"


class UpgradePath(Frozen, frozen=True, kw_only=True):
    """The result of a path search between two versions.

    ``found``: a path exists, and ``hops`` is the shortest one; it is empty if the target is already installed.
    Otherwise ``nearest`` is the reachable version nearest to the target, or None if that is unknown. ``hops`` then
    leads to it, and ``obstacles`` are what blocks the rest. ``verified``: a trusted signer signed every bundle of the
    path. None means that there are no bundles, as in a plain update graph. ``skipped`` are bundles that could not be
    used. ``accepted`` are the names of accepted risks. ``not_checked`` is what remained open. ``advisories`` are the
    advisories used; None means none.
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
    not_checked: tuple[str, ...] = ()
    skipped: tuple[Obstacle, ...] = ()
    advisories: AdvisoryUse | None = None
