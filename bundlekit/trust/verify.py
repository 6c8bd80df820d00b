"""Verification: signatures in, evidence out. A bad blob is data here: no bundle makes these functions raise."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Final

from bundlekit.integrity.content import SignedContent
from bundlekit.model.bundle import Problem, Span
from bundlekit.model.evidence import SignatureEvidence
from bundlekit.source import BytesSource
from bundlekit.trust import algorithms
from bundlekit.trust.algorithms import pss_misuse
from bundlekit.trust.chain import signer_refusals, weak_key
from bundlekit.trust.claim import read_claim, signer_text
from bundlekit.trust.fault import SignatureFault, day, malformed
from bundlekit.trust.signer_policy import resolve_signer
from bundlekit.trust.store import Signed, VerificationContext
from bundlekit.trust.trust_path import TrustPath

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bundlekit.model.bundle import SignatureClaim
    from bundlekit.model.evidence import Standing
    from bundlekit.trust.certificates import Certificate
    from bundlekit.trust.claim import Claim
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
        if claim.form != "cms-strict":
            raise NotImplementedError(claim.form)
        found.append(_judge(claim.index, content, claim.value, claim.blob, store, context))
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


ABOUT_THE_BLOB: Final = {"signature-malformed", "signature-wrong"}
"""Faults of a signature itself, regardless of its signer. They are never ignored."""


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
        return SignatureEvidence(
            index=index,
            where=where,
            trusted=None if store is None else False,
            standing="rejected",
            reason=refusal.message,
            problems=_problems([refusal], blob, where, f"signature {index}"),
        )
    # 2. Find the key: in the signer's certificate, or among the pinned ones.
    signer = claim.line[0] if claim.line else None
    key = signer.key if signer else pinned_key(claim, store)
    # 3. Verify: the digest of the head, then the signature under the key.
    refusals = list(_verify(claim, key, content))
    intact = False if any(one.rule == "signature-wrong" for one in refusals) else None
    if intact is None and key and not refusals:
        intact = True
    return amounts_to(index, blob, where, claim, key, refusals, intact, store, context)


def amounts_to(
    index: int,
    blob: bytes,
    where: Span,
    claim: Claim,
    key: Key | None,
    refusals: list[SignatureFault],
    intact: bool | None,
    store: TrustStore | None,
    context: VerificationContext,
) -> SignatureEvidence:
    """The evidence of a signature that has been read and verified."""
    # 4. Trust: the key is pinned, or its chain leads to an anchor. A trust.toml names the signer and sets more rules.
    trust = TrustPath() if store is None else resolve_signer(claim, key, store, context)
    named = {(one.rule, one.part) for one in refusals}
    refusals += [one for one in trust.refusals if (one.rule, one.part) not in named]
    # 5. The result.
    standing, because = _standing(refusals, trust, store, intact=intact)
    return SignatureEvidence(
        index=index,
        where=where,
        algorithm=claim.scheme.label(key),
        signer=signer_text(claim, key),
        key_id=key.id if key else "",
        intact=intact,
        trusted=None if store is None else bool(trust.anchor) and not trust.refusals and not trust.undecided,
        anchor=trust.anchor,
        chain=tuple(one.subject for one in trust.certificates) or ((signer_text(claim, key),) if trust.anchor else ()),
        families=families(key, trust.certificates),
        name=trust.name,
        role=trust.role,
        test=trust.test,
        standing=standing,
        reason=because,
        problems=() if standing == "ignored" else _problems(refusals, blob, where, f"signature {index}"),
    )


def _standing(
    refusals: Sequence[SignatureFault], trust: TrustPath, store: TrustStore | None, *, intact: bool | None
) -> tuple[Standing, str]:
    ignoring = store is not None and store.ignore_others
    if refusals:
        ignored = ignoring and intact is True and not ABOUT_THE_BLOB & {one.rule for one in refusals}
        return ("ignored" if ignored else "rejected"), refusals[0].message
    if store is None:
        return "not-checked", "nothing to trust was given"
    if trust.undecided:
        return "undecided", trust.undecided
    if intact is True and trust.anchor:
        return "counted", ""
    return "rejected", "it could not be led to a trusted key"


def families(key: Key | None, certificates: Sequence[Certificate]) -> tuple[str, ...]:
    """The families of all keys that a signature depends on, each once, the signer's first."""
    keys = [key, *(one.key for one in certificates)]
    return tuple(dict.fromkeys(one.family for one in keys if one))


# --- 2. and 3. the key, and the signature under it ---


def pinned_key(claim: Claim, store: TrustStore | None) -> Key | None:
    """The pinned key of that identifier. If there are several, the one that made the signature."""
    keys = [] if store is None else [one.key for one in store.trusted.pins_named(claim.signature.identifier or b"")]
    fitting = (key for key in keys if not list(_verify_value(claim, key)))
    return next(fitting, keys[0] if keys else None)


def _verify(claim: Claim, key: Key | None, content: SignedContent) -> Iterator[SignatureFault]:
    if content.digest(claim.digest) != claim.signature.message_digest:
        msg = (
            "The signature is not for this head: other bytes were signed, those of another bundle, or the head "
            "was changed after signing."
        )
        yield SignatureFault("signature-wrong", msg)
    elif key is not None:
        yield from _verify_value(claim, key)
    elif claim.line:
        yield weak_key(claim.line[0].name, claim.line[0].weakness, claim.line[0].der)


def _verify_value(claim: Claim, key: Key) -> Iterator[SignatureFault]:
    scheme, signature = claim.scheme, claim.signature
    if key.weakness:
        yield weak_key(signer_text(claim, key), key.weakness, claim.line[0].der if claim.line else b"")
    elif scheme.family != key.family:
        msg = f"The signature algorithm {scheme.label(None)} is not one for the signer's key, {key.name}"
        yield malformed(msg, signature.signature_algorithm)
    elif misuse := pss_misuse(key, scheme):
        yield malformed(misuse, signature.signature_algorithm)
    elif not algorithms.verify(scheme, key, signature.signature, signature.signed):
        msg = f"The signature is not by the key of {signer_text(claim, key)}: it was damaged, or made by another."
        yield SignatureFault("signature-wrong", msg, signature.signature)


def _problems(refusals: Sequence[SignatureFault], blob: bytes, where: Span, subject: str) -> tuple[Problem, ...]:
    return tuple(
        Problem(
            rule=one.rule,
            message=one.message,
            where=_locate(one.part, blob, where),
            subject=subject,
            params=one.params,
        )
        for one in refusals
    )


def _locate(part: bytes, blob: bytes, where: Span) -> Span:
    """The bytes at fault, if they are known for certain; otherwise the whole signature."""
    if not part or blob.count(part) != 1:
        return where
    start = where.start + blob.index(part)
    return Span(start=start, stop=start + len(part))
