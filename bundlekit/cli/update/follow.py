"""The live view of a run that another process carries out. Only the journal and the lock are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from bundlekit.cli.update import common as shared
from bundlekit.cli.update.view import watching
from bundlekit.update.engine.clock import Clock
from bundlekit.update.engine.errors import JournalDamagedError, JournalError, StateFolderError
from bundlekit.update.engine.records import Ended, Record, Started
from bundlekit.update.state.status import Status, status_of

if TYPE_CHECKING:
    from bundlekit.update.state.update_state import UpdateState

FOLLOW_SECONDS: Final = 1.0
"""How often the journal is looked at."""

CERTAINLY: Final = 10
"""After so many looks the journal is read although its files look unchanged."""

FAILURES: Final = 10
"""The number of failed looks in a row that are ignored: the journal of a live run can be readable a moment later."""

LEAVES: Final = "Ctrl-C: leave this view. The run continues."


class Look(NamedTuple):
    """What one look found. ``status`` is None while a controller checks a bundle for a pair without any record."""

    records: tuple[Record, ...]
    status: Status | None
    controller: str


def follow(
    kept_in: UpdateState, pair: str, changed: Callable[[Status], None] | None = None, *, printed: int | None = None
) -> None:
    """Show the run of ``pair`` until it has ended, or until no controller is left that could begin one.

    ``changed`` is called with each new status in place of a view. ``printed`` is the number of records that the caller
    has printed the status of. Those after it are new, even if they were made before the first look. Raises what reading
    the journal raises.
    """
    clock = shared.clock_of(kept_in)
    if changed is not None:
        for look in _until_the_end(kept_in, pair, clock):
            if look.status is not None:
                changed(look.status)
        return
    title = f"{pair}: no run has begun yet; the controller validates the bundle"
    with watching(clock, as_lines=False, hint=LEAVES, title=title) as seen:
        shown = -1
        for look in _until_the_end(kept_in, pair, clock):
            seen.about(look.controller, cancels=look.status is not None and look.status.cancel_requested)
            if shown < 0:
                shown = len(look.records) if printed is None else printed
                seen.known(look.records[_begin(look.records) : shown])
            seen.watch(look.records[shown:])
            shown = len(look.records)


def _begin(records: tuple[Record, ...]) -> int:
    """The index of the start of the run that has not ended; where there is none, of what is still to come."""
    for index in reversed(range(len(records))):
        if isinstance(records[index], Ended):
            break
        if isinstance(records[index], Started):
            return index
    return len(records)


def _until_the_end(kept_in: UpdateState, pair: str, clock: Clock) -> Iterator[Look]:
    """What each look finds that differs from the one before, until the run has ended."""
    before: object = None
    unchanged = failed = ended = 0
    open_runs: set[str] = set()
    while True:
        found = (kept_in.stamp(pair), kept_in.at_work(pair))
        if found != before or ended or unchanged >= CERTAINLY:
            try:
                look = _look(kept_in, pair, clock)
            except (JournalDamagedError, StateFolderError):
                raise
            except JournalError:
                failed += 1
                if failed == FAILURES:
                    raise
            else:
                before, unchanged, failed = found, 0, 0
                yield look
                status = look.status
                if status is not None and status.outcome is None and status.activity is not None:
                    open_runs.add(status.activity.run)
                elif status is not None and status.activity is not None and status.activity.run in open_runs:
                    ended += 1
                if ended > 1 or (status is not None and status.phase in {"ended", "on-hold"}):
                    return
        else:
            unchanged += 1
        clock.sleep(FOLLOW_SECONDS)


def _look(kept_in: UpdateState, pair: str, clock: Clock) -> Look:
    with kept_in.reading() as journal:
        records = journal.read(pair)
    controller = kept_in.at_work(pair)
    if not records and controller:
        return Look(records, None, controller)
    records = records or shared.records_of(kept_in, pair)
    status = status_of(pair, records, kept_in, clock.now())
    return Look(records, status, status.controller)
