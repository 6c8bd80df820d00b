"""The lint of a matrix, for release engineers before a release ships: a closed table of named rules.

Nothing here decides about an appliance. An ``error`` strands a version or is a contradiction. A ``warning`` is probably
a mistake. An ``info`` is worth a look. Each rule is a generator over a `LintContext`.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from bundlekit.errors import VersionError
from bundlekit.matrix.consistency import inconsistencies
from bundlekit.matrix.lint.components import (
    ambiguous_alias,
    appliance_misspelt,
    no_compatible_partner,
    no_member_component,
    own_version_contradicted,
    partial_failure_unknown,
)
from bundlekit.matrix.lint.context import LintContext
from bundlekit.matrix.lint.entries import (
    overlapping_ranges,
    quantity_as_text,
    reason_missing,
    risk_reworded,
    unlisted_source,
    untested_source,
    unused_entry,
    word_unlisted,
)
from bundlekit.matrix.lint.keys import (
    source_cannot_verify,
    trust_contradicted,
    unasked,
    unasked_of_others,
    unknown_key,
)
from bundlekit.matrix.lint.listing import listed
from bundlekit.matrix.lint.release import base_unknown, exempted_version, no_update_to, stop_blocked
from bundlekit.matrix.lint.report import LintReport
from bundlekit.matrix.lint.rule import LintRule
from bundlekit.matrix.lint.stranded import detour_unknown, left_behind, stranded_version
from bundlekit.matrix.read import ReadMatrix, UnreadableMatrix, read_matrix
from bundlekit.matrix.shipped import UNKNOWN, BundleSignatures, SignedBy, SignedManifest, with_trust_of_others
from bundlekit.matrix.work import require_lintable
from bundlekit.model.finding import NamedFinding
from bundlekit.wording import fill

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from bundlekit.model.bundle import Problem
    from bundlekit.model.finding import Fault
    from bundlekit.model.manifest import Manifest

__all__ = ["LINTS", "LintReport", "LintRule", "detour_unknown", "lint", "listed", "source_cannot_verify"]

MAX_FOUND: Final = 1000
"""The number of findings that ends a rule. A hostile matrix can have a hundred thousand."""


LINTS: Final = (
    stranded_version,
    detour_unknown,
    base_unknown,
    no_update_to,
    stop_blocked,
    source_cannot_verify,
    trust_contradicted,
    unknown_key,
    own_version_contradicted,
    appliance_misspelt,
    no_member_component,
    no_compatible_partner,
    unused_entry,
    overlapping_ranges,
    reason_missing,
    ambiguous_alias,
    risk_reworded,
    quantity_as_text,
    word_unlisted,
    left_behind,
    exempted_version,
    untested_source,
    unlisted_source,
    partial_failure_unknown,
)


class LeftOut(NamedTuple):
    """What cannot be linted in a matrix without a bundle, such as an operator's.

    ``no_release`` is why no rule can run, if the release of the matrix is unknown. ``other`` are subjects that no rule
    covers, with the reasons. ``correct`` is the next step for a fault of the matrix.
    """

    no_release: str
    other: dict[str, str]
    correct: str


def lint(
    manifest: Manifest,
    others: Iterable[Manifest | SignedManifest] = (),
    *,
    at: str,
    signers: Collection[str] | None = None,
    signatures: BundleSignatures | None = None,
    supported: Collection[str] | None = None,
    ended: Collection[str] = (),
    strict: bool = False,
    matrix: ReadMatrix | UnreadableMatrix | None = None,
    left_out: LeftOut | None = None,
) -> LintReport:
    """Lint the matrix of ``manifest``. An error makes the verdict ``reject``, and with ``strict`` a warning does too.

    ``others`` are the manifests of releases between source and target, each with its signers if they are known. A
    release that has expired ``at`` (YYYY-MM-DD), or is not out yet, leads nowhere. A version cannot use a bundle that
    it cannot verify. ``signers`` are the names of the keys that sign the bundle. ``signatures`` are checked by the
    trust files that releases ship (default: the names). ``supported`` are the versions that must not be stranded
    (default: all known ones), and ``ended`` those whose support is over. ``matrix`` is the matrix of the manifest, if
    it has already been read. ``left_out`` is what the manifest lacks, because it was made without a bundle.

    The time is roughly proportional to releases plus entries, times models, for each bundle. Raises ConfigError for so
    many other bundles that it would take minutes.
    """
    read = matrix or read_matrix(manifest)
    correct = left_out.correct if left_out else "Correct it and build the bundle again."
    found = [_of_problem(problem, correct) for problem in inconsistencies(manifest, read)]
    known: Sequence[ReadMatrix] = ()
    if isinstance(read, UnreadableMatrix):
        not_run, incomplete = {rule.name: "the matrix cannot be read" for rule in LINTS}, False
    elif left_out and left_out.no_release:
        not_run, incomplete = {rule.name: left_out.no_release for rule in LINTS}, True
    else:
        compared = _comparable(read, others, at)
        require_lintable(read, [other for other, _ in compared.matrices])
        if signatures is None and signers is not None:
            signatures = BundleSignatures(
                sorted(signers), f"{at}T23:59:59Z", product=manifest.product, released=manifest.released
            )
        read, known, signed = _with_trust(read, compared.matrices)
        context = LintContext(
            read,
            known,
            signers=None if signers is None else frozenset(signers),
            signatures=signatures,
            supported=None if supported is None else frozenset(supported),
            ended=frozenset(ended),
            signed=signed,
        )
        results = _apply(context)
        found += results.findings
        not_run = {**compared.not_run, **results.not_run}
        incomplete = compared.incomplete or results.incomplete
    return LintReport(
        product=manifest.product,
        version="" if left_out and left_out.no_release else manifest.version,
        at=at,
        against=tuple(one.manifest.version for one in known),
        verdict=_verdict(found, strict=strict, incomplete=incomplete),
        findings=tuple(found),
        not_run=not_run | (left_out.other if left_out else {}),
    )


class _Comparable(NamedTuple):
    """The other matrices that restrict the paths to a release, each with its signers.

    ``not_run`` are the versions of all others with the reasons. ``incomplete``: one of those could restrict a path.
    """

    matrices: list[tuple[ReadMatrix, SignedBy]]
    not_run: dict[str, str]
    incomplete: bool


def _comparable(read: ReadMatrix, others: Iterable[Manifest | SignedManifest], at: str) -> _Comparable:
    """The matrices of ``others`` on the day ``at``. The release's own version is not one of them."""
    manifest = read.manifest
    matrices: list[tuple[ReadMatrix, SignedBy]] = []
    not_run, incomplete = {}, False
    for one in others:
        other, by = (one.manifest, one.by) if isinstance(one, SignedManifest) else (one, UNKNOWN)
        other_read = read_matrix(other)
        if other.product != manifest.product or other.kind == "reimage":
            not_run[other.version] = "it is a re-image, or it is of another product"
        elif isinstance(other_read, UnreadableMatrix):
            not_run[other.version] = "its matrix cannot be read"
            incomplete = True  # it can restrict the path
        elif other_read.primary_component != read.primary_component or not _fits(read, other):
            not_run[other.version] = "it is about another component, or its version cannot be compared"
        elif other.version != manifest.version and other.released <= at <= (other.expires or at):
            matrices.append((other_read, by))
    return _Comparable(matrices, not_run, incomplete)


def _with_trust(
    read: ReadMatrix, matrices: Sequence[tuple[ReadMatrix, SignedBy]]
) -> tuple[ReadMatrix, list[ReadMatrix], dict[int, SignedBy]]:
    """The matrix, the others by rising version, and the signers of each other one by the ``id`` of its matrix.

    Every matrix that states which keys releases trust is used, regardless of its bundle.
    """
    read, *known = with_trust_of_others([read, *(matrix for matrix, _ in matrices)])
    signed = {id(matrix): by for matrix, (_, by) in zip(known, matrices, strict=True)}
    known.sort(key=lambda other: read.parse(read.primary_component, other.manifest.version))
    return read, known, signed


class _Results(NamedTuple):
    """The findings of all rules, what was not evaluated, and whether a rule that can reject is part of that."""

    findings: list[NamedFinding]
    not_run: dict[str, str]
    incomplete: bool


def _apply(context: LintContext) -> _Results:
    """Apply every rule, each up to `MAX_FOUND` findings."""
    found: list[NamedFinding] = []
    not_run, incomplete = {}, False
    if (because := unasked(context)) is not None:
        not_run[source_cannot_verify.name] = because
    for between, because in unasked_of_others(context):
        not_run[f"{stranded_version.name}, through {between.manifest.version}"] = because
        stated = between.manifest.matrix
        incomplete = incomplete or bool(stated.trusted_keys or stated.trust_of)  # it specifies that itself
    for rule in LINTS:
        faults = list(islice(rule.run(context), MAX_FOUND + 1))
        found += [_finding(rule, fault) for fault in faults[:MAX_FOUND]]
        if len(faults) > MAX_FOUND:
            not_run[f"{rule.name}, after {MAX_FOUND} findings"] = "further findings are not listed"
    incomplete = incomplete or any(rule.name in not_run for rule in LINTS if rule.severity != "info")
    return _Results(found, not_run, incomplete)


def _verdict(
    found: Iterable[NamedFinding], *, strict: bool, incomplete: bool
) -> Literal["accept", "reject", "incomplete"]:
    rejecting = ("error", "warning") if strict else ("error",)
    if any(one.severity in rejecting for one in found):
        return "reject"
    return "incomplete" if strict and incomplete else "accept"


def _of_problem(problem: Problem, correct: str) -> NamedFinding:
    return NamedFinding(
        rule=problem.rule,
        severity="error",
        message=problem.message,
        next=correct,
        entry=problem.subject,
    )


def _fits(read: ReadMatrix, other: Manifest) -> bool:
    try:
        read.parse(read.primary_component, other.version)
    except VersionError:
        return False
    return True


def _finding(rule: LintRule, fault: Fault) -> NamedFinding:
    return NamedFinding(
        rule=rule.name,
        severity=rule.severity,
        message=fault.message,
        next=fault.next or fill(rule.remedy),
        subject=fault.subject,
        entry=fault.entry,
    )
