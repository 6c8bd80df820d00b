"""The state of runs as a worker gives it to the controller of one pair: with the lease that the worker has."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bundlekit.update.engine.journal import Journal
    from bundlekit.update.state.lease import Lease
    from bundlekit.update.state.postgres_state import PostgresState
    from bundlekit.update.state.update_state import CancelMark

ASK_SECONDS: Final = 1.0
"""Seconds between two looks for a request to cancel. A run of quick hooks would look for it as often as it appends."""


class LeasedState:
    """The state of runs for one pair whose lease the caller has: `UpdateState`, with that lease."""

    def __init__(self, state: PostgresState, lease: Lease) -> None:
        self._state = state
        self._lease = lease
        self.folder = state.folder
        self.name = state.name
        self.noun = state.noun
        self.parameter = state.parameter
        self.clock = state.clock

    @contextmanager
    def held(self, pair: str) -> Iterator[tuple[Journal, int]]:
        """The pair's lock on this host, and the journal."""
        with self._state.held(pair, self._lease) as found:
            yield found

    def is_ours(self, pair: str) -> bool:
        """Whether its lease lasts for some time."""
        return self._state.is_ours(pair)

    def reading(self) -> AbstractContextManager[Journal]:
        """The journal, to be read."""
        return self._state.reading()

    def rows(self, pair: str) -> list[tuple[int, str, str]]:
        """The records of the pair, unchecked."""
        return self._state.rows(pair)

    def stamp(self, pair: str) -> object:
        """A value that changes with the records."""
        return self._state.stamp(pair)

    def cancel_request(self, pair: str) -> CancelMark:
        """The request to cancel a run, which is looked for once a second at most."""
        return SeldomAsked(self._state.cancel_request(pair))

    def at_work(self, pair: str) -> str:
        """Who works on the pair."""
        return self._state.at_work(pair)

    def keep(self, pair: str, suffix: str, data: bytes) -> None:
        """Keep an input for support bundles."""
        self._state.keep(pair, suffix, data)

    def kept(self, pair: str, suffix: str) -> bytes | None:
        """What is kept."""
        return self._state.kept(pair, suffix)

    def close(self) -> None:
        """Nothing: the owner of the state closes it."""


class SeldomAsked:
    """A request to cancel that is looked for at most each `ASK_SECONDS`."""

    def __init__(self, request: CancelMark) -> None:
        self._request = request
        self._next = 0.0
        self._found = ""

    def ask(self, run: str) -> None:
        """Leave the request."""
        self._request.ask(run)

    def asked(self) -> str:
        """The run that is to be cancelled, as of a second ago at most."""
        if time.monotonic() >= self._next:
            self._found = self._request.asked()
            self._next = time.monotonic() + ASK_SECONDS
        return self._found

    def withdraw(self) -> None:
        """Take the request away."""
        self._request.withdraw()
