"""Verification: signatures in, evidence out. A bad blob is data here: no bundle makes these functions raise."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

from bundlekit.integrity.content import SignedContent
from bundlekit.source import BytesSource
from bundlekit.trust.chain import signer_refusals
from bundlekit.trust.claim import read_claim
from bundlekit.trust.fault import SignatureFault, day
from bundlekit.trust.result import amounts_to, unreadable
from bundlekit.trust.store import Signed, VerificationContext
from bundlekit.trust.value import pinned_key, value_faults

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundlekit.model.bundle import SignatureClaim, Span
    from bundlekit.model.evidence import SignatureEvidence
    from bundlekit.trust.certificates import Certificate
    from bundlekit.trust.keys import Key
    from bundlekit.trust.store import TrustStore


def verify_claims(
    claims: Sequence[SignatureClaim],
    contents: Sequence[SignedContent],
    store: TrustStore | None,
    at: datetime,
    signed: Signed | None = None,
) -> tuple[SignatureEvidence, ...]:
    """Verify the signatures of a bundle in any format. ``contents`` has the signed bytes of each.

    The other parameters are those of `verify_signatures`. A CMS object with several signers gives several results.
    """
    context = _context(at, signed)
    found: list[SignatureEvidence] = []
    for claim, content in zip(claims, contents, strict=True):
        if claim.form == "cms-strict":
            found.append(_judge(len(found), content, claim.value, claim.blob, store, context))
            continue
        from bundlekit.trust import foreign, raw  # an update.bin does not need them

        verified = raw.bare_evidence if claim.form == "raw" else foreign.cms_evidence
        found += verified(len(found), claim, content, store, context)
    return tuple(found)


def verify_signatures(
    head: bytes,
    blobs: Sequence[bytes],
    spans: Sequence[Span],
    store: TrustStore | None,
    at: datetime,
    signed: Signed | None = None,
) -> tuple[SignatureEvidence, ...]:
    """Verify each signature over ``head``. ``spans`` are the positions of the blobs in the file.

    ``at`` is the time for the validity of certificates, with a time zone. Without a store each signature is still read
    strictly, and verified under the key that it carries. Damage is then distinguished from a missing anchor, and
    nothing is trusted. A trust.toml in ``store`` determines the time itself, and the ``signed`` content that each
    signer is allowed.
    """
    context, content = _context(at, signed), SignedContent(BytesSource(head), (), known=head)
    return tuple(
        _judge(index, content, blob, where, store, context)
        for index, (blob, where) in enumerate(zip(blobs, spans, strict=True))
    )


def _context(at: datetime, signed: Signed | None) -> VerificationContext:
    if at.tzinfo is None:
        msg = "the time to verify at needs a time zone"
        raise ValueError(msg)
    return VerificationContext(at=at, signed=signed or Signed())


def signer_fault(blob: bytes, purpose: str = "code-signing") -> str:
    """Why the certificate in a signature is not suitable for signing; empty if it is.

    It is used before a signature is added, when no anchor is available. `out_of_time` checks its time, because a trust
    file with ``time = "released"`` counts signatures of certificates that have expired since.
    """
    try:
        claim = read_claim(blob)
    except SignatureFault as refusal:
        return refusal.message
    return next((fault.message for signer in claim.line[:1] for fault in signer_refusals(signer, purpose)), "")


def fault_under(blob: bytes, head: bytes, key: Key) -> str:
    """Why a signature over ``head`` is not valid under ``key``; empty if it is. Who it is trusted by is not asked."""
    content = SignedContent(BytesSource(head), (), known=head)
    try:
        claim = read_claim(blob)
        named = not claim.line or (claim.line[0].key is not None and claim.line[0].key.id == key.id)
        if not named or claim.signature.identifier not in {None, key.identifier}:
            return f"The signature names another key than sha256:{key.id}."
        return next((fault.message for fault in value_faults(claim, key, content)), "")
    except SignatureFault as refusal:
        return refusal.message


def unbound(blob: bytes) -> str:
    """What a signature lacks for verifiers that trust a CA on its path directly; empty if nothing.

    That is a certificate of a CA above another one, such as a cross certificate, that the signature does not cover.
    """
    claim = read_claim(blob)
    below = {one.issuer_der for one in claim.line[1:]}
    for one in claim.line[1:]:
        if one.subject_der in below and not claim.signature.binds(one.der):
            return (
                f"the signer did not sign the certificate {one.name} along (signingCertificateV2). A verifier that "
                "trusts this CA by another certificate, such as a new root, or a CA below it, rejects this signature. "
                "`bundlekit sign` signs all certificates along"
            )
    return ""


def out_of_time(signed_by: bytes | Sequence[Certificate], at: datetime, released: str) -> str:
    """What a signature lacks at the time ``at``, because its certificates are not valid then; empty if all are.

    ``signed_by`` is the signature, or the certificates that it will carry. ``released`` is the release date of the
    signed content (YYYY-MM-DD); empty if there is none.
    """
    for one in read_claim(signed_by).line if isinstance(signed_by, bytes) else signed_by:
        if one.not_before <= at <= one.not_after:
            continue
        facts = f"the certificate {one.name} is valid from {day(one.not_before)} to {day(one.not_after)}, and "
        facts += f"today is {day(at)}. A trust file that names its CA "
        if released and one.not_before <= min(at, _end_of(released)) <= one.not_after:
            facts += f'counts this signature only with `time = "released"`: the release date {released} is in that time'
        elif at < one.not_before:
            facts += f"counts this signature from {day(one.not_before)} on"
        elif released:
            facts += f"does not count this signature: the release date {released} is not in that time either"
        else:
            facts += "does not count this signature"
        return f"{facts}. One that pins the signer's key counts it at any time."
    return ""


def _end_of(date: str) -> datetime:
    return datetime.combine(datetime.fromisoformat(date).date(), time(23, 59, 59), UTC)


def signing_key(blob: bytes) -> bytes:
    """The 20 bytes that identify a signature's own key in CMS. Raises SignatureFault."""
    claim = read_claim(blob)
    key = claim.line[0].key if claim.line else None
    return key.identifier if key else claim.signature.identifier or b""


def _judge(
    index: int,
    content: SignedContent,
    blob: bytes,
    where: Span,
    store: TrustStore | None,
    context: VerificationContext,
) -> SignatureEvidence:
    # 1. Read it: CMS profile, algorithms, certificates.
    try:
        claim = read_claim(blob)
    except SignatureFault as refusal:
        return unreadable(index, blob, where, [refusal], store)
    # 2. Find the key: in the signer's certificate, or among the pinned ones.
    signer = claim.line[0] if claim.line else None
    key = signer.key if signer else pinned_key(claim, store)
    # 3. Verify: the digest of the head, then the signature under the key.
    return amounts_to(index, blob, where, claim, key, list(value_faults(claim, key, content)), store, context)
