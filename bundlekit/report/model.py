"""The report: what was asked, what was found, and the verdict. Same inputs, same bytes out."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from bundlekit.integrity import Covered
from bundlekit.model.advisory import AdvisoryUse
from bundlekit.model.bundle import BundleFormat, Section
from bundlekit.model.decision import Decision, Policy
from bundlekit.model.evidence import DemandEvidence, SignatureEvidence
from bundlekit.model.finding import Cause, Finding, RuleOutcome, Scope, Verdict
from bundlekit.model.origin import ConfigUse, Folder
from bundlekit.model.primitives import Frozen
from bundlekit.model.release import Release


class Tool(Frozen, frozen=True, kw_only=True):
    """The program that made the report."""

    name: str = "bundlekit"
    version: str


class RequestSummary(Frozen, frozen=True, kw_only=True):
    """The inputs: the file's name, the time used, digests of trust, waivers and state, the operator's policy.

    Digests are SHA-256. The digest of several states is over their digests. ``advisories`` is None where none were
    used. ``config`` is set where a project file was used. ``matrix`` and ``matrix_file`` are set where the operator
    gave one. ``at_given``: the time was given, and is not that of the clock. ``trust_folders`` is set where folders
    were given as trust, and lists their trusted files. ``skipped_states`` is set where lines of a file of states are
    not states, and gives the fault of each. ``warn_within`` is set where the end of signatures was asked for, in
    seconds. ``require_evidence`` is set where records of tests were required, and ``bundle_formats`` where only bundles
    in these formats are accepted.
    """

    file: str
    at: str
    at_given: bool = False
    trust: str | None = None
    trust_folders: tuple[Folder, ...] | UnsetType = UNSET
    waivers: str | None = None
    config: ConfigUse | UnsetType = UNSET
    sources: tuple[str, ...] = ()
    appliance: str | None = None
    matrix: str | UnsetType = UNSET
    matrix_file: str | UnsetType = UNSET
    policy: Policy = Policy()
    skipped_states: tuple[str, ...] | UnsetType = UNSET
    warn_within: int | UnsetType = UNSET
    advisories: AdvisoryUse | None = None
    full: bool = False
    strict: bool = False
    require_evidence: bool | UnsetType = UNSET
    bundle_formats: tuple[BundleFormat, ...] | UnsetType = UNSET


class Coverage(Frozen, frozen=True, kw_only=True):
    """How many bytes of the file are covered by signatures and digests, with a map of that, and of the parts."""

    size: int
    covered: int
    map: tuple[Covered, ...]
    sections: tuple[Section, ...]


class OpenReason(Frozen, frozen=True, kw_only=True):
    """Why something required was not checked: the rules that did not run for this reason, and the next step."""

    reason: str
    rules: tuple[str, ...] = ()
    next: str = ""


DocumentResult = Literal["agrees", "differs", "names-nothing", "malformed", "not-read"]
"""A document agrees with the bundle, differs from it, names nothing in it, is malformed, or is beyond a limit."""


class ReadDocument(Frozen, frozen=True, kw_only=True):
    """A document in the bundle that was read: the name of its format, and the result of the comparison.

    ``compared`` counts the artifacts in it that the bundle contains.
    """

    name: str
    format: str
    compared: int
    result: DocumentResult


class Report(Frozen, frozen=True, kw_only=True):
    """The result of checking one bundle.

    ``release`` is set only if a trusted signature covers it; otherwise its content is under ``claims``. ``id`` is the
    bundle id, the SHA-256 of the head. Spans are half-open byte ranges of the file. ``demands`` are those of a
    trust.toml. ``test_trust``: a signature that counts was made with a test key. ``not_checked`` is set in an
    incomplete report. It has what no finding states: what could not be checked, and why. ``documents`` is set where
    documents of the bundle were read.
    """

    schema: Literal["bundlekit/report/1"] = "bundlekit/report/1"
    tool: Tool
    verdict: Verdict
    scope: Scope
    summary: str
    causes: tuple[Cause, ...]
    request: RequestSummary
    id: str | None
    format: str
    release: Release | None
    claims: Release | None
    test_trust: bool
    signatures: tuple[SignatureEvidence, ...]
    demands: tuple[DemandEvidence, ...]
    coverage: Coverage
    documents: tuple[ReadDocument, ...] | UnsetType = UNSET
    decisions: tuple[Decision, ...]
    findings: tuple[Finding, ...]
    not_checked: tuple[OpenReason, ...] | UnsetType = UNSET
    rules: tuple[RuleOutcome, ...]


class NotChecked(Frozen, frozen=True, kw_only=True):
    """One of several bundles that could not be checked at all: why, and what to do."""

    schema: Literal["bundlekit/not-checked/1"] = "bundlekit/not-checked/1"
    file: str
    error: str
    next: str
