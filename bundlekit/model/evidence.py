"""What measuring a bundle brought to light. Rules read it; *not run* is exactly "its evidence is absent"."""

from __future__ import annotations

from bundlekit.model.bundle import Problem, Span
from bundlekit.model.primitives import Frozen


class SignatureEvidence(Frozen, frozen=True, kw_only=True):
    """What is known of one entry of the signature area.

    ``algorithm`` is spelled ``rsa-3072-pkcs1v15-sha256``, ``rsa-3072-pss-sha256``, ``ecdsa-p384-sha384``,
    ``ed25519``, ``ml-dsa-65``. ``signer`` is the subject of the certificate (RFC 4514), or ``key <id>`` where
    only a key is known; ``key_id`` the SHA-256 of its SubjectPublicKeyInfo in hex.
    ``intact``: the signature is right for these head bytes under the key it names (None: that key is not
    known or not taken, or the blob cannot be read). ``trusted``: the key leads to what the operator trusts
    (None: nothing to trust was given). ``anchor`` names the anchor or pinned key it leads to, ``chain`` the
    subjects from the signer to the anchor. An entry counts only if it is intact, trusted and without problems.
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
    problems: tuple[Problem, ...] = ()

    @property
    def counts(self) -> bool:
        """Whether this signature may be counted as a signer's yes."""
        return self.intact is True and self.trusted is True and not self.problems


class DigestEvidence(Frozen, frozen=True, kw_only=True):
    """The digest found over the span of one digest claim, to be compared with what was expected."""

    subject: str
    span: Span
    expected: str
    found: str
    serial: bool = False


class ChunkEvidence(Frozen, frozen=True, kw_only=True):
    """Chunks of a component compared with its index: how many, and the spans of those that differ.

    ``damaged`` lists at most the first 256 spans (adjacent ones joined); ``damaged_count`` counts all chunks.
    """

    subject: str
    span: Span
    chunks: int
    damaged: tuple[Span, ...] = ()
    damaged_count: int = 0


class ZeroEvidence(Frozen, frozen=True, kw_only=True):
    """A span that has to be zero, and the first byte in it that is not (None: all are)."""

    subject: str
    span: Span
    first_nonzero: int | None = None


class Evidence(Frozen, frozen=True, kw_only=True):
    """Everything that was measured of one bundle; None where nothing was measured."""

    signatures: tuple[SignatureEvidence, ...] | None = None
    zeros: tuple[ZeroEvidence, ...] | None = None
    digests: tuple[DigestEvidence, ...] | None = None
    chunks: tuple[ChunkEvidence, ...] | None = None
