"""The update executor: plan, journal, hooks, engine, controller, rehearsal.

The names in ``__all__`` are public, and each is loaded when it is first used (PEP 562). A program that updates a pair
derives its hooks from :class:`MarkedHooks` (or from :class:`Hooks`), and calls a :class:`Controller`::

    controller = Controller(Path("state"), lambda plan, _lock: MyHooks())
    outcome = controller.run(Path("update.bin"), PAIR, trust=trust, appliance=appliance)

To drive the engine without a bundle file or a state folder, give :class:`Engine` a :class:`Job`, a :class:`Payload` and
a :class:`Journal`. The engine knows no bundle format, no matrix and no trust. ``bundlekit explain executor`` is the
page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bundlekit.update.bundle import verified
    from bundlekit.update.controller import Controller
    from bundlekit.update.ending import NotAcceptedError
    from bundlekit.update.engine.clock import Clock, ManualClock, SystemClock
    from bundlekit.update.engine.errors import (
        FenceError,
        FenceLostError,
        JournalDamagedError,
        JournalError,
        StateFolderError,
        UpdateError,
    )
    from bundlekit.update.engine.executor import Declined, Engine
    from bundlekit.update.engine.hooks import Hooks, Request
    from bundlekit.update.engine.job import Job, Payload, Target
    from bundlekit.update.engine.journal import Journal, MemoryJournal
    from bundlekit.update.engine.outcome import EXIT_CODES
    from bundlekit.update.engine.plan import PAIR, Plan, load_plan
    from bundlekit.update.engine.records import (
        Answer,
        CallFinished,
        CallStarted,
        CancelRequested,
        Cleared,
        CommitPoint,
        Ended,
        ModeChanged,
        Outcome,
        Record,
        RecoveryStep,
        Rejected,
        Resumed,
        RevertDecided,
        Started,
        Window,
    )
    from bundlekit.update.rehearsal.rehearse import Rehearsal, rehearse
    from bundlekit.update.rehearsal.sandbox import Sandbox, calm, over, simulated
    from bundlekit.update.state.cancel import CancelRequest
    from bundlekit.update.state.lock import PairBusyError
    from bundlekit.update.state.sqlite_journal import SqliteJournal
    from bundlekit.update.targets.command import CommandHooks
    from bundlekit.update.targets.marked import FolderHooks, MarkedHooks
    from bundlekit.update.targets.select import hooks_for
    from bundlekit.update.targets.slots import SlotHooks

__all__ = [
    "EXIT_CODES",
    "PAIR",
    "Answer",
    "CallFinished",
    "CallStarted",
    "CancelRequest",
    "CancelRequested",
    "Cleared",
    "Clock",
    "CommandHooks",
    "CommitPoint",
    "Controller",
    "Declined",
    "Ended",
    "Engine",
    "FenceError",
    "FenceLostError",
    "FolderHooks",
    "Hooks",
    "Job",
    "Journal",
    "JournalDamagedError",
    "JournalError",
    "ManualClock",
    "MarkedHooks",
    "MemoryJournal",
    "ModeChanged",
    "NotAcceptedError",
    "Outcome",
    "PairBusyError",
    "Payload",
    "Plan",
    "Record",
    "RecoveryStep",
    "Rehearsal",
    "Rejected",
    "Request",
    "Resumed",
    "RevertDecided",
    "Sandbox",
    "SlotHooks",
    "SqliteJournal",
    "Started",
    "StateFolderError",
    "SystemClock",
    "Target",
    "UpdateError",
    "Window",
    "calm",
    "hooks_for",
    "load_plan",
    "over",
    "rehearse",
    "simulated",
    "verified",
]

_HOMES = {
    "Answer": "bundlekit.update.engine.records",
    "CallFinished": "bundlekit.update.engine.records",
    "CallStarted": "bundlekit.update.engine.records",
    "CancelRequest": "bundlekit.update.state.cancel",
    "CancelRequested": "bundlekit.update.engine.records",
    "Cleared": "bundlekit.update.engine.records",
    "Clock": "bundlekit.update.engine.clock",
    "CommandHooks": "bundlekit.update.targets.command",
    "CommitPoint": "bundlekit.update.engine.records",
    "Controller": "bundlekit.update.controller",
    "Declined": "bundlekit.update.engine.executor",
    "EXIT_CODES": "bundlekit.update.engine.outcome",
    "Ended": "bundlekit.update.engine.records",
    "Engine": "bundlekit.update.engine.executor",
    "FenceError": "bundlekit.update.engine.errors",
    "FenceLostError": "bundlekit.update.engine.errors",
    "FolderHooks": "bundlekit.update.targets.marked",
    "Hooks": "bundlekit.update.engine.hooks",
    "Job": "bundlekit.update.engine.job",
    "Journal": "bundlekit.update.engine.journal",
    "JournalDamagedError": "bundlekit.update.engine.errors",
    "JournalError": "bundlekit.update.engine.errors",
    "ManualClock": "bundlekit.update.engine.clock",
    "MarkedHooks": "bundlekit.update.targets.marked",
    "MemoryJournal": "bundlekit.update.engine.journal",
    "ModeChanged": "bundlekit.update.engine.records",
    "NotAcceptedError": "bundlekit.update.ending",
    "Outcome": "bundlekit.update.engine.records",
    "PAIR": "bundlekit.update.engine.plan",
    "PairBusyError": "bundlekit.update.state.lock",
    "Payload": "bundlekit.update.engine.job",
    "Plan": "bundlekit.update.engine.plan",
    "Record": "bundlekit.update.engine.records",
    "RecoveryStep": "bundlekit.update.engine.records",
    "Rehearsal": "bundlekit.update.rehearsal.rehearse",
    "Rejected": "bundlekit.update.engine.records",
    "Request": "bundlekit.update.engine.hooks",
    "Resumed": "bundlekit.update.engine.records",
    "RevertDecided": "bundlekit.update.engine.records",
    "Sandbox": "bundlekit.update.rehearsal.sandbox",
    "SlotHooks": "bundlekit.update.targets.slots",
    "SqliteJournal": "bundlekit.update.state.sqlite_journal",
    "Started": "bundlekit.update.engine.records",
    "StateFolderError": "bundlekit.update.engine.errors",
    "SystemClock": "bundlekit.update.engine.clock",
    "Target": "bundlekit.update.engine.job",
    "UpdateError": "bundlekit.update.engine.errors",
    "Window": "bundlekit.update.engine.records",
    "calm": "bundlekit.update.rehearsal.sandbox",
    "hooks_for": "bundlekit.update.targets.select",
    "load_plan": "bundlekit.update.engine.plan",
    "over": "bundlekit.update.rehearsal.sandbox",
    "rehearse": "bundlekit.update.rehearsal.rehearse",
    "simulated": "bundlekit.update.rehearsal.sandbox",
    "verified": "bundlekit.update.bundle",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from bundlekit.dependencies import load

    value = load(_HOMES[name], name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
