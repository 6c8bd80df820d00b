"""The exceptions of an update: one root, so that a program needs one ``except``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundlekit.errors import BundlekitError

if TYPE_CHECKING:
    from bundlekit.update.engine.plan import OutcomeKind


class UpdateError(BundlekitError):
    """The root of all exceptions that only an update raises.

    ``ends`` is the outcome that a controller makes of it. None: it stays an exception, because no run is concerned.
    ``run`` is the name of the run concerned in the journal; empty if there is none.
    """

    ends: OutcomeKind | None = None
    run: str = ""


class JournalError(UpdateError):
    """The journal cannot be read or written now; nothing was started that it does not know of."""

    ends: OutcomeKind | None = "waiting"


class StateFolderError(JournalError):
    """The folder of the journal cannot be used, or other users can change it: nothing is begun from it."""

    ends: OutcomeKind | None = None


class StateDatabaseError(JournalError):
    """The database of the journal refuses this role or has not what is needed: nothing is begun with it."""

    ends: OutcomeKind | None = None


class JournalDamagedError(JournalError):
    """The records of the journal contradict one another or their hash chain."""

    ends: OutcomeKind | None = "needs-operator"


class FenceLostError(JournalError):
    """Another controller has taken the pair over; this one must touch nothing more."""


class FenceError(UpdateError):
    """No fence can be claimed that the appliance would be able to keep."""
