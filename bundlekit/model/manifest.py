"""The manifest: the signed description of the release, its payload and its upgrade paths.

It is declared once. The strict reader, the writer and the published JSON Schema (``bundlekit schema manifest``) all
come from these classes. The format page (``bundlekit explain format``) describes the encoding.
"""

# Without `from __future__ import annotations`, so that msgspec need not compile each annotation at the first use.

from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from bundlekit.model.matrix import Condition, Matrix
from bundlekit.model.primitives import (
    Count,
    Date,
    DigestText,
    FileName,
    Frozen,
    KeyName,
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

SchemeName = Literal["pep440", "semver", "dotted", "declared"]
ReleaseKind = Literal["release", "hotfix", "reimage"]


Features = Annotated[tuple[KeyName, ...], Meta(max_length=64)]


class FormatVersion(Strict, frozen=True, kw_only=True):
    """The version of the manifest's schema.

    A higher minor version can add fields; a higher major version can change all.
    """

    major: Annotated[int, Meta(ge=1, le=65535)]
    minor: Annotated[int, Meta(ge=0, le=65535)]


class Stored(Strict, frozen=True, kw_only=True):
    """Bytes stored in the bundle: ``size`` bytes, divided into chunks whose digests are in a chunk index.

    ``digest`` is the plain digest, as ``sha256sum`` prints it. ``index`` is the digest of the chunk index. The chunks
    use the same algorithm as the index. ``file`` (from 1.1 on) is set in a detached head: the bytes are in a file of
    that name.
    """

    size: Size
    digest: DigestText
    chunk_size: Annotated[int, Meta(ge=MIN_CHUNK, le=MAX_CHUNK)] = DEFAULT_CHUNK
    index: DigestText
    file: FileName | None = None


class Image(Stored, frozen=True, kw_only=True):
    """The image of a component for some models; without ``models``, for every model of the bundle."""

    models: Annotated[tuple[Name, ...], Meta(max_length=64)] = ()


class Component(Strict, frozen=True, kw_only=True):
    """A part of the appliance that is updated separately, such as the appliance software or the storage software.

    ``format`` (from 1.1 on) demands that its images are bundles in another format, such as ``rauc``. The rules of that
    format are then applied to them as well.
    """

    name: KeyName
    version: VersionText
    scheme: SchemeName | None = None
    format: KeyName | None = None
    images: Annotated[tuple[Image, ...], Meta(min_length=1, max_length=64)]


class Document(Stored, frozen=True, kw_only=True):
    """A document that is shipped with the release: release notes, EULA, SBOM."""

    name: KeyName
    media_type: Text = "application/octet-stream"


class Impact(Strict, frozen=True, kw_only=True):
    """The effects of the update that an operator must plan for. Minutes are for the whole pair."""

    service: Literal["none", "rolling", "outage"] | None = None
    reboot: bool | None = None
    minutes: Minutes | None = None
    revert_minutes: Minutes | None = None


class Requirements(Strict, frozen=True, kw_only=True):
    """The conditions on the pair before an update: the version of the tool, free bytes per place, facts."""

    tool: VersionText | None = None
    free: Annotated[dict[KeyName, Count], Meta(max_length=64)] = {}
    facts: Annotated[tuple[Condition, ...], Meta(max_length=64)] = ()


class Manifest(Strict, frozen=True, kw_only=True):
    """The whole manifest, of format 1.0 or 1.1. Version 1.1 adds ``file`` and ``format``.

    ``requires`` names features that a reader must support to validate the bundle. ``extensions`` contains data that a
    reader can ignore, if it reports that. ``annotations`` are signed and ignored by every rule. ``counter`` is the
    security counter against downgrades. The appliance raises its own counter to it when an update commits.
    """

    format: FormatVersion
    requires: Features = ()
    extensions: Annotated[dict[KeyName, Any], Meta(max_length=64)] = {}
    annotations: Annotated[dict[KeyName, Text], Meta(max_length=256)] = {}
    kind: ReleaseKind
    product: Name
    models: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=64)]
    version: VersionText
    scheme: SchemeName
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
    """An item stored in the payload, under the name that people use. ``version`` is that of its component.

    ``path`` is its place in the manifest, such as ``components[0].images[1]``. ``format`` is that of its component.
    """

    label: str
    path: str
    version: str | None
    stored: Stored
    format: str | None = None


def labelled(manifest: Manifest) -> tuple[Labelled, ...]:
    """Everything stored in the payload, in storage order.

    An image for every model has the name of its component (``storage``). The others add their models
    (``appliance/im-100``, ``appliance/im-100+im-200``). A document has its own name.
    """
    images = (
        Labelled(
            label="/".join(filter(None, (component.name, "+".join(image.models)))),
            path=f"components[{number}].images[{place}]",
            version=component.version,
            stored=image,
            format=component.format,
        )
        for number, component in enumerate(manifest.components)
        for place, image in enumerate(component.images)
    )
    documents = (
        Labelled(label=item.name, path=f"documents[{number}]", version=None, stored=item)
        for number, item in enumerate(manifest.documents)
    )
    return (*images, *documents)
