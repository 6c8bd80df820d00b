"""What a worker does with one pair: waits, ends, errors that are not about the pair, and attempts after a retry."""

import pytest

from bundlekit.database.connection import Database, DatabaseError
from bundlekit.database.schema import make_tables
from bundlekit.fleet.advance import ENDS_AS, LONGEST_WAIT, ended_in, longer
from bundlekit.fleet.fleet_report import FleetStop
from bundlekit.fleet.progress import PairProgress
from bundlekit.fleet.requests import retry_pairs
from bundlekit.fleet.rollout_status import status_of_rollout
from bundlekit.fleet.starting import start_rollout
from bundlekit.fleet.status_text import lines
from bundlekit.fleet.store import PairWork, RolloutStore
from bundlekit.fleet.worker import FleetWorker
from bundlekit.update.engine.clock import ManualClock
from bundlekit.update.engine.outcome import EXIT_CODES
from bundlekit.update.engine.records import CallFinished, Rejected
from bundlekit.update.state.lock import PairLock, holder
from fixtures import appliances
from fixtures.appliance_fleet import ApplianceFleet, ApplianceHooks

PAIR = "pair-000000"
OPEN = '[[waves]]\nname = "all"\n[[abort]]\nfailures = ["cancelled"]\npercent = 100\n'
ADA = {"by": "Ada", "reason": "repaired"}


class OneByOne(FleetWorker):
    """A worker without threads."""

    def __init__(self, store, fleet, name):
        self.told = []
        super().__init__(
            store.database.url, fleet.folder / name, hooks=ApplianceHooks(fleet.root), tell=self.told.append
        )

    def turn(self):
        """Decide, make every waiting pair due now, and advance all of them."""
        self._idle = 0
        self._look()
        self._database.execute("UPDATE bundlekit.due SET not_before = clock_timestamp() WHERE not_before IS NOT NULL")
        for lease in self._state.take_due(9):
            self._advance(lease)


@pytest.fixture
def store(database_url):
    database = Database(database_url)
    make_tables(database)
    yield RolloutStore(database)
    database.close()


@pytest.fixture
def fleet(memory_folder, store):
    """One pair in a rollout that has begun."""
    made = ApplianceFleet(memory_folder / "fleet").make(1, two_stops=0, program=False, more=OPEN)
    start_rollout(store, made.file, by="Ada")
    return made


@pytest.fixture
def one(store, fleet, monkeypatch):
    monkeypatch.setattr("bundlekit.fleet.worker.LOOK_SECONDS", 0.0)
    worker = OneByOne(store, fleet, "work")
    yield worker
    worker._close()


def status(store):
    return status_of_rollout(store, "simulated")


def seconds_left(store):
    rows = store.database.rows("SELECT extract(epoch FROM not_before - clock_timestamp())::float8 FROM bundlekit.due")
    return rows[0][0]


def runs(store):
    return store.database.rows("SELECT count(*) FROM bundlekit.journal WHERE body::json ->> 'record' = 'started'")[0][0]


def test_every_outcome_counts_or_waits():
    """An outcome that a later version adds must get its place in the table."""
    assert set(EXIT_CODES) - set(ENDS_AS) == {"waiting", "busy", "nothing-to-resume"}


def test_attempts_that_fail_wait_longer_up_to_a_limit():
    assert [longer(tries) for tries in (0, 1, 2, 100)] == [60, 120, 240, LONGEST_WAIT]


def test_a_rejection_counts_only_after_the_pair_was_started():
    at = ManualClock().now()
    records = [Rejected(at=at, run=name, tool="", path="", reason=name) for name in ("old", "new")]
    work = PairWork("r", "p", (), 0, 1, False, 0.0, 0)
    stop = FleetStop(version="3.0", component="appliance", bundle="3.0.bin", id="sha256:1")
    assert ended_in(records, work._replace(stops=(stop,))).run == "new"
    assert ended_in(records, work._replace(stops=(stop,), base_seq=2)) is None
    other = [Rejected(at=at, run="x", tool="", path="", reason="", bundle_id="sha256:2")]
    assert ended_in(other, work._replace(stops=(stop,), base_seq=0)) is None


def test_a_gate_that_is_not_ready_takes_no_worker(store, fleet, one):
    (fleet.root / "settings.json").write_text('{"form": 3600}')
    for _ in range(3):
        one.turn()
        assert 0 < seconds_left(store) <= 1, "the poll of the gate"
    assert status(store).working == 0
    assert fleet.versions(PAIR) == ("3.0",) * 3
    (fleet.root / "settings.json").write_text('{"form": 0}')
    one.turn()
    assert status(store).ends == {"succeeded": 1}
    assert runs(store) == 1


def test_a_pair_that_answers_is_heard_of(store, fleet, one, monkeypatch):
    (fleet.root / "settings.json").write_text('{"form": 3600}')
    statement = "SELECT count(*) FROM bundlekit.rollout_record WHERE kind = 'heard'"
    one.turn()
    one.turn()
    assert store.database.rows(statement) == [(0,)], "the last report is recent"
    store.database.execute("UPDATE bundlekit.rollout_pair SET heard = heard - interval '20 minutes'")
    one.turn()
    assert store.database.rows(statement) == [(1,)]
    store.database.execute("UPDATE bundlekit.rollout_pair SET heard = heard - interval '2 hours'")
    assert status(store).silent == 1
    monkeypatch.setattr("bundlekit.fleet.advance.NO_ANSWER", frozenset({"not-yet", "ok", "new"}))
    one.turn()
    assert store.database.rows(statement) == [(1,)], "a hook that gives no answer is silence"


def test_a_bundle_that_is_missing_on_this_host_ends_nothing(store, fleet, one):
    bundles = fleet.folder / "bundles"
    bundles.rename(fleet.folder / "away")
    one.turn()
    one.turn()
    assert 100 < seconds_left(store) <= 120
    (trouble,) = status(store).trouble
    assert trouble.tries == 2
    assert "bundles" in trouble.reason
    assert trouble.worker == holder()
    assert trouble.next_try is not None
    text = "\n".join(line.text for line in lines(status(store)))
    assert f"2 attempts with errors, the last at {holder()}, the next at {trouble.next_try}: " in text
    assert runs(store) == 0
    (fleet.folder / "away").rename(bundles)
    one.turn()
    assert status(store).ends == {"succeeded": 1}


def test_a_plan_that_is_missing_on_this_host_ends_nothing(store, fleet, one):
    plan = fleet.folder / "PLAN.toml"
    text = plan.read_text()
    plan.unlink()
    one.turn()
    assert "PLAN.toml" in status(store).trouble[0].reason
    plan.write_text(text)
    one.turn()
    assert status(store).ends == {"succeeded": 1}


def test_a_pair_that_another_controller_of_this_host_has_is_looked_at_again(store, fleet, one):
    one._state.folder.mkdir(mode=0o700)
    with PairLock(one._state.folder, PAIR, "another"):
        one.turn()
    assert 20 < seconds_left(store) <= 30
    assert status(store).trouble == ()
    one.turn()
    assert status(store).ends == {"succeeded": 1}


def test_a_fault_in_the_hooks_of_a_program_ends_neither_the_worker_nor_the_pair(store, fleet, one):
    def broken(_plan, _lock):
        raise ZeroDivisionError

    hooks, one._hooks = one._hooks, broken
    one.turn()
    assert "ZeroDivisionError" in one.told[0]
    assert PAIR in one.told[0]
    assert 30 < seconds_left(store) <= 60
    one._hooks = hooks
    one.turn()
    assert status(store).ends == {"succeeded": 1}


def test_a_damaged_journal_ends_the_pair_with_its_reason(store, fleet, one):
    (fleet.root / "settings.json").write_text('{"form": 3600}')
    one.turn()
    store.database.script("ALTER TABLE bundlekit.journal DISABLE TRIGGER never_changed")
    store.database.execute("UPDATE bundlekit.journal SET hash = 'x' WHERE seq = 3")
    one.turn()
    (end,) = status(store).failed
    assert (end.end, "is damaged at record 3" in end.reason) == ("needs-operator", True)


def test_a_worker_that_stops_leaves_the_pair_between_two_actions(store, fleet, one):
    def stop(_pair, records):
        if any(isinstance(record, CallFinished) and record.verb == "apply" for record in records):
            one.stop()

    one._watch = stop
    one.turn()
    assert fleet.versions(PAIR) == ("3.0", "2.0", "2.0"), "after the first apply"
    assert seconds_left(store) <= 0
    assert store.database.rows("SELECT lease_owner FROM bundlekit.due") == [(None,)]
    another = OneByOne(store, fleet, "another")
    another.turn()
    another._close()
    assert status(store).ends == {"succeeded": 1}
    assert runs(store) == 1
    assert not list(fleet.violations())


def test_an_update_that_has_ended_counts_and_is_not_run_again(store, fleet, one, monkeypatch):
    def away(*_args, **_values):
        raise DatabaseError("the server was restarted")

    with monkeypatch.context() as patched:
        patched.setattr(PairProgress, "ends", away)
        one.turn()
    assert status(store).in_flight == 1
    assert fleet.versions(PAIR) == ("3.0",) * 3
    one.turn()
    assert status(store).ends == {"succeeded": 1}
    assert runs(store) == 1


def test_a_pair_on_hold_ends_rejected_until_it_is_cleared(store, fleet, one):
    appliances.put_fault(fleet.root, PAIR, "apply storage", "kill", left=1)
    one.turn()
    assert status(store).ends == {"reverted": 1}
    assert retry_pairs(store, "simulated", pairs=[PAIR], **ADA) == (PAIR,)
    one.turn()
    assert status(store).ends == {"rejected": 1}
    assert "on hold since run" in status(store).failed[0].reason
    assert runs(store) == 1


def test_a_pair_on_hold_with_the_new_version_is_no_success(store, fleet, one):
    appliances.put_fault(fleet.root, PAIR, "apply standby", "kill")
    one.turn()
    assert status(store).ends == {"degraded": 1}
    appliances.mend(fleet.root, PAIR)
    for name, record in appliances.components(fleet.root, PAIR).items():
        appliances._write(fleet.root / PAIR / f"{name}.json", record | {"version": "3.0", "partial": False})
    retry_pairs(store, "simulated", kinds=["degraded"], **ADA)
    one.turn()
    assert status(store).ends == {"rejected": 1}
    assert "on hold since run" in status(store).failed[0].reason


def test_a_retry_reads_the_state_again_and_skips_what_was_done_by_hand(store, fleet, one):
    appliances.put_fault(fleet.root, PAIR, "verify active", "fail")
    one.turn()
    assert status(store).ends == {"reverted": 1}
    appliances.mend(fleet.root, PAIR)
    for name, record in appliances.components(fleet.root, PAIR).items():
        appliances._write(fleet.root / PAIR / f"{name}.json", record | {"version": "3.0"})
    retry_pairs(store, "simulated", kinds=["reverted"], **ADA)
    one.turn()
    assert status(store).ends == {"succeeded": 1}
    assert runs(store) == 1, "nothing was run again"
