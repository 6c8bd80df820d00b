"""Lets no hook change anything for a worker that can have lost its lease.

A worker can be stopped at any moment, and go on when another one has its pair. The journal then refuses its records.
But it can have been stopped between the record of a call and the call. An appliance refuses that call only if it knows
the higher fence of the other worker already. So the lease is looked at once more, after the record and before the call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from bundlekit.update.engine.history import CHANGING
from bundlekit.update.engine.hooks import Hooks, PassThrough, Request

if TYPE_CHECKING:
    from bundlekit.update.controller import HooksFactory
    from bundlekit.update.engine.plan import Plan
    from bundlekit.update.engine.records import Answer, Record

GUARDED: Final = CHANGING | {"cleanup"}
"""The verbs that write to an appliance."""


class LeaseEndedError(BaseException):
    """The lease is lost or cannot be renewed: the run is left as by a worker that died there.

    It is no Exception, because an engine takes those for the answers of hooks.
    """


class GuardedHooks(PassThrough):
    """Hooks that change something only while ``is_ours`` returns true, which is asked before each such call."""

    def __init__(self, hooks: Hooks, is_ours: Callable[[], bool]) -> None:
        super().__init__(hooks)
        self._is_ours = is_ours

    def ask(self, request: Request) -> Answer:
        """The answer, or LeaseEndedError before anything was called."""
        if request.verb in GUARDED and not self._is_ours():
            raise LeaseEndedError
        return super().ask(request)

    def notify(self, record: Record) -> None:
        """Pass the record on."""
        self.hooks.notify(record)


def hooks_under_lease(hooks: Hooks | HooksFactory, is_ours: Callable[[], bool]) -> HooksFactory:
    """A function that makes the guarded hooks of a plan."""

    def make(plan: Plan, lock_fd: int) -> Hooks:
        made = hooks if isinstance(hooks, Hooks) else hooks(plan, lock_fd)
        return GuardedHooks(made, is_ours)

    return make
