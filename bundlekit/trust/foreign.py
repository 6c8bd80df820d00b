"""Signatures in other formats: CMS as their tools make it (the profile `OTHER_FORMATS` of `bundlekit.trust.cms`).

Each SignerInfo of an object is a signature of its own, and all of them must be right. A certificate in the object must
belong to the path of one of the signers. The certificate of a signer can be absent. The signer then has one of the
pinned keys. It is found by the key identifier, or by verification if the object has only issuer and serial number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundlekit.integrity.content import SignedContent
from bundlekit.source import BytesSource
from bundlekit.trust import algorithms, asn1, cms
from bundlekit.trust.chain import weak_key
from bundlekit.trust.claim import Claim, is_named, read_algorithms, read_carried, signer_among
from bundlekit.trust.cms import MAX_BLOB
from bundlekit.trust.fault import SignatureFault, malformed
from bundlekit.trust.paths import by_names, surplus
from bundlekit.trust.result import amounts_to, unreadable
from bundlekit.trust.value import not_by, pinned_key, signature_faults, too_large, unsuitable, value_faults

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bundlekit.model.bundle import SignatureClaim
    from bundlekit.model.evidence import SignatureEvidence
    from bundlekit.trust.certificates import Certificate
    from bundlekit.trust.cms import Signature
    from bundlekit.trust.keys import Key
    from bundlekit.trust.store import TrustStore, VerificationContext


def cms_evidence(
    first: int,
    stored: SignatureClaim,
    content: SignedContent,
    store: TrustStore | None,
    context: VerificationContext,
) -> list[SignatureEvidence]:
    """The evidence of each signer of one CMS object. They are numbered from ``first``.

    ``content`` are the signed bytes. It is not used for an object that encloses them.
    """
    try:
        found = cms.read_signed_data(stored.value)
        certificates = read_carried(found.certificates)
        lines = [_line(one, certificates, store) for one in found.signatures]
        used = _content(stored, found.content, content)
    except SignatureFault as refusal:
        return [unreadable(first, stored.value, stored.blob, [refusal], store)]
    reached = {one.der for line in lines for one in line}
    stray = [surplus(one, "which is not on the path of a signer") for one in certificates if one.der not in reached]
    made = []
    for index, (signature, line) in enumerate(zip(found.signatures, lines, strict=True), first):
        try:
            scheme, digest = read_algorithms(signature)
        except SignatureFault as refusal:
            made.append(unreadable(index, stored.value, stored.blob, [refusal], store))
            continue
        # The devices verify with OpenSSL, which does not count a CA for any purpose (anyExtendedKeyUsage).
        claim = Claim(signature=signature, scheme=scheme, digest=digest, line=line, any_purpose=False)
        key = line[0].key if line else _pinned(claim, store, used)
        refusals = [*stray, *_faults(claim, key, used)]
        made.append(amounts_to(index, stored.value, stored.blob, claim, key, refusals, store, context))
    return made


def _content(stored: SignatureClaim, enclosed: bytes | None, detached: SignedContent) -> SignedContent:
    if stored.form != "cms-enclosing":
        if enclosed is not None:
            raise cms.has_content()
        return detached
    if enclosed is None:
        raise malformed("The signature encloses no content (eContent)")
    return SignedContent(BytesSource(enclosed), (), known=enclosed)


def _line(
    signature: Signature, certificates: Sequence[Certificate], store: TrustStore | None
) -> tuple[Certificate, ...]:
    """The certificates from the signer's upwards; none if only the key of the signer can be known."""
    if any(is_named(signature, one) for one in certificates):
        signer = signer_among(certificates, signature)
        return by_names(signer, [one for one in certificates if one is not signer])[0]
    known = () if store is None else (*store.trusted.anchors, *(store.listed or ()))
    return tuple(one for one in known if is_named(signature, one))[:1]


def _pinned(claim: Claim, store: TrustStore | None, content: SignedContent) -> Key | None:
    """The pinned key of a signature without certificates; None if none of them is known to be that of the signer."""
    if store is None:
        return None
    if claim.signature.identifier is not None and claim.signature.signed:
        return pinned_key(claim, store)
    named = store.trusted.pins_named(claim.signature.identifier or b"")
    keys = [one.key for one in (store.trusted.pinned if claim.signature.identifier is None else named)]
    fitting = (
        key for key in keys if key.family == claim.scheme.family and not list(_value_faults(claim, key, content))
    )
    return next(fitting, named[0].key if named else None)


def _faults(claim: Claim, key: Key | None, content: SignedContent) -> Iterator[SignatureFault]:
    """Why a signature is not valid for its content."""
    if claim.signature.signed:
        yield from value_faults(claim, key, content, "content")
    elif key is not None:
        yield from _value_faults(claim, key, content)
    elif claim.line:
        yield weak_key(claim.line[0].name, claim.line[0].weakness, claim.line[0].der)


def _value_faults(claim: Claim, key: Key, content: SignedContent) -> Iterator[SignatureFault]:
    """Why the value is not a signature of ``key``, over the signed attributes or else over the content itself."""
    if claim.signature.signed:
        yield from signature_faults(claim, key)
    elif unfit := unsuitable(claim, key):
        yield unfit
    elif _is_attributes(content):
        # The signature was made over these attributes, and then over another content (RFC 5652 section 5.4).
        yield malformed("The content has the form of signed attributes, and the signature has none")
    else:
        data = content.digest(claim.scheme.hash) if claim.scheme.hash else content.whole()
        if data is None:
            yield too_large(claim.scheme.label(key.name), content)
        elif not algorithms.verify(claim.scheme, key, claim.signature.signature, data, hashed=bool(claim.scheme.hash)):
            yield not_by(claim, key)


def _is_attributes(content: SignedContent) -> bool:
    data = content.whole() if content.size <= MAX_BLOB else None
    try:
        return data is not None and bool(asn1.decode(asn1.SetOf[asn1.Attribute], data).as_list())
    except asn1.NotDerError:
        return False
