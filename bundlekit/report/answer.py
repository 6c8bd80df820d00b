"""The first line of a report: which key signed the bundle, is every byte covered, and which version can take it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bundlekit.integrity import signed_alone
from bundlekit.wording import given

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bundlekit.integrity import Covered
    from bundlekit.model.decision import Decision
    from bundlekit.model.evidence import SignatureEvidence
    from bundlekit.report.model import Report

MAX_SUBJECTS: Final = 3
"""Versions and pairs that are named. Beyond that they are counted."""

BYTES: Final = frozenset({"chunk-digest-mismatch", "digest-mismatch", "hash-tree-mismatch"})
"""The rules that read the payload."""


def answer(report: Report) -> str:
    """The three answers, in one line."""
    if any(one.rule == "not-a-bundle" for one in report.findings):
        return "not a bundle that bundlekit can read"
    return "; ".join((_signed(report), _covered(report), _may_take(report)))


def is_whole(report: Report) -> bool:
    """Whether no rule about layout and bytes has found a fault."""
    return not any(one.rule_class in ("layout", "integrity") and one.severity == "error" for one in report.findings)


def verified_over_all(signatures: Iterable[SignatureEvidence], covered: Iterable[Covered]) -> bool:
    """Whether a signature under a known key was compared with the bytes, and no byte needs another digest."""
    return any(one.intact is not None for one in signatures) and signed_alone(covered)


def is_signed_alone(report: Report) -> bool:
    """Whether signatures cover the payload itself, and one of them was compared with it."""
    return verified_over_all(report.signatures, report.coverage.map)


def was_read(report: Report) -> bool:
    """Whether the payload was read."""
    if report.scope == "head":
        return False
    return not any(one.rule in BYTES and one.outcome == "not-run" for one in report.rules)


def _signed(report: Report) -> str:
    counted = [one for one in report.signatures if one.counts]
    if counted:
        names = dict.fromkeys(f"{one.name} [{one.role}]" if one.name else one.signer for one in counted)
        enough = "" if report.release else ", but not as required"
        return f"signed by {' and '.join(names)}{enough}"
    if report.request.trust is None:
        return f"signatures NOT VERIFIED (no {given('trust')})"
    if any(one.rule == "unsigned" for one in report.findings):
        return "NOT signed"
    return "NOT signed by a trusted signer" if report.signatures else "signatures could not be read"


def _covered(report: Report) -> str:
    covered, size = report.coverage.covered, report.coverage.size
    if not is_whole(report):
        return "NOT intact"
    if report.scope == "head":
        return "checked as far as signatures cover it" if is_signed_alone(report) else "payload not read"
    if not was_read(report):
        return "payload NOT read"
    if covered == size:
        return "every byte covered"
    return f"every byte covered but {size - covered:,} of framing"


def _may_take(report: Report) -> str:
    asked = len(report.request.sources) + (report.request.appliance is not None)
    if not asked:
        return "no installed version given"
    if not report.decisions:
        return "no version decided"
    if report.verdict == "reject" and all(one.allowed for one in report.decisions):
        return "must not be installed"
    can = "can" if report.release else "could"
    if len(report.decisions) > MAX_SUBJECTS:
        fine = sum(one.allowed for one in report.decisions)
        return f"{fine:,} of {len(report.decisions):,} {can} be updated"
    return ", ".join(_one(one, can) for one in report.decisions)


def _one(decision: Decision, can: str) -> str:
    subject = decision.pair or decision.overall.subject
    if decision.allowed:
        return f"{subject} {can} be updated"
    return f"{subject} CANNOT be updated ({decision.kind})" if decision.overall.rejected else f"{subject} is undecided"
