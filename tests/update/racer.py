"""One of two controllers that race for pair after pair; driven line by line over stdin and stdout.

Reads a pair's name, waits for the go, runs the update, and answers with the outcome. The one that wins stays
inside its first hook until it is told that the other has given up, so the two always overlap.
"""

import sys
from pathlib import Path

from bundlekit.update.engine.clock import ManualClock
from bundlekit.update.engine.executor import Engine
from bundlekit.update.engine.plan import PAIR
from bundlekit.update.engine.records import Answer
from bundlekit.update.rehearsal.rehearse import EmptyBundle, calm
from bundlekit.update.rehearsal.simulator import SimulatedPair, simulated_job
from bundlekit.update.state.lock import PairBusyError, PairLock
from bundlekit.update.state.sqlite_journal import SqliteJournal


def say(word):
    print(word, flush=True)  # noqa: T201 -- the protocol with the test


class Waiting(SimulatedPair):
    def validate(self, request):
        if request.step == "storage":
            say("inside")
            sys.stdin.readline()
        return Answer(kind="ok")


def main(folder, name):
    journal = SqliteJournal(folder)
    say("ready")
    for line in sys.stdin:
        clock = ManualClock()
        job = simulated_job(calm(PAIR), pair=line.strip())
        sys.stdin.readline()
        try:
            with PairLock(folder, job.pair, name, wait=0.0):
                engine = Engine(journal=journal, hooks=Waiting(job, clock), clock=clock, holder=name)
                say(engine.run(job, EmptyBundle(job.bundle_id)).kind)
        except PairBusyError as error:
            say(f"busy {error.holder}")


main(Path(sys.argv[1]), sys.argv[2])
