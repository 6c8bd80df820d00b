"""Compare the artifacts that a document names with the components of the bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from bundlekit.errors import VersionError
from bundlekit.evidence.artifact import shown
from bundlekit.model.evidence import DocumentDifference
from bundlekit.model.manifest import Document, labelled
from bundlekit.versions import scheme_named

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bundlekit.evidence.artifact import Artifact
    from bundlekit.model.manifest import Labelled, Manifest

MAX_DIFFERENCES: Final = 256
"""The maximum number of differences that are kept of one document."""


class ComparedDocument(NamedTuple):
    """The number of artifacts of a document that are in the bundle, and what differs."""

    number: int
    differences: tuple[DocumentDifference, ...]


class Contents:
    """What is stored in a bundle, by digest and by name.

    The names are those of the components, such as ``storage``, of images, such as ``appliance/im-100``, and of the
    files of a detached head.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._by_digest: dict[str, list[Labelled]] = {}
        self._by_name: dict[str, list[Labelled]] = {}
        for item in labelled(manifest):
            self._by_digest.setdefault(item.stored.digest, []).append(item)
            names = {item.stored.file}
            if not isinstance(item.stored, Document):
                names |= {item.label, item.label.partition("/")[0]}
            for name in names - {None}:
                self._by_name.setdefault(str(name), []).append(item)
        self._schemes = {one.name: one.scheme or manifest.scheme for one in manifest.components}

    def compare(self, artifacts: Iterable[Artifact]) -> ComparedDocument:
        """Compare the artifacts of one document.

        An artifact with the digest of something in the bundle must have its version. One with the name of a component
        must have its digest and version. One with the name of the product must have the version of the bundle. If the
        document states the digests of what it is about, one of these must be in the bundle.
        """
        count, placed = 0, False
        differences: list[DocumentDifference] = []
        strange: list[Artifact] = []
        for one in artifacts:
            found, stored = self._about(one)
            count += found is not None
            differences += list(found or ())[: MAX_DIFFERENCES - len(differences)]
            placed = placed or (one.main and stored)
            if one.main and one.digests and not stored:
                strange.append(one)
        if strange and not placed:
            differences.append(_strange(strange))
        return ComparedDocument(count, tuple(differences))

    def _about(self, one: Artifact) -> tuple[Iterable[DocumentDifference] | None, bool]:
        """What differs, or None if the artifact is not in the bundle; and whether it is something stored there."""
        for algorithm, value in one.digests.items():
            if items := self._by_digest.get(f"{algorithm}:{value}"):
                if named := self._swapped(one, items):
                    return (_of_another(one, items[0], named[0]), *self._versions(one, named)), True
                return self._versions(one, items), True
        if not one.by_name:
            return None, False
        if same := self._named(one):
            return (*self._digests(one, same), *self._versions(one, same)), True
        if one.name == self._manifest.product:
            return self._versions(one, ()), False
        return None, False

    def _named(self, one: Artifact) -> Sequence[Labelled]:
        """What has the name of the artifact in the bundle."""
        return self._by_name.get(one.name) or self._by_name.get(one.name.rpartition("/")[2]) or ()

    def _swapped(self, one: Artifact, items: Sequence[Labelled]) -> Sequence[Labelled]:
        """What has the name of the artifact, if its digest is that of ``items``, which belong to other components."""
        named = self._named(one) if one.by_name else ()
        owners = {item.label.partition("/")[0] for item in items}
        return () if any(item.label.partition("/")[0] in owners for item in named) else named

    @staticmethod
    def _digests(one: Artifact, items: Sequence[Labelled]) -> Iterator[DocumentDifference]:
        """The artifact has the name of these items, and the digest of none."""
        known = {item.stored.digest.partition(":")[0]: item for item in items}
        for algorithm, value in one.digests.items():
            if (item := known.get(algorithm)) is not None:
                yield DocumentDifference(
                    what="digest",
                    component=item.label,
                    named=f"{algorithm}:{value}",
                    expected=item.stored.digest,
                    message=f"it states {algorithm}:{value} for {shown(one.name)}, but the bundle contains "
                    f"{item.stored.digest}",
                )
                return

    def _versions(self, one: Artifact, items: Sequence[Labelled]) -> Iterator[DocumentDifference]:
        """The version of the artifact is that of none of these items; without items, that of the bundle."""
        manifest = self._manifest
        expected = {item.label: item.version for item in items if item.version}
        if not items:
            expected = {manifest.product: manifest.version}
        if not one.version or not expected or any(self._same(label, one.version) for label in expected.items()):
            return
        label, version = next(iter(expected.items()))
        yield DocumentDifference(
            what="version",
            component=label if items else "",
            named=one.version[:80],
            expected=version,
            message=f"it states version {shown(one.version)} for {shown(one.name)}, but the bundle contains {version}",
        )

    def _same(self, expected: tuple[str, str], version: str) -> bool:
        label, ours = expected
        if ours == version:
            return True
        name = self._schemes.get(label.partition("/")[0], self._manifest.scheme)
        scheme = scheme_named(name, self._manifest.matrix.scheme)
        try:
            return scheme.parse(ours) == scheme.parse(version)
        except VersionError:
            return False


def _of_another(one: Artifact, item: Labelled, named: Labelled) -> DocumentDifference:
    return DocumentDifference(
        what="digest",
        component=named.label,
        named=item.stored.digest,
        expected=named.stored.digest,
        message=f"the digest that it states for {shown(one.name)} is that of {item.label} ({item.stored.digest}); the "
        f"bundle contains {named.label} with {named.stored.digest}",
    )


def _strange(strange: list[Artifact]) -> DocumentDifference:
    first = strange[0]
    algorithm, value = next(iter(first.digests.items()))
    more = f" and {len(strange) - 1} more" if len(strange) > 1 else ""
    return DocumentDifference(
        what="subject",
        named=f"{algorithm}:{value}",
        message=f"it is about {shown(first.name)} with {algorithm}:{value}{more}, but the bundle does not contain that",
    )
