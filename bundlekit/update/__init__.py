"""The update executor: plan, journal, hooks, engine, controller, rehearsal.

The names in ``__all__`` are public, and each is loaded when it is first used (PEP 562). A program that updates a pair
derives its hooks from :class:`MarkedHooks` (or from :class:`Hooks`), and calls a :class:`Controller`::

    controller = Controller("state", MyHooks())
    outcome = controller.run("update.bin", trust=trust, appliance=appliance)

To drive the engine without a bundle file or a state folder, give :class:`Engine` a :class:`Job`, a :class:`Payload` and
a :class:`Journal`. The engine knows no bundle format, no matrix and no trust. ``bundlekit explain executor`` is the
page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bundlekit.model.matrix import Condition
    from bundlekit.update.bundle import CheckedBundle, NotAcceptedError, verified
    from bundlekit.update.controller import Controller, HooksFactory
    from bundlekit.update.engine.clock import Clock, ManualClock, SystemClock
    from bundlekit.update.engine.errors import (
        FenceError,
        FenceLostError,
        JournalDamagedError,
        JournalError,
        StateDatabaseError,
        StateFolderError,
        UpdateError,
    )
    from bundlekit.update.engine.executor import BundleMissing, BundleRejected, Declined, Engine, HoldRelease
    from bundlekit.update.engine.hooks import Hooks, Request
    from bundlekit.update.engine.invocation import InvocationPaths
    from bundlekit.update.engine.job import Job, Payload, Target
    from bundlekit.update.engine.journal import Journal, MemoryJournal
    from bundlekit.update.engine.outcome import EXIT_CODES
    from bundlekit.update.engine.plan import (
        PAIR,
        Deadlines,
        Gate,
        GateMoment,
        Group,
        IfIncompatible,
        OnFailure,
        OutcomeKind,
        Plan,
        Slots,
        Step,
        Verb,
        load_plan,
    )
    from bundlekit.update.engine.records import (
        Answer,
        AnswerKind,
        CallFinished,
        CallStarted,
        CancelRequested,
        Cleared,
        CommitPoint,
        Ended,
        EndMode,
        Instant,
        ModeChanged,
        Outcome,
        Record,
        RecoveryStep,
        Rejected,
        Resumed,
        RevertDecided,
        Started,
        StepState,
        Window,
    )
    from bundlekit.update.inventory import save_appliance
    from bundlekit.update.observers import RecordObserver
    from bundlekit.update.rehearsal.faults import InjectedFault
    from bundlekit.update.rehearsal.rehearse import (
        Rehearsal,
        RehearsalFinding,
        RehearsalProgress,
        RehearsalRun,
        rehearse,
    )
    from bundlekit.update.rehearsal.sandbox import Sandbox, SandboxFactory, calm, over, simulated
    from bundlekit.update.state.cancel import CancelRequest
    from bundlekit.update.state.lock import PairBusyError
    from bundlekit.update.state.sqlite_journal import SqliteJournal
    from bundlekit.update.state.update_state import CancelMark, FolderState, UpdateState, open_state
    from bundlekit.update.targets.command import Command, CommandHooks, HookProgressObserver
    from bundlekit.update.targets.marked import FolderHooks, MarkedHooks
    from bundlekit.update.targets.select import hooks_for
    from bundlekit.update.targets.slots import SlotHooks, create_slot_pair, install_slot, slot_pair_state

__all__ = [
    "EXIT_CODES",
    "PAIR",
    "Answer",
    "AnswerKind",
    "BundleMissing",
    "BundleRejected",
    "CallFinished",
    "CallStarted",
    "CancelMark",
    "CancelRequest",
    "CancelRequested",
    "CheckedBundle",
    "Cleared",
    "Clock",
    "Command",
    "CommandHooks",
    "CommitPoint",
    "Condition",
    "Controller",
    "Deadlines",
    "Declined",
    "EndMode",
    "Ended",
    "Engine",
    "FenceError",
    "FenceLostError",
    "FolderHooks",
    "FolderState",
    "Gate",
    "GateMoment",
    "Group",
    "HoldRelease",
    "HookProgressObserver",
    "Hooks",
    "HooksFactory",
    "IfIncompatible",
    "InjectedFault",
    "Instant",
    "InvocationPaths",
    "Job",
    "Journal",
    "JournalDamagedError",
    "JournalError",
    "ManualClock",
    "MarkedHooks",
    "MemoryJournal",
    "ModeChanged",
    "NotAcceptedError",
    "OnFailure",
    "Outcome",
    "OutcomeKind",
    "PairBusyError",
    "Payload",
    "Plan",
    "Record",
    "RecordObserver",
    "RecoveryStep",
    "Rehearsal",
    "RehearsalFinding",
    "RehearsalProgress",
    "RehearsalRun",
    "Rejected",
    "Request",
    "Resumed",
    "RevertDecided",
    "Sandbox",
    "SandboxFactory",
    "SlotHooks",
    "Slots",
    "SqliteJournal",
    "Started",
    "StateDatabaseError",
    "StateFolderError",
    "Step",
    "StepState",
    "SystemClock",
    "Target",
    "UpdateError",
    "UpdateState",
    "Verb",
    "Window",
    "calm",
    "create_slot_pair",
    "hooks_for",
    "install_slot",
    "load_plan",
    "open_state",
    "over",
    "rehearse",
    "save_appliance",
    "simulated",
    "slot_pair_state",
    "verified",
]

_HOMES = {
    "Answer": "bundlekit.update.engine.records",
    "AnswerKind": "bundlekit.update.engine.records",
    "BundleMissing": "bundlekit.update.engine.executor",
    "BundleRejected": "bundlekit.update.engine.executor",
    "CallFinished": "bundlekit.update.engine.records",
    "CallStarted": "bundlekit.update.engine.records",
    "CancelMark": "bundlekit.update.state.update_state",
    "CancelRequest": "bundlekit.update.state.cancel",
    "CancelRequested": "bundlekit.update.engine.records",
    "CheckedBundle": "bundlekit.update.bundle",
    "Cleared": "bundlekit.update.engine.records",
    "Clock": "bundlekit.update.engine.clock",
    "Command": "bundlekit.update.targets.command",
    "CommandHooks": "bundlekit.update.targets.command",
    "CommitPoint": "bundlekit.update.engine.records",
    "Condition": "bundlekit.model.matrix",
    "Controller": "bundlekit.update.controller",
    "Deadlines": "bundlekit.update.engine.plan",
    "Declined": "bundlekit.update.engine.executor",
    "EXIT_CODES": "bundlekit.update.engine.outcome",
    "EndMode": "bundlekit.update.engine.records",
    "Ended": "bundlekit.update.engine.records",
    "Engine": "bundlekit.update.engine.executor",
    "FenceError": "bundlekit.update.engine.errors",
    "FenceLostError": "bundlekit.update.engine.errors",
    "FolderState": "bundlekit.update.state.update_state",
    "FolderHooks": "bundlekit.update.targets.marked",
    "Gate": "bundlekit.update.engine.plan",
    "GateMoment": "bundlekit.update.engine.plan",
    "Group": "bundlekit.update.engine.plan",
    "HoldRelease": "bundlekit.update.engine.executor",
    "HookProgressObserver": "bundlekit.update.targets.command",
    "Hooks": "bundlekit.update.engine.hooks",
    "HooksFactory": "bundlekit.update.controller",
    "IfIncompatible": "bundlekit.update.engine.plan",
    "InjectedFault": "bundlekit.update.rehearsal.faults",
    "Instant": "bundlekit.update.engine.records",
    "InvocationPaths": "bundlekit.update.engine.invocation",
    "Job": "bundlekit.update.engine.job",
    "Journal": "bundlekit.update.engine.journal",
    "JournalDamagedError": "bundlekit.update.engine.errors",
    "JournalError": "bundlekit.update.engine.errors",
    "ManualClock": "bundlekit.update.engine.clock",
    "MarkedHooks": "bundlekit.update.targets.marked",
    "MemoryJournal": "bundlekit.update.engine.journal",
    "ModeChanged": "bundlekit.update.engine.records",
    "NotAcceptedError": "bundlekit.update.bundle",
    "OnFailure": "bundlekit.update.engine.plan",
    "Outcome": "bundlekit.update.engine.records",
    "OutcomeKind": "bundlekit.update.engine.plan",
    "PAIR": "bundlekit.update.engine.plan",
    "PairBusyError": "bundlekit.update.state.lock",
    "Payload": "bundlekit.update.engine.job",
    "Plan": "bundlekit.update.engine.plan",
    "Record": "bundlekit.update.engine.records",
    "RecordObserver": "bundlekit.update.observers",
    "RecoveryStep": "bundlekit.update.engine.records",
    "Rehearsal": "bundlekit.update.rehearsal.rehearse",
    "RehearsalFinding": "bundlekit.update.rehearsal.rehearse",
    "RehearsalProgress": "bundlekit.update.rehearsal.rehearse",
    "RehearsalRun": "bundlekit.update.rehearsal.rehearse",
    "Rejected": "bundlekit.update.engine.records",
    "Request": "bundlekit.update.engine.hooks",
    "Resumed": "bundlekit.update.engine.records",
    "RevertDecided": "bundlekit.update.engine.records",
    "Sandbox": "bundlekit.update.rehearsal.sandbox",
    "SandboxFactory": "bundlekit.update.rehearsal.sandbox",
    "SlotHooks": "bundlekit.update.targets.slots",
    "Slots": "bundlekit.update.engine.plan",
    "SqliteJournal": "bundlekit.update.state.sqlite_journal",
    "Started": "bundlekit.update.engine.records",
    "StateDatabaseError": "bundlekit.update.engine.errors",
    "StateFolderError": "bundlekit.update.engine.errors",
    "Step": "bundlekit.update.engine.plan",
    "StepState": "bundlekit.update.engine.records",
    "SystemClock": "bundlekit.update.engine.clock",
    "Target": "bundlekit.update.engine.job",
    "UpdateState": "bundlekit.update.state.update_state",
    "UpdateError": "bundlekit.update.engine.errors",
    "Verb": "bundlekit.update.engine.plan",
    "Window": "bundlekit.update.engine.records",
    "calm": "bundlekit.update.rehearsal.sandbox",
    "create_slot_pair": "bundlekit.update.targets.slots",
    "hooks_for": "bundlekit.update.targets.select",
    "install_slot": "bundlekit.update.targets.slots",
    "load_plan": "bundlekit.update.engine.plan",
    "open_state": "bundlekit.update.state.update_state",
    "over": "bundlekit.update.rehearsal.sandbox",
    "rehearse": "bundlekit.update.rehearsal.rehearse",
    "save_appliance": "bundlekit.update.inventory",
    "simulated": "bundlekit.update.rehearsal.sandbox",
    "slot_pair_state": "bundlekit.update.targets.slots",
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
