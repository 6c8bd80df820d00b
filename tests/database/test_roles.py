"""The grants on the page: each role can do its work, and none can rewrite history."""

import re
from contextlib import ExitStack, closing

import pytest

from bundlekit.database.connection import Database, DatabaseRefusalError
from bundlekit.database.schema import make_tables
from bundlekit.docs import page
from bundlekit.update.state.postgres_state import PostgresState
from tests.update.world import World

ROLES = ("bundlekit_worker", "bundlekit_operator", "bundlekit_monitor")
GRANTS = re.findall(r"^ {4}(GRANT .*;)$", page("database"), re.MULTILINE)
PAIR = World().job.pair


@pytest.fixture
def as_role(database_url, tmp_path):
    """A function that opens the state as a role with the grants of the page."""
    with closing(Database(database_url)) as owner, ExitStack() as stack:
        make_tables(owner)
        for role in ROLES:
            owner.execute(f"CREATE ROLE {role} LOGIN")
            stack.callback(owner.execute, f"DROP ROLE {role}")
            stack.callback(owner.execute, f"DROP OWNED BY {role}")
        for grant in GRANTS:
            owner.execute(grant)
        yield lambda role: stack.enter_context(
            closing(PostgresState(database_url.replace("postgres@", f"{role}@"), tmp_path / role))
        )


def run(state):
    with state.held(PAIR) as (journal, _):
        outcome = World(journal=journal).run()
        state.keep(PAIR, "state.json", b"{}")
        state.cancel_request(PAIR).withdraw()
    return outcome


def test_a_worker_runs_updates_and_cannot_rewrite_history(as_role):
    worker = as_role("bundlekit_worker")
    assert run(worker).kind == "succeeded"
    assert worker.clock.now().boot.startswith("postgresql-")
    for change in ("UPDATE bundlekit.journal SET body = '{}'", "DELETE FROM bundlekit.journal",
                   "TRUNCATE bundlekit.journal", "DROP TABLE bundlekit.journal", "DELETE FROM bundlekit.due",
                   "ALTER TABLE bundlekit.journal DISABLE TRIGGER never_changed",
                   "UPDATE bundlekit.schema_version SET version = 0"):  # fmt: skip
        with worker.lent() as database, pytest.raises(DatabaseRefusalError, match=r"permission denied|must be owner"):
            database.execute(change)


def test_an_operator_reads_and_requests_a_cancel_and_nothing_else(as_role):
    run(as_role("bundlekit_worker"))
    operator = as_role("bundlekit_operator")
    with operator.reading() as journal:
        assert journal.read(PAIR)
    assert operator.at_work(PAIR) == ""
    assert operator.kept(PAIR, "state.json") == b"{}"
    operator.cancel_request(PAIR).ask("0123")
    assert operator.cancel_request(PAIR).asked() == "0123"
    for change in ("UPDATE bundlekit.due SET fence = 9", "INSERT INTO bundlekit.journal VALUES ('p', 1, '{}', '')"):
        with operator.lent() as database, pytest.raises(DatabaseRefusalError, match="permission denied") as refused:
            database.execute(change)
        assert "explain database" in refused.value.next_step


def test_monitoring_only_reads(as_role):
    run(as_role("bundlekit_worker"))
    monitor = as_role("bundlekit_monitor")
    with monitor.reading() as journal:
        assert journal.pairs() == (PAIR,)
    assert monitor.stamp(PAIR)
    with monitor.lent() as database, pytest.raises(DatabaseRefusalError, match="permission denied"):
        database.execute("UPDATE bundlekit.due SET cancel_run = 'x'")
