"""What a bundle is expected to be rejected for, and whether exactly that rejects it.

A test of a release needs this: a bundle that has to be rejected can be rejected for the wrong reason, such as a path to
a trust file that is misspelt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

from bundlekit import checks
from bundlekit.errors import ConfigError
from bundlekit.model.decision import PRECEDENCE
from bundlekit.model.finding import Cause
from bundlekit.model.primitives import Frozen
from bundlekit.report.build import MAX_NAMED
from bundlekit.report.model import Report
from bundlekit.schema_errors import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bundlekit.model.finding import Finding
    from bundlekit.report.model import NotChecked

CAUSES: Final[frozenset[str]] = frozenset(get_args(Cause))
BY_NAME_ALONE: Final[frozenset[str]] = frozenset(["unreadable-version"])
"""Rules that meet no cause, but only their own name. They reject a request with a typing error, whatever the bundle."""


class Expectation(Frozen, frozen=True, kw_only=True):
    """Whether a bundle was rejected as expected, in one sentence. ``decided``: the check had a verdict."""

    met: bool
    decided: bool
    message: str

    @property
    def heading(self) -> str:
        """The beginning of the line about it."""
        return "AS EXPECTED" if self.met else "NOT AS EXPECTED"


def checked_names(names: Sequence[str]) -> frozenset[str]:
    """The names of rules and causes that a bundle is expected to be rejected for. ConfigError for an unknown one."""
    known = {rule.name for rule in checks.RULES} | CAUSES
    for name in names:
        if name not in known:
            raise ConfigError(f"{name!r} is neither a rule nor a cause{nearest(name, known)}")
    return frozenset(names)


def compare_with(report: Report | NotChecked, expected: frozenset[str], pairs: Sequence[str] = ()) -> Expectation:
    """Whether the bundle is rejected for all of ``expected``, and for nothing more.

    A name is that of a rule or of a cause. Each finding that rejects the bundle has to be of one of them.
    Each name has to have such a finding. A finding about the bundle itself counts for all installed versions. Without
    one, each version that was asked about has to be rejected, and each of the ``pairs``.
    """
    wanted = " and ".join(sorted(expected))
    if not isinstance(report, Report):
        return _unmet(f"a rejection by {wanted} is expected, but the bundle could not be checked", decided=False)
    if report.verdict == "incomplete":
        return _unmet(f"a rejection by {wanted} is expected, but the verdict is incomplete", decided=False)
    if report.verdict == "accept":
        return _unmet(f"a rejection by {wanted} is expected, but the bundle is accepted")
    rejecting = [one for one in report.findings if checks.rejects(one, strict=report.request.strict)]
    others = dict.fromkeys(_both(one) for one in rejecting if not _names(one) & expected)
    missing = [name for name in sorted(expected) if not any(name in _names(one) for one in rejecting)]
    if missing:
        found = ", ".join(dict.fromkeys(map(_both, rejecting)))
        return _unmet(f"a rejection by {' and '.join(missing)} is expected, but the bundle is rejected by {found}")
    if others:
        return _unmet(
            f"a rejection by {wanted} alone is expected, but the bundle is also rejected by {', '.join(others)}"
        )
    if all(one.rule in PRECEDENCE for one in rejecting) and (left := list(_not_rejected(report, pairs))):
        return _unmet(f"a rejection by {wanted} is expected, but the bundle is not rejected for {_some(left)}")
    return Expectation(met=True, decided=True, message=f"the bundle is rejected by {wanted}, and by nothing more")


def _not_rejected(report: Report, pairs: Sequence[str]) -> Iterator[str]:
    """What was asked about and is not rejected: installed versions, pairs, and lines that could not be read."""
    asked = [*(f"version {version}" for version in report.request.sources), *(f"pair {pair}" for pair in pairs)]
    decided = set()
    for one in report.decisions:
        name = f"pair {one.pair}" if one.pair else f"version {one.overall.subject}"
        decided.add(name)
        if not any(part.rejected for part in (one.overall, *one.component_decisions)):
            yield name
    yield from (name for name in dict.fromkeys(asked) if name not in decided)
    if report.request.skipped_states:
        yield "lines that could not be read"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return f"{', '.join(names[:MAX_NAMED])}{more}"


def _names(finding: Finding) -> set[str]:
    """The names that a finding meets."""
    return {finding.rule} if finding.rule in BY_NAME_ALONE else {finding.rule, finding.cause}


def _both(finding: Finding) -> str:
    """The rule of a finding with the cause that it meets."""
    return " ".join((finding.rule, *(f"({name})" for name in _names(finding) if name != finding.rule)))


def _unmet(message: str, *, decided: bool = True) -> Expectation:
    return Expectation(met=False, decided=decided, message=message)
