"""Whether a release can be reached, from each version in the field and from what a failure leaves there.

A question for whoever writes a matrix, asked of the matrices of one release and of others, before anything
ships. Facts about appliances are not known then, so only a certain refusal closes a way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from bundlekit.errors import VersionError
from bundlekit.matrix.case import models_of
from bundlekit.matrix.compatibility import work_together
from bundlekit.matrix.decide import decide, decide_from
from bundlekit.matrix.read import APPLIANCE
from bundlekit.model.appliance import Appliance, InstalledComponent, Member
from bundlekit.model.primitives import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bundlekit.matrix.read import ReadMatrix
    from bundlekit.model.decision import Ruling


class State(Frozen, frozen=True, kw_only=True):
    """A pair with ``version`` on both members; ``shared`` are its other components (None: not known)."""

    version: str
    shared: tuple[tuple[str, str], ...] | None = None

    def __str__(self) -> str:
        beside = " and ".join(f"{name} {version}" for name, version in self.shared or ())
        return f"{self.version} with {beside}" if beside else self.version


class Routes:
    """The ways to ``target`` through ``bundles``, which are matrices too, on one model.

    A bundle that is not for the model is no way on it. A stop that the target's matrix names counts as passable if
    no bundle of it is among ``bundles``: nothing is known of it then.
    """

    def __init__(self, target: ReadMatrix, bundles: Sequence[ReadMatrix], model: str | None) -> None:
        self.target = target
        self.model = model
        self._all = (*bundles, target)
        self.bundles = {one.manifest.version: one for one in self._all if model is None or model in models_of(one)}
        self.elsewhere = {one.manifest.version: one for one in bundles if one.manifest.version not in self.bundles}
        self._hops: dict[State, tuple[State, ...]] = {}
        self._decided: dict[tuple[str, str], Ruling] = {}
        self._stuck: set[State] = set()

    def knows(self, version: str) -> bool:
        """Whether a bundle of this version is in hand, be it for another model."""
        return version in self.bundles or version in self.elsewhere

    def decided(self, bundle: ReadMatrix, version: str) -> Ruling:
        """What a bundle's matrix decides about a mere version, worked out once.

        Of the decision only what decided it is kept: what else it says, for thousands of versions, takes a GiB.
        """
        key = (bundle.manifest.version, version)
        if key not in self._decided:
            self._decided[key] = decide_from(bundle.manifest, version, model=self.model, matrix=bundle).whole
        return self._decided[key]

    def plain(self, version: str) -> State:
        """The state of a pair on which a version was installed, and nothing failed."""
        bundle = self.bundles.get(version)
        return State(version=version, shared=_shared(bundle) if bundle else None)

    def after_failures(self, version: str) -> Iterator[State]:
        """States that a failed update from ``version`` can leave, apart from the one before it.

        The active member is old again, and what the pair shares is new, where the matrix says that these work
        together; everything else the executor brings back, or a repair brings to the new version.
        """
        plain = self.plain(version)
        for bundle in self.bundles.values():
            new = _shared(bundle)
            if not new or APPLIANCE not in bundle.carried or not self._accepts(bundle, plain):
                continue
            shared = dict(plain.shared or ()) | dict(new)
            try:
                state = {APPLIANCE: bundle.parse(APPLIANCE, version)}
                state |= {name: bundle.parse(name, text) for name, text in shared.items()}
            except VersionError:
                continue
            if work_together(bundle, state)[0]:
                yield State(version=version, shared=tuple(sorted(shared.items())))

    def reaches(self, start: State) -> bool:
        """Whether some sequence of updates leads from ``start`` to the target."""
        seen, todo = {start}, [start]
        while todo:
            state = todo.pop()
            if state.version == self.target.manifest.version:
                return True
            found = [after for after in self.hops(state) if after not in seen and after not in self._stuck]
            seen.update(found)
            todo += found
        self._stuck |= seen
        return False

    def hops(self, state: State) -> tuple[State, ...]:
        """The states that one update leads to."""
        if state not in self._hops:
            self._hops[state] = tuple(self._find(state))
        return self._hops[state]

    def _find(self, state: State) -> Iterator[State]:
        for bundle in self.bundles.values():
            if self._accepts(bundle, state):
                shared = dict(state.shared or ()) | dict(_shared(bundle))
                yield State(version=bundle.manifest.version, shared=tuple(sorted(shared.items())))
        try:
            version = self.target.parse(self.target.lead, state.version)
        except VersionError:  # it has no place in the target's order, so the target's stops are not for it
            return
        if any(version in dead_end.range for dead_end in self.target.dead_ends):
            return
        for stop in self.target.stops:
            if stop.lies_between(version, self.target.own) and not self.knows(stop.via.text):
                yield State(version=stop.via.text)

    def _accepts(self, bundle: ReadMatrix, state: State) -> bool:
        return not self.refusal(bundle, state)

    def refusal(self, bundle: ReadMatrix, state: State) -> str:
        """Why a bundle cannot be installed over a state, in a sentence; empty if it can."""
        if objection := self._spoken_against(bundle, state):
            return objection
        if state.shared is None:
            ruling = self.decided(bundle, state.version)
            return "" if ruling.allowed else ruling.message
        known = self.bundles.get(state.version)
        active = Member(role="active", version=state.version, released=known.manifest.released if known else None)
        appliance = Appliance(
            schema="bundlekit/state/1",
            pair="any",
            product=bundle.manifest.product,
            model=self.model or bundle.manifest.models[0],
            members={"active": active, "standby": replace(active, role="standby")},
            components={name: InstalledComponent(version=version) for name, version in state.shared},
            counter=known.manifest.counter if known else None,
            includes=known.manifest.includes if known else None,
        )
        whole = decide(bundle.manifest, appliance, matrix=bundle).whole
        return whole.message if whole.refused else ""

    def _spoken_against(self, bundle: ReadMatrix, state: State) -> str:
        """What any matrix in hand says against it: that it has withdrawn the bundle, or knows a dead end."""
        for other in self._all:
            try:
                into, out = (other.parse(other.lead, text) for text in (bundle.manifest.version, state.version))
            except VersionError:  # it does not speak of versions like these
                continue
            if any(into in one.range for one in other.withdrawn):
                return f"{bundle.manifest.version} was withdrawn, as {other.manifest.version} says."
            if any(out in one.range for one in other.dead_ends):
                return f"{state.version} is a dead end, as {other.manifest.version} says."
        return ""


def _shared(bundle: ReadMatrix) -> tuple[tuple[str, str], ...]:
    """The components of a bundle that the pair shares."""
    return tuple(sorted((name, version.text) for name, version in bundle.carried.items() if name != APPLIANCE))
