"""The manifest: what the signed head of a bundle says about the release, its payload and its upgrade paths.

Declared once: the strict reader, the writer and the published JSON Schema (``bundlekit schema manifest``)
all come from these classes. The format page (``bundlekit explain format``) says how it is encoded.
"""

# Without `from __future__ import annotations`, so that msgspec need not compile each of them at the first use.

from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from bundlekit.model.matrix import Condition, Matrix
from bundlekit.model.primitives import (
    Count,
    Date,
    DigestText,
    Frozen,
    Key,
    Minutes,
    Name,
    Size,
    Strict,
    Text,
    VersionText,
)

MIN_CHUNK: Final = 64 * 1024
MAX_CHUNK: Final = 64 * 1024 * 1024
DEFAULT_CHUNK: Final = 1024 * 1024

Scheme = Literal["pep440", "semver", "dotted", "declared"]
Kind = Literal["release", "hotfix", "reimage"]


Features = Annotated[tuple[Key, ...], Meta(max_length=64)]


class FormatVersion(Strict, frozen=True, kw_only=True):
    """The version of the manifest's schema; a higher minor may add fields, a higher major may change all."""

    major: Annotated[int, Meta(ge=1, le=65535)]
    minor: Annotated[int, Meta(ge=0, le=65535)]


class Stored(Strict, frozen=True, kw_only=True):
    """Bytes stored in the bundle: ``size`` bytes, cut into chunks whose digests are in a chunk index.

    ``digest`` is the plain digest people compare with ``sha256sum``; ``index`` is the digest of the chunk
    index, and its algorithm is the one of the chunks.
    """

    size: Size
    digest: DigestText
    chunk_size: Annotated[int, Meta(ge=MIN_CHUNK, le=MAX_CHUNK)] = DEFAULT_CHUNK
    index: DigestText


class Image(Stored, frozen=True, kw_only=True):
    """The image of a component for some models; without ``models``, for every model of the bundle."""

    models: Annotated[tuple[Name, ...], Meta(max_length=64)] = ()


class Component(Strict, frozen=True, kw_only=True):
    """A part of the appliance that is updated on its own: the appliance software, the storage software."""

    name: Key
    version: VersionText
    scheme: Scheme | None = None
    images: Annotated[tuple[Image, ...], Meta(min_length=1, max_length=64)]


class Document(Stored, frozen=True, kw_only=True):
    """A document that travels with the release: release notes, EULA, SBOM."""

    name: Key
    media_type: Text = "application/octet-stream"


class Impact(Strict, frozen=True, kw_only=True):
    """What an operator has to plan for. Minutes are for the whole pair."""

    service: Literal["none", "rolling", "outage"] | None = None
    reboot: bool | None = None
    minutes: Minutes | None = None
    revert_minutes: Minutes | None = None


class Requirements(Strict, frozen=True, kw_only=True):
    """What must hold on the pair before an update: the tool's version, free bytes per place, facts."""

    tool: VersionText | None = None
    free: Annotated[dict[Key, Count], Meta(max_length=64)] = {}
    facts: Annotated[tuple[Condition, ...], Meta(max_length=64)] = ()


class Manifest(Strict, frozen=True, kw_only=True):
    """The whole manifest of format 1.0.

    ``requires`` names features a reader must know, or it cannot judge; ``extensions`` carries what a reader
    may not understand and then says so; ``annotations`` are signed and ignored by every rule. ``counter``
    is the security counter against going back, raised on the appliance when an update commits.
    """

    format: FormatVersion
    requires: Features = ()
    extensions: Annotated[dict[Key, Any], Meta(max_length=64)] = {}
    annotations: Annotated[dict[Key, Text], Meta(max_length=256)] = {}
    kind: Kind
    product: Name
    models: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=64)]
    version: VersionText
    scheme: Scheme
    build: VersionText | None = None
    released: Date
    expires: Date | None = None
    counter: Count
    includes: Annotated[tuple[Name, ...], Meta(max_length=8192)] = ()
    impact: Impact = Impact()
    components: Annotated[tuple[Component, ...], Meta(min_length=1, max_length=64)]
    documents: Annotated[tuple[Document, ...], Meta(max_length=64)] = ()
    requirements: Requirements = Requirements()
    matrix: Matrix = Matrix()


class Labelled(Frozen, frozen=True, kw_only=True):
    """Something stored in the payload under the name people use; ``version`` is its component's.

    ``path`` says where the manifest describes it, such as ``components[0].images[1]``.
    """

    label: str
    path: str
    version: str | None
    stored: Stored


def labelled(manifest: Manifest) -> tuple[Labelled, ...]:
    """Everything stored in the payload, in the order in which it is stored.

    An image for every model has its component's name (``storage``), others add their models
    (``appliance/im-100``, ``appliance/im-100+im-200``); a document has its own name.
    """
    images = (
        Labelled(
            label="/".join(filter(None, (component.name, "+".join(image.models)))),
            path=f"components[{number}].images[{place}]",
            version=component.version,
            stored=image,
        )
        for number, component in enumerate(manifest.components)
        for place, image in enumerate(component.images)
    )
    documents = (
        Labelled(label=item.name, path=f"documents[{number}]", version=None, stored=item)
        for number, item in enumerate(manifest.documents)
    )
    return (*images, *documents)
