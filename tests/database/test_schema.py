"""The tables: made once, also by many at once; upgraded; left alone if a newer release made them."""

import threading
from contextlib import ExitStack, closing

import pytest

from bundlekit.database import schema
from bundlekit.database.connection import Database, DatabaseError, DatabaseRefusalError
from bundlekit.database.schema import STEPS, SchemaStep, has_tables, make_tables
from bundlekit.errors import ConfigError


@pytest.fixture
def opened(database_url):
    with ExitStack() as stack:
        yield lambda: stack.enter_context(closing(Database(database_url)))


def test_many_at_once_make_the_tables_once(opened):
    start = threading.Barrier(8)
    found: list[object] = []

    def work(database):
        start.wait()
        try:
            make_tables(database)
            found.append(has_tables(database))
        except DatabaseError as error:
            found.append(error)

    threads = [threading.Thread(target=work, args=(opened(),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 8


def test_tables_of_an_older_release_are_upgraded_and_keep_their_rows(opened, monkeypatch):
    database = opened()
    with monkeypatch.context() as older:
        older.setattr(schema, "STEPS", STEPS[:1])
        make_tables(database)
    database.execute("INSERT INTO bundlekit.due (pair) VALUES ('p')")
    later = SchemaStep("ALTER TABLE bundlekit.due ADD COLUMN news text NOT NULL DEFAULT 'new'", usable_by=1)
    monkeypatch.setattr(schema, "STEPS", (*STEPS, later))
    make_tables(database)
    assert database.rows("SELECT pair, news FROM bundlekit.due") == [("p", "new")]
    monkeypatch.setattr(schema, "STEPS", STEPS)
    make_tables(database)
    assert has_tables(database), "an older worker next to a newer one goes on"


def test_a_step_that_fails_leaves_the_tables_as_they_were(opened, monkeypatch):
    database = opened()
    make_tables(database)
    bad = SchemaStep("CREATE TABLE bundlekit.half (a int); SELECT nonsense", usable_by=1)
    monkeypatch.setattr(schema, "STEPS", (*STEPS, bad))
    with pytest.raises(DatabaseError, match="nonsense"):
        make_tables(database)
    assert database.rows("SELECT to_regclass('bundlekit.half')") == [(None,)]
    assert database.rows("SELECT version FROM bundlekit.schema_version") == [(len(STEPS),)]


def test_tables_that_this_release_cannot_use_are_left_alone(opened):
    database = opened()
    make_tables(database)
    database.execute("UPDATE bundlekit.schema_version SET version = 99, usable_by = 98")
    for use in (make_tables, has_tables):
        with pytest.raises(ConfigError, match="have version 99; this bundlekit knows") as refused:
            use(database)
        assert "newer bundlekit" in refused.value.next_step
    database.execute("UPDATE bundlekit.schema_version SET usable_by = 1")
    make_tables(database)


def test_a_role_that_cannot_create_the_tables_is_told_what_to_do(opened, database_url):
    admin = opened()
    admin.execute("CREATE ROLE newcomer LOGIN")
    try:
        with closing(Database(database_url.replace("postgres@", "newcomer@"))) as database:
            assert not has_tables(database)
            with pytest.raises(DatabaseRefusalError, match="permission denied") as refused:
                make_tables(database)
        assert "explain database" in refused.value.next_step
    finally:
        admin.execute("DROP ROLE newcomer")


@pytest.mark.parametrize("change", ["UPDATE bundlekit.journal SET seq = 2", "DELETE FROM bundlekit.journal",
                                    "TRUNCATE bundlekit.journal"])  # fmt: skip
def test_the_journal_is_append_only_even_for_its_owner(opened, change):
    database = opened()
    make_tables(database)
    database.execute("INSERT INTO bundlekit.journal VALUES ('p', 1, '{}', '')")
    with pytest.raises(DatabaseError, match="append-only"):
        database.execute(change)
