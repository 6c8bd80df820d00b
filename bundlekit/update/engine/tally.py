"""The records of a run about one verb on one step, counted."""

from __future__ import annotations

from bundlekit.update.engine.records import Answer


class Tally:
    """What the records contain about one verb on one step. Indexes count records, times count seconds of the run."""

    __slots__ = ("answer", "answered", "answered_at", "attempts", "first_at", "started", "started_at", "unknowns")

    def __init__(self) -> None:
        self.attempts = 0
        self.started = 0
        self.started_at = 0.0
        self.first_at = 0.0
        self.answer: Answer | None = None
        self.answered = 0
        self.answered_at = 0.0
        self.unknowns = 0

    @property
    def settled(self) -> Answer | None:
        """The answer to the latest attempt; None if it was never made or the controller died under it."""
        return self.answer if self.answered > self.started else None


NEVER = Tally()
