"""bundlekit: validate signed firmware bundles, decide upgrades, and run the update.

The public API is what is listed here. It is loaded name by name when first used (PEP 562), so that
``import bundlekit`` costs next to nothing::

    import bundlekit

    trust = bundlekit.load_trust([Path("root.pem")])
    report = bundlekit.check("update.bin", trust=trust, sources=["5.20.03"])
    if report.verdict != "accept":
        for finding in report.findings:
            print(finding.rule, finding.message, finding.next)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundlekit._version import __version__

if TYPE_CHECKING:
    from bundlekit.advisories import load_advisory
    from bundlekit.catalog import find_path
    from bundlekit.checks.waivers import load_waivers
    from bundlekit.comparison import compare
    from bundlekit.config import load_appliance
    from bundlekit.errors import BundlekitError
    from bundlekit.extraction import extract
    from bundlekit.integrity.worker_pool import Cancel, ReadProgress
    from bundlekit.matrix.decide import decide, decide_from
    from bundlekit.matrix.operator import OperatorMatrix, load_matrices, load_matrix
    from bundlekit.matrix.path import PathState
    from bundlekit.model.advisory import Advice
    from bundlekit.model.appliance import Appliance, VersionFacts
    from bundlekit.model.decision import Acceptance, ComponentDecision, Decision, DecisionKind, Policy
    from bundlekit.model.evidence import SignatureEvidence
    from bundlekit.model.finding import Cause, Finding
    from bundlekit.model.manifest import Manifest
    from bundlekit.model.path import UpgradePath
    from bundlekit.model.waiver import Waivers
    from bundlekit.pipeline import check, inspect, preflight, read_manifest
    from bundlekit.report.comparison import Comparison
    from bundlekit.report.inspection import Inspection
    from bundlekit.report.model import NotChecked, Report
    from bundlekit.report.outputs import render
    from bundlekit.request import CheckRequest
    from bundlekit.source import Source
    from bundlekit.trust import TrustStore, load_trust
    from bundlekit.update.controller import Controller
    from bundlekit.update.engine.clock import Clock
    from bundlekit.update.engine.errors import UpdateError
    from bundlekit.update.engine.executor import Engine
    from bundlekit.update.engine.hooks import Hooks, Request
    from bundlekit.update.engine.job import Job, Target
    from bundlekit.update.engine.journal import Journal
    from bundlekit.update.engine.plan import Plan
    from bundlekit.update.engine.records import Answer, Outcome
    from bundlekit.update.rehearsal.rehearse import rehearse
    from bundlekit.update.state.sqlite_journal import SqliteJournal
    from bundlekit.update.targets.marked import MarkedHooks

__all__ = [
    "Acceptance",
    "Advice",
    "Answer",
    "Appliance",
    "BundlekitError",
    "Cancel",
    "Cause",
    "CheckRequest",
    "Clock",
    "Comparison",
    "ComponentDecision",
    "Controller",
    "Decision",
    "DecisionKind",
    "Engine",
    "Finding",
    "Hooks",
    "Inspection",
    "Job",
    "Journal",
    "Manifest",
    "MarkedHooks",
    "NotChecked",
    "OperatorMatrix",
    "Outcome",
    "PathState",
    "Plan",
    "Policy",
    "ReadProgress",
    "Report",
    "Request",
    "SignatureEvidence",
    "Source",
    "SqliteJournal",
    "Target",
    "TrustStore",
    "UpdateError",
    "UpgradePath",
    "VersionFacts",
    "Waivers",
    "__version__",
    "check",
    "compare",
    "decide",
    "decide_from",
    "extract",
    "find_path",
    "inspect",
    "load_advisory",
    "load_appliance",
    "load_matrices",
    "load_matrix",
    "load_trust",
    "load_waivers",
    "preflight",
    "read_manifest",
    "rehearse",
    "render",
]

_HOMES = {
    "Acceptance": "model.decision",
    "Advice": "model.advisory",
    "Answer": "update.engine.records",
    "Appliance": "model.appliance",
    "BundlekitError": "errors",
    "Cancel": "integrity.worker_pool",
    "Cause": "model.finding",
    "CheckRequest": "request",
    "Clock": "update.engine.clock",
    "Comparison": "report.comparison",
    "ComponentDecision": "model.decision",
    "Controller": "update.controller",
    "Decision": "model.decision",
    "DecisionKind": "model.decision",
    "Engine": "update.engine.executor",
    "Finding": "model.finding",
    "Hooks": "update.engine.hooks",
    "Inspection": "report.inspection",
    "Job": "update.engine.job",
    "Journal": "update.engine.journal",
    "Manifest": "model.manifest",
    "MarkedHooks": "update.targets.marked",
    "NotChecked": "report.model",
    "OperatorMatrix": "matrix.operator",
    "Outcome": "update.engine.records",
    "PathState": "matrix.path",
    "Plan": "update.engine.plan",
    "Policy": "model.decision",
    "ReadProgress": "integrity.worker_pool",
    "Report": "report.model",
    "Request": "update.engine.hooks",
    "SignatureEvidence": "model.evidence",
    "Source": "source",
    "SqliteJournal": "update.state.sqlite_journal",
    "Target": "update.engine.job",
    "TrustStore": "trust",
    "UpdateError": "update.engine.errors",
    "UpgradePath": "model.path",
    "VersionFacts": "model.appliance",
    "Waivers": "model.waiver",
    "check": "pipeline",
    "compare": "comparison",
    "decide": "matrix.decide",
    "decide_from": "matrix.decide",
    "extract": "extraction",
    "find_path": "catalog",
    "inspect": "pipeline",
    "load_advisory": "advisories",
    "load_appliance": "config",
    "load_matrices": "matrix.operator",
    "load_matrix": "matrix.operator",
    "load_trust": "trust",
    "load_waivers": "checks.waivers",
    "preflight": "pipeline",
    "read_manifest": "pipeline",
    "rehearse": "update.rehearsal.rehearse",
    "render": "report.outputs",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from bundlekit.dependencies import load

    value = load(f"{__name__}.{_HOMES[name]}", name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
