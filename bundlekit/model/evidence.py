"""The results of measuring a bundle. Rules read them; *not run* means exactly "the evidence is absent"."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from bundlekit.model.bundle import DigestOf, Problem, Span
from bundlekit.model.finding import Finding
from bundlekit.model.primitives import Frozen

Standing = Literal["counted", "ignored", "rejected", "undecided", "not-checked"]
"""The result of a signature: a counted approval, ignored, a fault, unknown revocation status, or not evaluated."""


class SignatureEvidence(Frozen, frozen=True, kw_only=True):
    """The facts about one entry of the signature area.

    ``algorithm`` is spelled ``rsa-3072-pkcs1v15-sha256``, ``rsa-3072-pss-sha256``, ``ecdsa-p384-sha384``, ``ed25519``,
    ``ml-dsa-65``. ``signer`` is the subject of the certificate (RFC 4514), or ``key <id>`` if only a key is known.
    ``key_id`` is the SHA-256 of its SubjectPublicKeyInfo in hex.

    ``intact``: the signature is valid for these head bytes under the key that it names. None means that the key is
    unknown or not accepted, or that the blob cannot be read. ``trusted``: the key leads to a trust anchor of the
    operator. None means that no trust anchors were given. ``anchor`` is the anchor or pinned key that it leads to.
    ``chain`` are the subjects from the signer to the anchor, and ``families`` the kinds of their keys.

    ``name`` and ``role`` are those of the signer in trust.toml. ``test``: it depends on a key or certificate for tests.
    ``until`` is the last second at which it counts, as an RFC 3339 time in UTC. Without trust it is the end of the
    certificates in the signature. None: it has no end, or the end is not known. ``standing`` is the result, and
    ``reason`` is set if the signature is not counted. ``device_key`` is the digest of
    the key as the device stores it, for formats in which that is another than the key id.
    """

    index: int
    where: Span
    algorithm: str = ""
    signer: str = ""
    key_id: str = ""
    intact: bool | None = None
    trusted: bool | None = None
    anchor: str = ""
    chain: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    name: str = ""
    role: str = ""
    test: bool = False
    until: str | None = None
    standing: Standing = "not-checked"
    reason: str = ""
    problems: tuple[Problem, ...] = ()
    device_key: str | UnsetType = UNSET

    @property
    def who(self) -> str:
        """The signer as every command prints it: name and role in trust.toml, certificate or key, and algorithm."""
        key = f"{self.signer or 'unknown'} ({self.algorithm or 'unknown algorithm'})"
        return f"{self.name} [{self.role}]: {key}" if self.name else key

    @property
    def trusted_signer(self) -> str:
        """The signer, and for a counted signature the anchor or pinned key that it leads to."""
        return f"{self.who}, trusted through {self.anchor}" if self.counts else self.who

    @property
    def counts(self) -> bool:
        """Whether this signature counts as the approval of a signer."""
        return self.standing == "counted"


class DemandEvidence(Frozen, frozen=True, kw_only=True):
    """How far the signatures meet one ``[[require]]`` of trust.toml: ``count`` of the signers ``of``.

    ``signed`` are the signers whose signatures count; each is one person with a key of their own. ``present`` also
    includes signers whose signatures exist but do not count, for reasons that other rules give. ``formats`` are the
    formats that the requirement names.
    """

    count: int
    of: tuple[str, ...]
    algorithms: tuple[str, ...] = ()
    formats: tuple[str, ...] | UnsetType = UNSET
    signed: tuple[str, ...] = ()
    present: tuple[str, ...] = ()

    @property
    def met(self) -> bool:
        """Whether enough signers have signed."""
        return len(self.signed) >= self.count


class DigestEvidence(Frozen, frozen=True, kw_only=True):
    """The digest found over the span of one digest claim, for comparison with the expected one."""

    subject: str
    span: Span
    expected: str
    found: str
    of: DigestOf = "content"
    serial: bool = False
    stored: Span | None = None


class ChunkEvidence(Frozen, frozen=True, kw_only=True):
    """The result of comparing a component's chunks with its index: how many, and the spans of those that differ.

    ``damaged`` lists at most the first 256 spans (adjacent ones joined). ``damaged_count`` counts all chunks.
    """

    subject: str
    span: Span
    chunks: int
    damaged: tuple[Span, ...] = ()
    damaged_count: int = 0


class ZeroEvidence(Frozen, frozen=True, kw_only=True):
    """A span that must be zero, or ``fill``, and the first byte in it that is not; None if all are."""

    subject: str
    span: Span
    fill: int = 0
    first_nonzero: int | None = None


class TreeEvidence(Frozen, frozen=True, kw_only=True):
    """The result of computing a hash tree again.

    ``damaged`` are the spans of the data whose digests are not those in the tree, at most the first 256, with adjacent
    ones joined. ``damaged_count`` counts the blocks. ``tree_damaged`` are spans of the tree itself that differ from the
    level above, or from the root.
    """

    subject: str
    span: Span
    blocks: int
    damaged: tuple[Span, ...] = ()
    damaged_count: int = 0
    tree_damaged: tuple[Span, ...] = ()


class ArchiveEvidence(Frozen, frozen=True, kw_only=True):
    """The result of reading an archive as a stream: the digest of each member, and the faults of its structure.

    ``digests`` are those of the members that were found, by name (``algorithm:hex``). ``members`` are their positions,
    in the file or in the decoded stream.
    """

    subject: str
    span: Span
    digests: dict[str, str] = {}
    members: dict[str, Span] = {}
    problems: tuple[Problem, ...] = ()


class PackedEvidence(Frozen, frozen=True, kw_only=True):
    """The result of reading a file inside of an image, for comparison with the description.

    ``found`` is its digest, and empty if it was not read. ``reason`` then states why. ``damaged``: the image is at
    fault for that, and not this machine. ``next`` is what would let this machine read it.
    """

    subject: str
    span: Span
    expected: str = ""
    found: str = ""
    expected_size: int = 0
    size: int = 0
    damaged: bool = False
    reason: str = ""
    next: str = ""

    @property
    def matches(self) -> bool:
        """Whether digest and size are those of the description."""
        return (self.found, self.size) == (self.expected, self.expected_size)


class InnerEvidence(Frozen, frozen=True, kw_only=True):
    """The result of a component that is a bundle in another format.

    ``format`` is the one that the manifest names, and ``recognised`` is whether the component is in that format.
    ``findings`` are the errors, with ranges of the outer file. ``not_run`` are the required rules that could not run.
    """

    subject: str
    span: Span
    format: str
    recognised: bool
    findings: tuple[Finding, ...] = ()
    not_run: tuple[str, ...] = ()


class DocumentDifference(Frozen, frozen=True, kw_only=True):
    """A statement of a document that differs from the bundle.

    ``what`` differs: the digest or the version of a component, or the subject of the whole document. ``component`` is
    the label, and empty if the statement is about the bundle. ``named`` is what the document states, and ``expected``
    what the bundle contains.
    """

    what: Literal["digest", "version", "subject"]
    message: str
    component: str = ""
    named: str = ""
    expected: str = ""


class DocumentEvidence(Frozen, frozen=True, kw_only=True):
    """The result of reading a document, and of comparing it with the components.

    ``format`` is the name of its format with the version. ``malformed`` is what is wrong with it, and ``where`` the
    bytes that show it. ``failed``: it is the result of a test that failed. ``compared`` counts the artifacts in it that
    the bundle contains. ``unread`` is the limit that keeps it from being read.
    """

    subject: str
    span: Span
    format: str = ""
    malformed: str = ""
    where: Span | None = None
    failed: bool = False
    compared: int = 0
    differences: tuple[DocumentDifference, ...] = ()
    unread: str = ""


class Evidence(Frozen, frozen=True, kw_only=True):
    """Everything that was measured of one bundle; None for parts that were not measured."""

    signatures: tuple[SignatureEvidence, ...] | None = None
    demands: tuple[DemandEvidence, ...] | None = None
    zeros: tuple[ZeroEvidence, ...] | None = None
    digests: tuple[DigestEvidence, ...] | None = None
    chunks: tuple[ChunkEvidence, ...] | None = None
    trees: tuple[TreeEvidence, ...] | None = None
    archives: tuple[ArchiveEvidence, ...] | None = None
    packed: tuple[PackedEvidence, ...] | None = None
    inner: tuple[InnerEvidence, ...] | None = None
    documents: tuple[DocumentEvidence, ...] | None = None

    @property
    def authentic(self) -> bool:
        """Whether the head is signed as the trust file requires: enough signatures count, and none has a fault."""
        signatures = self.signatures or ()
        return (
            any(signature.counts for signature in signatures)
            and all(signature.counts or signature.standing == "ignored" for signature in signatures)
            and all(demand.met for demand in self.demands or ())
        )
