"""A rule of the lint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from bundlekit.model.finding import Fault, Severity
from bundlekit.model.rule import NamedRule, name_of, page_of

if TYPE_CHECKING:
    from bundlekit.matrix.lint.context import LintContext


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
