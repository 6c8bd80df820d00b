"""How long the lint of the largest legal matrix takes: 8,192 releases, and 8,192 entries of one kind.

The figures are CPU time, so that other work on the machine counts less.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import harness

from bundlekit.matrix.lint import lint
from bundlekit.matrix.read import ReadMatrix, read_matrix
from bundlekit.matrix.table import table
from bundlekit.matrix.toml import matrix_from_toml
from bundlekit.model.manifest import Component, FormatVersion, Image, Manifest

if TYPE_CHECKING:
    from collections.abc import Callable

MOST = 8_192
"""Entries of one kind that a manifest can have."""


def manifest(releases: list[str], keys: dict[str, Any]) -> Manifest:
    """A bundle of 6.0.0 with these keys of a matrix.toml."""
    zeros = "sha256:" + 64 * "0"
    image = Image(size=1, digest=zeros, index=zeros)
    return Manifest(
        format=FormatVersion(major=1, minor=0),
        kind="release",
        product="benchmark",
        models=("m-1", "m-2"),
        version="6.0.0",
        scheme="dotted",
        released="2026-11-23",
        counter=1,
        components=(Component(name="appliance", version="6.0.0", images=(image,)),),
        matrix=matrix_from_toml({"matrix": 1, "releases": releases} | keys, "matrix.toml"),
    )


def tasks() -> dict[str, Callable[[], object]]:
    """Each kind of entry that has cost much before, and a table of decisions of ordinary size."""
    all_ = [f"5.{number // 50}.{number % 50}" for number in range(MOST)]
    kinds: dict[str, dict[str, Any]] = {
        "an edge and a block for each": {
            "from": [{"id": f"e{n}", "versions": one, "models": ["m-1"]} for n, one in enumerate(all_)],
            "block": [{"id": f"b{n}", "versions": f"<={one}"} for n, one in enumerate(all_)],
        },
        "a chain of stops": {
            "from": [{"id": "e", "versions": all_[-1]}],
            "stop": [{"id": f"s{n}", "versions": all_[n - 1], "via": one} for n, one in enumerate(all_) if n],
        },
        "risks": {
            "from": [{"id": "e", "versions": "*"}],
            "risk": [
                {"id": f"r{n}", "versions": f"<={one}", "when": {"fact": "a", "is": "b"}} for n, one in enumerate(all_)
            ],
        },
    }
    made = {name: manifest(all_, keys) for name, keys in kinds.items()}
    few = manifest(all_[:400], {key: entries[:200] for key, entries in kinds["an edge and a block for each"].items()})
    read = read_matrix(few)
    assert isinstance(read, ReadMatrix)
    return {
        **{f"lint: {name}": lambda one=one: lint(one, at="2026-11-24") for name, one in made.items()},
        "show: 400 releases, 400 entries": lambda: table(read),
    }


def main() -> None:
    """Measure and print."""
    runs = harness.options(__doc__ or "").parse_args().runs
    taken: dict[str, list[float]] = {}
    every = tasks()
    for round_ in range(runs + 1):
        for name, task in every.items():
            start = time.process_time()
            task()
            if round_:
                taken.setdefault(name, []).append(time.process_time() - start)
    harness.table("the largest legal matrix", "s", taken, {})


if __name__ == "__main__":
    main()
