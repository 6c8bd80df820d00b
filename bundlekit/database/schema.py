"""The tables in PostgreSQL, as the steps that led to them, and who can use them.

They are in a schema of their own, ``bundlekit``, and every statement names it: nothing depends on ``search_path``. All
times in it are those of the server, so that hosts with wrong clocks agree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, LiteralString, NamedTuple

from bundlekit.errors import ConfigError

if TYPE_CHECKING:
    from bundlekit.database.connection import Database


class SchemaStep(NamedTuple):
    """The statements of one step. ``usable_by`` is the oldest number of steps whose programs still work after it."""

    statements: LiteralString
    usable_by: int


STEPS: Final = (
    SchemaStep(
        """
        CREATE TABLE bundlekit.journal (
            pair text COLLATE "C" NOT NULL,
            seq  bigint NOT NULL,
            body text NOT NULL CHECK (json_typeof(body::json) = 'object'),
            hash text NOT NULL,
            PRIMARY KEY (pair, seq)
        );
        COMMENT ON TABLE bundlekit.journal IS 'The records of the runs of each pair: append-only, chained by SHA-256.';

        CREATE TABLE bundlekit.due (
            pair        text COLLATE "C" PRIMARY KEY,
            fence       bigint NOT NULL DEFAULT 0,
            holder      text NOT NULL DEFAULT '',
            not_before  timestamptz,
            lease_owner text,
            lease_until timestamptz,
            cancel_run  text NOT NULL DEFAULT ''
        ) WITH (fillfactor = 60);
        COMMENT ON TABLE bundlekit.due IS 'Who works on each pair now, until when, and when there is work again.';
        CREATE INDEX due_order ON bundlekit.due (not_before) WHERE not_before IS NOT NULL;

        CREATE TABLE bundlekit.kept (
            pair text COLLATE "C" NOT NULL,
            name text NOT NULL,
            body bytea NOT NULL,
            PRIMARY KEY (pair, name)
        );
        COMMENT ON TABLE bundlekit.kept IS 'The inputs of the latest decision about each pair, for support bundles.';

        CREATE FUNCTION bundlekit.refuse_change() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'the journal is append-only'; END $$;
        CREATE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON bundlekit.journal
            FOR EACH STATEMENT EXECUTE FUNCTION bundlekit.refuse_change();
        """,
        usable_by=1,
    ),
    SchemaStep(
        """
        CREATE TABLE bundlekit.rollout (
            name           text COLLATE "C" PRIMARY KEY,
            fleet          text NOT NULL,
            folder         text NOT NULL,
            accepted_risks text NOT NULL CHECK (json_typeof(accepted_risks::json) = 'array'),
            created        timestamptz NOT NULL DEFAULT clock_timestamp(),
            by             text NOT NULL,
            tool           text NOT NULL,
            decider        text NOT NULL DEFAULT '',
            decider_until  timestamptz NOT NULL DEFAULT '-infinity',
            phase          text NOT NULL DEFAULT 'running',
            because        text NOT NULL DEFAULT '',
            wait_until     timestamptz,
            approval       text NOT NULL DEFAULT '',
            finished       timestamptz
        );
        COMMENT ON TABLE bundlekit.rollout IS 'Each rollout: its FLEET.toml as it was read, and what was decided last.';

        CREATE TABLE bundlekit.rollout_route (
            rollout text COLLATE "C" NOT NULL,
            route   integer NOT NULL,
            start   text NOT NULL,
            stops   text NOT NULL CHECK (json_typeof(stops::json) = 'array'),
            PRIMARY KEY (rollout, route)
        );
        COMMENT ON TABLE bundlekit.rollout_route IS 'The updates that pairs of a rollout go through, in their order.';

        CREATE TABLE bundlekit.rollout_pair (
            rollout  text COLLATE "C" NOT NULL,
            pair     text COLLATE "C" NOT NULL,
            wave     smallint NOT NULL,
            position integer NOT NULL,
            labels   text[] NOT NULL,
            zones    text[],
            route    integer NOT NULL,
            taken    boolean NOT NULL DEFAULT true,
            stop     smallint NOT NULL DEFAULT 0,
            base_seq bigint NOT NULL DEFAULT 0,
            observe  boolean NOT NULL DEFAULT false,
            started  timestamptz,
            heard    timestamptz,
            tries    integer NOT NULL DEFAULT 0,
            note     text NOT NULL DEFAULT '',
            worker   text NOT NULL DEFAULT '',
            outcome  text,
            run      text NOT NULL DEFAULT '',
            ended    timestamptz,
            PRIMARY KEY (rollout, pair)
        ) WITH (fillfactor = 60);
        COMMENT ON TABLE bundlekit.rollout_pair IS 'The pairs of a rollout: where each is on its route, how it ended.';
        CREATE UNIQUE INDEX rollout_pair_taken ON bundlekit.rollout_pair (pair) WHERE taken;
        CREATE INDEX rollout_pair_in_flight ON bundlekit.rollout_pair (rollout) WHERE taken AND started IS NOT NULL;

        CREATE TABLE bundlekit.rollout_state (
            rollout text COLLATE "C" NOT NULL,
            pair    text COLLATE "C" NOT NULL,
            state   text NOT NULL CHECK (json_typeof(state::json) = 'object'),
            PRIMARY KEY (rollout, pair)
        );
        COMMENT ON TABLE bundlekit.rollout_state IS 'The state of each pair before its next update.';

        CREATE TABLE bundlekit.rollout_record (
            rollout text COLLATE "C" NOT NULL,
            seq     bigint GENERATED ALWAYS AS IDENTITY,
            at      timestamptz NOT NULL DEFAULT clock_timestamp(),
            kind    text NOT NULL CHECK (kind IN
                ('start', 'heard', 'end', 'retry', 'pause', 'resume', 'stop', 'approve', 'abort')),
            pair    text NOT NULL DEFAULT '',
            outcome text NOT NULL DEFAULT '',
            run     text NOT NULL DEFAULT '',
            wave    text NOT NULL DEFAULT '',
            by      text NOT NULL DEFAULT '',
            reason  text NOT NULL DEFAULT '',
            PRIMARY KEY (rollout, seq)
        );
        COMMENT ON TABLE bundlekit.rollout_record IS 'What happened in each rollout: append-only, in order of seq.';
        CREATE INDEX rollout_record_failures ON bundlekit.rollout_record (rollout, pair, seq)
            WHERE kind = 'end' AND outcome <> 'succeeded';
        CREATE TRIGGER never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON bundlekit.rollout_record
            FOR EACH STATEMENT EXECUTE FUNCTION bundlekit.refuse_change();
        """,
        usable_by=1,
    ),
)
"""The steps, in their order. A step that is in a release is never changed."""

_MIGRATION_LOCK: Final = 0x62756E64_6C656B74
"""The key of the advisory lock that one session at a time takes to change the tables."""


def make_tables(database: Database) -> None:
    """Make the tables that are missing. Those of an older release are upgraded.

    Raises ConfigError if a newer release made tables that this one cannot use, and DatabaseError if the role cannot
    create what is missing.
    """
    if _version(database) >= len(STEPS):
        return
    with database.transaction():
        database.rows("SELECT pg_advisory_xact_lock(%(key)s)", {"key": _MIGRATION_LOCK})
        found = _version(database)
        if found < 0:
            # IF NOT EXISTS would need the right to create schemas also where an administrator has made this one.
            if not database.rows("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = 'bundlekit'"):
                database.execute("CREATE SCHEMA bundlekit")
            database.script(
                """
                CREATE TABLE bundlekit.schema_version (version integer NOT NULL, usable_by integer NOT NULL);
                INSERT INTO bundlekit.schema_version VALUES (0, 0);
                """
            )
        for step in STEPS[max(found, 0) :]:
            database.script(step.statements)
        if found < len(STEPS):
            database.execute(
                "UPDATE bundlekit.schema_version SET version = %(version)s, usable_by = %(usable_by)s",
                {"version": len(STEPS), "usable_by": STEPS[-1].usable_by},
            )


def has_tables(database: Database) -> bool:
    """Whether the tables exist. Raises ConfigError if a newer release made them and this one cannot use them."""
    return _version(database) > 0


def _version(database: Database) -> int:
    """The number of steps that the tables have taken; -1 if there are none."""
    # Not to_regclass: it looks at what the session knew at the start of its transaction, before it waited for the lock.
    exists = """
        SELECT EXISTS (
            SELECT FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
            WHERE nspname = 'bundlekit' AND relname = 'schema_version'
        )
    """
    if not database.rows(exists)[0][0]:
        return -1
    version, usable_by = database.rows("SELECT version, usable_by FROM bundlekit.schema_version")[0]
    if usable_by > len(STEPS):
        raise ConfigError(
            f"The tables in {database.name} have version {version}; this bundlekit knows {len(STEPS)}.",
            next_step="Use the newer bundlekit that made them.",
        )
    return int(version)
