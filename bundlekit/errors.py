"""The exceptions of bundlekit: why a bundle could not be validated.

A bad bundle is *data*: it becomes findings in a report. An exception means that no validation was possible. Examples
are a file that cannot be read, an unusable key file, and a wrong configuration. Each exception has a plain sentence
and, if there is one, the next step. Programs read the attributes, and people read ``str(error)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bundlekit.model.bundle import Problem


class BundlekitError(Exception):
    """The base class of all exceptions that this package raises on purpose.

    ``exit_code`` is the exit code of the command line.
    """

    exit_code: int = 3

    def __init__(self, message: str, *, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step


class UnreadableError(BundlekitError):
    """The file cannot be read: it is missing, it is not a regular file, or the system refused a read."""


class NoSuchObjectError(UnreadableError):
    """A server has no such object."""


class ChangedWhileReadError(UnreadableError):
    """The file changed while it was read, so no statement about it would be reliable."""


class LayoutError(BundlekitError):
    """The bytes do not match the format. The caller of the parser turns this exception into a finding.

    ``problem`` names the rule that fails and the bytes of the file.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class ConfigError(BundlekitError):
    """A configuration file (SPEC, matrix, STATE, trust) is wrong. The message gives the file, the key and the fix."""


class TrustError(BundlekitError):
    """Keys or certificates from the operator cannot be used."""


class AdvisoryError(BundlekitError):
    """An advisories file cannot be used; ``rule`` is the name of its fault."""

    def __init__(self, message: str, *, rule: str, next_step: str = "") -> None:
        super().__init__(message, next_step=next_step)
        self.rule = rule


class SigningError(BundlekitError):
    """A signature could not be made or attached. The bundle is unchanged."""


class VersionError(BundlekitError, ValueError):
    """A string does not fit the version scheme it is declared to follow."""


class ClockError(BundlekitError):
    """The clock is plainly wrong, so rules that depend on the time cannot be evaluated."""


class CancelledError(BundlekitError):
    """The caller's ``cancel`` returned True."""
