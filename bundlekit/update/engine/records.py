"""The journal's records: what was decided, what was about to be done, what was seen. Nothing else is state.

Append-only and tagged, so that a journal is readable as JSON without this program. A field added later has a default,
so that a newer version reads an older journal.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import field

from bundlekit.model.primitives import Frozen
from bundlekit.update.engine.errors import JournalDamagedError
from bundlekit.update.engine.invocation import UNKNOWN, InvocationPaths
from bundlekit.update.engine.job import Job
from bundlekit.update.engine.plan import OutcomeKind

AnswerKind = Literal[
    "ok", "failed", "rejected", "retry",       # the result of an action
    "old", "new", "partial", "busy", "unknown",  # what a probe sees
    "ready", "not-yet",                        # what a gate sees
    "fenced",                                  # the target belongs to another controller; the hook did nothing
    "timeout", "died",                         # no answer: deadline passed, killed or crashed
]  # fmt: skip
"""The answers of hooks, for all verbs. The page about hooks lists those of each verb."""


class Instant(Frozen, frozen=True, kw_only=True):
    """A moment: ``ticks`` are seconds of CLOCK_BOOTTIME in ``boot``, ``wall`` seconds since 1970 (UTC)."""

    boot: str
    ticks: float
    wall: float

    def until(self, later: Instant) -> float:
        """Seconds from here to ``later``, never negative.

        Within one boot the wall clock is not used, so it can jump. Across a reboot it is the only clock.
        """
        passed = later.ticks - self.ticks if self.boot == later.boot else later.wall - self.wall
        return max(0.0, passed)


class Answer(Frozen, frozen=True, kw_only=True):
    """What a hook answered, or what became of it. ``hooks`` lists the kinds that a verb allows.

    ``describe`` fills identity, version, reverts, counter, free and facts. It also fills ``product``, ``model`` and
    ``role`` if the appliance knows them (None: unknown), and ``build`` and ``released`` (YYYY-MM-DD) of the version.
    ``sandbox`` marks an appliance for tests only.

    ``verify`` and ``probe`` fill version. ``probe`` reads back what earlier hooks wrote to the target. ``fence`` is the
    highest seen, and ``owner`` is the claim of that fence. ``run`` is the run under way: it changed something and has
    not cleaned up. Its value is empty for none, and None if the target does not remember. ``committed`` is the run
    whose commit point the target has passed. ``hold`` is why the pair is on hold.

    ``diagnostic`` is written by bundlekit only. It states what is wrong with the answer or its time, and who answered.
    """

    kind: AnswerKind
    reason: str = ""
    version: str | None = None
    build: str | None = None
    released: str | None = None
    identity: str | None = None
    product: str | None = None
    model: str | None = None
    role: str | None = None
    reverts: bool | None = None
    counter: int | None = None
    free: dict[str, int] = {}
    facts: dict[str, str] = {}
    fence: int | None = None
    owner: str | None = None
    run: str | None = None
    committed: str | None = None
    hold: str | None = None
    sandbox: bool | None = None
    diagnostic: str = ""


StepState = Literal["old", "new", "kept-new", "partial", "busy", "unknown", "untouched"]
"""What a component is at the end, as probed; *untouched* where it never was."""


class RecoveryStep(Frozen, frozen=True, kw_only=True):
    """A step towards *succeeded* or *healthy old*: a verb of ``bundlekit update``, or a re-image by hand.

    ``product`` and ``model`` are what the pair reports, if the current state differs. ``bundle_moved``: the
    bundle is not where it was and has to be named. ``run`` is another controller's run. The
    verb can replace it; for ``take-over``, a new update can.
    """

    verb: Literal["run", "resume", "repair", "revert", "clear", "state", "reimage", "take-over"]
    step: str = ""
    run: str = ""
    version: str = ""
    product: str = ""
    model: str = ""
    bundle_moved: bool = False


class Outcome(Frozen, frozen=True, kw_only=True):
    """How a run ended, or why none was started (on-hold, busy), or that it goes on later (waiting).

    ``states`` and ``versions`` are per step, as probed. ``ha`` is what is known of the cluster. ``failed`` is the step
    or gate that decided, and ``reason`` is the failure that decided last. ``root_cause`` is the failure that the
    others followed from, if that is another one. ``probe_reasons`` are the reasons of the probe for components that are
    neither old nor new. ``notes`` are failures that decided nothing. ``retry_after``: after so many seconds a resume
    polls again what a detached run waits for.
    """

    kind: OutcomeKind
    pair: str
    run: str = ""
    bundle_id: str = ""
    hold: bool = False
    failed: str = ""
    reason: str = ""
    root_cause: str = ""
    states: dict[str, StepState] = {}
    probe_reasons: dict[str, str] = {}
    versions: dict[str, str] = {}
    roles: dict[str, str] = {}
    ha: Literal["formed", "not-formed", "as-before", "unknown"] = "unknown"
    committed: bool = False
    notes: tuple[str, ...] = ()
    recovery: tuple[RecoveryStep, ...] = ()
    retry_after: float | None = None


class Entry(Frozen, frozen=True, kw_only=True, tag_field="record"):
    """What every record has: when it was made."""

    at: Instant


class Window(Frozen, frozen=True, kw_only=True):
    """How far a run can go: stage on Friday (``until="prepared"``), do not switch after ``not_after``.

    ``not_after`` is in seconds since 1970 and is looked at once, before the first apply.
    """

    until: Literal["prepared", "end"] = "end"
    not_after: float | None = None


class Started(Entry, frozen=True, kw_only=True, tag="started"):
    """A run begins. ``fence`` grows with every controller that takes the pair; ``on_hold``: it was on hold.

    ``owner`` is the unique name of this claim. ``paths`` are the run's files, for the next steps that are printed
    later. ``revert_retry`` is set in a run that only tries the reverts of an earlier one again. ``states_before`` are
    the states of the components before that earlier run, by step. ``takes_over`` are the runs that the target remembers
    as under way and that this one replaces.
    """

    run: str
    fence: int
    owner: str = ""
    takes_over: tuple[str, ...] = ()
    states_before: dict[str, str] = {}
    revert_retry: RevertDecided | None = None
    job: Job
    tool: str
    on_hold: bool = False
    window: Window = Window()
    paths: InvocationPaths = UNKNOWN


class Resumed(Entry, frozen=True, kw_only=True, tag="resumed"):
    """Another controller continues the run. ``bundle`` states whether it can take steps forward.

    ``rejected``: the file no longer is what was accepted, or today's trust no longer accepts it. ``absent`` with a
    ``reason``: it cannot be opened; without: no trust anchors were given. ``ownership_lost`` states why the
    pair belongs to another controller by now, by the marks at the target. Then this one changes nothing more.
    """

    fence: int
    owner: str = ""
    ownership_lost: str = ""
    bundle: Literal["given", "absent", "rejected"]
    reason: str = ""
    window: Window = Window()
    paths: InvocationPaths = UNKNOWN


class CallStarted(Entry, frozen=True, kw_only=True, tag="call-started"):
    """The intent to call a hook, durable before the hook starts."""

    verb: str
    step: str
    attempt: int


class CallFinished(Entry, frozen=True, kw_only=True, tag="call-finished"):
    """What a hook answered, durable before the next decision."""

    verb: str
    step: str
    answer: Answer


class CommitPoint(Entry, frozen=True, kw_only=True, tag="commit-point"):
    """From here on nothing is reverted."""


class RevertDecided(Entry, frozen=True, kw_only=True, tag="revert-decided"):
    """From here on the commit point is out of reach: ``revert`` in this order, ``keep`` what is new.

    ``by`` is the operator who had the reverts of an earlier run tried again.
    """

    step: str
    reason: str
    revert: tuple[str, ...]
    keep: tuple[str, ...] = ()
    hold: bool = False
    cancelled: bool = False
    by: str = ""


EndMode = Literal["abort", "degraded", "manual", "lost"]
"""The mode that a decision other than to revert leads to."""


class ModeChanged(Entry, frozen=True, kw_only=True, tag="mode-changed"):
    """The run leaves its mode, because ``step`` could not be done."""

    to: EndMode
    step: str
    reason: str
    cancelled: bool = False


class CancelRequested(Entry, frozen=True, kw_only=True, tag="cancel-requested"):
    """The operator requests a cancel. It counts before the commit point only."""


class Ended(Entry, frozen=True, kw_only=True, tag="ended"):
    """The run is over."""

    outcome: Outcome


class Cleared(Entry, frozen=True, kw_only=True, tag="cleared"):
    """An operator, by name, took the pair off hold. ``states`` are as probed, or empty if they were not probed.

    ``ticket`` is the number of the support ticket.
    """

    by: str
    reason: str
    ticket: str = ""
    states: dict[str, str] = field(default_factory=dict)


class Rejected(Entry, frozen=True, kw_only=True, tag="rejected"):
    """A run that the check of the bundle did not let begin: no job was made, and no hook was called.

    It is recorded between runs, so what the latest run left behind is unchanged. ``bundle_id`` is empty if the head
    could not be read, ``causes`` are those of the report.
    """

    run: str
    tool: str
    path: str
    reason: str
    bundle_id: str = ""
    causes: tuple[str, ...] = ()


Record = (
    Started
    | Resumed
    | CallStarted
    | CallFinished
    | CommitPoint
    | RevertDecided
    | ModeChanged
    | CancelRequested
    | Ended
    | Cleared
    | Rejected
)
"""One line of the journal, and what ``watch`` of a controller is called with."""

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


def encode(record: Record) -> bytes:
    """The record as one line of JSON."""
    return _encoder.encode(record)


def decode(line: bytes | str) -> Record:
    """The record of one line of JSON; raises JournalDamagedError if it is none."""
    try:
        return _decoder.decode(line)
    except msgspec.DecodeError as error:
        raise JournalDamagedError(
            f"A journal record cannot be read: {error}.",
            next_step="If a newer bundlekit wrote it, use that one. Otherwise keep the file and start again.",
        ) from error


def schema() -> dict[str, Any]:
    """The JSON Schema of one record."""
    return msgspec.json.schema(Record)
