"""Where runs are kept: one controller over a folder, and several over one database."""

import threading
import time
from contextlib import ExitStack, closing

import pytest

from bundlekit.database.connection import Database
from bundlekit.update import Controller
from bundlekit.update.engine.errors import FenceLostError
from bundlekit.update.engine.records import CancelRequested, Instant
from bundlekit.update.state import lease as leases
from bundlekit.update.state import shared_clock
from bundlekit.update.state.lease import KEEP, LeaseKeeper
from bundlekit.update.state.lock import PairBusyError
from bundlekit.update.state.postgres_state import PostgresState
from bundlekit.update.state.shared_clock import SharedClock
from bundlekit.update.state.update_state import FolderState, open_state
from tests.waiting import wait_for

NOTE = CancelRequested(at=Instant(boot="b", ticks=1.0, wall=2.0))


@pytest.fixture
def host(database_url, tmp_path):
    """The state as a host of that name has it. All of them share the database, and none the folder."""
    with ExitStack() as stack:

        def state(name, **options):
            found = PostgresState(database_url, tmp_path / name, **options)
            return stack.enter_context(closing(found))

        yield state


@pytest.fixture(params=["folder", "postgres"])
def state(request, tmp_path):
    if request.param == "folder":
        return FolderState(tmp_path / "state")
    return request.getfixturevalue("host")("here")


def test_nothing_is_there_before_the_first_run_and_reading_makes_nothing(state):
    with state.reading() as journal:
        assert journal.pairs() == () == journal.read("p")
    assert state.rows("p") == []
    assert state.at_work("p") == ""
    assert state.kept("p", "state.json") is None
    with state.reading() as journal:
        assert type(journal).__name__ == "MemoryJournal", "there is still nothing"


def test_a_held_pair_is_held_alone_and_named(state):
    with state.held("p") as (journal, hook_fd):
        assert hook_fd >= 0
        fence = journal.claim("p", "me")
        journal.append("p", fence, NOTE)
        assert "process" in state.at_work("p")
        with pytest.raises(PairBusyError, match="another controller is at work"), state.held("p"):
            pass
        with state.held("q"):
            pass
    assert state.at_work("p") == ""
    with state.reading() as journal:
        assert journal.read("p") == (NOTE,)
    assert len(state.rows("p")) == 1
    with state.held("p"):
        pass


def test_a_request_to_cancel_names_a_run_until_it_is_withdrawn(state):
    with state.held("p") as (journal, _):
        journal.claim("p", "me")
    assert state.cancel_request("p").asked() == ""
    state.cancel_request("p").ask("0123")
    assert state.cancel_request("p").asked() == "0123"
    assert state.cancel_request("q").asked() == ""
    state.cancel_request("p").withdraw()
    assert state.cancel_request("p").asked() == ""


def test_inputs_are_kept_and_replaced(state):
    with state.held("p"):
        state.keep("p", "state.json", b"one")
        state.keep("p", "state.json", b"two")
    assert state.kept("p", "state.json") == b"two"
    assert state.kept("p", "report.json") is None


def test_the_stamp_changes_with_a_record(state):
    with state.held("p") as (journal, _):
        fence = journal.claim("p", "me")
        before = state.stamp("p")
        journal.append("p", fence, NOTE)
        assert state.stamp("p") != before


def test_a_pair_is_held_by_one_host_alone(host):
    here, there = host("here"), host("there")
    with here.held("p"):
        assert there.at_work("p") == here.at_work("p") != ""
        with pytest.raises(PairBusyError, match="another controller is at work"), there.held("p"):
            pass
    with there.held("p"):
        pass


def test_a_controller_that_lost_its_lease_can_neither_claim_nor_write(host):
    here, there = host("here", lease_seconds=0.01), host("there")
    with here.held("p") as (mine, _):
        fence = mine.claim("p", "one")
        here.keeper.close()  # as if its process had been stopped for longer than its lease
        wait_until_ended(here, "p")
        mine.append("p", fence, NOTE)
        with there.held("p") as (theirs, _):
            with pytest.raises(FenceLostError):
                mine.append("p", fence, NOTE)
            with pytest.raises(FenceLostError):
                mine.claim("p", "one")
            theirs.append("p", theirs.claim("p", "two"), NOTE)
    with there.held("p") as (theirs, _), pytest.raises(FenceLostError):
        mine.append("p", fence + 1, NOTE)


def wait_until_ended(state, pair):
    with state.lent() as database:
        wait_for(lambda: not leases.leased_by(database, pair), "the end of the lease")


def test_what_a_path_or_a_url_opens(tmp_path):
    assert isinstance(open_state(tmp_path), FolderState)
    assert open_state(str(tmp_path)).name == str(tmp_path)
    with closing(open_state("postgresql://me:secret@db.example/fleet", folder=tmp_path)) as state:
        assert isinstance(state, PostgresState)
        assert state.name == "postgresql://me@db.example/fleet"
        assert state.folder == tmp_path


def test_a_controller_takes_a_path_or_a_state(tmp_path, host):
    assert Controller(tmp_path, lambda *_: None).kept_in.folder == tmp_path
    state = host("here")
    controller = Controller(state, lambda *_: None)
    assert controller.kept_in is state
    assert controller.clock is state.clock


# --- leases -------------------------------------------------------------------------------------------------


@pytest.fixture
def database(host):
    with host("here").lent() as database:
        yield database


def row(database, pair):
    found = database.rows(
        "SELECT lease_owner, not_before IS NULL, extract(epoch FROM not_before - clock_timestamp())::float8, "
        "lease_until > clock_timestamp() FROM bundlekit.due WHERE pair = %(pair)s",
        {"pair": pair},
    )
    return found[0] if found else None


def test_due_pairs_are_leased_in_their_order_and_once(database):
    for number, pair in enumerate("abcde"):
        database.execute(
            "INSERT INTO bundlekit.due (pair, not_before) VALUES (%(pair)s, "
            "clock_timestamp() - make_interval(secs => %(ago)s))",
            {"pair": pair, "ago": 10 - 5 * number},
        )
    assert set(leases.take_due(database, "one", 60, 2)) == {"a", "b"}
    assert leases.take_due(database, "two", 60, 9) == ("c",)
    assert leases.take_due(database, "three", 60, 9) == (), "d and e are not due yet"
    assert leases.give_back(database, "a", "one", 0)
    assert leases.take_due(database, "three", 60, 9) == ("a",)


def test_a_lease_that_has_ended_is_taken_over(database):
    assert leases.take(database, "p", "one", -1) == ""
    assert leases.leased_by(database, "p") == ""
    assert leases.take(database, "p", "two", 60) == ""
    assert leases.take(database, "p", "one", 60) == "two"
    assert leases.renew(database, ["p"], "one", 60) == frozenset()
    assert not leases.give_back(database, "p", "one")
    assert leases.leased_by(database, "p") == "two"


def test_a_lease_that_ended_is_renewed_while_no_other_worker_had_the_pair(database):
    assert leases.take(database, "p", "one", -1) == ""
    assert leases.renew(database, ["p", "q"], "one", 60) == {"p"}
    assert leases.take(database, "p", "two", 60) == "one"


def test_a_lease_is_taken_again_by_its_owner_and_from_owners_known_to_be_dead(database):
    assert leases.take(database, "p", "host.1", 60) == ""
    assert leases.take(database, "p", "host.1", 60) == "", "the first attempt can have failed after it was committed"
    assert leases.take(database, "p", "host.2", 60) == "host.1"
    assert leases.take(database, "p", "host.2", 60, dead="host.") == ""


def test_giving_back_sets_when_the_pair_is_due_again(database):
    for again, wanted in ((30.0, (False, True)), (KEEP, (False, True)), (None, (True, None)), (KEEP, (True, None))):
        leases.take(database, "p", "one", 60)
        assert leases.give_back(database, "p", "one", again)
        owner, never, left, _ = row(database, "p")
        assert (owner, never) == (None, wanted[0])
        assert (left is not None and left > 0) == (wanted[1] is not None)


def test_a_keeper_renews_what_it_has_and_marks_what_it_lost(database, database_url):
    with closing(LeaseKeeper(Database(database_url), "one", 60)) as keeper:
        for pair in "ab":
            leases.take(database, pair, "one", -1)
        kept, lost = keeper.keep("a"), keeper.keep("b")
        assert leases.take(database, "b", "two", 60) == ""
        keeper.renew_all()
        assert row(database, "a")[3], "it is live again"
        assert (kept.lost.is_set(), lost.lost.is_set()) == (False, True)
        assert not lost.release(database)
        assert kept.release(database, None)
        keeper.renew_all()
        assert row(database, "a")[0] is None, "what was given back is not renewed"


def test_a_keeper_renews_by_itself(database, database_url):
    with closing(LeaseKeeper(Database(database_url), "one", 0.03)) as keeper:
        leases.take(database, "p", "one", -1)
        keeper.keep("p")
        live = "SELECT 1 FROM bundlekit.due WHERE lease_until > clock_timestamp()"
        wait_for(lambda: database.rows(live), "a renewal")


def test_a_worker_leases_and_holds_due_pairs(host):
    state = host("here")
    with state.lent() as database:
        database.execute("INSERT INTO bundlekit.due (pair, not_before) VALUES ('p', clock_timestamp())")
    (lease,) = state.take_due(5)
    assert state.take_due(5) == ()
    with pytest.raises(PairBusyError), host("there").held("p"):
        pass
    with state.held("p", lease) as (journal, _):
        journal.append("p", journal.claim("p", "me"), NOTE)
    assert state.at_work("p"), "the worker still has it"
    assert state.release(lease, None)
    assert state.at_work("p") == ""


def test_a_lease_of_a_controller_that_died_on_this_host_is_taken_over_at_once(host, tmp_path, database_url):
    with closing(PostgresState(database_url, tmp_path / "here")) as dead, dead.lent() as database:
        assert leases.take(database, "p", dead.owner, 60) == ""
    with pytest.raises(PairBusyError), host("there").held("p"):
        pass
    with host("here").held("p"):
        pass


def test_a_pair_is_no_longer_ours_once_its_lease_is_lost(host, monkeypatch):
    """Every controller asks that before a hook that writes, with ``--state`` as well as a worker."""
    state = host("here")
    assert not state.is_ours("p")
    with state.held("p"), state.lent() as database:
        assert Controller(state, lambda *_: None)._engine(None, "p", None).is_ours("p")
        database.execute("UPDATE bundlekit.due SET lease_owner = 'another'")
        assert state.is_ours("p"), "no other controller can have it before its end"
        real = leases.ticks
        monkeypatch.setattr(leases, "ticks", lambda: real() + 100)
        assert not state.is_ours("p")
    assert not state.is_ours("p")


# --- the shared clock ---------------------------------------------------------------------------------------


def test_the_clock_is_that_of_the_server_whatever_the_host_believes(database_url, monkeypatch):
    real = shared_clock._ticks
    monkeypatch.setattr(time, "time", lambda: 0.0)
    with closing(Database(database_url)) as database:
        for off in (0.0, 86_400.0, -86_400.0):
            monkeypatch.setattr(shared_clock, "_ticks", lambda off=off: real() + off)
            with closing(SharedClock(Database(database_url))) as clock:
                before = database.rows("SELECT extract(epoch FROM clock_timestamp())::float8")[0][0]
                now = clock.now()
                after = database.rows("SELECT extract(epoch FROM clock_timestamp())::float8")[0][0]
            assert before - 60 < now.wall < after + 60
            assert now.ticks == now.wall
            assert now.boot.startswith("postgresql-")


def test_threads_use_one_state_for_several_pairs(host):
    state = host("here")
    found = []

    def work(pair):
        for _ in range(5):
            with state.held(pair) as (journal, _):
                journal.append(pair, journal.claim(pair, "me"), NOTE)
        found.append(pair)

    threads = [threading.Thread(target=work, args=(f"p{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with state.reading() as journal:
        assert [len(journal.read(pair)) for pair in sorted(found)] == [5] * 6


def test_threads_that_use_a_state_at_once_have_one_clock_and_one_owner(database_url, tmp_path):
    """Since Python 3.12 a cached property takes no lock."""
    with closing(PostgresState(database_url, tmp_path / "here")) as state:
        found, ready = [], threading.Barrier(8)

        def look():
            ready.wait()
            found.append((state.owner, id(state.clock)))

        threads = [threading.Thread(target=look) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 8
        assert len(set(found)) == 1
