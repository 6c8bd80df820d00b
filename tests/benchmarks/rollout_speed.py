"""How fast rollouts are, with their database on the same two cores, and what many waiting pairs cost.

``run``: all pairs from the start of the workers to the last end, with hooks that are called directly and take no time.
``idle``: 100,000 pairs that wait: the CPU time that workers and server take meanwhile, and how long the status takes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from bundlekit.database.connection import Database  # noqa: E402
from bundlekit.database.schema import make_tables  # noqa: E402
from bundlekit.fleet.starting import start_rollout  # noqa: E402
from bundlekit.fleet.store import RolloutStore  # noqa: E402
from fixtures.appliance_fleet import ApplianceFleet  # noqa: E402
from fixtures.make_fleet import state  # noqa: E402
from fixtures.postgres import PostgresServer  # noqa: E402
from tests.fleet.hosts_of_workers import WorkerHost  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

WAVES = """\
[[waves]]
name = "all"
[[abort]]
percent = 100
minimum-ended = 1000000
"""

TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def a_server(folder: Path, *, durable: bool) -> Iterator[str]:
    """The URL of a server in ``folder``."""
    with closing(PostgresServer(folder / "server", durable=durable)) as server:
        server.start()
        yield server.url()


def begin(fleet: ApplianceFleet, url: str) -> float:
    """Start the rollout, and return the seconds that it took."""
    with closing(Database(url)) as database:
        make_tables(database)
        began = time.perf_counter()
        start_rollout(RolloutStore(database), fleet.file, by="benchmark")
        return time.perf_counter() - began


def run(folder: Path, pairs: int, workers: int, slots: int, *, durable: bool) -> None:
    """Pairs a second, from the first start to the last end."""
    fleet = ApplianceFleet(folder / "fleet").make(pairs, two_stops=0, in_flight=64, more=WAVES, program=False)
    with a_server(folder, durable=durable) as url, closing(Database(url)) as database:
        started = begin(fleet, url)
        hosts = [
            WorkerHost(folder / f"host-{number}", url=url, fleet=str(fleet.folder), slots=slots).start()
            for number in range(workers)
        ]
        try:
            while database.rows("SELECT finished IS NULL FROM bundlekit.rollout")[0][0]:
                time.sleep(0.5)
            seconds, ends = database.rows(
                """
                SELECT extract(epoch FROM max(ended) - min(started))::float8, sum((outcome = 'succeeded')::int)
                FROM bundlekit.rollout_pair
                """
            )[0]
            used = sum(cpu_seconds(folder).values())
        finally:
            codes = [host.end() for host in hosts]
    wrong = len(list(fleet.violations()))
    print(
        f"run {pairs:>7,} pairs, {workers} workers of {slots} slots: {pairs / seconds:6.1f} pairs a second "
        f"({seconds:.1f} s, {used / pairs * 1e3:.0f} ms CPU a pair with the server; start took {started:.1f} s, "
        f"{ends} succeeded, {wrong} violations, exit codes {codes})",
        flush=True,
    )


def is_of(process: Path, server: Path) -> bool:
    """Whether the process works in the folder of the server."""
    try:
        return (process / "cwd").resolve().is_relative_to(server)
    except OSError:
        return False


def cpu_seconds(folder: Path) -> dict[str, float]:
    """The CPU time so far of the workers and of the server, by the words of their commands."""
    found = {"workers": 0.0, "server": 0.0}
    for process in Path("/proc").iterdir():
        try:
            command = (process / "cmdline").read_bytes().decode(errors="replace")
            fields = (process / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if process.name == str(os.getpid()):
            continue
        kind = "workers" if "worker_process" in command and str(folder) in command else ""
        if "worker_process" not in command and is_of(process, folder / "server"):
            kind = "server"
        if kind:
            found[kind] += (int(fields[11]) + int(fields[12])) / TICKS
    return found


def idle(folder: Path, pairs: int, workers: int, seconds: float) -> None:
    """What ``pairs`` pairs cost that are in flight and have to wait for an hour."""
    fleet = ApplianceFleet(folder / "fleet").make(10, in_flight=pairs, more=WAVES, program=False)
    with (fleet.folder / "states.jsonl").open("w") as file:
        for number in range(pairs):
            one = state(f"pair-{number:06}", "2.0", facts={"site": f"site-{number // 10}"})
            one["components"] = {"storage": {"version": "2.0"}}
            file.write(json.dumps(one) + "\n")
    with a_server(folder, durable=True) as url, closing(Database(url)) as database:
        print(f"start of {pairs:,} pairs: {begin(fleet, url):.1f} s")
        store = RolloutStore(database)
        names = [f"pair-{number:06}" for number in range(pairs)]
        with store.ordered("simulated"):
            store.start("simulated", names)
        database.execute("UPDATE bundlekit.due SET not_before = clock_timestamp() + interval '1 hour'")
        database.execute("ANALYZE")
        hosts = [
            WorkerHost(folder / f"host-{number}", url=url, fleet=str(fleet.folder), slots=8).start()
            for number in range(workers)
        ]
        try:
            time.sleep(20)  # the first decision reads all records
            before = cpu_seconds(folder)
            time.sleep(seconds)
            after = cpu_seconds(folder)
            for kind, used in after.items():
                print(f"idle with {pairs:,} waiting pairs: {kind} use {(used - before[kind]) / seconds:.2%} of a core")
            for form in ("text", "json", "prometheus"):
                began = time.perf_counter()
                words = ["fleet", "status", "--state", url, "--format", form]
                subprocess.run(
                    [sys.executable, "-m", "bundlekit", *words], cwd=ROOT, stdout=subprocess.DEVNULL, check=True
                )
                print(f"status of {pairs:,} pairs as {form}: {time.perf_counter() - began:.2f} s   target <= 1")
        finally:
            for host in hosts:
                host.end()


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commands", nargs="*", default=["run"], help="run, idle")
    parser.add_argument("--steps", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--not-durable", action="store_true", help="the server does not sync to disk")
    parser.add_argument("--dir", type=Path, help="where the fleet, the server and the folders of the workers are")
    given = parser.parse_args()
    work = {
        "run": lambda folder, pairs: run(folder, pairs, given.workers, given.slots, durable=not given.not_durable),
        "idle": lambda folder, pairs: idle(folder, pairs, given.workers, 60.0),
    }
    for command in given.commands:
        for pairs in given.steps if command == "run" else [100_000]:
            folder = Path(tempfile.mkdtemp(prefix="rollout-speed-", dir=given.dir))
            folder.chmod(0o711)
            try:
                work[command](folder, pairs)
            finally:
                shutil.rmtree(folder)


if __name__ == "__main__":
    main()
