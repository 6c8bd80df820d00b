"""The credential of a future signature: a certificate or a key, as a claim without any fault."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from bundlekit.model.primitives import Frozen
from bundlekit.trust import cms
from bundlekit.trust.claim import Claim, read_claim
from bundlekit.trust.ess import Named
from bundlekit.trust.scheme import SignatureScheme

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundlekit.trust.certificates import Certificate
    from bundlekit.trust.keys import Key


class Credential(Frozen, frozen=True, kw_only=True):
    """The credential of a signature: a claim, and the key if it is known without a trust file."""

    claim: Claim
    key: Key | None = None


def from_signature(blob: bytes) -> Credential:
    """The credential of a stored signature. Raises SignatureFault."""
    claim = read_claim(blob)
    return Credential(claim=claim, key=claim.line[0].key if claim.line else None)


def from_certificates(line: Sequence[Certificate]) -> Credential:
    """The credential of a signer with certificates: its own first, then those above it, without the anchor."""
    return Credential(claim=_claim(line[0].key, tuple(line)), key=line[0].key)


def from_key(key: Key) -> Credential:
    """The credential of a signer with only a key, which a trust file can pin."""
    return Credential(claim=_claim(key, ()), key=key)


def _claim(key: Key | None, line: tuple[Certificate, ...]) -> Claim:
    """The claim of a signature with this key and certificates, with the best hash and all certificates covered."""
    signature = cms.Signature(
        identifier=key.identifier if key and not line else None,
        issuer=line[0].issuer_der if line else b"",
        serial=line[0].serial if line else 0,
        certificates=tuple(one.der for one in line),
        digest_algorithm=b"",
        signature_algorithm=b"",
        message_digest=b"",
        signed=b"",
        signature=b"",
        named=((tuple(Named(algorithm="sha256", hash=hashlib.sha256(one.der).digest()) for one in line)),)
        if line
        else (),
    )
    return Claim(
        signature=signature, scheme=SignatureScheme(family=key.family if key else "other"), digest="sha512", line=line
    )
