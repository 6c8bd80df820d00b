"""What journalling one step costs, against two bare commits with synchronous=FULL in the same run.

    python tests/benchmarks/journalling.py [FOLDER]

A step is an intent and an observation, so two durable records. FOLDER should lie on the disk that the journal
will live on; interleaved, 200 rounds, minimum and median of both and their ratios.
"""

import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path

from bundlekit.update.engine.clock import SystemClock
from bundlekit.update.engine.records import Answer, CallFinished, CallStarted, encode
from bundlekit.update.state.sqlite_journal import SqliteJournal

ROUNDS = 200


def main(folder):
    clock = SystemClock()
    started = CallStarted(at=clock.now(), verb="apply", step="active", attempt=1)
    finished = CallFinished(at=clock.now(), verb="apply", step="active", answer=Answer(kind="ok", version="5.40.00"))
    bodies = [encode(record).decode() for record in (started, finished)]
    journal = SqliteJournal(folder / "state")
    fence = journal.claim("pair", "benchmark")
    bare = sqlite3.connect(folder / "bare.db", isolation_level=None)
    bare.execute("PRAGMA journal_mode = WAL")
    bare.execute("PRAGMA synchronous = FULL")
    bare.execute("CREATE TABLE t (seq INTEGER PRIMARY KEY, body TEXT, hash TEXT)")

    def reference():
        for body in bodies:
            bare.execute("INSERT INTO t (body, hash) VALUES (?, ?)", (body, "0" * 64))

    def journalled():
        for record in (started, finished):
            journal.append("pair", fence, record)

    times = {reference: [], journalled: []}
    for _ in range(ROUNDS):
        for what, seen in times.items():
            start = time.perf_counter()
            what()
            seen.append(time.perf_counter() - start)
    for name, value in (("minimum", min), ("median", statistics.median)):
        ours, theirs = value(times[journalled]), value(times[reference])
        print(f"{name}: {ours * 1e6:.0f} us / {theirs * 1e6:.0f} us = {ours / theirs:.2f}")
    journal.close()
    bare.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as scratch:
        main(Path(scratch))
