"""Everything that a lint rule can use: the matrix, those of other releases, and their decisions."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from bundlekit.matrix.lint.listing import listed_of
from bundlekit.matrix.masks import places
from bundlekit.matrix.meant import meant_for, unlisted_base
from bundlekit.matrix.routes import Routes, decisions_of
from bundlekit.matrix.work import models_apart, versions_named

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bundlekit.matrix.decisions import DecisionOutcome
    from bundlekit.matrix.read import ReadMatrix, ReadSource
    from bundlekit.matrix.shipped import BundleSignatures, SignedBy
    from bundlekit.model.decision import ComponentDecision
    from bundlekit.versions import Version


class LintContext:
    """Everything that a lint rule can read: the matrix, others, and the decisions for each version.

    ``versions`` are the known versions below the bundle's own, oldest first. ``models`` are the models; None means that
    neither the matrix nor the other bundles distinguish models. ``ways`` are, by model, the versions that can reach the
    bundle. ``detours`` are those of them whose own bundles are not available. ``direct`` are those of them that can
    install the bundle itself.

    ``signers`` are the names of the keys that sign the bundle (None: not known), and ``signatures`` are its signatures.
    ``signed`` has the signers of each other bundle, by the ``id`` of its matrix. ``made`` are the decisions of each
    matrix, by its ``id``. ``supported`` are the versions in the field. ``line`` has all these versions in order, for
    sets of them as bits.
    """

    def __init__(
        self,
        read: ReadMatrix,
        others: Sequence[ReadMatrix],
        *,
        signers: frozenset[str] | None,
        signatures: BundleSignatures | None,
        supported: frozenset[str] | None,
        ended: frozenset[str],
        signed: Mapping[int, SignedBy] | None = None,
    ) -> None:
        self.read = read
        self.others = others
        self.signers = signers
        self.signatures = signatures
        self.signed = signed or {}
        self.versions = known_versions(read, others)
        self.supported = [
            one for one in self.versions if one.text not in ended and (supported is None or one.text in supported)
        ]
        self.models = models_apart(read, others)
        self.made = decisions_of(read, others, self.models, (one.text for one in self.versions), signed=signed)
        self.decisions = self.made[id(read)]
        self.line = self.decisions.line
        self.routes = {model: Routes(read, others, model, self.made, signed) for model in self.models}
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
            model: [version for version in versions if self.decided(version, model).allowed]
            for model, versions in self.detours.items()
        }
        bases = {
            model: next((one for one in reversed(self.versions) if one.text not in routes.elsewhere), None)
            for model, routes in self.routes.items()
        }
        self._meant = meant_for(read, self.line, bases)
        self.reasoned = {block.entry.id: block.entry for block in read.blocks if block.entry.reason}

    @cached_property
    def sources(self) -> dict[str, ReadSource]:
        """The sources by the ids of their entries."""
        return {source.entry.id: source for source in self.read.sources}

    @cached_property
    def known(self) -> int:
        """The places of ``versions`` in ``line``."""
        return self.places(self.versions)

    def places(self, versions: Iterable[Version]) -> int:
        """The places of some versions in ``line``."""
        bits = bytearray(len(self.line.versions) // 8 + 1)
        for version in versions:
            place = self.line.place[version.text]
            bits[place // 8] |= 1 << place % 8
        return int.from_bytes(bits, "little")

    def decided(self, version: Version, model: str | None) -> DecisionOutcome:
        """The decision of the matrix about a version on a model."""
        return self.decisions.of(version.text, model)

    def component_decision(self, version: Version, model: str | None) -> ComponentDecision:
        """The whole decision, with its message."""
        return self.decisions.component_decision(version.text, model)

    def has(self, mask: int, version: Version) -> bool:
        """Whether a version is in a set of versions in ``line``."""
        return bool(mask >> self.line.place[version.text] & 1)

    def named(self, mask: int) -> str:
        """Versions of ``line`` in a sentence. If there are many, only the first few."""
        return listed_of((self.line.texts[place] for place in places(mask)), mask.bit_count())

    def is_meant(self, version: Version, model: str | None) -> bool:
        """Whether the bundle is meant for a version that is installed on this model in the field."""
        return version.text not in self.routes[model].elsewhere and self.has(self._meant[model], version)

    def allowed(self) -> Iterator[tuple[Version, str | None, str]]:
        """Version, model and source of each direct update that the matrix allows, for versions in the field."""
        for version in self.versions:
            for model in self.models:
                outcome = self.decided(version, model)
                if outcome.allowed and version.text not in self.routes[model].elsewhere:
                    yield version, model, outcome.entry


def known_versions(read: ReadMatrix, others: Sequence[ReadMatrix]) -> list[Version]:
    """The versions below the bundle's own that the matrix knows or that other bundles have, oldest first."""
    found = {version for version in versions_named(read) if version < read.own}
    for other in others:
        if (version := read.parse(read.primary_component, other.manifest.version)) < read.own:
            found.add(version)
    if (base := unlisted_base(read)) is not None:
        found.add(base)
    return sorted(found)
