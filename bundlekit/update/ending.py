"""What keeps a run from beginning or going on, as an outcome: a program handles outcomes and no exceptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bundlekit.errors import BundlekitError
from bundlekit.update.engine.errors import JournalDamagedError, JournalError, StateFolderError, UpdateError
from bundlekit.update.engine.records import Outcome, RecoveryStep
from bundlekit.update.state.lock import PairBusyError

if TYPE_CHECKING:
    from bundlekit.report.model import Report

Again = Literal["run", "resume", "repair", "revert"]
"""The verb to call again where the journal could not be used and nothing was begun."""


class NotAcceptedError(UpdateError):
    """The bundle must not be installed here; ``report`` gives the reasons. Nothing was touched.

    ``run`` is the name of the rejected run in the journal. It is empty if there is none.
    """

    run: str = ""

    def __init__(self, message: str, report: Report, *, next_step: str = "") -> None:
        super().__init__(message, next_step=next_step)
        self.report = report


def outcome_of(error: UpdateError, pair: str, *, again: Again) -> Outcome:
    """The outcome that ``error`` is for ``pair``.

    Raises ``error`` itself if it is not an outcome. No run waits in a state folder that cannot be used, and a fault of
    the caller stays an exception.
    """
    match error:
        case NotAcceptedError():
            on_hold = error.report.causes == ("on-hold",)
            kind: Literal["on-hold", "rejected"] = "on-hold" if on_hold else "rejected"
            return Outcome(kind=kind, pair=pair, run=error.run, reason=_why(error), ha="as-before")
        case PairBusyError():
            return Outcome(kind="busy", pair=pair, reason=error.message)
        case JournalDamagedError():
            return Outcome(kind="needs-operator", pair=pair, reason=_why(error))
        case JournalError() if not isinstance(error, StateFolderError):
            return Outcome(kind="waiting", pair=pair, reason=_why(error), recovery=(RecoveryStep(verb=again),))
        case _:
            raise error


def _why(error: BundlekitError) -> str:
    return f"{error.message} {error.next_step}".rstrip()
