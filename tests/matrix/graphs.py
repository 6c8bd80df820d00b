"""Real update graphs, where they are at hand, and graphs made up for a test."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from bundlekit.matrix.graph.cincinnati import read_graph

SHARED = Path(os.environ.get("BUNDLEKIT_SHARED", Path(__file__).parents[3] / "shared")) / "data" / "upgrade-paths"


def shared(name):
    """A file of the shared data; the test is skipped where there is none."""
    if not (SHARED / name).exists():
        pytest.skip("the shared data are not here")
    return SHARED / name


def cases(name):
    return [json.loads(line) for line in shared(name).read_text().splitlines()]


def graph(nodes, edges=None, conditional=None, **fields):
    """A graph as read from JSON; nodes are versions, or versions with metadata; edges "a>b"."""
    pairs = [(node, {}) if isinstance(node, str) else node for node in nodes]
    names = [version for version, _ in pairs]
    plain: dict[str, Any] = {
        "nodes": [{"version": version, "payload": "", "metadata": metadata} for version, metadata in pairs]
    }
    if edges is not None:
        plain["edges"] = [[names.index(end) for end in edge.split(">")] for edge in edges.split()]
    if conditional is not None:
        plain["conditionalEdges"] = [
            {
                "edges": [dict(zip(("from", "to"), edge.split(">"), strict=True)) for edge in some.split()],
                "risks": risks,
            }
            for some, risks in conditional
        ]
    return read_graph(json.dumps(plain | fields).encode(), where="graph.json")
