"""The shortest sequence of updates from the installed version to a target version, with the available bundles.

The search runs over *states*: the version of every member and component, with everything else that an update changes
(security counter, fixes). Its edges are exactly the decisions for single bundles. Every hop is therefore one that
`decide` (or `decide_from`) allows. No state is passed that a matrix forbids, including the mixed state of a rolling
update. Only the target's own matrix allows an update. Restrictions add up: stops, withdrawals and dead ends in the
matrix of any available bundle, and blocks and risks of another bundle of the same version.

The path with the fewest hops is chosen. Ties are decided by these criteria in turn:

1. stops that are the latest of their kind, if a stop requires the latest;
2. the fewest hops of unknown duration;
3. the fewest minutes;
4. the newest releases.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from bundlekit.errors import BundlekitError
from bundlekit.matrix.budget import DECISION, Budget
from bundlekit.matrix.candidates import (
    entries,
    latest_of_stops,
    of_one_product,
    parsed,
    with_restrictions,
)
from bundlekit.matrix.context import models_of
from bundlekit.matrix.decide import STRICT, decide, decide_from
from bundlekit.matrix.read import APPLIANCE
from bundlekit.matrix.states import (
    Here,
    VersionState,
    after_update,
    facts_after,
    is_no_news,
    moving_parts,
    version_text,
    version_texts,
)
from bundlekit.model.appliance import Appliance, VersionFacts
from bundlekit.model.path import Hop, Move, Obstacle, UpgradePath
from bundlekit.model.primitives import Frozen
from bundlekit.wording import fill

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bundlekit.matrix.candidates import CandidateBundle
    from bundlekit.matrix.shipped import BundleSignatures
    from bundlekit.model.decision import ComponentDecision, Decision, Policy
    from bundlekit.versions import Version

MAX_OBSTACLES: Final = 8
"""Bundles between start and target whose rejections are reported."""

PathState = str | Appliance
"""The installed state: one version on every member, or a whole pair."""


def find_path(
    candidates: Sequence[CandidateBundle], start: PathState, goal: str, policy: Policy = STRICT
) -> UpgradePath:
    """The shortest path from ``start`` to ``goal``, the version of a bundle, by updates with ``candidates``.

    Raises BundlekitError if the search takes too long. Raises it also for a version alone whose product is ambiguous.
    """
    search = _Search(of_one_product(candidates, goal) if isinstance(start, str) else candidates, goal, policy)
    first = search.begin(start) if isinstance(start, str) else start
    here = version_text(first, search.primary_component)
    answer = UpgradePath(from_=here, to=goal, found=True)
    if search.is_there(first):
        return answer
    way = search.run(first)
    answer = replace(
        answer,
        hops=way.hops,
        minutes=sum(hop.minutes or 0 for hop in way.hops) if all(h.minutes is not None for h in way.hops) else None,
        accepted=_unique(one.risk for decision in way.decisions for one in decision.accepted),
        not_checked=_unique((*(open_ for one in way.decisions for open_ in one.not_checked), *search.narrowed(way))),
    )
    if search.has_arrived(way):
        return answer
    nearest = version_text(way.state, search.primary_component) if search.can_compare(first) else None
    return replace(answer, found=False, nearest=nearest, obstacles=tuple(search.obstacles(way.state)))


class _Way(Frozen, frozen=True, kw_only=True):
    """A path, and the state at its end."""

    state: Here
    hops: tuple[Hop, ...] = ()
    decisions: tuple[Decision, ...] = ()
    last: int | None = None


class _Search:
    """One search. Candidates are identified by their rank, the newest first."""

    def __init__(self, candidates: Sequence[CandidateBundle], goal: str, policy: Policy) -> None:
        newest_first = sorted(
            candidates, key=lambda one: (one.manifest.released, one.manifest.version, one.id), reverse=True
        )
        self.candidates = with_restrictions(newest_first)
        self.goal = goal
        self.policies = [_for_bundle(policy, one.id) for one in self.candidates]
        self.goals = {rank for rank, one in enumerate(self.candidates) if parsed(one.matrix, goal) == one.matrix.own}
        self.latest = latest_of_stops(self.candidates)
        self.weights = [DECISION + entries(one.matrix) for one in self.candidates]
        self.models = [tuple(sorted(models_of(one.matrix))) for one in self.candidates]
        self.budget = Budget("path")
        self.decided: dict[tuple[int, str, VersionFacts], Decision] = {}
        # This decides the order of versions, and the component that the target version belongs to.
        wanted = [self.candidates[rank].matrix for rank in sorted(self.goals)] or [
            one.matrix for one in self.candidates
        ]
        self.reference = next(
            (one for one in wanted if one.primary_component == APPLIANCE), wanted[0] if wanted else None
        )
        self.primary_component = self.reference.primary_component if self.reference else APPLIANCE

    def decide(self, rank: int, state: Here) -> Decision:
        if not isinstance(state, VersionState):
            return self._decide(rank, state)
        key = rank, state.version, state.facts  # remaining models are checked separately
        if key not in self.decided:
            self.decided[key] = self._decide(rank, state)
        return self.decided[key]

    def _decide(self, rank: int, state: Here) -> Decision:
        if not self.budget.allows(self.weights[rank]):
            raise BundlekitError(
                "the path search exceeded its limits",
                next_step="Give fewer bundles: those of one product, and only releases that are in use.",
            )
        candidate, policy = self.candidates[rank], self.policies[rank]
        signatures: BundleSignatures | None = candidate.signatures
        known: dict[str, Any] = {"signers": candidate.signed_by, "signatures": signatures, "matrix": candidate.matrix}
        if isinstance(state, VersionState):
            return decide_from(candidate.manifest, state.version, policy, facts=state.facts, **known)
        return decide(candidate.manifest, state, policy, **known)

    def is_there(self, start: Here) -> bool:
        """Whether the target is already installed: a target bundle has nothing to update, or the version is equal."""
        if self.goals:
            return any(_nothing_moves(self.decide(rank, start)) for rank in self.goals)
        return set(version_texts(start, self.primary_component)) == {self.goal}

    def run(self, start: Here) -> _Way:
        """The best path to the goal. If there is none, the best path to the nearest state."""
        # Ranks make every entry of the queue different, so paths themselves are never compared.
        queue: list[tuple[tuple[int, int, int, int], tuple[int, ...], _Way]] = [((0, 0, 0, 0), (), _Way(state=start))]
        settled: set[bytes] = set()
        reached: dict[str, list[tuple[int, VersionState]]] = {}
        nearest = _Way(state=start)
        while queue:
            cost, ranks, way = heapq.heappop(queue)
            key = msgspec.json.encode(way.state)
            if key in settled:
                continue
            settled.add(key)
            if self.has_arrived(way):
                return way
            if self._nears(way.state, nearest.state):
                nearest = way
            for rank, candidate in enumerate(self.candidates):
                after = self.plain_after(rank, way.state) if isinstance(way.state, VersionState) else None
                if after and (not after.models or is_no_news(after, cost[0], reached.get(after.version, ()))):
                    continue  # for no model, or a version that fewer hops lead to: no need to try it again
                decision = self.decide(rank, way.state)
                if decision.allowed:
                    hop = _hop(candidate, decision)
                    stale = rank in self.latest and not self.latest[rank]
                    step = (1, int(stale), int(hop.minutes is None), hop.minutes or 0)
                    total = (cost[0] + step[0], cost[1] + step[1], cost[2] + step[2], cost[3] + step[3])
                    onward = _Way(
                        state=after or self._pair_after(rank, way.state, decision),
                        hops=(*way.hops, hop),
                        decisions=(*way.decisions, decision),
                        last=rank,
                    )
                    if after:
                        reached.setdefault(after.version, []).append((total[0], after))
                    heapq.heappush(queue, (total, (*ranks, rank), onward))
        return nearest

    def begin(self, version: str) -> VersionState:
        """The installed version, with the facts from the bundles of exactly that version."""
        here = [rank for rank, one in enumerate(self.candidates) if parsed(one.matrix, version) == one.matrix.own]
        states = [self.plain_after(rank, VersionState(version=version)) for rank in here]
        if not states:
            return VersionState(version=version)
        facts = [state.facts for state in states]
        # Two builds of one version can differ. Facts that differ between them count as unknown.
        agreed = {name: getattr(facts[0], name) for name in VersionFacts.__struct_fields__}
        agreed = {name: value for name, value in agreed.items() if all(getattr(one, name) == value for one in facts)}
        models = tuple(sorted({model for state in states for model in state.models or ()}))
        return VersionState(version=version, models=models, facts=VersionFacts(**agreed))

    def plain_after(self, rank: int, state: VersionState) -> VersionState:
        """The version after a hop, with the remaining models."""
        models, candidate = self.models[rank], self.candidates[rank]
        if state.models not in (None, models):
            models = tuple(model for model in state.models or () if model in models)
        return VersionState(
            version=candidate.manifest.version, models=models, facts=facts_after(state.facts, candidate.matrix)
        )

    def _pair_after(self, rank: int, state: Here, decision: Decision) -> Appliance:
        matrix = self.candidates[rank].matrix
        assert isinstance(state, Appliance)  # noqa: S101 - the other kind of state is a mere version
        return after_update(state, matrix, decision)

    def narrowed(self, way: _Way) -> Iterator[str]:
        """The models of the last bundle that another bundle of the path is not for. They are reported as left open."""
        models = way.state.models or () if isinstance(way.state, VersionState) else ()
        lost = [model for model in self.models[way.last] if model not in models] if way.last is not None else []
        if models and lost:
            yield f"a path for {', '.join(lost)}: this one is only for {', '.join(models)}"

    def has_arrived(self, way: _Way) -> bool:
        """Whether the last bundle of the path has the target version."""
        return way.last in self.goals

    def can_compare(self, state: Here) -> bool:
        """Whether the installed version and the target version are ordered, so that a distance exists."""
        return self._distance(state) is not None

    def _distance(self, state: Here) -> Version | None:
        """The version that measures the distance: the oldest one of the members; None past the goal."""
        if self.reference is None or (wanted := parsed(self.reference, self.goal)) is None:
            return None
        versions = [parsed(self.reference, text) for text in version_texts(state, self.primary_component)]
        known = [version for version in versions if version is not None]
        return min(known) if known and len(known) == len(versions) and max(known) <= wanted else None

    def _nears(self, state: Here, nearest: Here) -> bool:
        here, there = self._distance(state), self._distance(nearest)
        return here is not None and there is not None and here > there

    def obstacles(self, state: Here) -> Iterator[Obstacle]:
        """What blocks the target bundle in this state, then the same for the bundles in between."""
        if not self.goals:
            yield Obstacle(
                subject=self.goal,
                kind="not-available",
                message=f"No usable bundle of {self.goal} was given.",
                next=f"Get the bundle of {self.goal}, or name another version.",
            )
        here = self._distance(state)
        between = [
            rank for rank, one in enumerate(self.candidates) if rank not in self.goals and self._between(one, here)
        ]
        for rank in (*sorted(self.goals), *between[:MAX_OBSTACLES]):
            candidate = self.candidates[rank]
            if isinstance(state, VersionState) and not self.plain_after(rank, state).models:
                yield Obstacle(
                    subject=candidate.bundle or candidate.manifest.version,
                    kind="wrong-model",
                    message=f"{candidate.manifest.version} is for {', '.join(self.models[rank]) or 'no model'}, but "
                    f"the intermediate {state.version} for {', '.join(state.models or ())}.",
                    next=fill("Get the bundles of one model, and give the state of the pair ({appliance})."),
                )
            for component_decision in _refusals(self.decide(rank, state)):
                yield Obstacle(
                    subject=candidate.bundle or candidate.manifest.version,
                    kind=component_decision.kind,
                    message=component_decision.message,
                    next=component_decision.next,
                    entry=component_decision.entry,
                )

    def _between(self, candidate: CandidateBundle, here: Version | None) -> bool:
        if self.reference is None or here is None or candidate.manifest.product != self.reference.manifest.product:
            return False
        if candidate.matrix.primary_component != self.primary_component:
            return True
        own, wanted = parsed(self.reference, candidate.manifest.version), parsed(self.reference, self.goal)
        return own is not None and wanted is not None and here < own < wanted


def _for_bundle(policy: Policy, identity: str) -> Policy:
    """The policy without the risks that were accepted for another bundle."""
    return replace(policy, accepted_risks=tuple(one for one in policy.accepted_risks if one.bundle in ("", identity)))


def _nothing_moves(decision: Decision) -> bool:
    """Whether the whole content of the bundle is installed. If only some parts are, they are *already there*."""
    return any(component_decision.kind == "same-version" for component_decision in decision.component_decisions)


def _refusals(decision: Decision) -> list[ComponentDecision]:
    """The decisions that keep a decision from allowing the update. One that two members share is reported once."""
    told = {
        component_decision.message: component_decision
        for component_decision in reversed(decision.component_decisions)
        if not component_decision.allowed
    }
    return list(reversed(told.values()))


def _hop(candidate: CandidateBundle, decision: Decision) -> Hop:
    manifest, lead = candidate.manifest, candidate.matrix.primary_component
    moving = moving_parts(decision)
    leading = [component_decision for component_decision in moving if component_decision.component == lead] or moving
    entries = {source.entry.id: source.entry for source in candidate.matrix.sources}
    used = [entries[component_decision.entry] for component_decision in leading if component_decision.entry in entries]
    minutes = [manifest.impact.minutes if entry.minutes is None else entry.minutes for entry in used]
    known = [one for one in minutes or [manifest.impact.minutes] if one is not None]
    return Hop(
        from_=" and ".join(dict.fromkeys(component_decision.installed for component_decision in leading)),
        to=leading[0].target,
        bundle=candidate.bundle,
        id=candidate.id,
        component=leading[0].component,
        reason=" ".join(_unique(component_decision.message for component_decision in leading)),
        entry=used[0].id if used else "",
        method=used[0].method if used else "",
        minutes=max(known) if len(known) == len(minutes or [None]) else None,
        signers=candidate.signers,
        supported_until=candidate.supported_until,
        matrix_file=candidate.matrix_file or UNSET,
        matrix_digest=candidate.matrix_digest or UNSET,
        risks=tuple(acceptance.risk for acceptance in decision.accepted),
        moves=tuple(
            Move(
                subject=component_decision.subject,
                component=component_decision.component,
                from_=component_decision.installed,
                to=component_decision.target,
                entry=component_decision.entry,
            )
            for component_decision in moving
            if component_decision.subject
            != component_decision.installed  # for a version alone there are no members to name
        ),
    )


def _unique(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
