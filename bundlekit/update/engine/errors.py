"""The exceptions of an update: one root, so that a program needs one ``except``."""

from __future__ import annotations

from bundlekit.errors import BundlekitError


class UpdateError(BundlekitError):
    """The root of all exceptions that only an update raises."""


class JournalError(UpdateError):
    """The journal cannot be read or written now; nothing was started that it does not know of."""


class StateFolderError(JournalError):
    """The folder of the journal cannot be used, or other users can change it: nothing is begun from it."""


class JournalDamagedError(JournalError):
    """The records of the journal contradict one another or their hash chain."""


class FenceLostError(JournalError):
    """Another controller has taken the pair over; this one must touch nothing more."""


class FenceError(UpdateError):
    """No fence can be claimed that the appliance would be able to keep."""
