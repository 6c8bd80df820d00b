"""Whether a release can be reached, from each version in the field and from the states that a failure leaves there.

A release engineer checks this before anything ships, with the matrices of one release and of others. Facts about
appliances are not known then, so only a definite rejection closes a path.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal

from msgspec.structs import replace

from bundlekit.errors import VersionError
from bundlekit.matrix.compatibility import partners, work_together
from bundlekit.matrix.context import models_of
from bundlekit.matrix.decide import decide
from bundlekit.matrix.decisions import Decisions
from bundlekit.matrix.masks import places
from bundlekit.matrix.read import APPLIANCE
from bundlekit.matrix.shipped import UNKNOWN
from bundlekit.matrix.work import versions_named
from bundlekit.model.appliance import Appliance, InstalledComponent, Member
from bundlekit.model.decision import DecisionKind
from bundlekit.model.primitives import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bundlekit.matrix.decisions import DecisionOutcome
    from bundlekit.matrix.read import ReadMatrix, ReadStop
    from bundlekit.matrix.shipped import SignedBy
    from bundlekit.model.decision import ComponentDecision


PathKind = Literal["installed", "direct", "via-stops", "none"]
"""How a version reaches a release: already installed, one update, several through declared stops, or not at all."""

NO_UPDATE: Final[frozenset[DecisionKind]] = frozenset(["downgrade", "unreadable-version", "withdrawn", "reimage-only"])
"""Decisions after which no stop helps: the release is no update of such a version."""


class RouteState(Frozen, frozen=True, kw_only=True):
    """A pair with ``version`` on both members; ``shared`` are its other components (None: not known)."""

    version: str
    shared: tuple[tuple[str, str], ...] | None = None

    def __str__(self) -> str:
        beside = " and ".join(f"{name} {version}" for name, version in self.shared or ())
        return f"{self.version} with {beside}" if beside else self.version


class Routes:
    """The paths to ``target`` through ``bundles``, which are matrices too, on one model.

    A bundle that is not for the model is not used. A stop that the target's matrix names counts as passable if
    ``bundles`` contains no bundle of it, because nothing is known about it then. ``decisions`` are those of each of the
    matrices, if they have already been made. ``signed`` has the signers of each bundle, by the ``id`` of its matrix. A
    bundle that the installed version cannot verify is not used. The target's own signatures are not checked here:
    `source-cannot-verify` does that for every version that the target allows.
    """

    def __init__(
        self,
        target: ReadMatrix,
        bundles: Sequence[ReadMatrix],
        model: str | None,
        decisions: Mapping[int, Decisions] | None = None,
        signed: Mapping[int, SignedBy] | None = None,
    ) -> None:
        self.target = target
        self.model = model
        self._all = (*bundles, target)
        self.bundles = {one.manifest.version: one for one in self._all if model is None or model in models_of(one)}
        self.elsewhere = {one.manifest.version: one for one in bundles if one.manifest.version not in self.bundles}
        self._decisions = decisions or decisions_of(target, bundles, (model,), signed=signed)
        self._signed = signed or {}
        self._own = self._decisions[id(target)]
        self._shared = {version: _shared(one) for version, one in self.bundles.items()}
        self._refused: dict[tuple[object, ...], bool] = {}
        self._kept: dict[tuple[str, tuple[tuple[str, str], ...]], int] = {}
        self._stops: dict[str, list[ReadStop]] = {}
        for stop in target.stops:
            if not self.knows(stop.via.text):
                self._stops.setdefault(stop.via.text, []).append(stop)
        self._reaches: dict[RouteState, bool] = {}
        self._states: dict[str, list[RouteState]] = {}
        self._by_stop = 0
        """Places of versions that a stop sends to a release with a path to the target."""

    def knows(self, version: str) -> bool:
        """Whether a bundle of this version is available, even if only for another model."""
        return version in self.bundles or version in self.elsewhere

    def decided(self, bundle: ReadMatrix, version: str) -> DecisionOutcome:
        """The decision of a bundle's matrix about a version alone."""
        return self._decisions[id(bundle)].of(version, self.model)

    def path(self, version: str) -> PathKind:
        """How a pair with an installed version and no failure reaches the target."""
        whole = self.decided(self.target, version)
        if whole.kind in ("same-version", "same-version-other-build"):
            return "installed"
        if whole.allowed:
            return "direct"
        return "via-stops" if whole.kind not in NO_UPDATE and self.reaches(self.plain(version)) else "none"

    def component_decision(self, bundle: ReadMatrix, version: str) -> ComponentDecision:
        """The whole decision, with its message."""
        return self._decisions[id(bundle)].component_decision(version, self.model)

    def plain(self, version: str) -> RouteState:
        """The state of a pair with an installed version and no failure."""
        return RouteState(version=version, shared=self._shared.get(version))

    def after_failures(self, version: str) -> Iterator[RouteState]:
        """States that a failed update from ``version`` can leave, apart from the state before it.

        The active member is reverted, and the shared components are new, if the matrix specifies that these work
        together. The executor reverts everything else, or a repair updates it to the new version.
        """
        plain = self.plain(version)
        for name, bundle in self.bundles.items():
            new = self._shared[name]
            if not new or APPLIANCE not in bundle.carried or not self.accepts(bundle, plain):
                continue
            shared = tuple(sorted((dict(plain.shared or ()) | dict(new)).items()))
            if self._works(bundle, version, shared):
                yield RouteState(version=version, shared=shared)

    def _works(self, bundle: ReadMatrix, version: str, shared: tuple[tuple[str, str], ...]) -> bool:
        """Whether an appliance of this version works with other components, by the matrix of a bundle."""
        line = self._decisions[id(bundle)].line
        place = line.place.get(version)
        try:
            if place is None:
                state = {APPLIANCE: bundle.parse(APPLIANCE, version)}
                state |= {name: bundle.parse(name, text) for name, text in shared}
                return work_together(bundle, state)[0] is True
            if (key := (bundle.manifest.version, shared)) not in self._kept:
                state = {name: bundle.parse(name, text) for name, text in shared}
                self._kept[key] = partners(bundle, line, APPLIANCE, state)[0]
        except VersionError:
            return False
        return bool(self._kept[key] >> place & 1)

    def reaches(self, start: RouteState) -> bool:
        """Whether some sequence of updates leads from ``start`` to the target."""
        if start not in self._reaches:
            if not self._reaches:
                # Whether a stop helps depends on all states that it leads to, so these are settled together.
                self._settle([self.plain(text) for text in (*self._stops, *self._own.line.place)])
            self._settle([start])
        return self._reaches[start]

    def _settle(self, starts: Sequence[RouteState]) -> None:
        """Determine which of these states, and of the states that they lead to, can reach the target.

        The search goes backwards from the target, so that each state and each update between two states is examined
        once.
        """
        before: dict[RouteState, list[RouteState]] = {}
        good: list[RouteState] = []
        todo = [state for state in dict.fromkeys(starts) if state not in self._reaches]
        for state in todo:
            self._note(state)
        while todo:
            state = todo.pop()
            if state.version == self.target.manifest.version or self._is_sent_on(state):
                good.append(state)
                continue
            for after in self._hops(state):
                if after not in self._reaches:
                    self._note(after)
                    todo.append(after)
                before.setdefault(after, []).append(state)
                if self._reaches[after]:
                    good.append(state)
        while good:
            state = good.pop()
            if not self._reaches[state]:
                self._reaches[state] = True
                good += before.get(state, ())
                good += self._sent_to(state)

    def _note(self, state: RouteState) -> None:
        self._reaches[state] = False
        self._states.setdefault(state.version, []).append(state)

    def _hops(self, state: RouteState) -> Iterator[RouteState]:
        """The states that one update by a bundle leads to. If the target is one of them, only the target."""
        own = self.target.manifest.version
        for version in dict.fromkeys((own, *self.bundles)):
            if version in self.bundles and self.accepts(self.bundles[version], state):
                shared = dict(state.shared or ()) | dict(self._shared[version])
                yield RouteState(version=version, shared=tuple(sorted(shared.items())))
                if version == own:
                    return

    def _is_sent_on(self, state: RouteState) -> bool:
        """Whether a stop sends this state to a release with a known path to the target."""
        if (place := self._own.line.place.get(state.version)) is not None:
            return bool(self._by_stop >> place & 1)
        try:
            version = self.target.parse(self.target.primary_component, state.version)
        except VersionError:  # it has no place in the target's order, so the target's stops do not apply
            return False
        if any(version in dead_end.range for dead_end in self.target.dead_ends):
            return False
        return any(
            self._reaches.get(RouteState(version=stop.via.text), False) and stop.lies_between(version, self.target.own)
            for stops in self._stops.values()
            for stop in stops
        )

    def _sent_to(self, state: RouteState) -> Iterator[RouteState]:
        """The states that a stop sends to this one and that are not yet known to reach the target that way."""
        if state.shared is not None:
            return
        line = self._own.line
        for stop in self._stops.get(state.version, ()):
            new = line.sent(stop, self.target.own) & ~self._own.dead & ~self._by_stop
            self._by_stop |= new
            for place in places(new):
                yield from self._states.get(line.texts[place], ())

    def accepts(self, bundle: ReadMatrix, state: RouteState) -> bool:
        """Whether a bundle can be installed in a state."""
        if self._objection(bundle, state):
            return False
        decisions = self._decisions[id(bundle)]
        if state.shared is None:
            return decisions.of(state.version, self.model).allowed
        key = decisions.key(state.version, self.model) if bundle.primary_component == APPLIANCE else None
        whole: tuple[object, ...] = (
            bundle.manifest.version,
            state.shared,
            state.version if key is None or state.version in self.bundles else key,
        )
        if whole not in self._refused:
            self._refused[whole] = self._decided_over(bundle, state).rejected
        return not self._refused[whole]

    def refusal(self, bundle: ReadMatrix, state: RouteState) -> str:
        """Why a bundle cannot be installed in a state, as a sentence; empty if it can."""
        if self.accepts(bundle, state):
            return ""
        if objection := self._objection(bundle, state):
            return objection
        plain = state.shared is None
        component_decision = (
            self.component_decision(bundle, state.version) if plain else self._decided_over(bundle, state)
        )
        if component_decision.kind == "cannot-verify":
            return f"The bundle of {bundle.manifest.version} cannot be verified there: {component_decision.message}"
        return component_decision.message

    def unverified(self, state: RouteState) -> ReadMatrix | None:
        """The first bundle that would lead from a state to the target if the installed version could verify it."""
        for version, bundle in self.bundles.items():
            if bundle is not self.target and not self._objection(bundle, state):
                plain = state.shared is None
                kind = self.decided(bundle, state.version).kind if plain else self._decided_over(bundle, state).kind
                if kind == "cannot-verify" and self.reaches(self.plain(version)):
                    return bundle
        return None

    def _decided_over(self, bundle: ReadMatrix, state: RouteState) -> ComponentDecision:
        """The decision of a bundle for a pair in a state with known shared components."""
        known = self.bundles.get(state.version)
        active = Member(role="active", version=state.version, released=known.manifest.released if known else None)
        appliance = Appliance(
            schema="bundlekit/state/1",
            pair="any",
            product=bundle.manifest.product,
            model=self.model or bundle.manifest.models[0],
            members={"active": active, "standby": replace(active, role="standby")},
            components={name: InstalledComponent(version=version) for name, version in state.shared or ()},
            counter=known.manifest.counter if known else None,
            includes=known.manifest.includes if known else None,
        )
        decisions = self._decisions[id(bundle)]
        # The narrowed matrix is about the appliance. Without an appliance every entry is needed.
        matrix = decisions.narrowed(state.version, self.model) if bundle.primary_component == APPLIANCE else bundle
        by = self._signed.get(id(bundle), UNKNOWN)
        return decide(bundle.manifest, appliance, signers=by.signers, signatures=by.signatures, matrix=matrix).overall

    def _objection(self, bundle: ReadMatrix, state: RouteState) -> str:
        """The objection of any available matrix: it has withdrawn the bundle, or has a dead end."""
        into, out = bundle.manifest.version, state.version
        for other in self._restricting:
            decisions = self._decisions[id(other)]
            if not (decisions.can_read(into) and decisions.can_read(out)):  # the matrix is not about such versions
                continue
            if decisions.withdraws(into):
                return f"{into} was withdrawn, according to {other.manifest.version}."
            if decisions.is_dead(out):
                return f"{out} is a dead end, according to {other.manifest.version}."
        return ""

    @cached_property
    def _restricting(self) -> tuple[ReadMatrix, ...]:
        return tuple(one for one in self._all if one.withdrawn or one.dead_ends)


def decisions_of(
    target: ReadMatrix,
    bundles: Sequence[ReadMatrix],
    models: Sequence[str | None],
    more: Iterable[str] = (),
    *,
    signed: Mapping[int, SignedBy] | None = None,
) -> dict[int, Decisions]:
    """For each of some matrices, by its ``id``, the decisions about the versions between source and target.

    These are the versions that the target names, its stops, the other bundles, and ``more``. ``signed`` is as in
    `Routes`.
    """
    texts = [version.text for version in versions_named(target)]
    texts += [stop.via.text for stop in target.stops]
    texts += [one.manifest.version for one in bundles]
    texts = list(dict.fromkeys((*texts, *more)))
    by = {id(one): (signed or {}).get(id(one), UNKNOWN) for one in bundles} | {id(target): UNKNOWN}
    return {
        id(one): Decisions(one, texts, models, signers=by[id(one)].signers, signatures=by[id(one)].signatures)
        for one in (*bundles, target)
    }


def _shared(bundle: ReadMatrix) -> tuple[tuple[str, str], ...]:
    """The components of a bundle that the pair shares."""
    return tuple(sorted((name, version.text) for name, version in bundle.carried.items() if name != APPLIANCE))
