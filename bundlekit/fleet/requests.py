"""What operators ask of a rollout that has begun. Each is one transaction, recorded with a name and a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bundlekit.database.connection import DuplicateRowError
from bundlekit.errors import BundlekitError
from bundlekit.fleet.dispatch import notify
from bundlekit.fleet.starting import RolloutExistsError
from bundlekit.fleet.store import RolloutPhase, RolloutVerb
from bundlekit.wording import command, count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundlekit.database.connection import Values
    from bundlekit.fleet.store import RolloutStore


PHASES: Final[dict[RolloutVerb, RolloutPhase]] = {"pause": "paused", "stop": "stopped", "resume": "running"}
"""The phase after a request, until a worker decides again."""


def ask_rollout(store: RolloutStore, name: str, verb: RolloutVerb, *, by: str, reason: str, wave: str = "") -> str:
    """Record what an operator asks of the rollout ``name``, and return the wave that was approved, or an empty text.

    *pause* starts nothing more, and *stop* also frees the pairs that were not started, for other rollouts. *resume*
    goes on after both, and after an abort. *approve* lets the wave after ``wave`` start; by default that is the wave
    whose approval is missing. Raises BundlekitError if the rollout has finished, or for a wave without approval.
    """
    file = store.load(name).fleet.file
    with store.ordered(name):
        finished, approval, phase = store.database.rows(
            "SELECT finished IS NOT NULL, approval, phase FROM bundlekit.rollout WHERE name = %(name)s", {"name": name}
        )[0]
        if finished:
            raise BundlekitError(
                f"The rollout {name} has finished.", next_step=f"{command('fleet retry')} tries pairs again."
            )
        if verb == "pause" and phase in {"stopped", "aborted"}:
            raise BundlekitError(
                f"The rollout {name} is {phase} already, so nothing starts.",
                next_step=f"{command('fleet resume', name)} continues it.",
            )
        if verb == "approve":
            wave = wave or str(approval)
            known = [one.name for one in file.waves if one.approval]
            if not wave:
                earlier = command("fleet approve", name, wave=known[0], by="NAME", reason="TEXT") if known else ""
                raise BundlekitError(
                    f"No wave of the rollout {name} waits for approval now.",
                    next_step=f"To approve a wave earlier: {earlier}" if known else "",
                )
            if wave not in known:
                raise BundlekitError(
                    f"The rollout {name} has no wave {wave!r} that needs approval.",
                    next_step=f"Name one of these: {', '.join(known)}." if known else "No wave needs approval.",
                )
        values: Values = {"name": name, "verb": verb, "by": by, "reason": reason, "wave": wave}
        store.database.execute(
            """
            INSERT INTO bundlekit.rollout_record (rollout, kind, by, reason, wave)
            VALUES (%(name)s, %(verb)s, %(by)s, %(reason)s, %(wave)s)
            """,
            values,
        )
        if (phase := PHASES.get(verb)) is not None:
            store.decided(name, phase, "")
        if verb == "stop":
            store.database.execute(
                "UPDATE bundlekit.rollout_pair SET taken = false WHERE rollout = %(name)s AND started IS NULL", values
            )
        if verb == "resume":
            _take_pairs(store, values)
        notify(store.database)
    return wave


_RETRY_LATER: Final = "Retry after the end of the other rollout."


def _take_pairs(store: RolloutStore, values: Values) -> None:
    """Take the pairs again that a stop has freed."""
    freed = "SELECT pair FROM bundlekit.rollout_pair WHERE rollout = %(name)s AND outcome IS NULL AND NOT taken"
    if taken := store.taken_elsewhere(
        str(values["name"]), [str(pair) for (pair,) in store.database.rows(freed, values)]
    ):
        raise RolloutExistsError(
            f"The rollout {values['name']} cannot have its pairs again: {taken}.",
            next_step="Resume after the end of the other rollout.",
        )
    try:
        store.database.execute(
            """
            UPDATE bundlekit.rollout_pair SET taken = true
            WHERE rollout = %(name)s AND outcome IS NULL AND NOT taken
            """,
            values,
        )
    except DuplicateRowError as error:
        raise RolloutExistsError(
            f"A pair of the rollout {values['name']} is in another one by now: {error.message}",
            next_step="Resume after the end of the other rollout.",
        ) from error


def retry_pairs(
    store: RolloutStore, name: str, *, by: str, reason: str, pairs: Sequence[str] = (), kinds: Sequence[str] = ()
) -> tuple[str, ...]:
    """Take back the ends of ``pairs``, or of all that ended as one of ``kinds``, and return these pairs.

    They start again as their wave and the limits allow, from the update of their route that failed. Their state is
    read again first. A pair that succeeded, or that has not ended, is left alone. BundlekitError for unknown pairs.
    """
    store.load(name)
    with store.ordered(name):
        values: Values = {"name": name, "pairs": list(pairs), "kinds": list(kinds), "by": by, "reason": reason}
        known = store.database.rows(
            "SELECT pair FROM bundlekit.rollout_pair WHERE rollout = %(name)s AND pair = ANY(%(pairs)s)", values
        )
        if unknown := sorted(set(pairs) - {str(pair) for (pair,) in known}):
            names = f"{', '.join(unknown[:3])}{' and others' if len(unknown) > 3 else ''}"
            raise BundlekitError(f"The rollout {name} does not have {count(len(unknown), 'pair')}: {names}.")
        failed = """
            SELECT pair FROM bundlekit.rollout_pair WHERE rollout = %(name)s AND outcome <> 'succeeded'
                AND (pair = ANY(%(pairs)s) OR outcome = ANY(%(kinds)s))
        """
        if taken := store.taken_elsewhere(name, [str(pair) for (pair,) in store.database.rows(failed, values)]):
            raise RolloutExistsError(f"The rollout {name} cannot try again: {taken}.", next_step=_RETRY_LATER)
        try:
            found = store.database.rows(
                """
                UPDATE bundlekit.rollout_pair SET
                    outcome = NULL, run = '', ended = NULL, started = NULL, heard = NULL, taken = true, observe = true,
                    tries = 0, note = ''
                WHERE rollout = %(name)s AND outcome IS NOT NULL AND outcome <> 'succeeded'
                    AND (pair = ANY(%(pairs)s) OR outcome = ANY(%(kinds)s))
                RETURNING pair
                """,
                values,
            )
        except DuplicateRowError as error:
            raise RolloutExistsError(
                f"A pair is in another rollout by now: {error.message}", next_step=_RETRY_LATER
            ) from error
        again = sorted(str(pair) for (pair,) in found)
        store.database.execute(
            """
            INSERT INTO bundlekit.rollout_record (rollout, kind, pair, by, reason)
            SELECT %(name)s, 'retry', unnest(%(again)s::text[]), %(by)s, %(reason)s
            """,
            values | {"again": again},
        )
        if again:
            store.database.execute("UPDATE bundlekit.rollout SET finished = NULL WHERE name = %(name)s", values)
        notify(store.database)
    return tuple(again)
