"""Conversion of update graphs to matrices, and of matrices to update graphs.

A graph contains less than a matrix: the releases and the updates between them, some with a risk. This content survives
both conversions. A matrix made from the graph of some matrices allows the same listed releases.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from bundlekit.errors import ConfigError
from bundlekit.matrix.decide import decide_from
from bundlekit.matrix.graph.cincinnati import CincinnatiGraph, Conditional, GraphRisk, Node, release_order, scheme_of
from bundlekit.matrix.read import UnreadableMatrix, read_matrix
from bundlekit.model.matrix import Condition, DeadEnd, Matrix, MatrixSource, Risk
from bundlekit.versions import scheme_named
from bundlekit.wording import given

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bundlekit.matrix.graph.cincinnati import Edge
    from bundlekit.matrix.read import ReadMatrix
    from bundlekit.model.manifest import Manifest
    from bundlekit.model.matrix import Stop
    from bundlekit.versions import Version

FACT_RULE: Final = "Fact"
"""The type of bundlekit's own matching rules, ``{"type": "Fact", "fact": {"fact": …, "test": …, "value": …}}``."""

MAX_ENTRIES: Final = 8192
"""Releases and entries that a matrix can list; its schema has the same limit."""


# --- from a graph -------------------------------------------------------------------------------------------


def matrix_of(graph: CincinnatiGraph, version: str, *, scheme: str | None = None, where: str = "graph") -> Matrix:
    """The matrix of the release ``version``: a source for every edge to it, with the details of these edges.

    A conditional edge becomes a source with its risks. A matching rule of another type becomes the fact ``risk.NAME``.
    The update is not allowed until the operator supplies that fact. The releases are all those of the graph. They are
    listed in the graph's order if it differs from the order of their versions. ``scheme`` is the one that the SPEC will
    name (default: the first that reads all versions). Raises ConfigError if the matrix cannot be made.
    """
    places = graph.places()
    if version not in places:
        raise ConfigError(f"{where}: there is no release {version} in the graph")
    if len(graph.nodes) > MAX_ENTRIES:
        raise ConfigError(f"{where}: has {len(graph.nodes)} releases; a matrix can list {MAX_ENTRIES}")
    target = places[version]
    rising = release_order(graph.nodes)
    rank = {place: number for number, place in enumerate(rising)}
    risks = {source: named for (source, to), named in graph.risks().items() if to == target}
    sources = sorted({source for source, to in graph.edges if to == target} | risks.keys(), key=rank.__getitem__)
    unique = _Names()
    return Matrix(
        order="version" if _by_version(graph, rising, scheme, where) else "listed",
        releases=tuple(graph.nodes[place].version for place in rising),
        sources=tuple(
            MatrixSource(id=unique.name(f"from-{text}"), versions=text)
            for text in (graph.nodes[source].version for source in sources)
            if text != version
        ),
        risks=tuple(
            Risk(
                id=unique.name(risk.name if number == 0 else f"{risk.name}-{graph.nodes[source].version}"),
                versions=graph.nodes[source].version,
                when=_condition(risk),
                reason=_text(risk.message),
                link=_text(risk.url),
            )
            for risk, risky in _by_risk(risks, sources)
            for number, source in enumerate(risky)
        ),
        dead_ends=tuple(
            DeadEnd(
                id=unique.name(f"dead-end-{node.version}"),
                versions=node.version,
                reason=_text(node.reason("deadend")),
            )
            for node in (graph.nodes[place] for place in rising)
            if node.is_marked("deadend")
        ),
    )


def _by_risk(risks: Mapping[int, list[GraphRisk]], sources: list[int]) -> list[tuple[GraphRisk, list[int]]]:
    """Each risk with the sources concerned. A name belongs to one text: another text is another risk."""
    found: dict[bytes, tuple[GraphRisk, list[int]]] = {}
    for source in sources:
        for risk in risks.get(source, ()):
            risky = found.setdefault(msgspec.json.encode(risk), (risk, []))[1]
            if source not in risky[-1:]:
                risky.append(source)
    return list(found.values())


def _by_version(graph: CincinnatiGraph, rising: list[int], scheme: str | None, where: str) -> bool:
    """Whether the releases are in the order of their versions. Raises ConfigError if a version cannot be read."""
    name = scheme or scheme_of([node.version for node in graph.nodes])
    if name is None:
        raise ConfigError(
            f"{where}: no version scheme fits all of its versions",
            next_step=f"Remove the nodes whose versions do not fit the others, or give the {given('scheme')}.",
        )
    reader = scheme_named(name)
    versions = [reader.parse(graph.nodes[place].version) for place in rising]
    seen: dict[Version, str] = {}
    for version in versions:
        if (same := seen.setdefault(version, version.text)) != version.text:
            raise ConfigError(f"{where}: {same} and {version} are one version in the scheme {name}")
    return versions == sorted(versions)


def _condition(risk: GraphRisk) -> Condition:
    """The condition of the risk: bundlekit's own rule, or a fact with the risk's name that must be false."""
    if len(risk.rules) == 1 and risk.rules[0].get("type") == FACT_RULE:
        try:
            return msgspec.convert(risk.rules[0].get("fact"), Condition)
        except msgspec.ValidationError:
            pass  # a rule that only resembles our own: whether it holds is unknown
    slug = re.sub(r"[^a-z0-9._-]", "-", risk.name.lower())[:50]
    return Condition(fact=f"risk.{slug}", test="is-not", value="false")


class _Names:
    """Makes unique names of entries from any text."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def name(self, text: str) -> str:
        plain = re.sub(r"[^A-Za-z0-9._-]", "-", text).lstrip("._-")[:56] or "entry"
        name, number = plain, 2
        while name in self._taken:
            name, number = f"{plain}-{number}", number + 1
        self._taken.add(name)
        return name


def _text(text: str) -> str:
    """A text shortened to one line, as a matrix can contain it."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", text).strip()[:1024]


# --- from matrices ------------------------------------------------------------------------------------------


def graph_of(bundles: Iterable[tuple[Manifest, str]]) -> CincinnatiGraph:
    """The graph of the matrices of some bundles. Each bundle has its id, which becomes the payload of its node.

    The nodes are all releases that the matrices know. There is an edge if the decision for a single bundle is an
    update. It is conditional if a risk or a conditional stop can change that decision. Raises ConfigError if a matrix
    cannot be read, or if the bundles are not releases of one product in one scheme.
    """
    reads, ids = [], {}
    for manifest, identity in bundles:
        read = read_matrix(manifest)
        if isinstance(read, UnreadableMatrix):
            raise ConfigError(f"the matrix of {manifest.version} cannot be read: {read.problems[0].message}")
        reads.append(read)
        ids[manifest.version] = identity
    _of_one_kind(reads, ids)
    texts: dict[Version, str] = {}
    for read in reads:
        for version in (*map(read.parsers[read.primary_component], read.manifest.matrix.releases), read.own):
            texts.setdefault(read.scheme.parse(version.text), version.text)
    listed = any(read.manifest.matrix.order == "listed" for read in reads)
    versions = list(texts.values()) if listed else [texts[version] for version in sorted(texts)]
    places = {version: place for place, version in enumerate(versions)}
    dead = {text: why for read in reads for text, why in _dead_ends(read, versions)}
    edges: list[Edge] = []
    conditional: dict[bytes, tuple[list[Edge], tuple[GraphRisk, ...]]] = {}
    for read in reads:
        target = places[texts[read.scheme.parse(read.own.text)]]
        for text, place in places.items():
            if text in dead or decide_from(read.manifest, text, matrix=read).kind != "upgrade":
                continue
            if risks := tuple(_risks(read, text)):
                conditional.setdefault(msgspec.json.encode(risks), ([], risks))[0].append((place, target))
            else:
                edges.append((place, target))
    return CincinnatiGraph(
        nodes=tuple(_node(text, place, ids.get(text, ""), dead.get(text)) for text, place in places.items()),
        edges=tuple(sorted(edges)),
        conditional=tuple(Conditional(edges=tuple(some), risks=risks) for some, risks in conditional.values()),
    )


def _of_one_kind(reads: list[ReadMatrix], ids: dict[str, str]) -> None:
    if not reads:
        raise ConfigError("no bundle was given for the graph")
    first = reads[0].manifest
    for read in reads[1:]:
        same = (first.product, reads[0].primary_component, reads[0].scheme) == (
            read.manifest.product,
            read.primary_component,
            read.scheme,
        )
        if not same:
            raise ConfigError(
                f"{first.product} {first.version} and {read.manifest.product} {read.manifest.version} are not releases "
                "of one component in one version scheme, so one graph cannot hold both",
                next_step="Export them separately.",
            )
    if len(ids) < len(reads):
        raise ConfigError("two of the bundles have the same version", next_step="Remove one of them.")


def _dead_ends(read: ReadMatrix, versions: Iterable[str]) -> list[tuple[str, str]]:
    """The versions without outgoing updates, as far as this matrix knows them, each with the reason."""
    known = {read.scheme.parse(version.text): version for version in read.known}
    found = ((text, known.get(read.scheme.parse(text))) for text in versions if read.dead_ends)
    return [(text, end.entry.reason) for text, here in found if here for end in read.dead_ends if here in end.range]


def _risks(read: ReadMatrix, text: str) -> Iterable[GraphRisk]:
    """The risks and conditions that can still forbid the update from this version, depending on facts."""
    installed = read.parsers[read.primary_component](text)
    for stop in read.stops:
        if stop.entry.when is not None and stop.lies_between(installed, read.own):
            yield _risk(stop.entry, stop.entry.when)
    for risk in read.risks:
        if installed in risk.range:
            yield _risk(risk.entry, risk.entry.when)


def _risk(entry: Risk | Stop, when: Condition) -> GraphRisk:
    rule = {"type": FACT_RULE, "fact": msgspec.to_builtins(when)}
    return GraphRisk(name=entry.id, message=entry.reason, url=entry.link, rules=[rule])


def _node(version: str, age: int, payload: str, dead: str | None) -> Node:
    marks = {} if dead is None else {"deadend": "true"} | ({"deadend_reason": dead} if dead else {})
    return Node(version=version, payload=payload, metadata={"age_index": str(age), **marks})
