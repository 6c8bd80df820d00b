"""How fast workers get pairs from the table ``due``, and from the queue Procrastinate, on one PostgreSQL server.

Both hand out the same number of jobs that do nothing, ten at a time. The server has its default durability. The
measurement is the basis of a decision (``.github/decisions``). Procrastinate is not a dependency: it is left out if it
is not installed.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from bundlekit.database.connection import Database  # noqa: E402
from bundlekit.database.schema import make_tables  # noqa: E402
from bundlekit.update.state.lease import give_back, take_due  # noqa: E402
from fixtures.postgres import PostgresServer  # noqa: E402

AT_ONCE = 10
"""Pairs that a worker takes in one statement, and jobs that Procrastinate runs at once."""


def by_due_table(url: str, jobs: int) -> tuple[float, float]:
    """Seconds to plan the jobs, and seconds to take and end all of them."""
    database = Database(url)
    make_tables(database)
    start = time.perf_counter()
    for number in range(jobs):
        database.execute(
            "INSERT INTO bundlekit.due (pair, not_before) VALUES (%(pair)s, clock_timestamp()) "
            "ON CONFLICT (pair) DO UPDATE SET not_before = excluded.not_before",
            {"pair": f"pair-{number}"},
        )
    planned = time.perf_counter()
    done = 0
    while pairs := take_due(database, "benchmark", 60, AT_ONCE):
        for pair in pairs:
            give_back(database, pair, "benchmark", None)
            done += 1
    ended = time.perf_counter()
    database.close()
    assert done == jobs
    return planned - start, ended - planned


def by_procrastinate(url: str, jobs: int, *, first: bool) -> tuple[float, float]:
    """The same with jobs of Procrastinate, each with a lock and a queueing lock of its own."""
    import procrastinate

    async def measured() -> tuple[float, float]:
        app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url))
        done = 0

        @app.task(name="advance")
        async def advance(pair: str) -> None:
            nonlocal done
            done += 1

        async with app.open_async():
            if first:
                await app.schema_manager.apply_schema_async()
            start = time.perf_counter()
            for number in range(jobs):
                pair = f"pair-{number}"
                await advance.configure(lock=pair, queueing_lock=pair).defer_async(pair=pair)
            planned = time.perf_counter()
            await app.run_worker_async(
                wait=False, concurrency=AT_ONCE, install_signal_handlers=False, delete_jobs="always"
            )
            ended = time.perf_counter()
        assert done == jobs
        return planned - start, ended - planned

    return asyncio.run(measured())


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--jobs", type=int, default=500)
    given = parser.parse_args()
    other = find_spec("procrastinate") is not None
    times: dict[str, list[tuple[float, float]]] = {"due": [], "procrastinate": []}
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        server = PostgresServer(Path(made) / "server")
        try:
            server.start()
            for number in range(given.runs):
                times["due"].append(by_due_table(server.url(), given.jobs))
                if other:
                    times["procrastinate"].append(by_procrastinate(server.url(), given.jobs, first=not number))
        finally:
            server.close()
    for name, found in times.items():
        for index, part in enumerate(("plan", "take and end")):
            if found:
                rates = [given.jobs / one[index] for one in found]
                print(f"{name}: {part}: {max(rates):,.0f} a second at best, {statistics.median(rates):,.0f} median")
    if not other:
        print("procrastinate is not installed: pip install procrastinate")


if __name__ == "__main__":
    main()
