"""A lint rule, and the list of versions that its sentences contain."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from inspect import cleandoc
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from bundlekit.model.finding import Severity
from bundlekit.model.primitives import Frozen

if TYPE_CHECKING:
    from bundlekit.matrix.lint.context import LintContext
    from bundlekit.versions import Version


MAX_NAMED: Final = 8
"""Versions that one sentence names."""


class LintIssue(NamedTuple):
    """One issue that a rule reports: ``next`` is the next step (empty: the rule's remedy)."""

    message: str
    subject: str = ""
    entry: str = ""
    next: str = ""


class Lint(Frozen, frozen=True, kw_only=True):
    """A lint rule. ``bundlekit explain NAME`` prints ``page``."""

    name: str
    severity: Severity
    remedy: str
    page: str
    run: Callable[[LintContext], Iterator[LintIssue]]


def lint_rule(severity: Severity, remedy: str) -> Callable[[Callable[[LintContext], Iterator[LintIssue]]], Lint]:
    """Make a rule from a generator of `LintIssue`.

    The rule is named like the function, and its docstring is the page.
    """

    def make(function: Callable[[LintContext], Iterator[LintIssue]]) -> Lint:
        name = function.__name__.replace("_", "-")
        return Lint(
            name=name,
            severity=severity,
            remedy=remedy,
            page=cleandoc(function.__doc__ or "").replace("``", "`"),
            run=function,
        )

    return make


def named(versions: Iterable[Version]) -> str:
    """Versions in a sentence. If there are many, only the first few."""
    return listed(version.text for version in versions)


def listed(subjects: Iterable[str]) -> str:
    """Texts in a sentence. If there are many, only the first few."""
    texts = list(dict.fromkeys(subjects))
    return listed_of(texts, len(texts))


def listed_of(subjects: Iterable[str], count: int) -> str:
    """The first few of ``count`` texts in a sentence, and the number of the others."""
    more = f" and {count - MAX_NAMED} more" if count > MAX_NAMED else ""
    return ", ".join(islice(subjects, MAX_NAMED)) + more
