"""What a run can do next: the actions that the planner decides and the executor carries out."""

from __future__ import annotations

from typing import Literal

from bundlekit.model.primitives import Frozen
from bundlekit.update.engine.plan import GateMoment, Verb
from bundlekit.update.engine.records import Outcome, Record


class Call(Frozen, frozen=True, kw_only=True):
    """Call a hook. ``after`` is when a gate is polled; empty for all other hooks."""

    verb: Verb
    step: str
    attempt: int
    after: GateMoment | Literal[""] = ""


class Note(Frozen, frozen=True, kw_only=True):
    """Write a decision to the journal."""

    record: Record


class Wait(Frozen, frozen=True, kw_only=True):
    """Do nothing for so many seconds; what is waited for follows from the records."""

    seconds: float
    why: str


class Pause(Frozen, frozen=True, kw_only=True):
    """Stop here; a resume continues. ``moved``: that resume needs the new location of the bundle."""

    why: str
    moved: bool = False


class End(Frozen, frozen=True, kw_only=True):
    """The run is over."""

    outcome: Outcome


Action = Call | Note | Wait | Pause | End
