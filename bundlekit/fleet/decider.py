"""Decides what a rollout starts next, in a transaction that holds its records still.

In that transaction no other record can be added (`RolloutStore.ordered`). It reads the records that are new, asks
`core.decide_next`, and adds a record for each pair that starts, together with its work. So in the order of the records,
each start follows from exactly those before it. That holds for any number of workers that decide at once. A decider
that ends at any moment leaves all of this or nothing. What it has in memory are records that others can read as well.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from bundlekit.fleet.core import Outcomes, StartPairs, StopRollout, WaitFor, decide_next

if TYPE_CHECKING:
    from bundlekit.fleet.core import RolloutAction
    from bundlekit.fleet.dispatch import Dispatcher
    from bundlekit.fleet.store import RolloutPhase, RolloutStore

LEAD_AGAIN: Final = 4.0
"""Seconds after which a decider renews that it is the one."""

RECONCILE_AGAIN: Final = 60.0
"""Seconds after which a decider looks for pairs in flight that no worker would find (`RolloutStore.reconcile`)."""

LOOK_AGAIN: Final = 60.0
"""The most seconds between two decisions, even if nothing is reported: a pair can become silent."""

STARTS_AT_ONCE: Final = 1000
"""The most pairs that one transaction starts."""


class Decider:
    """Decides about the rollout ``name``, for the worker ``owner``. One thread at a time uses it."""

    def __init__(self, store: RolloutStore, name: str, *, owner: str, dispatcher: Dispatcher | None = None) -> None:
        self.name = name
        self._store = store
        self._owner = owner
        self._dispatcher = dispatcher
        self._outcomes: Outcomes | None = None
        self._seen = 0
        self._lead_until = 0.0
        self._next = 0.0
        self._reconcile_at = 0.0
        self._shown: tuple[str, str, float | None] | None = None

    def step(self) -> bool:
        """Decide if something is new or due. Whether pairs were started, so that there can be more to start."""
        if time.monotonic() >= self._lead_until:
            if not self._store.lead(self.name, self._owner):
                self._outcomes, self._shown = None, None  # another worker decides: the memory is free
                return False
            self._lead_until = time.monotonic() + LEAD_AGAIN
        if time.monotonic() >= self._reconcile_at:
            self._store.reconcile(self.name)
            self._reconcile_at = time.monotonic() + RECONCILE_AGAIN
        newest = self._store.newest(self.name)
        if self._outcomes is not None and newest <= self._seen and time.monotonic() < self._next:
            return False
        return self._decide()

    def _decide(self) -> bool:
        outcomes = self._outcomes or self._begin()
        with self._store.ordered(self.name):
            self._read(outcomes)
            now = self._store.now()
            action = decide_next(outcomes.rollout, outcomes, now, STARTS_AT_ONCE)
            pairs = action.pairs if isinstance(action, StartPairs) else ()
            if pairs:
                self._store.start(self.name, pairs)
            if isinstance(action, StopRollout) and action.reason == "abort" and not outcomes.aborted:
                self._store.abort(self.name, action.because)
            shown = self._show(action)
        self._shown = shown
        until = action.look_again if isinstance(action, WaitFor) else None
        self._next = time.monotonic() + min(LOOK_AGAIN, max(0.0, until - now) if until is not None else LOOK_AGAIN)
        if self._dispatcher is not None:
            for pair in pairs:
                self._dispatcher.wake(pair, now)
        return bool(pairs)

    def _begin(self) -> Outcomes:
        """The rollout and all its records, read before the transaction: that takes a while for a large fleet."""
        outcomes = Outcomes(self._store.plan(self._store.load(self.name)))
        self._seen = 0
        self._read(outcomes)
        self._outcomes = outcomes
        return outcomes

    def _read(self, outcomes: Outcomes) -> None:
        for seq, record in self._store.records(self.name, self._seen):
            outcomes.add(record)
            self._seen = seq
            self._shown = None  # a request of an operator has written what is shown as well

    def _show(self, action: RolloutAction) -> tuple[str, str, float | None]:
        """Keep the decision for those who look, if it is another one than before."""
        phase: RolloutPhase = "running"
        if isinstance(action, StopRollout):
            phases: dict[str, RolloutPhase] = {"finished": "finished", "abort": "aborted", "operator": "stopped"}
            phase = phases[action.reason]
            if phase == "aborted" and self._outcomes is not None and self._outcomes.aborted:
                return self._shown or (phase, action.because, None)  # the criterion was kept with its record
        elif isinstance(action, WaitFor):
            phase = "paused" if self._outcomes is not None and self._outcomes.paused else "waiting"
        wait = action if isinstance(action, WaitFor) else None
        shown = phase, action.because, wait.until if wait else None
        if shown != self._shown:
            self._store.decided(self.name, phase, action.because, wait)
        return shown
