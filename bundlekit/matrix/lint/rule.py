"""A rule of the lint, and the list of versions that its sentences contain."""

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
    """What a rule says once: ``next`` is the next step (empty: the rule's remedy)."""

    message: str
    subject: str = ""
    entry: str = ""
    next: str = ""


class Lint(Frozen, frozen=True, kw_only=True):
    """A rule of the lint; ``page`` is what ``bundlekit explain NAME`` shows."""

    name: str
    severity: Severity
    remedy: str
    page: str
    run: Callable[[LintContext], Iterator[LintIssue]]


def lint_rule(severity: Severity, remedy: str) -> Callable[[Callable[[LintContext], Iterator[LintIssue]]], Lint]:
    """Make a generator of `LintIssue` a rule that is named like the function; its docstring is the page."""

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
    """Versions in a sentence; of many only the first few."""
    return listed(version.text for version in versions)


def listed(subjects: Iterable[str]) -> str:
    """Texts in a sentence; of many only the first few."""
    texts = list(dict.fromkeys(subjects))
    return listed_of(texts, len(texts))


def listed_of(subjects: Iterable[str], count: int) -> str:
    """The first few of ``count`` texts in a sentence, and how many more there are."""
    more = f" and {count - MAX_NAMED} more" if count > MAX_NAMED else ""
    return ", ".join(islice(subjects, MAX_NAMED)) + more
