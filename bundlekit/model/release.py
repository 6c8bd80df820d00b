"""What a bundle claims to be: the part of its description that every format has, in one shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundlekit.model.manifest import Impact, labelled
from bundlekit.model.primitives import Frozen

if TYPE_CHECKING:
    from bundlekit.model.manifest import Manifest


class Part(Frozen, frozen=True, kw_only=True):
    """A component or document in the bundle, with the digest people compare. ``digest`` is empty if there is none."""

    label: str
    version: str | None = None
    size: int
    digest: str


class Release(Frozen, frozen=True, kw_only=True):
    """What the bundle is, according to its own description.

    ``scheme`` is the version scheme, and empty if the format leaves it open. A format without release date, last day or
    security counter has None there. ``kind`` is ``release`` for formats that know only one.
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
            Part(label=item.label, version=item.version, size=item.stored.size, digest=item.stored.digest)
            for item in labelled(manifest)
        ),
        annotations=manifest.annotations,
    )
