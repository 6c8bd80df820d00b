"""A connection to PostgreSQL. The only user of ``psycopg``.

Every statement is a transaction of its own, unless `Database.transaction` holds several together. A connection that was
lost is made again at the next statement, never in the middle of a transaction. Whether the statement that lost it was
carried out is not known then. So a statement is repeated by its caller, who knows what a repetition does.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, LiteralString

from bundlekit.errors import BundlekitError, ConfigError
from bundlekit.wording import command

if TYPE_CHECKING:
    import psycopg

PREFIXES: Final = ("postgresql://", "postgres://")
"""How the URL of a database begins (libpq, Connection URIs)."""

APPLICATION: Final = "bundlekit"

CONNECT_SECONDS: Final = 10
"""The most seconds that one attempt to connect takes."""

STATEMENT_SECONDS: Final = 60
"""The most seconds that a statement takes, so that a worker never waits without end for a lock."""

Values = dict[str, object]


class DatabaseError(BundlekitError):
    """The database cannot be reached, or it refused a statement. Nothing is known of the statement's effect."""


class DatabaseRefusalError(DatabaseError):
    """The server refuses this role, has no such database or table: another attempt would fail in the same way."""


class DatabaseConflictError(DatabaseError):
    """Another session changed the same rows: the transaction had no effect, and can be repeated."""


class DuplicateRowError(DatabaseError):
    """A row with the same key exists, and nothing was added."""


class Database:
    """A connection to the database of ``url``, used by one thread at a time.

    ``options`` are further settings of the session. Nothing is connected until the first statement.
    """

    def __init__(self, url: str, **options: str) -> None:
        if not url.startswith(PREFIXES):
            raise ConfigError(f"{hidden(url)} is not the URL of a PostgreSQL database.", next_step=EXAMPLE)
        self.url = url
        self._settings = {"timezone": "UTC", "statement_timeout": f"{STATEMENT_SECONDS}s", **options}
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
            yield

    def wait(self, channel: str, seconds: float) -> bool:
        """Wait for a notification on ``channel``, at most so many seconds; whether one came."""
        from psycopg import sql

        with self._lock, self._errors():
            connection = self._open()
            connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            return any(True for _ in connection.notifies(timeout=seconds, stop_after=1))

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
        psycopg = _library()
        settings = " ".join(f"-c {name}={value}" for name, value in self._settings.items())
        self._connection = psycopg.connect(
            self.url,
            autocommit=True,
            application_name=APPLICATION,
            connect_timeout=CONNECT_SECONDS,
            options=settings,
        )
        return self._connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        psycopg = _library()
        try:
            yield
        except psycopg.errors.UniqueViolation as error:
            raise DuplicateRowError(f"The database {self.name}: {_said(error)}.") from error
        except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected) as error:
            raise DatabaseConflictError(f"The database {self.name}: {_said(error)}.") from error
        except psycopg.Error as error:
            kind = DatabaseRefusalError if _state(error) in _REMEDIES else DatabaseError
            raise kind(f"The database {self.name}: {_said(error)}.", next_step=_remedy(error)) from error


EXAMPLE: Final = "For example postgresql://bundlekit@db.example/fleet. `bundlekit explain fleet` shows how to make one."

_REMEDIES: Final = {
    "42501": "Grant the role what `bundlekit explain fleet` lists.",  # insufficient_privilege
    "3F000": "Start a rollout with a role that can create the tables, or read `bundlekit explain fleet`.",
    "42P01": "Start a rollout with a role that can create the tables, or read `bundlekit explain fleet`.",
    "28P01": "Check the name of the role and its password.",  # invalid_password
    "28000": "Check which roles pg_hba.conf lets in from this host.",  # invalid_authorization_specification
    "3D000": "Create the database, or correct its name in the URL.",  # invalid_catalog_name
}
"""What to do about an error, by its SQLSTATE (PostgreSQL, appendix A)."""


def hidden(url: str) -> str:
    """The URL with its password left out, for messages."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        host, password = parts.netloc.rpartition("@")[2], parts.password
    except ValueError:
        return "(a URL that cannot be read)"
    query = "&".join(one for one in parts.query.split("&") if one and not one.lower().startswith("password="))
    user = f"{parts.username}@" if parts.username else ""
    kept = f"{parts.scheme}://{user}{host}{parts.path}" if password is not None or parts.query else url
    return f"{kept}?{query}" if query and kept != url else kept


def _said(error: Exception) -> str:
    """The first line of the error from the server or the library, without a full stop."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")


def _state(error: Exception) -> str:
    """The SQLSTATE of an error; empty if the server has not answered."""
    return getattr(error, "sqlstate", None) or ""


def _remedy(error: Exception) -> str:
    return _REMEDIES.get(
        _state(error), f"Check that the server runs, then try again; see {command('explain', 'fleet')}."
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
