"""Observers of a run: functions of the caller that see what happens and change nothing, whatever they do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import ParamSpec

from bundlekit.update.engine.hooks import Hooks, PassThrough
from bundlekit.update.engine.records import Record

Arguments = ParamSpec("Arguments")

RecordObserver = Callable[[Sequence[Record]], None]
"""Called with records of a run."""


def undisturbed(observer: Callable[Arguments, object]) -> Callable[Arguments, None]:
    """The observer, whose exceptions are ignored. Ctrl-C is none of them."""

    def observed(*arguments: Arguments.args, **named: Arguments.kwargs) -> None:
        with suppress(Exception):
            observer(*arguments, **named)

    return observed


class Watched(PassThrough):
    """Hooks with an observer that is called with each record."""

    def __init__(self, hooks: Hooks, watch: RecordObserver) -> None:
        super().__init__(hooks)
        self._watch = watch

    def notify(self, record: Record) -> None:
        """Call the observer, then the hooks."""
        self._watch((record,))
        self.hooks.notify(record)
