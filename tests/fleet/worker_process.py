"""A worker as a process of its own, which a test can kill and stop: ``python -m tests.fleet.worker_process JSON``.

url, folder, fleet       the database, the worker's own folder, the folder of the simulated fleet
lease, slots             seconds of a lease, and how many pairs at once
ahead                    seconds that the clocks of this host are ahead of the others
newer                    this worker is of a later release, which has added to the tables and to the records
programs                 hooks that change a member are processes; otherwise all hooks are called directly
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from bundlekit.database import schema
from bundlekit.errors import BundlekitError
from bundlekit.fleet.worker import FleetWorker
from bundlekit.update import Hooks
from bundlekit.update.engine import records
from bundlekit.update.engine.hooks import PassThrough
from bundlekit.update.state import postgres_journal
from bundlekit.update.targets.command import Command, CommandHooks
from fixtures import appliances
from fixtures.appliance_fleet import ApplianceFleet, ApplianceHooks

LATER = "CREATE TABLE bundlekit.later (note text); ALTER TABLE bundlekit.due ADD COLUMN later text NOT NULL DEFAULT ''"


class ChangingPrograms(PassThrough):
    """Hooks of which those that change a member are processes. The others are called, to save time."""

    def __init__(self, fleet, descriptor):
        super().__init__(ApplianceHooks(fleet.root, instant=True))
        command = Command(argv=(sys.executable, "-IS", str(fleet.hook), str(fleet.root)))
        self.programs = CommandHooks({"active": command, "standby": command}, lock_fd=descriptor)

    def behind(self, request) -> Hooks:
        changes = request.verb in appliances.CHANGING and request.step in self.programs.commands
        return self.programs if changes else self.hooks


def shift(seconds):
    """Set the clocks of this host wrong: the time of day, and how long it has been up."""
    day, day_ns, since = time.time, time.time_ns, time.clock_gettime
    time.time = lambda: day() + seconds
    time.time_ns = lambda: day_ns() + int(seconds * 1e9)
    time.clock_gettime = lambda clock: since(clock) + abs(seconds)


def grow_newer():
    """Be a later release: one more step of the tables, which earlier workers can use, and one more field of records."""
    steps = len(schema.STEPS)
    later = (*schema.STEPS, schema.SchemaStep(LATER, usable_by=steps))
    vars(schema)["STEPS"] = later
    encode = records.encode
    vars(postgres_journal)["encode"] = lambda record: encode(record)[:-1] + b',"later":"a field of a later release"}'


def main(told):
    shift(told.get("ahead", 0))
    if told.get("newer"):
        grow_newer()
    fleet = ApplianceFleet(Path(told["fleet"]))

    def hooks(_plan, descriptor):
        return ChangingPrograms(fleet, descriptor) if told.get("programs") else ApplianceHooks(fleet.root, instant=True)

    worker = FleetWorker(
        told["url"],
        told["folder"],
        hooks=hooks,
        slots=told.get("slots", 8),
        lease_seconds=told.get("lease", 60),
        tell=lambda text: print(text, flush=True),  # noqa: T201 -- the log of the host
    )
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    print(f"worker {os.getpid()} begins", flush=True)  # noqa: T201 -- the log of the host
    try:
        worker.run()
    except BundlekitError as error:
        sys.exit(error.message)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
