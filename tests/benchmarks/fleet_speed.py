"""How long the plan of a fleet takes and how much memory, and how both grow with the number of pairs.

The states are those of the small fleet with names and sites of their own. ``--steps`` are the numbers of pairs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

AT = "2026-11-23T21:30:00Z"


def make(folder: Path, pairs: int) -> None:
    """A fleet of so many pairs: ten at each site, in three time zones, a few of each kind refused."""
    from fixtures import make_fleet

    make_fleet.make_fleet(folder)
    kinds = make_fleet.states()[1:]
    zones = ("Europe/Berlin", "Asia/Tokyo", "America/New_York")
    with (folder / "states.jsonl").open("w") as file:
        for number in range(pairs):
            one = dict(kinds[number % len(kinds)])
            one |= {"pair": f"pair-{number:07}", "facts": {"site": f"site-{number // 10}", "zone": zones[number % 3]}}
            one["members"] = {f"{number}-{at}": item for at, item in enumerate(one["members"].values())}
            file.write(json.dumps(one) + "\n")
    text = (folder / "FLEET.toml").read_text().replace("all = 4", f"all = {max(4, pairs // 500)}")
    (folder / "FLEET.toml").write_text(text)


def measured(folder: Path, *words: str) -> tuple[float, float]:
    """Seconds and MiB (maximum resident set) of a command in a process of its own."""
    start = time.perf_counter()
    with (folder / "out").open("wb") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", "bundlekit", "fleet", *words],
            cwd=folder,
            stdout=out,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        _, _, usage = os.wait4(child.pid, 0)
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def main() -> None:
    """Print one line for each command and step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("commands", nargs="*", default=["plan"])
    given = parser.parse_args()
    for pairs in given.steps:
        with tempfile.TemporaryDirectory() as made:
            make(Path(made), pairs)
            for word in given.commands:
                seconds, memory = measured(Path(made), word, "FLEET.toml", "--at", AT, "--format", "json")
                print(f"{word:9} {pairs:>9,} pairs  {seconds:7.2f} s  {memory:6.0f} MiB")


if __name__ == "__main__":
    main()
