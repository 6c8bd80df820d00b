"""What the tables of fleets cost on a PostgreSQL server of their own, with its default durability.

``append``: the two records of a step, against two bare commits of a row on the same server; interleaved.
``due``: taking the pairs that are due, while 100,000 others wait.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from bundlekit.database.connection import Database  # noqa: E402
from bundlekit.database.schema import make_tables  # noqa: E402
from bundlekit.update.engine.clock import SystemClock  # noqa: E402
from bundlekit.update.engine.records import Answer, CallFinished, CallStarted, encode  # noqa: E402
from bundlekit.update.state.lease import give_back, take_due  # noqa: E402
from bundlekit.update.state.postgres_journal import PostgresJournal  # noqa: E402
from fixtures.postgres import PostgresServer  # noqa: E402


def append(url: str, rounds: int) -> None:
    """The two records of a step, against two bare commits."""
    clock = SystemClock()
    started = CallStarted(at=clock.now(), verb="apply", step="active", attempt=1)
    finished = CallFinished(at=clock.now(), verb="apply", step="active", answer=Answer(kind="ok", version="5.40.00"))
    body = encode(finished).decode()
    ours, bare = Database(url), Database(url)
    make_tables(ours)
    journal = PostgresJournal(ours)
    fence = journal.claim("pair", "benchmark")
    bare.execute("CREATE TABLE bare (seq bigserial PRIMARY KEY, body text, hash text)")

    def journalled() -> None:
        for record in (started, finished):
            journal.append("pair", fence, record)

    def reference() -> None:
        for _ in range(2):
            bare.execute("INSERT INTO bare (body, hash) VALUES (%(body)s, %(hash)s)", {"body": body, "hash": "0" * 64})

    times: dict[str, list[float]] = {"append": [], "bare": []}
    for _ in range(rounds):
        for name, work in (("append", journalled), ("bare", reference)):
            start = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - start)
    for name, value in (("minimum", min), ("median", statistics.median)):
        first, second = value(times["append"]), value(times["bare"])
        print(f"append, {name}: {first * 1e6:.0f} us / {second * 1e6:.0f} us = {first / second:.2f}   target <= 2")
    ours.close()
    bare.close()


def due(url: str, pairs: int, rounds: int) -> None:
    """Taking and giving back ten due pairs, with nothing else in the table and with ``pairs`` that wait."""
    with closing(Database(url)) as database:
        make_tables(database)
        database.execute("TRUNCATE bundlekit.due")
        names = [f"due-{number}" for number in range(10)]
        for name in names:
            database.execute(
                "INSERT INTO bundlekit.due (pair, not_before) VALUES (%(pair)s, clock_timestamp())", {"pair": name}
            )
        for waiting in (0, pairs):
            database.execute(
                """
                INSERT INTO bundlekit.due (pair, not_before)
                SELECT 'waiting-' || number, clock_timestamp() + interval '1 hour'
                FROM generate_series(1, %(waiting)s) AS number
                """,
                {"waiting": waiting},
            )
            database.execute("ANALYZE bundlekit.due")
            took, idle = [], []
            for _ in range(rounds):
                start = time.perf_counter()
                taken = take_due(database, "benchmark", 60, 10)
                took.append(time.perf_counter() - start)
                if sorted(taken) != sorted(names):
                    raise SystemExit(f"took {taken}")
                start = time.perf_counter()
                if take_due(database, "another", 60, 10):
                    raise SystemExit("a leased pair was taken")
                idle.append(time.perf_counter() - start)
                for name in names:
                    give_back(database, name, "benchmark", 0.0)
            print(
                f"due, {waiting:,} pairs wait: 10 due pairs taken in {min(took) * 1e3:.2f} ms (minimum), "
                f"{statistics.median(took) * 1e3:.2f} ms (median); none due: {min(idle) * 1e3:.2f} ms, "
                f"{statistics.median(idle) * 1e3:.2f} ms"
            )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        server = PostgresServer(Path(made) / "server")
        try:
            server.start()
            append(server.url(), given.rounds)
            due(server.url(), 100_000, given.rounds)
        finally:
            server.close()


if __name__ == "__main__":
    main()
