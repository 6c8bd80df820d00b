"""A rollout in the database: what starts, what operators ask, and that each start follows from the records before."""

import threading
from pathlib import Path

import pytest

from bundlekit.database.connection import Database
from bundlekit.database.schema import make_tables
from bundlekit.errors import BundlekitError, ConfigError
from bundlekit.fleet import decider as deciders
from bundlekit.fleet.core import (
    AbortRecord,
    OperatorRequest,
    Outcomes,
    PairReport,
    RetryRequest,
    StartPairs,
    decide_next,
)
from bundlekit.fleet.decider import Decider
from bundlekit.fleet.fleet_file import load_fleet
from bundlekit.fleet.planning import plan_fleet
from bundlekit.fleet.progress import PairProgress
from bundlekit.fleet.requests import ask_rollout, retry_pairs
from bundlekit.fleet.starting import RolloutExistsError, start_rollout
from bundlekit.fleet.store import NoRolloutError, RolloutStore
from fixtures.make_fleet import make_fleet
from tests.waiting import LIMIT

NAME = "management-3"
ADA = {"by": "Ada", "reason": "planned"}
NIGHT = 1_795_467_600.0  # 2026-11-23T21:00:00Z


@pytest.fixture
def database(database_url):
    made = Database(database_url)
    make_tables(made)
    yield made
    made.close()


@pytest.fixture
def store(database):
    return RolloutStore(database)


@pytest.fixture
def fleet(tmp_path, monkeypatch):
    """The small fleet without windows, in the current folder."""
    monkeypatch.chdir(tmp_path)
    make_fleet(Path())
    text = Path("FLEET.toml").read_text()
    start, _, rest = text.partition("[[windows]]")
    Path("FLEET.toml").write_text(start + rest[rest.index("[[abort]]") :])
    return Path("FLEET.toml")


def begin(store, path, **changes):
    text = path.read_text()
    for before, after in changes.items():
        assert before in text
        text = text.replace(before, after)
    path.write_text(text)
    return start_rollout(store, path, by="Ada")


def a_decider(store, owner="one", name=NAME):
    return Decider(store, name, owner=owner)


def decide(store, owner="one"):
    """Decide until nothing more starts."""
    one = a_decider(store, owner)
    while one.step():
        pass
    return phase(store)


def phase(store):
    return store.database.rows("SELECT phase, because FROM bundlekit.rollout WHERE name = %(name)s", {"name": NAME})[0]


def in_flight(store):
    rows = store.database.rows("SELECT pair FROM bundlekit.rollout_pair WHERE taken AND started IS NOT NULL ORDER BY 1")
    return [pair for (pair,) in rows]


def due(store):
    return [pair for (pair,) in store.database.rows("SELECT pair FROM bundlekit.due WHERE not_before IS NOT NULL")]


def end(store, pair, outcome, owner="one"):
    """The pair ends, as a worker with its lease writes it."""
    store.database.execute(
        "UPDATE bundlekit.due SET lease_owner = %(owner)s WHERE pair = %(pair)s", {"owner": owner, "pair": pair}
    )
    assert PairProgress(store, owner).ends(store.work(pair), outcome, run="r", reason="")


def the_records_follow_from_each_other(store):
    """Each start is what the decision answers after the records before it, and so is each abort."""
    rollout = store.plan(store.load(NAME))
    outcomes, expected = Outcomes(rollout), set()
    for _, record in store.records(NAME):
        if isinstance(record, PairReport) and outcomes.is_pending(record.pair):
            if record.pair not in expected:
                action = decide_next(rollout, outcomes, record.at)
                assert isinstance(action, StartPairs), record
                expected = set(action.pairs)
            assert record.pair in expected
            expected.remove(record.pair)
        elif isinstance(record, AbortRecord):
            assert decide_next(rollout, outcomes, record.at).reason == "abort"
        else:
            expected = set()
        outcomes.add(record)
    return outcomes


def test_a_rollout_in_the_database_is_the_one_that_was_planned(store, tmp_path, monkeypatch):
    """With its windows and labels."""
    monkeypatch.chdir(tmp_path)
    make_fleet(Path())
    planned = plan_fleet(load_fleet(Path("FLEET.toml")))
    plan = start_rollout(store, Path("FLEET.toml"), by="Ada")
    assert plan.waves == planned.plan.waves
    stored = store.load(NAME)
    assert store.plan(stored) == planned.rollout
    assert stored.fleet.path == tmp_path / "FLEET.toml"
    assert store.unfinished() == (NAME,)
    assert not due(store), "nothing starts by that"


def test_a_start_is_all_or_nothing(store, fleet):
    counts = """
        SELECT (SELECT count(*) FROM bundlekit.rollout) + (SELECT count(*) FROM bundlekit.rollout_pair)
             + (SELECT count(*) FROM bundlekit.rollout_state) + (SELECT count(*) FROM bundlekit.rollout_route)
        """
    for before, after in {'target = "3.0"': 'target = "9.9"', '"mc3.bin"': '"missing.bin"'}.items():
        text = fleet.read_text()
        fleet.write_text(text.replace(before, after))
        with pytest.raises(BundlekitError):
            start_rollout(store, fleet, by="Ada")
        fleet.write_text(text)
        assert store.database.rows(counts) == [(0,)]
    begin(store, fleet)
    with pytest.raises(RolloutExistsError, match="'management-3' exists already"):
        start_rollout(store, fleet, by="Ada")
    with pytest.raises(RolloutExistsError, match=r"pairs? in another rollout: pair-"):
        begin(store, fleet, **{'"management-3"': '"another"'})


def test_an_inventory_command_can_take_longer_than_an_idle_session_lasts(store, fleet):
    command = Path("inventory")
    command.write_text("#!/bin/sh\nsleep 1\ncat states.jsonl\n")
    command.chmod(0o700)
    store.database.execute("SET idle_in_transaction_session_timeout = '200ms'")
    begin(store, fleet, **{'file = "states.jsonl"': 'command = ["./inventory"]'})
    assert store.unfinished() == (NAME,)
    assert store.database.rows("SHOW idle_in_transaction_session_timeout") == [("200ms",)]


def test_an_inventory_with_a_line_that_is_no_state_starts_nothing(store, fleet):
    with Path("states.jsonl").open("a") as file:
        file.write("{}\n")
    with pytest.raises(ConfigError, match="1 line of the inventory without a state"):
        begin(store, fleet)


def test_waves_start_as_decided_and_the_rollout_finishes(store, fleet):
    begin(store, fleet)
    assert decide(store) == ("waiting", "the last pairs of wave canary are in flight")
    assert in_flight(store) == due(store) == ["pair-01"]
    assert decide(store, "two")[0] == "waiting", "another worker does the same, which is nothing"
    end(store, "pair-01", "succeeded")
    assert not due(store)
    assert decide(store)[0] == "waiting"
    assert in_flight(store) == [], "the soak time"
    the_records_follow_from_each_other(store)


def test_operators_pause_stop_approve_and_resume(store, fleet):
    begin(store, fleet, **{'soak = "24 h"\n': "", 'soak = "2 h"\n': ""})
    ask_rollout(store, NAME, "pause", **ADA)
    ask_rollout(store, NAME, "pause", **ADA)
    assert decide(store)[0] == "paused"
    assert in_flight(store) == []
    ask_rollout(store, NAME, "resume", **ADA)
    assert decide(store)[0] == "waiting"
    end(store, "pair-01", "succeeded")
    decide(store)
    assert phase(store) == ("waiting", "wave canary has ended, and the next one needs approval")
    with pytest.raises(BundlekitError, match="no wave 'early' that needs approval"):
        ask_rollout(store, NAME, "approve", wave="early", **ADA)
    assert ask_rollout(store, NAME, "approve", **ADA) == "canary"
    decide(store)
    assert len(in_flight(store)) == 2
    ask_rollout(store, NAME, "stop", **ADA)
    assert decide(store)[0] == "stopped"
    another = fleet.with_name("ANOTHER.toml")
    another.write_text(fleet.read_text().replace("management-3", "another").replace('"pair-01", ', ""))
    with pytest.raises(RolloutExistsError, match=r"pairs? in another rollout: pair-"):
        start_rollout(store, another, by="Ada")
    for pair in in_flight(store):
        end(store, pair, "succeeded")
    start_rollout(store, another, by="Ada")
    with pytest.raises(RolloutExistsError, match="cannot have its pairs again: 6 pairs in another rollout"):
        ask_rollout(store, NAME, "resume", **ADA)
    with pytest.raises(NoRolloutError, match="No rollout has the name 'x'; there are"):
        ask_rollout(store, "x", "stop", **ADA)
    the_records_follow_from_each_other(store)


def test_an_abort_is_recorded_once_and_a_retry_goes_on_after_a_resume(store, fleet):
    begin(store, fleet, **{"minimum-ended = 2": "minimum-ended = 1", 'soak = "24 h"\napproval = true\n': ""})
    decide(store)
    end(store, "pair-01", "degraded")
    assert decide(store)[0] == decide(store, "two")[0] == "aborted"
    assert sum(isinstance(one, AbortRecord) for _, one in store.records(NAME)) == 1
    assert retry_pairs(store, NAME, pairs=["pair-01", "pair-02"], **ADA) == ("pair-01",)
    assert retry_pairs(store, NAME, kinds=["degraded"], **ADA) == ()
    with pytest.raises(BundlekitError, match="does not have 1 pair: pair-77"):
        retry_pairs(store, NAME, pairs=["pair-77"], **ADA)
    assert decide(store)[0] == "aborted"
    ask_rollout(store, NAME, "resume", **ADA)
    decide(store)
    assert in_flight(store) == ["pair-01"]
    assert store.work("pair-01").observe
    end(store, "pair-01", "succeeded")
    outcomes = the_records_follow_from_each_other(store)
    assert outcomes.ends == {"pair-01": "succeeded"}
    kinds = [type(one) for _, one in store.records(NAME)]
    assert kinds.index(RetryRequest) < kinds.index(OperatorRequest)


def test_a_worker_without_the_lease_changes_nothing(store, fleet):
    begin(store, fleet)
    decide(store)
    work, before = store.work("pair-01"), list(store.records(NAME))
    state = store.state(work)
    progress = PairProgress(store, "nobody")
    assert not progress.ends(work, "succeeded", run="", reason="")
    assert not progress.next_stop(work, state)
    assert not progress.observed(work, state)
    assert not progress.waits(work, 60, "", heard=True, failed=True)
    assert list(store.records(NAME)) == before
    assert store.work("pair-01")[:4] == work[:4]
    assert due(store) == ["pair-01"]


def test_an_end_that_is_written_twice_counts_once(store, fleet):
    begin(store, fleet)
    decide(store)
    work = store.work("pair-01")
    end(store, "pair-01", "degraded")
    assert not PairProgress(store, "one").ends(work, "succeeded", run="", reason="")
    assert the_records_follow_from_each_other(store).ends == {"pair-01": "degraded"}


class KilledError(Exception):
    pass


def killed_after(monkeypatch, database, count):
    """Let the connection die after ``count`` more statements: what was not committed is gone."""
    left = [count]

    def counted(method):
        def call(*args, **options):
            if left[0] == 0:
                raise KilledError
            left[0] -= 1
            return method(*args, **options)

        return call

    for name in ("rows", "execute"):
        monkeypatch.setattr(database, name, counted(getattr(database, name)))
    return left


def test_a_decider_that_is_killed_between_two_statements_starts_each_pair_once(store, fleet, database_url, monkeypatch):
    begin(store, fleet, **{'soak = "24 h"\napproval = true\n': "", 'soak = "2 h"\n': ""})
    for count in range(40):
        other = Database(database_url)
        with monkeypatch.context() as patched:
            left = killed_after(patched, other, count)
            one = a_decider(RolloutStore(other), f"worker {count}")
            store.database.execute("UPDATE bundlekit.rollout SET decider_until = '-infinity'")
            try:
                while one.step():
                    pass
                assert left[0]
                break
            except KilledError:
                pass
            finally:
                other.close()
    else:
        pytest.fail("the decider never came to its end")
    assert count > 5
    assert in_flight(store) == due(store) == ["pair-01"]
    starts = [one.pair for _, one in store.records(NAME) if isinstance(one, PairReport)]
    assert starts == ["pair-01"]


def test_several_deciders_at_once_start_no_pair_twice(store, fleet, database_url, monkeypatch):
    """Each believes that it is the only one."""
    begin(store, fleet, **{'soak = "24 h"\napproval = true\n': "", 'soak = "2 h"\n': ""})
    monkeypatch.setattr(RolloutStore, "lead", lambda *_: True)
    monkeypatch.setattr(deciders, "LOOK_AGAIN", 0.0)
    ended = threading.Event()

    def work(number):
        own = Database(database_url)
        mine = RolloutStore(own)
        one = a_decider(mine, f"worker {number}")
        try:
            while not ended.is_set():
                one.step()
                for pair, owner in own.rows(
                    """
                    UPDATE bundlekit.due SET lease_owner = %(owner)s WHERE not_before IS NOT NULL AND pair IN (
                        SELECT pair FROM bundlekit.due WHERE lease_owner IS NULL LIMIT 1 FOR UPDATE SKIP LOCKED
                    ) RETURNING pair, lease_owner
                    """,
                    {"owner": f"worker {number}"},
                ):
                    found = mine.work(pair)
                    assert PairProgress(mine, owner).ends(found, "succeeded", run="", reason="")
                if not mine.unfinished():
                    ended.set()
        finally:
            own.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
        assert not thread.is_alive()
    assert phase(store) == ("finished", "every pair has ended")
    outcomes = the_records_follow_from_each_other(store)
    assert set(outcomes.ends.values()) == {"succeeded"}
    starts = [one.pair for _, one in store.records(NAME) if isinstance(one, PairReport) and one.end is None]
    assert sorted(starts) == sorted(outcomes.place)


def test_records_that_come_later_have_higher_numbers(store, fleet, database_url):
    """A reader that saw one number misses no lower one: the second transaction waits for the first."""
    begin(store, fleet)
    other = Database(database_url)
    order = []

    def second():
        with RolloutStore(other).ordered(NAME):
            order.append("second")

    with store.ordered(NAME):
        store.abort(NAME, "a")
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.2)
        order.append("first")
    thread.join(LIMIT)
    other.close()
    assert order == ["first", "second"]


def test_pairs_in_flight_are_due_again_after_their_table_was_emptied(store, fleet):
    begin(store, fleet)
    decide(store)
    waiting = due(store)
    assert waiting == in_flight(store)
    assert store.reconcile(NAME) == 0
    store.database.execute("TRUNCATE bundlekit.due")
    decide(store)
    assert due(store) == waiting
    values = {"pair": waiting[0]}
    store.database.execute(
        "UPDATE bundlekit.due SET not_before = NULL, lease_owner = 'x', lease_until = 'infinity' WHERE pair = %(pair)s",
        values,
    )
    assert store.reconcile(NAME) == 0, "a worker has it"
    store.database.execute("UPDATE bundlekit.due SET lease_until = '-infinity' WHERE pair = %(pair)s", values)
    assert store.reconcile(NAME) == 1
