"""Update graphs in the JSON of OpenShift's update service (Cincinnati), which Fedora CoreOS uses too.

    {"nodes": [{"version": "4.8.1", "payload": "…", "metadata": {…}}, …],
     "edges": [[0, 1], …],                                       from and to, as indexes of nodes
     "conditionalEdges": [{"edges": [{"from": "4.8.0", "to": "4.8.1"}, …], "risks": [{"name": …}, …]}, …]}

Unknown fields are ignored, as the format requires of its readers. An edge that is also listed as conditional is
conditional, as in OpenShift's cluster-version operator. A *dead end* is a node with ``deadend`` in its metadata. It has
no outgoing updates, regardless of the edges. The last dotted part of a metadata key counts
(``org.fedoraproject.coreos.updates.barrier``). Cycles are no fault: an edge back is a rollback.

A Fedora CoreOS update stream (``{"stream": …, "releases": [{"version", "metadata"}]}``) has no edges, and a graph can
omit them too. They are then derived from its barriers, see `barrier_edges`.
"""

from __future__ import annotations

import json
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from msgspec import Meta, field

from bundlekit import config
from bundlekit.errors import ConfigError, VersionError
from bundlekit.files import LIMITS
from bundlekit.model.primitives import Frozen, VersionText
from bundlekit.schema_errors import explain
from bundlekit.versions import scheme_named

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

MAX_FILE: Final = LIMITS["graph"]
"""The limit in bytes. A million edges, indented, take 32 MiB."""
MAX_NODES: Final = 65_536
MAX_CONDITIONAL: Final = 1_000_000
"""The maximum number of conditional edges, counted once for each risk."""
SCHEMES: Final = ("semver", "dotted", "pep440")
"""The order of the schemes tried on the versions of a graph, which does not name its own."""

Edge = tuple[int, int]


class Node(Frozen, frozen=True, kw_only=True):
    """A release: its version, the location of its payload, and all other metadata of its publisher."""

    version: VersionText
    payload: str | None = None
    metadata: dict[str, Any] | None = None

    def says(self, key: str) -> object:
        """The metadata with the key ``key`` or a key that ends with ``.key``; None if there is none."""
        metadata = self.metadata or {}
        if key in metadata:
            return metadata[key]
        return next((value for name, value in metadata.items() if name.rpartition(".")[2] == key), None)

    def is_marked(self, key: str) -> bool:
        """Whether the metadata marks it: ``true``, ``"true"``, or an object with details."""
        value = self.says(key)
        return isinstance(value, dict) or value is True or (isinstance(value, str) and value.lower() == "true")

    def reason(self, key: str) -> str:
        """Why it is marked: ``{key}_reason``, or the ``reason`` in the details of the mark; empty if neither exists."""
        value = self.says(key)
        reason = value.get("reason") if isinstance(value, dict) else self.says(f"{key}_reason")
        return reason if isinstance(reason, str) else ""


class GraphRisk(Frozen, frozen=True, kw_only=True):
    """Why an edge is conditional. ``rules`` define the appliances concerned, in a language of the publisher."""

    name: str
    message: str = ""
    url: str = ""
    rules: list[dict[str, Any]] = field(default=[], name="matchingRules")


class Conditional(Frozen, frozen=True, kw_only=True):
    """Edges for appliances that none of the risks applies to."""

    edges: tuple[Edge, ...]
    risks: tuple[GraphRisk, ...]


class CincinnatiGraph(Frozen, frozen=True, kw_only=True):
    """Releases, and the allowed updates between them. Edges are pairs of indexes of ``nodes``."""

    nodes: tuple[Node, ...]
    edges: Sequence[Edge]
    conditional: tuple[Conditional, ...] = ()

    def places(self) -> dict[str, int]:
        """The index of each version."""
        return {node.version: place for place, node in enumerate(self.nodes)}

    def risks(self) -> dict[Edge, list[GraphRisk]]:
        """The risks of each conditional edge, combined from all places that name them."""
        named: dict[Edge, list[GraphRisk]] = {}
        for conditional in self.conditional:
            for edge in conditional.edges:
                named.setdefault(edge, []).extend(conditional.risks)
        return named

    def successors(self, accepted: Collection[str] = ()) -> list[list[int]]:
        """For each node the nodes that it can be updated to if the risks of these names are accepted."""
        following: list[list[int]] = [[] for _ in self.nodes]
        if not self.conditional:
            for source, target in self.edges:
                following[source].append(target)
        else:
            risks = self.risks()
            plain = (edge for edge in self.edges if edge not in risks)
            taken = (edge for edge, named in risks.items() if all(risk.name in accepted for risk in named))
            for source, target in chain(plain, taken):
                following[source].append(target)
        for place, node in enumerate(self.nodes):
            if node.metadata and node.is_marked("deadend"):
                following[place] = []
        return following


# --- reading and writing ------------------------------------------------------------------------------------


class _Pair(Frozen, frozen=True, kw_only=True):
    from_: str = field(name="from")
    to: str


class _ConditionalEdges(Frozen, frozen=True, kw_only=True):
    edges: tuple[_Pair, ...]
    risks: Annotated[tuple[GraphRisk, ...], Meta(min_length=1, max_length=64)]


class _GraphFile(Frozen, frozen=True, kw_only=True):
    """The file. Null, which Go writes for an empty value, counts as absent."""

    nodes: tuple[Node, ...]
    edges: tuple[tuple[Annotated[int, Meta(ge=0)], Annotated[int, Meta(ge=0)]], ...] | None = None
    conditional: tuple[_ConditionalEdges, ...] | None = field(default=None, name="conditionalEdges")


class _StreamFile(Frozen, frozen=True, kw_only=True):
    nodes: tuple[Node, ...] = field(name="releases")


def load_graph(path: Path) -> CincinnatiGraph:
    """The graph in a file of at most 64 MiB. ConfigError names the file and the position of the fault."""
    return read_graph(config.read_file(path, limit=MAX_FILE), where=str(path))


def read_graph(data: bytes, *, where: str) -> CincinnatiGraph:
    """The graph in the bytes of a JSON file, read in roughly linear time."""
    try:
        file = _decode(data)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {explain(error, _GraphFile)}") from error
    except RecursionError as error:
        raise ConfigError(f"{where}: is not JSON that can be read: its values are nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: is not JSON: {error}") from error
    if len(file.nodes) > MAX_NODES:
        raise ConfigError(f"{where}: has {len(file.nodes)} nodes; the limit is {MAX_NODES}")
    places: dict[str, int] = {}
    for place, node in enumerate(file.nodes):
        if (first := places.setdefault(node.version, place)) != place:
            raise ConfigError(f"{where}: at 'nodes[{place}]': {node.version!r} is also the version of nodes[{first}]")
    edges = file.edges
    if edges is None:
        edges = barrier_edges(file.nodes)
    elif edges and max(chain.from_iterable(edges)) >= len(file.nodes):
        at = next(at for at, edge in enumerate(edges) if max(edge) >= len(file.nodes))
        raise ConfigError(
            f"{where}: at 'edges[{at}]': {max(edges[at])} is not the index of a node; the graph has {len(file.nodes)}"
        )
    return CincinnatiGraph(
        nodes=file.nodes, edges=edges, conditional=_conditional(file.conditional or (), places, where)
    )


def _decode(data: bytes) -> _GraphFile:
    # A stream has releases in place of nodes. No other form is tried, so that messages name the right keys.
    if b'"nodes"' not in data and b'"releases"' in data:
        return _GraphFile(nodes=msgspec.json.decode(data, type=_StreamFile).nodes)
    return msgspec.json.decode(data, type=_GraphFile)


def _conditional(groups: tuple[_ConditionalEdges, ...], places: dict[str, int], where: str) -> tuple[Conditional, ...]:
    if sum(len(group.edges) * len(group.risks) for group in groups) > MAX_CONDITIONAL:
        raise ConfigError(f"{where}: has more than {MAX_CONDITIONAL} conditional edges")
    for at, group in enumerate(groups):
        for number, pair in enumerate(group.edges):
            for version in (pair.from_, pair.to):
                if version not in places:
                    raise ConfigError(
                        f"{where}: at 'conditionalEdges[{at}].edges[{number}]': there is no node {version[:64]!r}"
                    )
    return tuple(
        Conditional(edges=tuple((places[pair.from_], places[pair.to]) for pair in group.edges), risks=group.risks)
        for group in groups
    )


def write_graph(graph: CincinnatiGraph) -> bytes:
    """The graph as JSON, with one node or edge per line."""
    versions = [node.version for node in graph.nodes]
    conditional = [
        {
            "edges": [{"from": versions[source], "to": versions[target]} for source, target in group.edges],
            "risks": group.risks,
        }
        for group in graph.conditional
    ]
    lists = {"nodes": graph.nodes, "edges": graph.edges, "conditionalEdges": conditional}
    written = [
        b'"%s": [%s]' % (name.encode(), b",".join(b"\n  " + _ascii(item) for item in items))
        for name, items in lists.items()
    ]
    return b'{"version": 1,\n' + b",\n".join(written) + b"}\n"


# --- order, and what follows from it ------------------------------------------------------------------------


def _ascii(item: object) -> bytes:
    """JSON in ASCII, so that no character of a bundle can affect a terminal."""
    written = msgspec.json.encode(item)
    return written if written.isascii() else json.dumps(json.loads(written), separators=(",", ":")).encode()


def release_order(nodes: Sequence[Node]) -> list[int]:
    """The indexes of ``nodes`` in the order of their release.

    The order is that of ``age_index``, if every node has one. Otherwise it is by version, in the first of `SCHEMES`
    that reads all versions. If none does, the order of the file is kept.
    """
    ages = [_age(node) for node in nodes]
    if all(age is not None for age in ages):
        return sorted(range(len(nodes)), key=lambda place: (ages[place], place))
    if (scheme := scheme_of(node.version for node in nodes)) is None:
        return list(range(len(nodes)))
    keys = [scheme_named(scheme).parse(node.version) for node in nodes]
    return sorted(range(len(nodes)), key=keys.__getitem__)


def _age(node: Node) -> int | None:
    age = node.says("age_index")
    if isinstance(age, str) and age.isascii() and age.isdigit() and len(age) <= 15:
        age = int(age)
    return age if isinstance(age, int) and not isinstance(age, bool) else None


def scheme_of(versions: Collection[str] | Any) -> str | None:  # noqa: ANN401 - any iterable
    """The first of `SCHEMES` that reads all of these versions; None if none does."""
    texts = list(versions)
    for name in SCHEMES:
        scheme = scheme_named(name)
        try:
            for text in texts:
                scheme.parse(text)
        except VersionError:
            continue
        return name
    return None


def barrier_edges(nodes: Sequence[Node]) -> tuple[Edge, ...]:
    """The edges derived from barriers and rollouts, as in Fedora CoreOS.

    Every node leads to the next barrier. After the last barrier, every node leads to each later rollout. That is a node
    marked as one, or the last node if none is marked.
    """
    order = release_order(nodes)
    barriers = [at for at, place in enumerate(order) if nodes[place].is_marked("barrier")]
    last = barriers[-1] if barriers else 0
    rollouts = [at for at in range(last + 1, len(order)) if nodes[order[at]].is_marked("rollout")]
    rollouts = rollouts or [len(order) - 1]
    edges = []
    start = 0
    for barrier in barriers:
        edges += [(order[at], order[barrier]) for at in range(start, barrier)]
        start = barrier
    edges += [(order[at], order[rollout]) for rollout in rollouts for at in range(last, rollout)]
    return tuple(edges)
