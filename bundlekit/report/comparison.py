"""The comparison of two bundles: who signed them, what they state, what they contain. Same inputs, same bytes out."""

# Without `from __future__ import annotations`, so that msgspec need not compile each annotation at the first use.

from typing import Any, Literal

from bundlekit.matrix.diff import Diff
from bundlekit.model.bundle import Span
from bundlekit.model.evidence import DemandEvidence, SignatureEvidence
from bundlekit.model.finding import Finding, Scope, Verdict
from bundlekit.model.primitives import Frozen
from bundlekit.model.release import Part, Release
from bundlekit.report.model import Tool

ComparisonVerdict = Literal["same", "differs", "incomplete"]
"""The result: no byte that counts differs, some do, or the two could not be compared."""

ChangeKind = Literal["changed", "added", "removed"]
"""What became of an item of the old bundle. *added* is only in the new one, *removed* only in the old one."""


class ComparisonRequest(Frozen, frozen=True, kw_only=True):
    """The inputs apart from the two files: the time used, the digest of the trust, and the options.

    ``old_matrix`` and ``new_matrix`` are the digests of matrices that the operator gave (SHA-256).
    """

    at: str
    trust: str | None = None
    full: bool = False
    strict: bool = False
    ignore_signatures: bool = False
    old_matrix: str | None = None
    new_matrix: str | None = None


class ComparedBundle(Frozen, frozen=True, kw_only=True):
    """One of the two bundles as `bundlekit.check` (``scope`` full) or `bundlekit.preflight` (head) reports it.

    ``release`` is what it claims to be. ``authentic``: trusted signers signed it; None if no trust was given, so that
    its content is a claim. ``test_trust``: a signature that counts was made with a test key. ``summary`` belongs to
    ``verdict``. ``findings`` are the errors about layout, integrity and authenticity.
    """

    file: str
    size: int
    format: str
    id: str | None
    release: Release | None
    authentic: bool | None
    test_trust: bool
    scope: Scope
    verdict: Verdict
    summary: str
    signatures: tuple[SignatureEvidence, ...]
    demands: tuple[DemandEvidence, ...]
    findings: tuple[Finding, ...]


KeyContinuity = Literal["same", "rotated", "new", "gone", "unknown"]
"""A signing key of the new bundle as the old one knows it.

*same*: it signed the old bundle too. *rotated*: a release that precedes the new bundle trusts it, by the matrix. *new*:
neither. *gone*: it signed the old bundle only. *unknown*: the format does not name the key, and trust was not given.
"""


class SignerChange(Frozen, frozen=True, kw_only=True):
    """A signing key, and its predecessor if one was found. Indexes are those of the signatures of each bundle.

    ``bridge`` is the release that trusts a rotated key, and is signed with a key that the old release trusts.
    ``old_signer`` and ``new_signer`` describe the signers, and are empty where the key has not signed. The same holds
    for the ids of keys (SHA-256 of the SubjectPublicKeyInfo, in hex) and for roles. ``reason`` explains the result.
    """

    continuity: KeyContinuity
    name: str = ""
    old_index: int | None = None
    new_index: int | None = None
    old_signer: str = ""
    new_signer: str = ""
    old_key: str = ""
    new_key: str = ""
    old_role: str = ""
    new_role: str = ""
    bridge: str = ""
    reason: str = ""


class FactChange(Frozen, frozen=True, kw_only=True):
    """A value of the description that differs. None: that bundle does not state it.

    ``fact`` is its name, such as ``version`` or ``impact.minutes``. ``group`` is ``release`` for what every format has,
    and ``description`` for the other fields of the format's own description.
    """

    group: Literal["release", "description"]
    fact: str
    old: Any
    new: Any


class ChunkRun(Frozen, frozen=True, kw_only=True):
    """Chunks ``[start, stop)`` that differ, counted from 0, and their bytes in each file. None: it has none."""

    start: int
    stop: int
    old: Span | None
    new: Span | None


class ChunkChanges(Frozen, frozen=True, kw_only=True):
    """The result of comparing two verified chunk indexes with chunks of ``chunk_size`` bytes.

    ``changed`` counts the chunks of the new component that the old one does not have at the same place.
    ``changed_bytes`` is their size. ``delta_bytes`` is the size of those whose content the old component has at no
    place, each content once: what a delta must carry. ``runs`` are the first 256 runs of chunks that differ.
    """

    chunk_size: int
    old_chunks: int
    new_chunks: int
    changed: int
    changed_bytes: int
    delta_bytes: int
    runs: tuple[ChunkRun, ...]


Content = Literal["same", "differs", "unknown"]


class PartChange(Frozen, frozen=True, kw_only=True):
    """A component or document: its entry in each description, and whether its content is the same.

    ``content`` is *unknown* if the format states no digest for it. ``chunks`` is set if chunk indexes were compared.
    """

    kind: Literal["component", "document"]
    label: str
    change: Literal["same"] | ChangeKind
    content: Content
    old: Part | None = None
    new: Part | None = None
    chunks: ChunkChanges | None = None


RegionKind = Literal["head", "payload", "signature", "framing", "checked", "padding", "decoded", "uncovered", "file"]
"""What the bytes of a region are.

*head*: the signed description. *framing*: fields of archives that no signature covers; *checked* ones have only one
possible value. *decoded*: the text of a file such as Intel HEX. *file*: a whole file that cannot be read.
"""


class ByteRange(Frozen, frozen=True, kw_only=True):
    """Bytes that differ, in each file. The spans have different sizes only at the end of a region."""

    old: Span
    new: Span


class RegionChange(Frozen, frozen=True, kw_only=True):
    """A part of the files whose bytes differ. Regions are paired by name, so that a shift alone is no difference.

    ``differing`` counts the bytes that differ, and those that only one file has. ``ranges`` are the first 256 ranges;
    ranges less than 8 bytes apart are joined. ``ignored``: the difference does not count, since signatures are ignored.
    """

    region: str
    kind: RegionKind
    change: ChangeKind
    old: Span | None
    new: Span | None
    differing: int
    ranges: tuple[ByteRange, ...]
    ignored: bool = False


class EntryChange(Frozen, frozen=True, kw_only=True):
    """An entry of the upgrade matrix that differs, by the table and its id."""

    table: str
    id: str
    change: ChangeKind


class MatrixComparison(Frozen, frozen=True, kw_only=True):
    """The two upgrade matrices. ``diff`` is that of ``bundlekit matrix diff``, and None if it was not made.

    ``reason`` is why it was not made; empty if both matrices are the same.
    """

    entries: tuple[EntryChange, ...] = ()
    diff: Diff | None = None
    reason: str = ""


class ComparisonObstacle(Frozen, frozen=True, kw_only=True):
    """Why the result is incomplete: the fault by name, what it is about, and the next step.

    ``subject`` is ``old``, ``new``, or a component or signer.
    """

    rule: Literal[
        "unreadable",
        "damaged",
        "not-authentic",
        "too-large",
        "index-damaged",
        "key-new",
        "key-unknown",
        "signer-gone",
    ]
    subject: str
    message: str
    next: str


class Comparison(Frozen, frozen=True, kw_only=True):
    """The result of comparing two bundles.

    ``authenticated``: trusted signers signed both. ``payload_read``: the bytes of the payload were compared. Otherwise
    the signed digests were, and a payload that was damaged later is not noticed. ``newer``: whether the version of
    the new bundle is higher. It is None if the two versions are the same, or have no common order.
    """

    schema: Literal["bundlekit/comparison/1"] = "bundlekit/comparison/1"
    tool: Tool
    verdict: ComparisonVerdict
    summary: str
    request: ComparisonRequest
    old: ComparedBundle
    new: ComparedBundle
    authenticated: bool
    payload_read: bool
    newer: bool | None
    signers: tuple[SignerChange, ...]
    facts: tuple[FactChange, ...]
    parts: tuple[PartChange, ...]
    matrix: MatrixComparison
    regions: tuple[RegionChange, ...]
    obstacles: tuple[ComparisonObstacle, ...]
