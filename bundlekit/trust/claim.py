"""The statements of a signature about itself: its algorithms and its certificates. Nothing is verified."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundlekit.model.primitives import Frozen
from bundlekit.trust import algorithms, cms
from bundlekit.trust.algorithms import PURE_DIGESTS
from bundlekit.trust.certificates import Certificate, UnusableCertificateError, read_certificate
from bundlekit.trust.fault import malformed
from bundlekit.trust.paths import connected, surplus
from bundlekit.trust.scheme import SignatureScheme

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundlekit.trust.ess import Named
    from bundlekit.trust.keys import Key


class Claim(Frozen, frozen=True, kw_only=True):
    """A well-formed signature: its algorithms, and its certificates from the signer's upwards.

    ``any_purpose`` is whether a CA for any purpose can certify the signer.
    """

    signature: cms.Signature
    scheme: SignatureScheme
    digest: str
    line: tuple[Certificate, ...]
    any_purpose: bool = True


def read_claim(blob: bytes) -> Claim:
    """The statements of a signature about itself, not verified. Raises SignatureFault."""
    signature = cms.read(blob)
    scheme, digest = read_algorithms(signature)
    return Claim(signature=signature, scheme=scheme, digest=digest, line=_line(signature))


def read_algorithms(signature: cms.Signature) -> tuple[SignatureScheme, str]:
    """The signature algorithm and the digest algorithm of a signature. Raises SignatureFault."""
    digest = algorithms.read_digest(signature.digest_algorithm)
    scheme = algorithms.read_scheme(signature.signature_algorithm)
    if scheme.hash == "*":
        scheme = SignatureScheme(family=scheme.family, hash=digest)
    if digest not in PURE_DIGESTS.get(scheme.family, (scheme.hash,)):
        msg = f"The digest algorithm {digest} does not go with the signature algorithm {scheme.label()}"
        raise malformed(msg, signature.signature_algorithm)
    return scheme, digest


def _line(signature: cms.Signature) -> tuple[Certificate, ...]:
    """The certificates, the signer's first. Empty if the signer is identified only by a key identifier."""
    certificates = read_carried(signature.certificates)
    if not certificates and signature.identifier is not None:
        return ()
    signer = signer_among(certificates, signature)
    return connected(signer, [one for one in certificates if one is not signer])


def read_carried(certificates: Sequence[bytes]) -> list[Certificate]:
    """The certificates that a signature carries. Raises SignatureFault."""
    found: list[Certificate] = []
    for der in certificates:
        try:
            found.append(read_certificate(der))
        except UnusableCertificateError as error:
            msg = f"A certificate in the signature cannot be read: {error}"
            raise malformed(msg, der) from error
    if len({(one.issuer_der, one.serial) for one in found}) < len(found):
        raise malformed("Two certificates in the signature have one issuer and serial number")
    return found


def signer_among(certificates: Sequence[Certificate], signature: cms.Signature) -> Certificate:
    """The certificate of the signer. What the signer signed about certificates is enforced. Raises SignatureFault."""
    signers = [one for one in certificates if is_named(signature, one)]
    if len(signers) != 1:
        msg = f"{len(signers)} of the certificates in the signature match its signer, instead of one"
        extra = {"surplus": signers[1].name} if signers else {}
        raise malformed(msg, signature.identifier or signature.issuer, **extra)
    for named in signature.named:
        _demand_named(named, signers[0], certificates)
    return signers[0]


def _demand_named(named: Sequence[Named], signer: Certificate, certificates: Sequence[Certificate]) -> None:
    """Enforce the signed statements of the signer about its certificate and the others. Raises SignatureFault."""
    if not named[0].fits(signer.der) or any(one.fits(signer.der) for one in named[1:]):
        msg = f"The certificate {signer.name} is not the one that the signer signed as its own"
        raise malformed(msg, signer.der)
    for one in certificates:
        fitting = [each for each in named if each.fits(one.der)]
        if any(each.contradicts(one) for each in fitting):
            msg = f"The signer signed another issuer and serial number for the certificate {one.name}"
            raise malformed(msg, one.der)
        if len(named) > 1 and not fitting:  # RFC 5035 section 3: no other certificates can be used
            raise surplus(one, "which is not among those that the signer allows (signingCertificate)")


def is_named(signature: cms.Signature, certificate: Certificate) -> bool:
    """Whether a signature identifies its signer by this certificate."""
    if signature.identifier is not None:
        return certificate.identifier == signature.identifier
    return (certificate.issuer_der, certificate.serial) == (signature.issuer, signature.serial)


def signer_text(claim: Claim, key: Key | None) -> str:
    """The name of the signer in reports: the certificate's subject, or the key's id."""
    if claim.line:
        return claim.line[0].subject or f"serial number {claim.line[0].serial:x}"
    if key:
        return f"key {key.id}"
    if claim.signature.identifier is None:
        return f"serial number {claim.signature.serial:x}"
    return f"key identifier {claim.signature.identifier.hex()}"
