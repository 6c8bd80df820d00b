"""The statements of a signature about itself: its algorithms and its certificates. Nothing is verified."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundlekit.model.primitives import Frozen
from bundlekit.trust import algorithms, cms
from bundlekit.trust.algorithms import PURE_DIGESTS, SignatureScheme
from bundlekit.trust.certificates import Certificate, UnusableCertificateError, read_certificate
from bundlekit.trust.fault import malformed
from bundlekit.trust.paths import connected, surplus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundlekit.trust.ess import Named
    from bundlekit.trust.keys import Key


class Claim(Frozen, frozen=True, kw_only=True):
    """A well-formed signature: its algorithms, and its certificates from the signer's upwards."""

    signature: cms.Signature
    scheme: SignatureScheme
    digest: str
    line: tuple[Certificate, ...]

    def binds_all(self) -> bool:
        """Whether the signer covered every certificate of the signature by the signature itself."""
        return all(self.signature.binds(one.der) for one in self.line)


def read_claim(blob: bytes) -> Claim:
    """The statements of a signature about itself, not verified. Raises SignatureFault."""
    signature = cms.read(blob)
    digest = algorithms.read_digest(signature.digest_algorithm)
    scheme = algorithms.read_scheme(signature.signature_algorithm)
    if scheme.hash == "*":
        scheme = SignatureScheme(family=scheme.family, hash=digest)
    if digest not in PURE_DIGESTS.get(scheme.family, (scheme.hash,)):
        msg = f"The digest algorithm {digest} does not go with the signature algorithm {scheme.label(None)}"
        raise malformed(msg, signature.signature_algorithm)
    return Claim(signature=signature, scheme=scheme, digest=digest, line=_line(signature))


def _line(signature: cms.Signature) -> tuple[Certificate, ...]:
    """The certificates, the signer's first. Empty if the signer is identified only by a key identifier."""
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


def _names(signature: cms.Signature, certificate: Certificate) -> bool:
    if signature.identifier is not None:
        return certificate.identifier == signature.identifier
    return (certificate.issuer_der, certificate.serial) == (signature.issuer, signature.serial)


def signer_text(claim: Claim, key: Key | None) -> str:
    """The name of the signer in reports: the certificate's subject, or the key's id."""
    if claim.line:
        return claim.line[0].subject or f"serial number {claim.line[0].serial:x}"
    return f"key {key.id}" if key else f"key identifier {(claim.signature.identifier or b'').hex()}"
