"""The exceptions of bundlekit: what stops us from judging.

A bad bundle is *data*: it becomes findings in a report. An exception says that no judgement was possible:
the file cannot be read, a key file is unusable, a configuration is wrong. Every one carries a plain sentence
and, where there is one, the next step; programs read the attributes, people read ``str(error)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bundlekit.model.bundle import Problem


class BundlekitError(Exception):
    """The root of all exceptions this package raises on purpose. ``exit_code`` is what the command line ends with."""

    exit_code: int = 3

    def __init__(self, message: str, *, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step


class UnreadableError(BundlekitError):
    """The file cannot be read: it is missing, not a regular file, or the system refused a read."""


class ChangedWhileReadError(UnreadableError):
    """The file changed between the first and the last look at it, so no answer about it would be true."""


class LayoutError(BundlekitError):
    """Bytes that are not what the format says; turned into a finding by the one who asked for the parse.

    ``problem`` says which rule fails, and at which bytes of the file.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class ConfigError(BundlekitError):
    """A file a user wrote (SPEC, matrix, STATE, trust) is wrong; says the file, the key and the mend."""


class TrustError(BundlekitError):
    """Keys or certificates that the operator gave cannot be used."""


class AdvisoryError(BundlekitError):
    """An advisories file cannot be used; ``rule`` is a name for what is wrong with it."""

    def __init__(self, message: str, *, rule: str, next_step: str = "") -> None:
        super().__init__(message, next_step=next_step)
        self.rule = rule


class SigningError(BundlekitError):
    """A signature could not be made or attached; the bundle was not changed."""


class VersionError(BundlekitError, ValueError):
    """A string does not fit the version scheme it is declared to follow."""


class ClockError(BundlekitError):
    """The clock is plainly wrong, so nothing that depends on the time can be judged."""


class CancelledError(BundlekitError):
    """The caller's ``cancel`` said stop."""
