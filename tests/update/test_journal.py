"""Journals: what is durable, what is found damaged, and what a run does when they refuse."""

import copy
import shutil
import sqlite3
import threading
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bundlekit.database.connection import Database, DatabaseError
from bundlekit.database.schema import make_tables
from bundlekit.update.engine.errors import FenceLostError, JournalDamagedError, JournalError, StateFolderError
from bundlekit.update.engine.executor import APPENDS
from bundlekit.update.engine.history import History
from bundlekit.update.engine.journal import LEAP, MemoryJournal
from bundlekit.update.engine.plan import PAIR
from bundlekit.update.engine.records import (
    CallStarted,
    CancelRequested,
    CommitPoint,
    Instant,
    RevertDecided,
    Started,
    decode,
    encode,
)
from bundlekit.update.rehearsal.faults import ControllerKilled, FaultyHooks
from bundlekit.update.rehearsal.simulator import NEW, simulated_job
from bundlekit.update.state import sqlite_journal as module
from bundlekit.update.state.postgres_journal import PostgresJournal
from bundlekit.update.state.record_chain import GENESIS
from bundlekit.update.state.sqlite_journal import SqliteJournal
from tests.update.world import World, fault

AT = Instant(boot="b", ticks=1.0, wall=2.0)
NOTE = CancelRequested(at=AT)


@pytest.fixture
def opened(tmp_path):
    """The journal of the state folder, opened as often as it is asked for, and closed at the end."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(closing(SqliteJournal(tmp_path / "state")))


class MemoryStore:
    """The journal of one process, which all its controllers share."""

    def __init__(self):
        self.journal = MemoryJournal()

    def open(self):
        return self.journal


class SqliteStore:
    """The journal of a folder, opened once for each controller."""

    def __init__(self, opened):
        self.open = opened

    def change(self, sql):
        """Change the table as its owner can. The first attempt meets the triggers."""
        journal = self.open()
        with pytest.raises(JournalDamagedError, match="append-only"), journal._errors():
            journal._db.execute(sql)
        for trigger in ("never_changed", "never_removed"):
            journal._db.execute(f"DROP TRIGGER {trigger}")
        journal._db.execute(sql)


class PostgresStore:
    """The journal of a database, with a connection for each controller."""

    def __init__(self, database_url, stack):
        self.url, self.stack = database_url, stack
        with closing(Database(database_url)) as database:
            make_tables(database)

    def open(self):
        return PostgresJournal(self.stack.enter_context(closing(Database(self.url))))

    def change(self, sql):
        sql = sql.replace("UPDATE ", "UPDATE bundlekit.").replace("DELETE FROM ", "DELETE FROM bundlekit.")
        with closing(Database(self.url)) as database:
            with pytest.raises(DatabaseError, match="append-only"):
                database.execute(sql)
            database.execute("ALTER TABLE bundlekit.journal DISABLE TRIGGER never_changed")
            database.execute(sql)


@pytest.fixture
def store(request, opened):
    """One of the journals: by its parameter, or the one in memory."""
    match request.param:
        case "memory":
            yield MemoryStore()
        case "sqlite":
            yield SqliteStore(opened)
        case "postgres":
            with ExitStack() as stack:
                yield PostgresStore(request.getfixturevalue("database_url"), stack)


durable = pytest.mark.parametrize("store", ["sqlite", "postgres"], indirect=True)
DAMAGES = {
    "changed": "UPDATE journal SET body = replace(body, '\"attempt\":2', '\"attempt\":1')",
    "removed": "DELETE FROM journal WHERE seq = 2",
    "moved": "UPDATE journal SET seq = 9 WHERE seq = 2",
    "hash": "UPDATE journal SET hash = upper(hash) WHERE seq = 3",
    "pair": "UPDATE journal SET pair = 'q' WHERE seq = 1",
}


@pytest.mark.parametrize("store", ["memory", "sqlite", "postgres"], indirect=True)
class TestEveryJournal:
    """What the executor relies on, whichever journal it has."""

    def test_records_come_back_in_order_by_pair(self, store):
        journal = store.open()
        fences = {pair: journal.claim(pair, "me") for pair in ("a", "b")}
        for number in range(3):
            for pair, fence in fences.items():
                journal.append(pair, fence, CallStarted(at=AT, verb="apply", step=pair, attempt=number))
        for seen in (journal, store.open()):
            assert [(r.step, r.attempt) for r in seen.read("b")] == [("b", 0), ("b", 1), ("b", 2)]
            assert seen.read("c") == ()

    def test_pairs_with_records_are_listed_by_name(self, store):
        journal = store.open()
        for pair in ("b", "B", "a-1", "a.1", "a_1", "A", "1"):
            journal.append(pair, journal.claim(pair, "me"), NOTE)
        journal.claim("claimed-only", "me")
        assert store.open().pairs() == ("1", "A", "B", "a-1", "a.1", "a_1", "b")

    def test_a_claim_shuts_the_earlier_controller_out(self, store):
        journal = store.open()
        first = journal.claim("p", "one")
        journal.append("p", first, NOTE)
        second = journal.claim("p", "two", at_least=41)
        assert second == 42
        assert journal.claim("q", "one") == 1, "each pair has a fence of its own"
        with pytest.raises(FenceLostError):
            journal.append("p", first, NOTE)
        journal.append("p", second, NOTE)
        assert len(journal.read("p")) == 2

    def test_without_a_claim_nothing_is_written(self, store):
        journal = store.open()
        for fence in (0, 1):
            with pytest.raises(FenceLostError):
                journal.append("p", fence, NOTE)
        assert journal.read("p") == ()

    def test_two_controllers_that_take_turns_write_one_chain(self, store):
        one, two = store.open(), store.open()
        for turn, journal in enumerate((one, two, one, two, one), 1):
            fence = journal.claim("p", "me")
            assert fence == turn
            journal.append("p", fence, NOTE)
        assert len(two.read("p")) == 5

    def test_a_whole_run_reads_back_as_it_was_written(self, store):
        world = World(journal=store.open())
        assert world.run().kind == "succeeded"
        other = store.open()
        assert other.read(world.job.pair) == world.records
        assert History.of(other.read(world.job.pair)).ended == world.records[-1].outcome
        assert all(decode(encode(record)) == record for record in world.records)

    def test_a_run_that_one_controller_left_is_ended_by_another(self, store):
        world = World(fault("apply", "active", "C"), journal=store.open())
        with pytest.raises(ControllerKilled):
            world.run()
        world.journal = store.open()
        assert world.resume().kind == "succeeded"

    @given(text=st.text(st.characters(exclude_categories=["Cs"])))
    @example(text="\x00")
    @example(text="'; DROP TABLE journal; -- %s %(pair)s \\ \u2028 \U0001f600")
    @settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_any_text_of_a_hook_comes_back(self, store, text):
        journal = store.open()
        record = RevertDecided(at=AT, step="active", reason=text, revert=())
        journal.append("p", journal.claim("p", "me"), record)
        assert journal.read("p")[-1] == record


@durable
class TestDurableJournals:
    """What a journal adds that outlives its process."""

    @pytest.mark.parametrize("sql", DAMAGES.values(), ids=DAMAGES)
    def test_damage_is_found_and_named(self, store, sql):
        journal = store.open()
        fence = journal.claim("p", "me")
        for number in range(4):
            journal.append("p", fence, CallStarted(at=AT, verb="apply", step="s", attempt=number))
        store.change(sql)
        with pytest.raises(JournalDamagedError, match="damaged at record") as damaged:
            journal.read("p")
        assert "every run probes first" in damaged.value.next_step

    def test_a_record_whose_first_attempt_was_written_is_added_once(self, store):
        """As after a connection that was lost between the commit and its confirmation."""
        journal, other = store.open(), store.open()
        fence = journal.claim("p", "me")
        journal.append("p", fence, NOTE)
        journal._heads["p"] = 0, GENESIS
        journal.append("p", fence, NOTE)
        assert len(other.read("p")) == 1
        journal._heads["p"] = 0, GENESIS
        with pytest.raises(JournalError):
            journal.append("p", fence, CommitPoint(at=AT))
        assert other.read("p") == (NOTE,)

    @pytest.mark.parametrize("fence", [-1, LEAP + 8])
    def test_a_fence_that_no_claim_has_left_is_refused(self, store, fence):
        journal = store.open()
        journal.claim("p", "me")
        set_fence(store, fence)
        with pytest.raises(JournalDamagedError, match=f"holds fence {fence} for pair p; records and appliance know 7"):
            journal.claim("p", "me", at_least=7)

    def test_a_gap_of_claims_that_led_to_no_run_is_none(self, store):
        journal = store.open()
        journal.claim("p", "me")
        set_fence(store, LEAP)
        assert journal.claim("p", "me") == LEAP + 1


def set_fence(store, fence):
    if isinstance(store, SqliteStore):
        store.open()._db.execute("UPDATE locks SET fence = ?", (fence,))
        return
    with closing(Database(store.url)) as database:
        database.execute("UPDATE bundlekit.due SET fence = %(fence)s", {"fence": fence})


@pytest.mark.parametrize("store", ["postgres"], indirect=True)
def test_controllers_that_write_at_once_keep_one_chain(store):
    """Each claims and adds as often as it can; what it adds after another's claim is refused."""
    added, journals = [], [store.open() for _ in range(3)]

    def work(journal):
        for _ in range(20):
            fence = journal.claim("p", "me")
            with suppress(FenceLostError):
                journal.append("p", fence, NOTE)
                added.append(fence)

    threads = [threading.Thread(target=work, args=(journal,)) for journal in journals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.open().read("p")) == len(added) > 0


def test_the_journal_is_readable_without_us(tmp_path):
    world = World(journal=SqliteJournal(tmp_path / "state"))
    world.run()
    world.journal.close()
    with closing(sqlite3.connect(tmp_path / "state" / "journal.db")) as db:
        rows = db.execute("SELECT json_extract(body, '$.record'), count(*) FROM journal GROUP BY 1").fetchall()
    assert dict(rows)["started"] == 1
    assert dict(rows)["call-started"] == dict(rows)["call-finished"]


@pytest.fixture
def filled(opened):
    journal = opened()
    fence = journal.claim("p", "me")
    for number in range(4):
        journal.append("p", fence, CallStarted(at=AT, verb="apply", step="s", attempt=number))
    return journal


def test_a_file_that_is_no_journal_is_named(tmp_path):
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    (folder / "journal.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(JournalDamagedError, match="damaged"):
        SqliteJournal(folder)


def test_a_journal_of_schema_one_is_brought_up_to_date_and_its_run_resumed(opened, monkeypatch):
    with monkeypatch.context() as older:
        older.setattr(module, "MIGRATIONS", module.MIGRATIONS[:1])
        world = World(fault("apply", "active", "C"), journal=opened())
        with pytest.raises(ControllerKilled):
            world.run()
        assert world.journal._db.execute("PRAGMA user_version").fetchone() == (1,)
        world.journal.close()
    world.journal = opened()
    assert world.journal._db.execute("PRAGMA user_version").fetchone() == (2,)
    assert world.resume().kind == "succeeded"


def test_a_record_of_an_older_version_is_read_with_defaults():
    old = b'{"record":"resumed","at":{"boot":"b","ticks":1.0,"wall":2.0},"fence":3,"bundle":"given"}'
    assert decode(old).window.until == "end"
    with pytest.raises(JournalDamagedError, match="cannot be read"):
        decode(b'{"record":"teleported"}')


def test_a_journal_of_a_newer_schema_is_left_alone(tmp_path, filled):
    filled._db.execute("PRAGMA user_version = 99")
    with pytest.raises(JournalError, match="schema 99") as refused:
        SqliteJournal(tmp_path / "state")
    assert "newer bundlekit" in refused.value.next_step


def link(tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    return tmp_path / "link"


def open_to_others(tmp_path):
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o750)
    return folder


def a_file(tmp_path):
    (tmp_path / "file").touch()
    return tmp_path / "file"


def journal_is_a_link(tmp_path, name="journal.db"):
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    (folder / name).symlink_to(tmp_path / "elsewhere")
    return folder


def wal_is_a_link(tmp_path):
    return journal_is_a_link(tmp_path, "journal.db-wal")


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (link, StateFolderError),
        (open_to_others, StateFolderError),
        (a_file, StateFolderError),
        (journal_is_a_link, JournalError),
        (wal_is_a_link, JournalError),
    ],
)
def test_a_state_folder_that_is_not_ones_own_is_refused(tmp_path, make, error):
    with pytest.raises(error) as refused:
        SqliteJournal(make(tmp_path))
    assert str(tmp_path) in refused.value.message
    assert not (tmp_path / "elsewhere").exists()


def test_a_state_folder_that_cannot_be_made_is_refused():
    with pytest.raises(StateFolderError, match="cannot be used as state folder"):
        SqliteJournal(Path("/proc/none"))


def test_a_new_state_folder_is_for_its_owner_alone(tmp_path):
    SqliteJournal(tmp_path / "a" / "state").close()
    assert (tmp_path / "a" / "state").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "a" / "state" / "journal.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (CommitPoint(at=AT), RevertDecided(at=AT, step="active", reason="", revert=())),
        (RevertDecided(at=AT, step="active", reason="", revert=()), CommitPoint(at=AT)),
    ],
    ids=["revert-after-commit", "commit-after-revert"],
)
def test_after_the_one_the_other_is_unreachable(first, second):
    history = History(Started(at=AT, run="r", fence=1, job=simulated_job(PAIR), tool="0"))
    history.add(first)
    with pytest.raises(JournalDamagedError, match="contradicts itself"):
        history.add(second)


# --- a journal that refuses ---------------------------------------------------------------------------------


class Flaky:
    """A journal whose n-th append fails ``times`` times, having written the record before it says so or not."""

    def __init__(self, journal, nth, *, times, late):
        self.journal = journal
        self.left = times
        self.nth = nth
        self.late = late
        self.appended = 0

    def append(self, pair, fence, record):
        self.appended += 1
        if self.appended >= self.nth and self.left:
            self.left -= 1
            if self.late:
                self.journal.append(pair, fence, record)
            raise JournalError("disk full")
        return self.journal.append(pair, fence, record)

    def __getattr__(self, name):
        return getattr(self.journal, name)


def records_of_a_run():
    world = World()
    world.run()
    return len(world.records)


RECORDS = records_of_a_run()


def test_a_full_disk_and_a_busy_file_are_refusals_not_damage(monkeypatch, request):
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.01)
    journal = request.getfixturevalue("filled")
    fence = journal.claim("p", "me")
    with closing(sqlite3.connect(journal.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalError, match="locked") as busy:
            journal.append("p", fence, NOTE)
    pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
    journal._db.execute(f"PRAGMA max_page_count = {pages}")

    def append_until_refused():
        for _ in range(1000):
            journal.append("p", fence, NOTE)

    with pytest.raises(JournalError, match="full") as full:
        append_until_refused()
    assert {type(busy.value), type(full.value)} == {JournalError}
    assert journal.read("p"), "what was written is whole"


@pytest.mark.exhaustive
@pytest.mark.parametrize("plan_fault", [None, ("apply", "active", "F"), ("apply", "standby", "F")], ids=str)
@pytest.mark.parametrize("late", [False, True], ids=["not-written", "written-late"])
def test_an_append_that_fails_once_changes_nothing(memory_folder, plan_fault, late):
    faults = [fault(*plan_fault)] if plan_fault else []
    wanted = World(*faults).run()
    folder = memory_folder / "state"
    for nth in range(1, RECORDS + 1, 1 if not late else 5):
        shutil.rmtree(folder, ignore_errors=True)
        store = SqliteJournal(folder) if late else MemoryJournal()
        world = World(*faults, journal=Flaky(store, nth, times=APPENDS - 1, late=late))
        outcome = world.run()
        assert (outcome.kind, outcome.states) == (wanted.kind, wanted.states), nth
        if late:
            store.read(world.job.pair)
            store.close()


@pytest.mark.parametrize("plan_fault", [None, ("apply", "active", "F"), ("apply", "standby", "F")], ids=str)
def test_a_journal_that_stays_unwritable_stops_the_run_and_a_resume_ends_it(plan_fault):
    faults = [fault(*plan_fault)] if plan_fault else []
    wanted = World(*faults).run()
    for nth in range(1, RECORDS + 1):
        world = World(*faults, journal=Flaky(MemoryJournal(), nth, times=10**6, late=False))
        called = world.hooks.trace
        stopped = world.run()
        if stopped.kind != "waiting":
            assert len(world.records) < nth
            continue
        assert "disk full" in stopped.reason
        touched = any(one.verb == "apply" for one in called)
        assert stopped.ha == ("as-before" if stopped.run and not touched else "unknown"), nth
        before = len(called)
        began = sum(isinstance(record, CallStarted) for record in world.records)
        assert before - len(world.job.targets) == began, "no hook without a durable intent, but to read the marks"
        world.journal = world.journal.journal
        outcome = world.resume() if world.records else world.run()
        assert (outcome.kind, outcome.hold, outcome.states) == (wanted.kind, wanted.hold, wanted.states), nth


# --- a journal that is not what was written -----------------------------------------------------------------


class Recording(FaultyHooks):
    """Hooks that check each change against what is true: nothing is applied or reverted that already is so."""

    hooks: Any

    def __init__(self, hooks, clock, faults):
        super().__init__(hooks, clock, faults)
        self.contradicted = []
        self.watching = False

    def apply(self, request):
        if self.watching and self.hooks.versions()[request.step] == request.target.new:
            self.contradicted.append(("apply", request.step))
        return self.ask(request)

    def revert(self, request):
        if self.watching and self.hooks.components[request.step].committed:
            self.contradicted.append(("revert", request.step))
        return self.ask(request)


@pytest.mark.parametrize("end", [None, ("apply", "active", "F"), ("apply", "standby", "F")], ids=str)
def test_a_cut_journal_never_causes_what_the_probes_contradict(end):
    faults = [fault(*end)] if end else []
    whole = World(*faults)
    whole.run()
    for kept in range(1, len(whole.records)):
        world = World(*faults, hooks=Recording)
        world.run()
        world.journal._records[world.job.pair] = list(world.records[:kept])
        world.hooks.watching = True
        truth = world.pair.versions()
        outcome = world.resume()
        assert world.hooks.contradicted == [], f"cut after {kept} records"
        if outcome.kind == "rejected":
            assert world.pair.versions() == truth
        if outcome.kind == "succeeded":
            assert world.new == set(world.job.targets)
        if outcome.kind == "reverted":
            assert {"active", "standby"}.isdisjoint(world.new)


@pytest.mark.parametrize("kill", ["K", "C"])
@pytest.mark.parametrize("step", ["storage", "active", "standby"])
def test_a_cut_journal_of_a_run_under_way_never_says_that_nothing_was_changed(step, kill):
    """The power fails in an apply, and the journal comes back from a copy that was made earlier in the run."""
    faults = fault("apply", step, kill)
    whole = World(faults)
    with pytest.raises(ControllerKilled):
        whole.run()
    for kept in range(1, len(whole.records)):
        world = World(faults, hooks=Recording)
        with pytest.raises(ControllerKilled):
            world.run()
        changed = {name for name, version in world.pair.versions().items() if version != world.job.targets[name].old}
        world.journal._records[world.job.pair] = list(world.records[:kept])
        world.hooks.watching = True
        outcome = world.resume()
        assert world.hooks.contradicted == [], f"cut after {kept} records"
        if outcome.kind in {"rejected", "cancelled", "superseded"}:
            assert not changed, f"cut after {kept} records: {outcome.reason}"
        if outcome.kind == "succeeded":
            assert world.new == set(world.job.targets)
        if outcome.kind == "reverted":
            assert {"active", "standby"}.isdisjoint(world.new)


@pytest.mark.parametrize("end", [None, ("apply", "active", "F")], ids=str)
def test_a_record_taken_out_and_the_chain_recomputed_never_causes_what_the_probes_contradict(end):
    faults = [fault(*end)] if end else []
    whole = World(*faults)
    whole.run()
    for gone in range(1, len(whole.records) - 1):
        world = World(*faults, hooks=Recording)
        world.run()
        rest = [record for index, record in enumerate(world.records[:-1]) if index != gone]
        world.journal._records[world.job.pair] = rest
        world.hooks.watching = True
        with suppress(JournalDamagedError):
            world.resume()
        assert world.hooks.contradicted == [], whole.records[gone]


def test_yesterdays_journal_put_back_is_not_believed():
    world = World(fault("validate", "storage", "F"))
    assert world.run().kind == "rejected"
    yesterday = list(world.records)
    assert world.run().kind == "succeeded"
    world.journal._records[world.job.pair] = yesterday
    assert world.resume().kind == "rejected", "an ended run only says how it ended"
    outcome = world.run_again()
    assert outcome.kind == "succeeded"
    assert world.calls("apply") == [], "everything is new already"


def test_a_journal_from_before_the_commit_point_stops_for_people():
    world = World()
    world.run()
    cut = next(i for i, record in enumerate(world.records) if isinstance(record, CommitPoint))
    world.journal._records[world.job.pair] = list(world.records[:cut])
    outcome = world.resume()
    assert (outcome.kind, outcome.hold) == ("superseded", False)
    assert "remembers no run under way" in outcome.reason
    assert [way.verb for way in outcome.recovery] == ["state", "run"], "a healthy pair is not to be re-imaged"


def test_a_journal_from_before_the_commit_point_of_a_run_under_way_stops_for_people():
    world = World(fault("apply", "standby", "K"))
    with pytest.raises(ControllerKilled):
        world.run()
    cut = next(i for i, record in enumerate(world.records) if isinstance(record, CommitPoint))
    world.journal._records[world.job.pair] = list(world.records[:cut])
    outcome = world.resume()
    assert (outcome.kind, outcome.hold) == ("needs-operator", True)
    assert "past the commit point, the journal is not" in outcome.reason
    images = {(way.step, way.version) for way in outcome.recovery if way.verb == "reimage"}
    assert images == {("standby", NEW)}, "what the commit mark shows is not to be taken back"


FRAME = 24 + 4096
"""A frame of the WAL: its header and one page (the SQLite file format, section 4.1)."""


def test_a_wal_cut_at_each_frame_is_a_shorter_history_and_never_believed(tmp_path, opened):
    world = World(fault("apply", "standby", "C"), hooks=Recording, journal=opened())
    with pytest.raises(ControllerKilled):
        world.run()
    shutil.copytree(tmp_path / "state", tmp_path / "copy")
    (tmp_path / "copy" / "journal.db-shm").unlink()
    base, wal = ((tmp_path / "copy" / name).read_bytes() for name in ("journal.db", "journal.db-wal"))
    written, truth = world.records, copy.deepcopy((world.hooks, world.clock))
    lengths = set()
    for size in range(32, len(wal) + 1, FRAME):
        (tmp_path / "copy" / "journal.db").write_bytes(base)
        (tmp_path / "copy" / "journal.db-wal").write_bytes(wal[:size])
        with closing(SqliteJournal(tmp_path / "copy")) as cut:
            records = cut.read(world.job.pair)
        lengths.add(len(records))
        assert records == written[: len(records)]
        if not records:
            continue
        world.hooks, world.clock = copy.deepcopy(truth)
        world.hooks.watching = True
        world.journal = MemoryJournal()
        world.journal._records[world.job.pair] = list(records)
        versions = world.hooks.hooks.versions()
        outcome = world.resume()
        assert world.hooks.contradicted == []
        assert outcome.kind in {"succeeded", "needs-operator"}
        if outcome.kind == "needs-operator":
            assert world.hooks.hooks.versions() == versions, "nothing was touched"
    assert lengths == set(range(len(written) + 1))
