"""Signatures in, evidence out. Bad blobs are data here: nothing in a bundle makes these functions raise."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Final

from bundlekit.model.bundle import Problem, Span
from bundlekit.model.evidence import SignatureEvidence
from bundlekit.model.primitives import Frozen
from bundlekit.trust import algorithms, cms
from bundlekit.trust.algorithms import PURE_DIGESTS, Scheme, pss_misuse
from bundlekit.trust.certificates import Certificate, UnusableCertificateError, read_certificate
from bundlekit.trust.chain import judge, signer_refusals, weak_key
from bundlekit.trust.paths import connected, surplus
from bundlekit.trust.refusal import Refusal, day, malformed
from bundlekit.trust.store import TEST_MARK
from bundlekit.trust.testkeys import TEST_KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bundlekit.model.evidence import Standing
    from bundlekit.trust.chain import Chain
    from bundlekit.trust.ess import Named
    from bundlekit.trust.keys import Key
    from bundlekit.trust.store import Pinned, TrustStore


def verify_signatures(
    head: bytes,
    blobs: Sequence[bytes],
    spans: Sequence[Span],
    store: TrustStore | None,
    at: datetime,
    purpose: str = "code-signing",
    signed: Signed | None = None,
) -> tuple[SignatureEvidence, ...]:
    """Judge each signature over ``head``; ``spans`` say where in the file the blobs lie.

    ``at`` is the time that certificates are held against, with a time zone. Without a store each signature is
    still read strictly and verified under the key it brings along, so that damage is told from a missing
    anchor; nothing is trusted then. A trust.toml in ``store`` decides on purpose and time itself, and on what
    may be ``signed`` by whom.
    """
    if at.tzinfo is None:
        msg = "the time to verify at needs a time zone"
        raise ValueError(msg)
    occasion = Occasion(at=at, purpose=purpose, signed=signed or Signed())
    return tuple(
        _judge(index, head, blob, where, store, occasion)
        for index, (blob, where) in enumerate(zip(blobs, spans, strict=True))
    )


def signer_fault(blob: bytes, purpose: str = "code-signing") -> str:
    """Why the certificate in a signature is not one to sign with; empty if nothing is against it.

    Asked before a signature is added, when no anchor is at hand. Its time is for `out_of_time`: a trust file with
    ``time = "released"`` counts signatures of certificates that have expired since.
    """
    try:
        claim = read_claim(blob)
    except Refusal as refusal:
        return refusal.message
    return next((fault.message for signer in claim.line[:1] for fault in signer_refusals(signer, purpose)), "")


def unbound(blob: bytes) -> str:
    """What a signature lacks for verifiers that trust a CA on its path directly; empty if nothing.

    That is a certificate of a CA above another one, such as a cross certificate, which the signer did not sign along.
    """
    claim = read_claim(blob)
    below = {one.issuer_der for one in claim.line[1:]}
    for one in claim.line[1:]:
        if one.subject_der in below and not claim.signature.binds(one.der):
            return (
                f"the signer did not sign the certificate {one.name} along (signingCertificateV2). A verifier that "
                "trusts this CA by another certificate, such as a new root, or a CA below it, refuses this signature. "
                "`bundlekit sign` signs all certificates along"
            )
    return ""


def out_of_time(signed_by: bytes | Sequence[Certificate], at: datetime, released: str) -> str:
    """What a signature lacks at the time ``at``, as its certificates are not valid then; empty if all are.

    ``signed_by`` is the signature, or the certificates that it is going to carry. ``released`` is the release date
    of what is signed (YYYY-MM-DD), empty where there is none.
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
    """The 20 bytes by which CMS names the key that a signature names as its own; Refusal if it cannot be read."""
    claim = read_claim(blob)
    key = claim.line[0].key if claim.line else None
    return key.identifier if key else claim.signature.identifier or b""


class Signed(Frozen, frozen=True, kw_only=True):
    """What signatures are over, as far as the bounds of a signer go.

    ``format`` is ``update.bin`` or ``advisories``; ``product`` and ``released`` (YYYY-MM-DD) are empty where it
    could not be read.
    """

    format: str = "update.bin"
    product: str = ""
    released: str = ""


class Occasion(Frozen, frozen=True, kw_only=True):
    """When, and for what, signatures are judged."""

    at: datetime
    purpose: str
    signed: Signed


class Claim(Frozen, frozen=True, kw_only=True):
    """A well-formed signature: its algorithms, and its certificates: the signer's, then those above it."""

    signature: cms.Signature
    scheme: Scheme
    digest: str
    line: tuple[Certificate, ...]

    def binds_all(self) -> bool:
        """Whether the signer put every certificate that comes along under the signature itself."""
        return all(self.signature.binds(one.der) for one in self.line)


class Trust(Frozen, frozen=True, kw_only=True):
    """Where a key leads to; it is trusted if nothing is said against it.

    ``anchor`` is empty if it leads nowhere. ``certificates`` are those of the chain, none for a pinned key.
    ``name`` and ``role`` are the named signer's, ``undecided`` says why the last word could not be said.
    """

    anchor: str = ""
    certificates: tuple[Certificate, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    name: str = ""
    role: str = ""
    test: bool = False
    undecided: str = ""


ABOUT_THE_BLOB: Final = {"signature-malformed", "signature-wrong"}
"""Faults of a signature itself, whoever made it. They are never ignored."""


def _judge(
    index: int, head: bytes, blob: bytes, where: Span, store: TrustStore | None, occasion: Occasion
) -> SignatureEvidence:
    # 1. Read it: CMS profile, algorithms, certificates.
    try:
        claim = read_claim(blob)
    except Refusal as refusal:
        return SignatureEvidence(
            index=index,
            where=where,
            trusted=None if store is None else False,
            standing="refused",
            because=refusal.message,
            problems=_problems([refusal], blob, where, f"signature {index}"),
        )
    # 2. Find the key: in the signer's certificate, or among the pinned ones.
    signer = claim.line[0] if claim.line else None
    key = signer.key if signer else pinned_key(claim, store)
    # 3. Verify: the digest of the head, then the signature under the key.
    refusals = list(_verify(claim, key, head))
    intact = False if any(one.rule == "signature-wrong" for one in refusals) else None
    if intact is None and key and not refusals:
        intact = True
    return amounts_to(index, blob, where, claim, key, refusals, intact, store, occasion)


def amounts_to(
    index: int,
    blob: bytes,
    where: Span,
    claim: Claim,
    key: Key | None,
    refusals: list[Refusal],
    intact: bool | None,
    store: TrustStore | None,
    occasion: Occasion,
) -> SignatureEvidence:
    """What a signature amounts to, once it has been read and verified."""
    # 4. Trust: the key is pinned, or its chain leads to an anchor; a trust.toml says whose it is, and more.
    trust = Trust() if store is None else _trust(claim, key, store, occasion)
    named = {(one.rule, one.part) for one in refusals}
    refusals += [one for one in trust.refusals if (one.rule, one.part) not in named]
    # 5. What it amounts to.
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
        because=because,
        problems=() if standing == "ignored" else _problems(refusals, blob, where, f"signature {index}"),
    )


def _standing(
    refusals: Sequence[Refusal], trust: Trust, store: TrustStore | None, *, intact: bool | None
) -> tuple[Standing, str]:
    ignoring = store is not None and store.policy is not None and store.policy.ignore_others
    if refusals:
        ignored = ignoring and intact is True and not ABOUT_THE_BLOB & {one.rule for one in refusals}
        return ("ignored" if ignored else "refused"), refusals[0].message
    if store is None:
        return "not-judged", "nothing to trust was given"
    if trust.undecided:
        return "undecided", trust.undecided
    if intact is True and trust.anchor:
        return "counted", ""
    return "refused", "it could not be led to a trusted key"


def families(key: Key | None, certificates: Sequence[Certificate]) -> tuple[str, ...]:
    """The kinds of all keys that a signature rests on, each once, the signer's first."""
    keys = [key, *(one.key for one in certificates)]
    return tuple(dict.fromkeys(one.family for one in keys if one))


# --- 1. reading ---


def read_claim(blob: bytes) -> Claim:
    """What a signature says of itself, nothing of it verified. Raises Refusal."""
    signature = cms.read(blob)
    digest = algorithms.read_digest(signature.digest_algorithm)
    scheme = algorithms.read_scheme(signature.signature_algorithm)
    if scheme.hash == "*":
        scheme = Scheme(family=scheme.family, hash=digest)
    if digest not in PURE_DIGESTS.get(scheme.family, (scheme.hash,)):
        msg = f"The digest algorithm {digest} does not go with the signature algorithm {scheme.label(None)}"
        raise malformed(msg, signature.signature_algorithm)
    return Claim(signature=signature, scheme=scheme, digest=digest, line=_line(signature))


def _line(signature: cms.Signature) -> tuple[Certificate, ...]:
    """The certificates, the signer's first. Empty where the signer is named by key identifier alone."""
    certificates: list[Certificate] = []
    for der in signature.certificates:
        try:
            certificates.append(read_certificate(der))
        except UnusableCertificateError as error:
            msg = f"A certificate in the signature cannot be read: {error}"
            raise malformed(msg, der) from error
    if len({(one.issuer_der, one.serial) for one in certificates}) < len(certificates):
        raise malformed("Two certificates in the signature have one issuer and serial number")
    signers = [one for one in certificates if _names(signature, one)]
    if not certificates and signature.identifier is not None:
        return ()
    if len(signers) != 1:
        msg = f"{len(signers)} of the certificates in the signature are that of its signer, instead of one"
        extra = {"surplus": signers[1].name} if signers else {}
        raise malformed(msg, signature.identifier or signature.issuer, **extra)
    signer = signers[0]
    for named in signature.named:
        _demand_named(named, signer, certificates)
    return connected(signer, [one for one in certificates if one is not signer])


def _demand_named(named: Sequence[Named], signer: Certificate, certificates: Sequence[Certificate]) -> None:
    """Enforce what the signer signed about its certificate and the others. Raises Refusal."""
    if not named[0].fits(signer.der) or any(one.fits(signer.der) for one in named[1:]):
        msg = f"The certificate {signer.name} is not the one that the signer signed as its own"
        raise malformed(msg, signer.der)
    for one in certificates:
        fitting = [each for each in named if each.fits(one.der)]
        if any(each.contradicts(one) for each in fitting):
            msg = f"The signer signed another issuer and serial number for the certificate {one.name}"
            raise malformed(msg, one.der)
        if len(named) > 1 and not fitting:  # RFC 5035 section 3: the others are the only ones that may be used
            raise surplus(one, "which is not among those that the signer allows (signingCertificate)")


def _names(signature: cms.Signature, certificate: Certificate) -> bool:
    if signature.identifier is not None:
        return certificate.identifier == signature.identifier
    return (certificate.issuer_der, certificate.serial) == (signature.issuer, signature.serial)


# --- 2. and 3. the key, and the signature under it ---


def pinned_key(claim: Claim, store: TrustStore | None) -> Key | None:
    """The pinned key of that identifier; if there are several, the one that made the signature."""
    keys = [] if store is None else [one.key for one in store.pins_named(claim.signature.identifier or b"")]
    fitting = (key for key in keys if not list(_verify_value(claim, key)))
    return next(fitting, keys[0] if keys else None)


def _verify(claim: Claim, key: Key | None, head: bytes) -> Iterator[Refusal]:
    if algorithms.digest(claim.digest, head) != claim.signature.message_digest:
        msg = (
            "The signature is not for this head: other bytes were signed, those of another bundle, or the head "
            "was changed after signing."
        )
        yield Refusal("signature-wrong", msg)
    elif key is not None:
        yield from _verify_value(claim, key)
    elif claim.line:
        yield weak_key(claim.line[0].name, claim.line[0].weakness, claim.line[0].der)


def _verify_value(claim: Claim, key: Key) -> Iterator[Refusal]:
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
        yield Refusal("signature-wrong", msg, signature.signature)


# --- 4. trust ---


def _trust(claim: Claim, key: Key | None, store: TrustStore, occasion: Occasion) -> Trust:
    if store.policy is None:
        return leads(claim, key, store, occasion.at, occasion.purpose)[0]
    from bundlekit.trust import named  # what only a trust.toml needs

    return named.lead_by_name(claim, key, store, occasion)


def leads(
    claim: Claim,
    key: Key | None,
    store: TrustStore,
    at: datetime,
    purpose: str,
    listed: Sequence[Certificate] = (),
) -> tuple[Trust, ...]:
    """Whether the key is pinned, or its certificates lead to an anchor at the time ``at`` and for ``purpose``.

    Several answers are several chains that hold; if none does, there is one answer. ``listed`` are certificates that
    trust has besides those that came along.
    """
    pin = store.pin(key) if key else None
    if pin and (misuse := pss_misuse(pin.key, claim.scheme)):  # of which a certificate of the key may know nothing
        return (Trust(anchor=pin.name, refusals=(malformed(misuse, claim.signature.signature_algorithm),)),)
    if pin and claim.binds_all():
        return (Trust(anchor=pin.name, test=pin.test or is_test(key, claim.line)),)
    if not claim.line:
        msg = (
            f"The signer, {signer_text(claim, key)}, is not known here, so its signature cannot be verified. "
            "If you do trust it, add its public key to --trust."
        )
        return (Trust(refusals=(Refusal("signer-unknown", msg, claim.signature.identifier or b""),)),)
    best = judge(claim.line, store.anchors, at, purpose, listed=listed, bound=claim.signature.binds)
    return tuple(_trust_by(chain, claim, key, pin) for chain in (best, *best.alternatives))


def _trust_by(chain: Chain, claim: Claim, key: Key | None, pin: Pinned | None) -> Trust:
    """What a chain amounts to."""
    refusals = (*chain.refusals, *_unfound(chain, claim)) if chain.anchor else chain.refusals
    if pin and refusals:
        msg = (
            f"The key {pin.name} is pinned, but the signature carries certificates that neither an anchor "
            "nor the signer vouches for"
        )
        stray = next((one.der for one in claim.line if not claim.signature.binds(one.der)), b"")
        refusals = (malformed(msg, stray, pinned=pin.name),)
    return Trust(
        anchor=chain.anchor.subject or f"serial number {chain.anchor.serial:x}" if chain.anchor else "",
        certificates=chain.certificates,
        refusals=refusals,
        test=is_test(key, chain.certificates),
    )


def _unfound(chain: Chain, claim: Claim) -> Iterator[Refusal]:
    """A certificate that the signer named for its path, and that neither came along nor is on the path."""
    found = {one.der: one for one in (*claim.line, *chain.certificates)}.values()
    for one in (each for named in claim.signature.named for each in named):
        if not any(one.fits(each.der) and not one.contradicts(each) for each in found):
            msg = (
                f"The signer named a certificate for its path ({one.algorithm}:{one.hash.hex()}) that neither comes "
                "along nor is on the path to the anchor."
            )
            yield Refusal("chain-invalid", msg)
            return


def is_test(key: Key | None, certificates: Sequence[Certificate]) -> bool:
    """Whether a key or certificate is one for tests, whose private key everybody may have."""
    keys = [key, *(one.key for one in certificates)]
    return any(TEST_MARK in one.subject for one in certificates) or any(one.id in TEST_KEYS for one in keys if one)


def signer_text(claim: Claim, key: Key | None) -> str:
    """What reports call who made a signature: the certificate's subject, or the key's id."""
    if claim.line:
        return claim.line[0].subject or f"serial number {claim.line[0].serial:x}"
    return f"key {key.id}" if key else f"key identifier {(claim.signature.identifier or b'').hex()}"


def _problems(refusals: Sequence[Refusal], blob: bytes, where: Span, subject: str) -> tuple[Problem, ...]:
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
    """The bytes to blame, if there is no doubt which they are; else the whole signature."""
    if not part or blob.count(part) != 1:
        return where
    start = where.start + blob.index(part)
    return Span(start=start, stop=start + len(part))
