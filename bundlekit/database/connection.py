"""A connection to PostgreSQL. The only user of ``psycopg``.

Every statement is a transaction of its own, unless `Database.transaction` holds several together. A connection that was
lost is made again at the next statement, never in the middle of a transaction. Whether the statement that lost it was
carried out is not known then. So a statement is repeated by its caller, who knows what a repetition does.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, LiteralString, TypeVar

from bundlekit.errors import BundlekitError, ConfigError
from bundlekit.wording import command

if TYPE_CHECKING:
    import psycopg

PREFIXES: Final = ("postgresql://", "postgres://")
"""How the URL of a database begins (libpq, Connection URIs)."""

APPLICATION: Final = "bundlekit"

STATEMENT_SECONDS: Final = 60
"""The most seconds that a statement takes, so that a worker never waits without end for a lock."""

LINK: Final = {
    "connect_timeout": 10,  # seconds, for each address of the host
    "keepalives_idle": 10,  # seconds; the system's default is two hours
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # milliseconds
}
"""When a server whose host is gone counts as lost (libpq, Parameter Key Words). Sockets of the same host ignore it."""

SESSION: Final = {
    "timezone": "UTC",
    "statement_timeout": f"{STATEMENT_SECONDS}s",
    "default_transaction_isolation": "read committed",
    # A process that is stopped in the middle of a transaction must not keep its locks.
    "idle_in_transaction_session_timeout": f"{STATEMENT_SECONDS}s",
}
"""Settings of each session. They are made by a statement, because a pooler refuses them in the start packet."""

Values = dict[str, object]

Result = TypeVar("Result")


class DatabaseError(BundlekitError):
    """The database cannot be reached, or it refused a statement. Nothing is known of the statement's effect."""


class DatabaseLostError(DatabaseError):
    """The connection was lost while a statement was carried out. The next statement connects again."""


class DatabaseRefusalError(DatabaseError):
    """The server refuses this role, has no such database or table: another attempt would fail in the same way."""


class DatabaseConflictError(DatabaseError):
    """Another session changed the same rows: the transaction had no effect, and can be repeated."""


class DuplicateRowError(DatabaseError):
    """A row with the same key exists, and nothing was added."""


class Database:
    """A connection to the database of ``url``, used by one thread at a time.

    ``options`` are further settings of the session. Nothing is connected until the first statement. Raises ConfigError
    for a URL that cannot be read.
    """

    def __init__(self, url: str, **options: str) -> None:
        if not url.startswith(PREFIXES) or not _readable(url):
            shown = hidden(url).partition("?")[0]  # a parameter of a wrong name can be a password, too
            raise ConfigError(f"{shown} is not the URL of a PostgreSQL database.", next_step=EXAMPLE)
        self.url = url
        self._settings = SESSION | options
        self._inside = 0
        self._connection: psycopg.Connection[Any] | None = None
        self._lock = threading.RLock()

    @property
    def name(self) -> str:
        """The URL without its password."""
        return hidden(self.url)

    def rows(self, statement: LiteralString, values: Values | None = None) -> list[tuple[Any, ...]]:
        """Execute a statement, and return its rows."""
        with self._lock, self._errors():
            cursor = self._open().execute(statement, values or {})
            return cursor.fetchall() if cursor.description else []

    def execute(self, statement: LiteralString, values: Values | None = None) -> int:
        """Execute a statement, and return the number of rows that it changed."""
        with self._lock, self._errors():
            return self._open().execute(statement, values or {}).rowcount

    def many(self, statement: LiteralString, values: Sequence[Values]) -> None:
        """Execute a statement once for each of ``values``, in few round trips."""
        with self._lock, self._errors(), self._open().cursor() as cursor:
            cursor.executemany(statement, values)

    def stream(self, statement: LiteralString, values: Values | None = None) -> Iterator[tuple[Any, ...]]:
        """The rows of a statement, some at a time: a result of any length needs little memory."""
        with self._lock, self.transaction(), self._errors(), self._open().cursor(name="stream") as cursor:
            yield from cursor.execute(statement, values or {})

    def script(self, text: LiteralString) -> None:
        """Execute several statements that have no values."""
        with self._lock, self._errors():
            self._open().execute(text)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the statements of the block together: all of them have their effect, or none has."""
        with self._lock, self._errors(), self._open().transaction():
            self._inside += 1
            try:
                yield
            finally:
                self._inside -= 1
            if self._connection is None or self._connection.closed:  # the library would leave without an error
                raise self._lost()

    def wait(self, channel: str, seconds: float) -> bool:
        """Wait for a notification on ``channel``, at most so many seconds; whether one came."""
        from psycopg import sql

        with self._lock, self._errors():
            connection = self._open()
            connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            return any(True for _ in connection.notifies(timeout=seconds, stop_after=1))

    def repeat(self, act: Callable[[], Result]) -> Result:
        """What ``act`` returns. It is called once more if it lost the connection, so it must be harmless twice."""
        try:
            return act()
        except DatabaseLostError:
            return act()

    def revive(self) -> None:
        """Connect, and if the connection was lost while it was idle, connect again. Raises DatabaseError."""
        if self._connection is not None:
            with suppress(DatabaseError):
                self.rows("SELECT 1")
                return
            self.close()
        self.rows("SELECT 1")

    def close(self) -> None:
        """Close the connection; the next statement would open another one."""
        with self._lock:
            if self._connection is not None:
                with suppress(Exception):  # it can be broken already
                    self._connection.close()
                self._connection = None

    def _open(self) -> psycopg.Connection[Any]:
        if self._connection is not None and not self._connection.closed:
            return self._connection
        if self._inside:
            raise self._lost()
        psycopg = _library()
        given = {name: value for name, value in LINK.items() if not re.search(rf"[?&]{name}=", self.url)}
        try:
            connection = psycopg.connect(self.url, autocommit=True, application_name=APPLICATION, **given)
        except psycopg.OperationalError as error:
            kind = DatabaseRefusalError if _FATAL.search(str(error)) else DatabaseError
            step = ACCESS if kind is DatabaseRefusalError else _remedy(error)
            raise kind(f"The database {self.name}: {self._said(error)}.", next_step=step) from error
        try:
            names, values = list(self._settings), list(self._settings.values())
            settings = "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS one (name, value)"
            connection.execute(settings, (names, values))
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return self._connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        psycopg = _library()
        try:
            yield
        except psycopg.errors.UniqueViolation as error:
            raise DuplicateRowError(f"The database {self.name}: {self._said(error)}.") from error
        except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected) as error:
            raise DatabaseConflictError(f"The database {self.name}: {self._said(error)}.") from error
        except psycopg.Error as error:
            lost = self._connection is not None and self._connection.closed
            kind = DatabaseRefusalError if _state(error) in _REMEDIES else DatabaseLostError if lost else DatabaseError
            raise kind(f"The database {self.name}: {self._said(error)}.", next_step=_remedy(error)) from error

    def _lost(self) -> DatabaseError:
        return DatabaseLostError(f"The database {self.name}: the connection was lost in the middle of a transaction.")

    def _said(self, error: Exception) -> str:
        """The first line of the error from the server or the library, without a full stop and without a password."""
        lines = str(error).strip().splitlines()
        line = (lines[0] if lines else type(error).__name__).rstrip(".")
        for secret in _secrets(self.url):
            line = line.replace(secret, "***")
        return line


EXAMPLE: Final = (
    "For example postgresql://bundlekit@db.example/fleet. Special characters of a password are encoded in percent; "
    "see `bundlekit explain database`."
)

ACCESS: Final = "Check the role, its password and the name of the database; see `bundlekit explain database`."

_FATAL: Final = re.compile(
    r"password authentication failed|no password supplied|no pg_hba\.conf entry|(role|database) \".*\" does not exist"
    r"|permission denied for database|authentication failed"
)
"""What the server answers if another attempt to connect would be refused as well. These errors have no SQLSTATE."""

_MISSING: Final = "Start a run with a role that can create the tables, or see `bundlekit explain database`."

_REMEDIES: Final = {
    # insufficient_privilege
    "42501": "Grant the role what `bundlekit explain database` lists, or for fleets `bundlekit explain fleet`.",
    "25006": "Use the primary server: this one, or this role, can only read.",  # read_only_sql_transaction
    "3F000": _MISSING,  # invalid_schema_name
    "42P01": _MISSING,  # undefined_table
    "42703": "Use the bundlekit that made the tables, or a newer one.",  # undefined_column
}
"""What to do about a refusal, by its SQLSTATE (PostgreSQL, appendix A)."""

_AUTHORITY: Final = re.compile(r"(?:[^@]*@)?(?:(?:\[[0-9A-Fa-f:.%]+\]|[^:\[\]@,]*)(?::[0-9]*)?(?:,|$))*")
"""User and password, then hosts with their ports (libpq, Connection URIs)."""

_SECRET: Final = re.compile(r"password|secret|passphrase", re.IGNORECASE)
"""What the name of a parameter contains whose value is not for messages."""


def hidden(url: str) -> str:
    """The URL with its password left out, for messages.

    A password is often not encoded as a URL needs it. So everything up to the last ``@`` counts as password.
    """
    scheme, colon, rest = url.partition("://")
    if not colon:
        return "(a URL that cannot be read)"
    user, separator, after = _split_user(rest)
    if separator:
        rest = f"{user}@{after}" if user else after
    place, mark, query = rest.partition("?")
    if not _AUTHORITY.fullmatch(place.partition("/")[0]):
        return "(a URL that cannot be read)"
    kept = "&".join(one for one in query.split("&") if one and not _is_secret(one))
    return f"{scheme}://{place}{mark if kept else ''}{kept}"


def _split_user(rest: str) -> tuple[str, str, str]:
    """The user, whether a password follows, and what comes after it."""
    user, colon, after = rest.partition(":")
    if not colon or set(user) & set("@/?") or "@" not in after:
        return "", "", rest
    return user, colon, after.rpartition("@")[2]


def _is_secret(parameter: str) -> bool:
    from urllib.parse import unquote

    return _SECRET.search(unquote(parameter.partition("=")[0])) is not None


def _secrets(url: str) -> list[str]:
    """The passwords in a URL, as they are written and decoded."""
    from urllib.parse import unquote

    rest = url.partition("://")[2]
    user, separator, after = _split_user(rest)
    found = [rest[len(user) + 1 : len(rest) - len(after) - 1]] if separator else []
    found += [one.partition("=")[2] for one in url.partition("?")[2].split("&") if _is_secret(one)]
    return [text for one in found for text in (one, unquote(one)) if text]


def _readable(url: str) -> bool:
    """Whether the library can read the URL, and reads the same password in it as `hidden`.

    The library's own error, or the name of a wrong host or database, can contain a part of the password.
    """
    psycopg = _library()
    try:
        found = psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.Error:
        return False
    path = url.partition("://")[2].partition("?")[0].partition("/")[2]
    return "@" not in path and re.fullmatch(r"[0-9,]*", str(found.get("port") or "")) is not None


def _state(error: Exception) -> str:
    """The SQLSTATE of an error; empty if the server has not answered."""
    return getattr(error, "sqlstate", None) or ""


def _remedy(error: Exception) -> str:
    return _REMEDIES.get(
        _state(error), f"Check that the server runs, then try again; see {command('explain', 'database')}."
    )


def _library() -> Any:  # noqa: ANN401 - the module is loaded when the first database is used
    try:
        import psycopg
    except ImportError as error:
        raise ConfigError(
            "The library psycopg, which talks to PostgreSQL, is not installed.",
            next_step="pip install 'bundlekit[fleet]'",
        ) from error
    return psycopg
