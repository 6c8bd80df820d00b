"""The connection: what is hidden, what is repeated, and which error is which."""

import threading
from contextlib import ExitStack, closing

import pytest

from bundlekit.database.connection import (
    Database,
    DatabaseConflictError,
    DatabaseError,
    DatabaseRefusalError,
    DuplicateRowError,
    hidden,
)
from bundlekit.database.schema import make_tables
from bundlekit.errors import ConfigError


@pytest.fixture
def opened(database_url):
    """Databases at the URL of the test, as many as are asked for, closed at the end."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(closing(Database(database_url, **options)))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me@db.example/fleet", "postgresql://me@db.example/fleet"),
        ("postgresql://me:hunter2@db.example/fleet", "postgresql://me@db.example/fleet"),
        ("postgres://:hunter2@db.example/fleet", "postgres://db.example/fleet"),
        ("postgresql://me:hun@ter2@db.example/fleet", "postgresql://me@db.example/fleet"),
        ("postgresql://me:hun/ter2@db.example/fleet", "postgresql://me@db.example/fleet"),
        ("postgresql://me:hun?ter2@db.example/fleet", "postgresql://me@db.example/fleet"),
        ("postgresql://me:hun#ter2@db.example/fleet", "postgresql://me@db.example/fleet"),
        (
            "postgresql://me:hunter2@[::1]:5432/fleet?sslmode=require",
            "postgresql://me@[::1]:5432/fleet?sslmode=require",
        ),
        ("postgresql://me@a:1,b:2/fleet", "postgresql://me@a:1,b:2/fleet"),
        ("postgresql:///fleet?user=me&password=hunter2&host=%2Ftmp", "postgresql:///fleet?user=me&host=%2Ftmp"),
        ("postgresql:///fleet?p%61ssword=hunter2", "postgresql:///fleet"),
        ("postgresql:///fleet?sslPassword=hunter2", "postgresql:///fleet"),
        ("postgresql://me:hunter2/fleet", "(a URL that cannot be read)"),
        ("host=db.example password=hunter2", "(a URL that cannot be read)"),
    ],
)
def test_a_password_is_hidden_wherever_it_is(url, shown):
    assert hidden(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "mysql://me:hunter2@db.example/fleet",
        "postgresql://me:hun/ter2@db.example/fleet",
        "postgresql://me:123/hunter2@db.example/fleet",
        "postgresql://me:hunter2/fleet",
        "postgresql://me:hun%ter2@db.example/fleet",
        "postgresql:///fleet?hunter2",
        "postgresql://me@db.example/fleet?passwort=hunter2",
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_its_password(url):
    with pytest.raises(ConfigError) as refused:
        Database(url)
    assert "hunter2" not in refused.value.message + refused.value.next_step
    assert "ter2" not in refused.value.message


def test_a_password_in_an_error_of_the_server_is_not_shown(database_url):
    with closing(Database(database_url.replace("postgres@", "hunter2:hunter2@"))) as database:
        with pytest.raises(DatabaseRefusalError) as refused:
            database.rows("SELECT 1")
        assert 'role "***" does not exist' in refused.value.message


@pytest.mark.parametrize(
    ("change", "why"),
    [(("postgres@", "nobody-known@"), "role"), (("/fresh", "/not-fresh"), "database")],
)
def test_a_role_or_database_that_does_not_exist_is_a_refusal(database_url, change, why):
    with closing(Database(database_url.replace(*change))) as database:
        with pytest.raises(DatabaseRefusalError, match=f'{why} ".*" does not exist') as refused:
            database.rows("SELECT 1")
        assert "explain database" in refused.value.next_step


def test_a_server_that_is_away_is_no_refusal(tmp_path):
    away_url = f"postgresql://me@/fleet?host={tmp_path}"
    with closing(Database(away_url)) as database, pytest.raises(DatabaseError) as away:
        database.rows("SELECT 1")
    assert type(away.value) is DatabaseError
    assert "Check that the server runs" in away.value.next_step


def test_an_error_is_of_its_kind_and_the_connection_goes_on(opened):
    database = opened()
    make_tables(database)
    database.execute("INSERT INTO bundlekit.due (pair) VALUES ('p')")
    with pytest.raises(DuplicateRowError):
        database.execute("INSERT INTO bundlekit.due (pair) VALUES ('p')")
    with pytest.raises(DatabaseRefusalError, match="does not exist"):
        database.rows("SELECT 1 FROM bundlekit.nothing")
    assert database.rows("SELECT pair FROM bundlekit.due") == [("p",)]


def test_two_transactions_that_wait_for_each_other_are_a_conflict(opened):
    one, two = opened(), opened()
    make_tables(one)
    one.execute("INSERT INTO bundlekit.due (pair) VALUES ('a'), ('b')")
    touch = "UPDATE bundlekit.due SET holder = 'x' WHERE pair = %(pair)s"
    both, failed = threading.Barrier(2), []

    def work(database, first, second):
        try:
            with database.transaction():
                database.execute(touch, {"pair": first})
                both.wait()
                database.execute(touch, {"pair": second})
        except DatabaseConflictError as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=args) for args in ((one, "a", "b"), (two, "b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failed) == 1


def test_a_statement_that_takes_too_long_is_ended(opened):
    with pytest.raises(DatabaseError, match="statement timeout"):
        opened(statement_timeout="10ms").rows("SELECT pg_sleep(60)")


def test_a_session_has_its_settings_also_where_the_url_has_others(database_url):
    url = f"{database_url}&options=-c%20statement_timeout%3D5s%20-c%20default_transaction_isolation%3Dserializable"
    with closing(Database(url)) as database:
        assert database.rows("SHOW statement_timeout") == [("1min",)]
        assert database.rows("SHOW default_transaction_isolation") == [("read committed",)]
        assert database.rows("SHOW timezone") == [("UTC",)]


def end_session_of(database, admin):
    (pid,) = database.rows("SELECT pg_backend_pid()")[0]
    admin.rows("SELECT pg_terminate_backend(%(pid)s, 10000)", {"pid": pid})


def test_a_transaction_whose_connection_is_lost_does_not_go_on_outside_of_it(opened):
    database, admin = opened(), opened()
    make_tables(admin)

    def transaction():
        with database.transaction():
            end_session_of(database, admin)
            with pytest.raises(DatabaseError, match=r"terminating|closed"):
                database.execute("INSERT INTO bundlekit.due (pair) VALUES ('one')")
            with pytest.raises(DatabaseError, match="in the middle of a transaction"):
                database.execute("INSERT INTO bundlekit.due (pair) VALUES ('two')")

    with pytest.raises(DatabaseError, match="in the middle of a transaction"):
        transaction()
    assert admin.rows("SELECT count(*) FROM bundlekit.due") == [(0,)]
    assert database.rows("SELECT 1") == [(1,)], "afterwards it connects again"


def test_an_idle_connection_that_was_lost_is_replaced(opened):
    database, admin = opened(), opened()
    database.revive()
    end_session_of(database, admin)
    database.revive()
    assert database.rows("SELECT 1") == [(1,)]


def test_a_transaction_is_all_or_nothing(opened):
    database = opened()
    make_tables(database)

    def fail():
        with database.transaction():
            database.execute("INSERT INTO bundlekit.due (pair) VALUES ('p')")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert database.rows("SELECT pair FROM bundlekit.due") == []


def test_a_notification_wakes_and_none_lets_the_time_pass(opened):
    waiter, other = opened(), opened()
    assert not waiter.wait("work", 0.01)
    other.execute("NOTIFY work")
    assert waiter.wait("work", 60)


def test_rows_are_streamed(opened):
    rows = opened().stream("SELECT * FROM generate_series(1, 1000)")
    assert sum(number for (number,) in rows) == 500_500


def test_many_sets_of_values_are_one_call(opened):
    database = opened()
    make_tables(database)
    database.many("INSERT INTO bundlekit.due (pair) VALUES (%(pair)s)", [{"pair": f"p{n}"} for n in range(20)])
    assert database.rows("SELECT count(*) FROM bundlekit.due") == [(20,)]
