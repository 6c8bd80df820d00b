"""What a bundle claims to be: the part of its description that every format has, in one shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import UNSET, UnsetType

from bundlekit.model.manifest import Document, Impact, labelled
from bundlekit.model.primitives import Frozen

if TYPE_CHECKING:
    from bundlekit.model.manifest import Manifest


class Part(Frozen, frozen=True, kw_only=True):
    """A component or document in the bundle, with the digest people compare. ``digest`` is empty if there is none.

    ``media_type`` is set for a document (RFC 6838).
    """

    label: str
    version: str | None = None
    size: int
    digest: str
    media_type: str | UnsetType = UNSET


class Demand(Frozen, frozen=True, kw_only=True, omit_defaults=True):
    """A demand on the appliance that the format of the bundle states. All conditions that are set must hold.

    ``on`` is what it is about: the installed ``version``, a value ``key`` that the device ``provides``, or the fact
    ``key``. ``one_of`` are the allowed texts. ``at_least`` and ``at_most`` are versions. ``own_limit``: the device has
    that limit in its own configuration, and many devices have none. An unknown limit is therefore left open.
    """

    on: Literal["version", "provides", "fact"]
    key: str = ""
    one_of: tuple[str, ...] | None = None
    at_least: str = ""
    at_most: str = ""
    own_limit: bool = False


class HardwareList(Frozen, frozen=True, kw_only=True, omit_defaults=True):
    """Hardware revisions that the bundle is for, and on which devices this list is used.

    ``board`` is the name of the board, and ``selection`` and ``mode`` are what the device is configured to. Each is
    empty if the list is for all of them. A revision that begins with ``#RE:`` is an extended regular expression
    (POSIX).
    """

    board: str = ""
    selection: str = ""
    mode: str = ""
    revisions: tuple[str, ...]


class Terms(Frozen, frozen=True, kw_only=True, omit_defaults=True):
    """What the format of the bundle itself states about the appliance: before the update, and after it.

    ``provides`` are the values that the device provides after the update. ``clears`` are patterns (``*`` is any text)
    of the values that it provides no longer; None means all of them. ``unnamed``: the format has no name of a product.
    The product of the release is a substitute for it, and is not compared with that of an appliance. ``hardware`` are
    lists of revisions, if these differ between devices or are patterns.
    """

    demands: tuple[Demand, ...] = ()
    provides: dict[str, str] = {}
    clears: tuple[str, ...] | None = ()
    unnamed: bool = False
    hardware: tuple[HardwareList, ...] = ()


NO_TERMS = Terms()
"""The format states nothing about the appliance."""


class Release(Frozen, frozen=True, kw_only=True):
    """What the bundle is, according to its own description.

    ``scheme`` is the version scheme, and empty if the format leaves it open. A format without release date, last day or
    security counter has None there. ``kind`` is ``release`` for formats that know only one. ``terms`` are set if the
    format itself states conditions.
    """

    product: str
    kind: str = "release"
    version: str
    build: str | None = None
    scheme: str = ""
    models: tuple[str, ...] = ()
    released: str | None = None
    expires: str | None = None
    counter: int | None = None
    includes: tuple[str, ...] = ()
    impact: Impact = Impact()
    parts: tuple[Part, ...] = ()
    annotations: dict[str, str] = {}
    terms: Terms | UnsetType = UNSET


def release_of(manifest: Manifest) -> Release:
    """What the bundle is, according to the manifest of an update.bin."""
    return Release(
        product=manifest.product,
        kind=manifest.kind,
        version=manifest.version,
        build=manifest.build,
        scheme=manifest.scheme,
        models=manifest.models,
        released=manifest.released,
        expires=manifest.expires,
        counter=manifest.counter,
        includes=manifest.includes,
        impact=manifest.impact,
        parts=tuple(
            Part(
                label=item.label,
                version=item.version,
                size=item.stored.size,
                digest=item.stored.digest,
                media_type=item.stored.media_type if isinstance(item.stored, Document) else UNSET,
            )
            for item in labelled(manifest)
        ),
        annotations=manifest.annotations,
    )
