"""A journal in PostgreSQL whose server, connection or lease fails in the middle: nothing is lost, doubled or wrong."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest

from bundlekit.database.connection import Database, DatabaseLostError
from bundlekit.database.schema import make_tables
from bundlekit.errors import ConfigError
from bundlekit.update import Controller
from bundlekit.update.engine.errors import FenceLostError, JournalError, StateDatabaseError
from bundlekit.update.engine.history import History
from bundlekit.update.engine.records import CallStarted, CancelRequested, Instant
from bundlekit.update.state import lease as leases
from bundlekit.update.state.lock import PairBusyError
from bundlekit.update.state.postgres_journal import PostgresJournal
from bundlekit.update.state.postgres_state import PostgresState
from bundlekit.update.state.shared_clock import SharedClock
from tests.update.world import World
from tests.waiting import lines_of, wait_for

ROOT = Path(__file__).parents[2]
AT = Instant(boot="b", ticks=1.0, wall=2.0)
NOTE = CancelRequested(at=AT)


class Disturbed:
    """The hooks of a pair: when the n-th one is called, something happens to the database first."""

    def __init__(self, hooks, nth, happens):
        self.hooks, self.left, self.happens = hooks, nth, happens

    def __getattr__(self, verb):
        method = getattr(self.hooks, verb)

        def call(request):
            self.left -= 1
            if self.left == 0:
                self.happens()
            return method(request)

        return call


@pytest.mark.exhaustive
@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_restarts_in_the_middle_of_a_run_changes_nothing_of_it(own_postgres_server, mode, monkeypatch):
    """Before each hook in turn. The record after it finds the connection lost, and is written by the next attempt."""
    monkeypatch.setattr("bundlekit.update.engine.executor.APPEND_PAUSE", 0.0)
    undisturbed = World()
    wanted = undisturbed.run()
    kinds = [type(record) for record in undisturbed.records]
    for nth in (1, 4, 9, 14):
        with own_postgres_server.new_database() as url, closing(Database(url)) as database:
            make_tables(database)
            world = World(journal=PostgresJournal(database))
            world.hooks = Disturbed(world.hooks, nth, lambda: own_postgres_server.restart(mode))
            outcome = world.run()
            assert world.hooks.left < 0
            assert (outcome.kind, outcome.states) == (wanted.kind, wanted.states), nth
            assert [type(record) for record in world.journal.read(world.job.pair)] == kinds, nth


def test_what_was_confirmed_outlives_a_crash_of_the_server(own_postgres_server):
    """Each record that an append has returned for is there after ``immediate``, and nothing else is."""
    with closing(Database(own_postgres_server.url())) as database:
        make_tables(database)
        journal = PostgresJournal(database)
        fence = journal.claim("p", "me")
        confirmed = 0
        for _ in range(3):
            for number in range(5):
                journal.append("p", fence, CallStarted(at=AT, verb="apply", step="s", attempt=confirmed + number))
            confirmed += 5
            own_postgres_server.restart("immediate")
            assert [record.attempt for record in journal.read("p")] == list(range(confirmed))


class LostAnswer(Database):
    """A database that carries out the n-th statement with a given word, and then loses the answer."""

    def __init__(self, url, word, nth=1):
        super().__init__(url)
        self._word, self._nth = word, nth

    def rows(self, statement, values=None):
        found = super().rows(statement, values)
        self._answer(statement)
        return found

    def execute(self, statement, values=None):
        found = super().execute(statement, values)
        self._answer(statement)
        return found

    def _answer(self, statement):
        if self._word in statement:
            self._nth -= 1
            if self._nth == 0:
                self.close()
                raise DatabaseLostError("the connection was lost")


@pytest.fixture
def database(database_url):
    with closing(Database(database_url)) as database:
        make_tables(database)
        yield database


@pytest.fixture
def lossy(database):
    """A function that makes a `LostAnswer` on the database of the test."""
    with ExitStack() as stack:
        yield lambda *lost: stack.enter_context(closing(LostAnswer(database.url, *lost)))


@pytest.mark.parametrize("nth", [1, 2, 7, 20])
def test_a_record_that_was_committed_without_an_answer_is_there_once(lossy, monkeypatch, nth):
    monkeypatch.setattr("bundlekit.update.engine.executor.APPEND_PAUSE", 0.0)
    plain = World()
    wanted = plain.run()
    world = World(journal=PostgresJournal(lossy("INSERT INTO bundlekit.journal", nth)))
    outcome = world.run()
    assert (outcome.kind, outcome.states) == (wanted.kind, wanted.states)
    records = world.journal.read(world.job.pair)
    assert [type(record) for record in records] == [type(record) for record in plain.records]


def test_a_claim_without_an_answer_only_leaves_a_gap(lossy):
    world = World(journal=PostgresJournal(lossy("INSERT INTO bundlekit.due")))
    assert world.run().kind == "succeeded"
    assert world.records[0].fence == 2


def test_a_lease_without_an_answer_is_taken_by_the_next_attempt(lossy):
    database = lossy("INSERT INTO bundlekit.due")
    assert database.repeat(lambda: leases.take(database, "p", "one", 60)) == ""


# --- another host -------------------------------------------------------------------------------------------


@pytest.fixture
def host(database_url, tmp_path):
    with ExitStack() as stack:
        yield lambda name, **options: stack.enter_context(
            closing(PostgresState(database_url, tmp_path / name, **options))
        )


STOPPED = """
import sys
from contextlib import closing
from bundlekit.update.engine.errors import FenceLostError
from bundlekit.update.engine.records import CancelRequested, Instant
from bundlekit.update.state.postgres_state import PostgresState

url, folder, seconds = sys.argv[1:]
note = CancelRequested(at=Instant(boot="b", ticks=1.0, wall=2.0))
with closing(PostgresState(url, folder, lease_seconds=float(seconds))) as state, state.held("p") as (journal, _):
    fence = journal.claim("p", "stopped")
    journal.append("p", fence, note)
    print("holds", flush=True)
    sys.stdin.readline()
    for attempt in (lambda: journal.append("p", fence, note), lambda: journal.claim("p", "stopped")):
        try:
            attempt()
        except FenceLostError as error:
            print(type(error).__name__, flush=True)
        else:
            print("went on", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def worker(database_url, tmp_path):
    """A process that holds pair ``p`` on another host. Its lines are in the file that is returned with it."""
    started = []

    def start(name, seconds):
        out = tmp_path / f"{name}.out"
        with out.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, "-c", STOPPED, database_url, tmp_path / name, str(seconds)],
                stdin=subprocess.PIPE, stdout=file, cwd=ROOT,
            )  # fmt: skip
        started.append(process)
        wait_for(lambda: "holds" in lines_of(out), "the lease of the other process")
        return process, out

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_process_that_was_stopped_beyond_its_lease_touches_nothing_of_its_successor(worker, host):
    process, out = worker("there", 0.5)
    os.kill(process.pid, signal.SIGSTOP)
    here = host("here")

    def take():
        with suppress(PairBusyError):
            return stack.enter_context(here.held("p"))
        return None

    with ExitStack() as stack:
        journal, _ = wait_for(take, "the end of the lease")
        fence = journal.claim("p", "successor")
        os.kill(process.pid, signal.SIGCONT)
        process.stdin.write(b"go on\n")
        process.stdin.flush()
        wait_for(lambda: len(lines_of(out)) == 3, "its two attempts")
        assert lines_of(out)[1:] == ["FenceLostError", "FenceLostError"]
        journal.append("p", fence, NOTE)
        assert here.at_work("p") == here.owner.partition(" ")[2], "it did not give back what it has lost"
        process.communicate(b"end\n")
        assert process.returncode == 0
        assert here.at_work("p") == here.owner.partition(" ")[2]
        assert len(journal.read("p")) == 2


def test_a_process_that_was_stopped_goes_on_if_no_other_took_the_pair(worker, database):
    process, out = worker("there", 0.2)
    os.kill(process.pid, signal.SIGSTOP)
    wait_for(lambda: not leases.leased_by(database, "p"), "the end of the lease")
    os.kill(process.pid, signal.SIGCONT)
    process.communicate(b"go on\nend\n")
    assert process.returncode == 0
    assert lines_of(out)[1:] == ["went on", "went on"]


def test_a_pair_of_a_process_that_was_killed_on_this_host_is_free_at_once(worker, host):
    process, _ = worker("here", 3600)
    with pytest.raises(PairBusyError), host("there").held("p"):
        pass
    process.kill()
    process.communicate()
    with pytest.raises(PairBusyError), host("there").held("p"):
        pass
    with host("here").held("p"):
        pass


def test_a_restored_database_from_before_the_run_is_no_reason_to_touch_a_pair(database):
    """Its fence is below that of the appliance; the next claim goes above what the appliance remembers."""
    world = World(journal=PostgresJournal(database))
    assert world.run().kind == "succeeded"
    database.execute("ALTER TABLE bundlekit.journal DISABLE TRIGGER never_changed")
    database.execute("DELETE FROM bundlekit.journal")
    database.execute("DELETE FROM bundlekit.due")
    world.journal = PostgresJournal(database)
    before = max(component.fence for component in world.pair.components.values())
    assert world.run_again().kind == "succeeded"
    assert world.calls("apply") == [], "everything is new already"
    assert History.of(world.journal.read(world.job.pair)).fence > before


# --- a server that is away, or has not what is needed -------------------------------------------------------


def test_a_controller_without_its_server_waits_and_a_refused_one_does_not_begin(database_url, tmp_path):
    away = f"postgresql://me@/fleet?host={tmp_path}"
    with closing(PostgresState(away, tmp_path / "state")) as state:
        outcome = Controller(state, lambda *_: None).revert("p", by="Ada", reason="test")
        assert (outcome.kind, "Check that the server runs" in outcome.reason) == ("waiting", True)
        assert state.cancel_request("p").asked() == "", "a request that cannot be read is asked for again"
        with pytest.raises(JournalError):
            state.clock.now()
    with closing(PostgresState(database_url.replace("/fresh", "/no-fresh"), tmp_path / "state")) as state:
        controller = Controller(state, lambda *_: None)
        with pytest.raises(StateDatabaseError, match="does not exist"):
            controller.revert("p", by="Ada", reason="test")


def test_tables_of_a_newer_release_are_left_alone(database, host):
    database.execute("UPDATE bundlekit.schema_version SET version = 99, usable_by = 98")
    state = host("here")
    with pytest.raises(ConfigError, match="version 99"), state.held("p"):
        pass
    with pytest.raises(ConfigError, match="version 99"), state.reading():
        pass


def test_the_shared_clock_goes_on_while_the_server_is_away(own_postgres_server, monkeypatch):
    monkeypatch.setattr("bundlekit.update.state.shared_clock.FRESH_SECONDS", -1.0)
    with closing(SharedClock(Database(own_postgres_server.url()))) as clock:
        before = clock.now()
        own_postgres_server.stop()
        after = clock.now()
        assert after.boot == before.boot
        assert after.ticks >= before.ticks
        own_postgres_server.start()


def test_a_keeper_goes_on_after_its_server_was_away(own_postgres_server, tmp_path):
    with closing(PostgresState(own_postgres_server.url(), tmp_path / "state")) as state:
        with state.held("p"):
            own_postgres_server.stop()
            state.keeper.renew_all()
            own_postgres_server.start()
            state.keeper.renew_all()
            assert state.at_work("p")
        assert state.at_work("p") == ""


def test_a_lost_lease_is_not_given_back(host):
    here, there = host("here", lease_seconds=0.01), host("there")
    with here.held("p") as (journal, _):
        here.keeper.close()
        with here.lent() as database:
            wait_for(lambda: not leases.leased_by(database, "p"), "the end of the lease")
        with there.held("p"):
            with pytest.raises(FenceLostError):
                journal.claim("p", "late")
            owner = there.at_work("p")
    assert "process" in owner
    assert here.at_work("p") == ""
