"""The shortest path through a plain update graph, and the nearest reachable release if there is none."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from bundlekit.matrix.graph.cincinnati import release_order
from bundlekit.model.path import Hop, Obstacle, UpgradePath

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from bundlekit.matrix.graph.cincinnati import CincinnatiGraph

MAX_NAMED: Final = 8
"""Versions that a sentence names; any others are only counted."""


def find_graph_path(graph: CincinnatiGraph, start: str, goal: str, accepted: Collection[str] = ()) -> UpgradePath:
    """The path from ``start`` to ``goal`` with the fewest hops. Among equals, the one with the newest last stops.

    ``accepted`` are names of risks: a conditional edge is used only if all of its risks are accepted. Takes time linear
    in the size of the graph.
    """
    places = graph.places()
    for version in (start, goal):
        if version not in places:
            return UpgradePath(from_=start, to=goal, found=False, obstacles=(_unknown(version, graph),))
    following = graph.successors(accepted)
    levels = hops_from(following, places[start], places[goal])
    found = levels is not None
    if levels is None:
        levels = hops_from(following, places[start])
        assert levels is not None  # noqa: S101 - without a goal there always are some
        end = _nearest(graph, levels, places[goal])
        levels = levels[: next(at for at, level in enumerate(levels) if end in level) + 1]
    else:
        end = places[goal]
    way = _way_back(graph, following, levels, end)
    risks = graph.risks()
    hops = tuple(
        Hop(
            from_=graph.nodes[here].version,
            to=graph.nodes[there].version,
            risks=tuple(dict.fromkeys(risk.name for risk in risks.get((here, there), ()))),
        )
        for here, there in pairwise(way)
    )
    return UpgradePath(
        from_=start,
        to=goal,
        found=found,
        hops=hops,
        nearest=None if found else graph.nodes[end].version,
        obstacles=() if found else _obstacles(graph, places[start], places[goal], accepted),
        accepted=tuple(sorted({risk for hop in hops for risk in hop.risks})),
    )


def hops_from(following: Sequence[Sequence[int]], start: int, goal: int | None = None) -> list[list[int]] | None:
    """The nodes after no hop, after one, after two …, up to ``goal``. None if ``goal`` is not among them."""
    seen = bytearray(len(following))
    seen[start] = 1
    levels = [[start]]
    while levels[-1] and (goal is None or not seen[goal]):
        reached = []
        for here in levels[-1]:
            for there in following[here]:
                if not seen[there]:
                    seen[there] = 1
                    reached.append(there)
        levels.append(reached)
    if goal is not None and not seen[goal]:
        return None
    return levels if levels[-1] else levels[:-1]


def _way_back(
    graph: CincinnatiGraph, following: Sequence[Sequence[int]], levels: list[list[int]], end: int
) -> list[int]:
    """The path to ``end``, which is on the last level. At each level back it takes the newest node that leads on."""
    way = [end]
    for level in reversed(levels[:-1]):
        leading = [here for here in level if way[-1] in following[here]]
        way.append(_newest(graph, leading))
    return way[::-1]


def _newest(graph: CincinnatiGraph, places: list[int]) -> int:
    return places[release_order([graph.nodes[place] for place in places])[-1]] if len(places) > 1 else places[0]


def _nearest(graph: CincinnatiGraph, levels: list[list[int]], goal: int) -> int:
    """The newest reachable node that is not newer than the goal; the start if there is none."""
    reached = {place for level in levels for place in level}
    nearest = levels[0][0]
    for place in release_order(graph.nodes):
        if place == goal:
            break
        if place in reached:
            nearest = place
    return nearest


def _obstacles(graph: CincinnatiGraph, start: int, goal: int, accepted: Collection[str]) -> tuple[Obstacle, ...]:
    here, there = graph.nodes[start], graph.nodes[goal]
    named = {risk.name for risks in graph.risks().values() for risk in risks}
    with_risks = graph.successors(named | set(accepted))
    if (levels := hops_from(with_risks, start, goal)) is not None:
        way = _way_back(graph, with_risks, levels, goal)
        risks = graph.risks()
        return tuple(
            Obstacle(
                subject=f"{graph.nodes[one].version} to {graph.nodes[two].version}",
                kind="risk",
                message=f"{risk.message or 'A risk might apply.'}{f' See {risk.url}' if risk.url else ''}",
                next=f"Make sure that the risk does not apply, then accept it by its name, {risk.name}.",
                entry=risk.name,
            )
            for one, two in pairwise(way)
            for risk in risks.get((one, two), ())
            if risk.name not in accepted
        )
    if here.is_marked("deadend"):
        reason = here.reason("deadend")
        message = f"{here.version} is a dead end{f': {reason}' if reason else '.'}"
        return (
            Obstacle(subject=here.version, kind="dead-end", message=message, next=f"Re-image with {there.version}."),
        )
    if not with_risks[start]:
        return (
            Obstacle(subject=here.version, kind="no-update-from", message=f"No update from {here.version} exists."),
        )
    sources = [graph.nodes[place].version for place, targets in enumerate(with_risks) if goal in targets]
    if not sources:
        return (Obstacle(subject=there.version, kind="no-update-to", message=f"No update to {there.version} exists."),)
    more = f" and {len(sources) - MAX_NAMED} more" * (len(sources) > MAX_NAMED)
    names = ", ".join(sources[:MAX_NAMED])
    message = f"Only {names}{more} can be updated to {there.version}, but none of them can be reached."
    return (Obstacle(subject=there.version, kind="not-connected", message=message),)


def _unknown(version: str, graph: CincinnatiGraph) -> Obstacle:
    from bundlekit.schema_errors import nearest  # imported with its dependencies only for a mistyped version

    hint = nearest(version, {node.version for node in graph.nodes})
    return Obstacle(subject=version, kind="unknown-version", message=f"The graph has no release {version}{hint}")
