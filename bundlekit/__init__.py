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
    from bundlekit.errors import BundlekitError
    from bundlekit.extraction import extract
    from bundlekit.model.appliance import Appliance
    from bundlekit.model.decision import Acceptance, Decision, Policy
    from bundlekit.model.finding import Finding
    from bundlekit.model.manifest import Manifest
    from bundlekit.pipeline import check, decide, decide_from, inspect, preflight, read_manifest
    from bundlekit.report.inspection import Inspection
    from bundlekit.report.model import Report
    from bundlekit.trust import TrustStore, load_trust
    from bundlekit.update.rehearsal.rehearse import rehearse

__all__ = [
    "Acceptance",
    "Appliance",
    "BundlekitError",
    "Decision",
    "Finding",
    "Inspection",
    "Manifest",
    "Policy",
    "Report",
    "TrustStore",
    "__version__",
    "check",
    "decide",
    "decide_from",
    "extract",
    "find_path",
    "inspect",
    "load_advisory",
    "load_trust",
    "preflight",
    "read_manifest",
    "rehearse",
]

_HOMES = {
    "Acceptance": "model.decision",
    "Appliance": "model.appliance",
    "BundlekitError": "errors",
    "Decision": "model.decision",
    "Finding": "model.finding",
    "Inspection": "report.inspection",
    "Manifest": "model.manifest",
    "Policy": "model.decision",
    "Report": "report.model",
    "TrustStore": "trust",
    "check": "pipeline",
    "decide": "pipeline",
    "decide_from": "pipeline",
    "extract": "extraction",
    "find_path": "catalog",
    "inspect": "pipeline",
    "load_advisory": "advisories",
    "load_trust": "trust",
    "preflight": "pipeline",
    "read_manifest": "pipeline",
    "rehearse": "update.rehearsal.rehearse",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    try:
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    except (ImportError, AttributeError, TypeError) as error:
        from bundlekit.dependencies import unmet

        if fault := unmet():
            raise ImportError(fault) from error
        raise
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
