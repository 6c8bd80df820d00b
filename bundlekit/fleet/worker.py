"""A worker: takes pairs that are due, advances each until it must wait, and decides what starts next.

Any number of workers can run, on any hosts. One thread looks what is due, decides about the rollouts, and hands pairs
to the slots. A slot is a thread that advances one pair at a time. A worker can end at any moment: the leases that it
had end by themselves, and the next worker continues from the journal.
"""

from __future__ import annotations

import queue
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bundlekit.database.connection import Database, DatabaseError
from bundlekit.errors import BundlekitError
from bundlekit.fleet.advance import PairAdvance, WorkerStoppingError, longer
from bundlekit.fleet.decider import Decider
from bundlekit.fleet.dispatch import CHANNEL
from bundlekit.fleet.host_files import HostFiles
from bundlekit.fleet.progress import PairProgress
from bundlekit.fleet.store import RolloutStore
from bundlekit.update.engine.errors import JournalError
from bundlekit.update.state.lease import KEEP, LEASE_SECONDS
from bundlekit.update.state.postgres_state import PostgresState
from bundlekit.update.state.sqlite_journal import has_private_folder
from bundlekit.update.state.support_bundle import LOGS
from bundlekit.update.targets.select import hooks_for

if TYPE_CHECKING:
    from bundlekit.fleet.dispatch import Dispatcher
    from bundlekit.fleet.store import PairWork
    from bundlekit.update.controller import HooksFactory
    from bundlekit.update.engine.hooks import Hooks
    from bundlekit.update.engine.plan import Plan
    from bundlekit.update.engine.records import Record
    from bundlekit.update.state.lease import Lease

LOOK_SECONDS: Final = 1.0
"""The most seconds between two looks at what is due, if no hint comes."""

AWAY_SECONDS: Final = 1.0
"""Seconds until the next attempt after the database could not be used."""

BREATH: Final = 0.01
"""Seconds between two decisions at least: what is reported meanwhile is decided at once."""

STEPS_AT_ONCE: Final = 64
"""The most stops of one pair without giving its lease back."""


class FleetWorker:
    """A worker for the rollouts in the database of ``url``, with ``folder`` on this host.

    ``hooks`` are the hooks of all pairs, or a function that makes them for a plan (see `Controller`). Without it they
    are those that the plan names. ``slots`` is how many pairs it advances at the same time. ``tell`` is called with one
    sentence about each problem that is not about a pair, and ``watch`` with each record of a pair. A ``dispatcher``
    hears of each pair that starts, or that has no work any more, from several threads.

    Raises ConfigError for a URL that cannot be used.
    """

    def __init__(
        self,
        url: str,
        folder: Path | str,
        *,
        hooks: Hooks | HooksFactory | None = None,
        slots: int = 8,
        lease_seconds: float = LEASE_SECONDS,
        tell: Callable[[str], None] = lambda _text: None,
        watch: Callable[[str, Sequence[Record]], None] = lambda _pair, _records: None,
        dispatcher: Dispatcher | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.slots = slots
        self._state = PostgresState(url, self.folder, lease_seconds=lease_seconds)
        self._database = Database(url)
        self._hooks = hooks if hooks is not None else self._hooks_of_plan
        self._tell = tell
        self._watch = watch
        self._dispatcher = dispatcher
        self._stopping = threading.Event()
        self._queue: queue.SimpleQueue[Lease | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._files: dict[str, HostFiles] = {}
        self._deciders: dict[str, Decider] = {}
        self._away = False

    def stop(self) -> None:
        """Let `run` return: each pair is left after the action that is under way. Can be called from any thread."""
        self._stopping.set()

    def run(self, *, until_finished: bool = False) -> None:
        """Work until `stop` is called; with ``until_finished`` also until every rollout has finished or stopped.

        A database that cannot be used at the start is an error (JournalError or DatabaseError), and so is a folder that
        others can enter (StateFolderError). Later the worker waits for the database to come back.
        """
        has_private_folder(self.folder)  # raises for one that others can enter, before anything is opened
        with self._state.lent() as database:  # the first connection makes the tables, or shows what is wrong
            RolloutStore(database).require_rights()
        threads = [
            threading.Thread(target=self._slot, name=f"bundlekit-slot-{number}", daemon=True)
            for number in range(self.slots)
        ]
        self._idle = self.slots
        for thread in threads:
            thread.start()
        try:
            while not self._stopping.is_set():
                try:
                    if self._look() and until_finished and self._is_idle():
                        break
                    self._back()
                except (DatabaseError, JournalError) as error:
                    self._gone(error)
        finally:
            self._stopping.set()
            for _ in threads:
                self._queue.put(None)
            for thread in threads:
                thread.join()
            self._close()

    def _close(self) -> None:
        with suppress(DatabaseError):
            RolloutStore(self._database).leave(self._state.owner)
        self._database.close()
        self._state.close()

    def _look(self) -> bool:
        """Decide, hand out what is due, and wait for more. Whether no rollout has anything left to start."""
        store = RolloutStore(self._database)
        names = store.unfinished()
        for name in set(self._deciders) - set(names):
            del self._deciders[name]
        started = False
        for name in names:
            decider = self._deciders.get(name)
            if decider is None:
                decider = Decider(store, name, owner=self._state.owner, dispatcher=self._dispatcher)
                self._deciders[name] = decider
            try:
                started = decider.step() or started
            except (DatabaseError, JournalError):
                raise
            except BundlekitError as error:  # its file cannot be read here; the other rollouts go on
                self._tell(f"rollout {name}: {error.message} {error.next_step}".strip())
        self._hand_out()
        if started:
            time.sleep(BREATH)
        else:
            self._database.wait(CHANNEL, LOOK_SECONDS)
        return not store.has_work()

    def _hand_out(self) -> None:
        with self._lock:
            free = self._idle
        if free:
            for lease in self._state.take_due(free):
                with self._lock:
                    self._idle -= 1
                self._queue.put(lease)

    def _is_idle(self) -> bool:
        with self._lock:
            return self._idle == self.slots

    def _gone(self, error: BundlekitError) -> None:
        """The database cannot be used: forget what was read of it, since it can come back as an older copy."""
        self._deciders.clear()
        if not self._away:
            self._away = True
            self._tell(f"{error.message} {error.next_step} The worker goes on when it can be used.")
        self._stopping.wait(AWAY_SECONDS)

    def _back(self) -> None:
        if self._away:
            self._away = False
            self._tell(f"The database {self._state.name} can be used again.")

    def _slot(self) -> None:
        """Advance the pairs that are handed to this slot. After each one it takes the next that is due itself."""
        while True:
            lease = self._queue.get()
            while lease is not None:
                self._advance(lease)
                lease = self._another()
                if lease is None:
                    with self._lock:
                        self._idle += 1
                    break
            else:
                return

    def _another(self) -> Lease | None:
        if self._stopping.is_set():
            return None
        with suppress(DatabaseError, JournalError):
            for lease in self._state.take_due(1):
                return lease
        return None

    def _advance(self, lease: Lease) -> None:
        """Advance the pair until it must wait, and give its lease back."""
        again: float | None = None
        try:
            for _ in range(STEPS_AT_ONCE):
                if lease.lost.is_set() or self._stopping.is_set() or not self._step(lease):
                    break
        except WorkerStoppingError:
            again = 0.0
        except (DatabaseError, JournalError):
            pass  # the database was away, or the worker was stopped: what was not written is done again
        except Exception:  # a fault in the hooks of a program must not end the worker
            self._tell(f"pair {lease.pair}: {traceback.format_exc()}")
            again = longer(0)
        self._give_back(lease, again)

    def _step(self, lease: Lease) -> bool:
        """Do the update of the pair's stop as far as it goes now. Whether the pair has more work at once."""
        with self._state.lent() as database:
            store = RolloutStore(database)
            work = store.work(lease.pair)
            if work is None:
                PairProgress(store, self._state.owner).nothing(lease.pair)
                if self._dispatcher is not None:
                    self._dispatcher.forget(lease.pair)
                return False
            appliance = store.state(work)
            try:
                files = self._files_of(store, work)
            except BundlekitError as error:
                why = f"{error.message} {error.next_step}".strip()
                PairProgress(store, self._state.owner).waits(work, longer(work.tries), why, heard=False, failed=True)
                return False
        step = PairAdvance(
            self._state,
            lease,
            self._progress,
            files,
            self._hooks,
            stopping=self._stopping.is_set,
            watch=self._watch,
        )
        return step.step(work, appliance)

    @contextmanager
    def _progress(self) -> Iterator[PairProgress]:
        with self._state.lent() as database:
            yield PairProgress(RolloutStore(database), self._state.owner)

    def _files_of(self, store: RolloutStore, work: PairWork) -> HostFiles:
        with self._lock:
            found = self._files.get(work.rollout)
        if found is None:
            found = HostFiles(store.load(work.rollout), self.folder)
            with self._lock:
                self._files[work.rollout] = found
        return found

    def _give_back(self, lease: Lease, again: float | None) -> None:
        """Give the lease back. While the database is away that cannot be done, and the lease ends by itself."""
        while not lease.lost.is_set():
            try:
                self._state.release(lease, KEEP if again is None else again)
            except (DatabaseError, JournalError):
                if self._stopping.wait(AWAY_SECONDS):
                    break
            else:
                return
        lease.drop()

    def _hooks_of_plan(self, plan: Plan, lock_fd: int) -> Hooks:
        return hooks_for(plan, lock_fd=lock_fd, log_dir=self.folder / LOGS)
