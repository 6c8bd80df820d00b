"""How long a path through an update graph takes, against json.load and networkx; and how that grows with the graph.

The figures of networkx do not contain the making of its graph out of what json.load returns: ours are reading,
checking and searching, all from the bytes of the file. OpenShift's stable-4.8 is measured where the shared data are.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import harness
import networkx

from bundlekit.matrix.graph.cincinnati import load_graph
from bundlekit.matrix.graph.search import find_graph_path, hops_from

if TYPE_CHECKING:
    from collections.abc import Callable

SHARED = Path(os.environ.get("BUNDLEKIT_SHARED", Path(__file__).parents[3] / "shared")) / "data" / "upgrade-paths"
GROWTH = (10_000, 100_000, 1_000_000)
"""Edges of the graphs that show the growth."""


def made_up(file: Path, releases: int, edges: int) -> None:
    """A graph whose edges lead upwards, at random, none there twice."""
    choose = random.Random(edges)  # noqa: S311 - no secret, only the same graph again
    pairs: set[tuple[int, int]] = set()
    while len(pairs) < edges:
        low, high = sorted(choose.sample(range(releases), 2))
        pairs.add((low, high))
    nodes = [{"version": f"4.{at // 50}.{at % 50}", "payload": "", "metadata": {}} for at in range(releases)]
    file.write_text(json.dumps({"nodes": nodes, "edges": sorted(pairs), "conditionalEdges": []}))


def interleaved(tasks: dict[str, Callable[[], object]], runs: int) -> dict[str, list[float]]:
    """Milliseconds of each task, in turn, after a run of each to warm up."""
    taken: dict[str, list[float]] = {name: [] for name in tasks}
    for round_ in range(runs + 1):
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            if round_:
                taken[name].append((time.perf_counter() - start) * 1000)
    return taken


def one_path(file: Path, runs: int) -> None:
    """1,000 releases and 20,000 edges, from the oldest to the newest."""
    made_up(file, 1_000, 20_000)
    plain = json.loads(file.read_text())
    graph = networkx.DiGraph(map(tuple, plain["edges"]))
    first, last = plain["nodes"][0]["version"], plain["nodes"][-1]["version"]

    def reference() -> object:
        with file.open() as opened:
            json.load(opened)
        return networkx.bidirectional_shortest_path(graph, 0, 999)

    taken = interleaved(
        {"json.load + networkx": reference, "find_graph_path": lambda: find_graph_path(load_graph(file), first, last)},
        runs,
    )
    harness.table(
        "one path, 1,000 releases, 20,000 edges", "ms", taken, {"find_graph_path": 3}, reference="json.load + networkx"
    )


def all_pairs(runs: int) -> None:
    """Fewest hops of all pairs of a real graph, both made ready before."""
    real = load_graph(SHARED / "openshift-stable-4.8.json")
    graph = networkx.DiGraph(list(real.edges))
    following = real.successors()
    taken = interleaved(
        {
            "networkx": lambda: dict(networkx.all_pairs_shortest_path_length(graph)),
            "hops_from": lambda: [hops_from(following, start) for start in range(len(following))],
        },
        runs,
    )
    harness.table("all pairs of stable-4.8", "ms", taken, {"hops_from": 2}, reference="networkx")


def growth(file: Path, runs: int) -> None:
    """Reading and searching, ten times as many edges each time."""
    taken = {}
    for edges in GROWTH:
        made_up(file, 20_000, edges)
        taken |= interleaved({f"{edges:,} edges": lambda: find_graph_path(load_graph(file), "4.0.0", "4.399.49")}, runs)
    harness.table("20,000 releases", "ms", taken, {})


def main() -> None:
    """Measure and print."""
    arguments = harness.options(__doc__).parse_args()
    with tempfile.TemporaryDirectory(prefix="bundlekit-benchmark-", dir=arguments.dir) as folder:
        file = Path(folder) / "graph.json"
        one_path(file, arguments.runs)
        if SHARED.exists():
            all_pairs(arguments.runs)
        growth(file, arguments.runs)


if __name__ == "__main__":
    main()
