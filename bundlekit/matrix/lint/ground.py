"""All that a rule of the lint can use: the matrix, those of other releases, and what they decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundlekit.matrix.meant import is_meant, unlisted_base
from bundlekit.matrix.routes import Routes
from bundlekit.matrix.work import models_apart, versions_named

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bundlekit.matrix.read import ReadMatrix
    from bundlekit.matrix.shipped import Signatures
    from bundlekit.model.decision import Ruling
    from bundlekit.versions import Version


class Ground:
    """All that a rule of the lint may look at: the matrix, others, and what is decided for each version.

    ``versions`` are the known versions below the bundle's own, oldest first; ``decisions`` has what decided for
    each of them and each model (None: neither the matrix nor the other bundles tell models apart); ``ways`` are
    versions that get to the bundle, ``detours`` those of them whose own bundles are not at hand, and ``direct`` those
    of these that may take the bundle itself; ``signers`` are the names of the keys that sign the bundle (None: not
    known), ``signatures`` its signatures; ``supported`` are the versions in the field.
    """

    def __init__(
        self,
        read: ReadMatrix,
        others: Sequence[ReadMatrix],
        *,
        signers: frozenset[str] | None,
        signatures: Signatures | None,
        supported: frozenset[str] | None,
        ended: frozenset[str],
    ) -> None:
        self.read = read
        self.others = others
        self.signers = signers
        self.signatures = signatures
        installed = {version for version in versions_named(read) if version < read.own}
        installed |= {version for version in map(self._read_version, others) if version is not None}
        installed |= {version for version in (unlisted_base(read),) if version is not None}
        self.versions = sorted(installed)
        self.supported = [
            one for one in self.versions if one.text not in ended and (supported is None or one.text in supported)
        ]
        self.models = models_apart(read, others)
        self.routes = {model: Routes(read, others, model) for model in self.models}
        self.decisions: dict[tuple[Version, str | None], Ruling] = {
            (version, model): routes.decided(read, version.text)
            for version in self.versions
            for model, routes in self.routes.items()
        }
        self.ways = {
            model: [
                version
                for version in self.versions
                if version.text not in routes.elsewhere and routes.reaches(routes.plain(version.text))
            ]
            for model, routes in self.routes.items()
        }
        self.detours = {
            model: [version for version in self.ways[model] if not routes.knows(version.text)]
            for model, routes in self.routes.items()
        }
        self.direct = {
            model: [version for version in versions if self.decisions[version, model].allowed]
            for model, versions in self.detours.items()
        }
        self.base = {
            model: next((one for one in reversed(self.versions) if one.text not in routes.elsewhere), None)
            for model, routes in self.routes.items()
        }
        self.reasoned = {block.entry.id: block.entry for block in read.blocks if block.entry.reason}

    def _read_version(self, other: ReadMatrix) -> Version | None:
        version = self.read.parse(self.read.lead, other.manifest.version)
        return version if version < self.read.own else None

    def is_meant(self, version: Version, model: str | None) -> bool:
        """Whether the bundle is meant for a version that is installed on this model somewhere."""
        is_there = version.text not in self.routes[model].elsewhere
        return is_there and is_meant(self.read, version, model, self.base[model])

    def allowed(self) -> Iterator[tuple[Version, str | None, str]]:
        """Version, model and source of each direct update that the matrix allows, of versions that somebody has."""
        for (version, model), ruling in self.decisions.items():
            if ruling.allowed and version.text not in self.routes[model].elsewhere:
                yield version, model, ruling.entry
