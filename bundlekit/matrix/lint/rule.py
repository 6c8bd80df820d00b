"""A lint rule, and the list of versions that its sentences contain."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final

from bundlekit.model.finding import Fault, Severity
from bundlekit.model.rule import NamedRule, name_of, page_of

if TYPE_CHECKING:
    from bundlekit.matrix.lint.context import LintContext
    from bundlekit.versions import Version


MAX_NAMED: Final = 8
"""Versions that one sentence names."""


LintFunction = Callable[["LintContext"], Iterator[Fault]]


class LintRule(NamedRule, frozen=True, kw_only=True):
    """A rule of the lint."""

    run: LintFunction


def lint_rule(severity: Severity, remedy: str) -> Callable[[LintFunction], LintRule]:
    """Make a rule from a generator of faults. The function's name is that of the rule, its docstring is the page."""

    def make(function: LintFunction) -> LintRule:
        page = page_of(function.__doc__)
        return LintRule(name=name_of(function), severity=severity, remedy=remedy, page=page, run=function)

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
