"""Making a signature that the other half of this package accepts."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bundlekit.errors import SigningError, TrustError
from bundlekit.trust import algorithms, asn1, cms
from bundlekit.trust.algorithms import HASHES, Scheme
from bundlekit.trust.chain import in_order, signer_refusals
from bundlekit.trust.keys import Key, describe
from bundlekit.trust.refusal import Refusal
from bundlekit.trust.store import read_pem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    from bundlekit.trust.certificates import Certificate

CURVE_HASHES = {"p256": "sha256", "p384": "sha384", "p521": "sha512"}
"""The hash of the strength of the curve (NIST SP 800-57 part 1)."""


def load_private_key(path: Path, ask: Callable[[Path], bytes] | None = None) -> PrivateKeyTypes:
    """Read a private key from a PEM file; ``ask`` is called for the passphrase if it has one.

    Raises TrustError.
    """
    data = read_pem(path)
    try:
        return load_pem_private_key(data, None)
    except TypeError:  # it is encrypted
        passphrase = ask(path) if ask else b""
    except (ValueError, UnsupportedAlgorithm) as error:
        msg = f"{path} cannot be used as a private key: it is not a PEM private key."
        raise TrustError(msg) from error
    if not passphrase:
        msg = f"The private key in {path} needs a passphrase."
        raise TrustError(msg)
    try:
        return load_pem_private_key(data, passphrase)
    except (ValueError, UnsupportedAlgorithm) as error:
        msg = f"{path} cannot be used as a private key: the passphrase is wrong, or the file damaged."
        raise TrustError(msg) from error


def sign(
    head: bytes,
    key: PrivateKeyTypes,
    certificates: Sequence[Certificate] = (),
    *,
    pss: bool = False,
    purpose: str = "code-signing",
) -> bytes:
    """DER of a detached SignedData over ``head``.

    ``certificates`` begin with the signer's and lead upwards; a root at the end is left out, as it comes from
    trust alone. Without certificates the signer is named by the key's identifier, for verifiers that have the
    key pinned. ``pss`` makes an RSA key use PSS; one whose certificate says that it is for PSS only (RFC 4055
    section 1.2) does so anyway. RSA with PKCS#1 v1.5, ECDSA and Ed25519 signatures depend on nothing but the
    arguments; PSS and ML-DSA ones hold fresh randomness.

    Raises SigningError if the result would not be accepted: weak key, certificate of another key or purpose.
    """
    try:
        public = describe(key.public_key())
        line = _line(certificates, public, purpose)
        scheme, digest = (line and _demanded(line[0])) or _scheme(public, pss=pss)
    except Refusal as refusal:
        raise SigningError(refusal.message) from refusal
    vouched = [hashlib.sha256(one.der).digest() for one in line]
    attributes = cms.attributes(algorithms.digest(digest, head), vouched)
    signed = asn1.encode(attributes)
    signature = _sign(scheme, key, signed)
    if not algorithms.verify(scheme, public, signature, signed):
        msg = "The signature just made does not verify; nothing was written. Check the key and this computer."
        raise SigningError(msg)
    return cms.write(
        attributes,
        signature,
        signer=(line[0].issuer_der, line[0].serial) if line else public.identifier,
        certificates=[one.der for one in line],
        digest_algorithm=algorithms.digest_identifier(digest),
        signature_algorithm=algorithms.scheme_identifier(scheme),
    )


def _line(certificates: Sequence[Certificate], public: Key, purpose: str) -> tuple[Certificate, ...]:
    if public.weakness:
        msg = f"The key is refused: {public.weakness}."
        raise SigningError(msg)
    if not certificates:
        return ()
    signer, *others = certificates
    if signer.key is None or signer.key.id != public.id:
        msg = f"The private key is not that of the certificate {signer.name}."
        raise SigningError(msg)
    for refusal in signer_refusals(signer, purpose):
        raise refusal
    return in_order(signer, [one for one in others if not one.self_issued])


def _demanded(signer: Certificate) -> tuple[Scheme, str] | None:
    """The scheme and the hash that the certificate of a key for PSS alone leaves; None for all other keys."""
    if not signer.pss_only:
        return None
    scheme = signer.pss_demanded or Scheme(family="rsa", hash="sha256", salt=32)
    return scheme, scheme.hash


def _scheme(public: Key, *, pss: bool) -> tuple[Scheme, str]:
    """The scheme for a key, and the hash of the messageDigest."""
    if pss and public.family != "rsa":
        msg = f"PSS is a way to sign with RSA keys; this one is {public.name}."
        raise SigningError(msg)
    match public.family:
        case "rsa":
            return Scheme(family="rsa", hash="sha256", salt=32 if pss else None), "sha256"
        case "ecdsa":
            name = CURVE_HASHES[public.name.removeprefix("ecdsa-")]
            return Scheme(family="ecdsa", hash=name), name
        case _:
            return Scheme(family=public.family), "sha512"


def _sign(scheme: Scheme, key: PrivateKeyTypes, data: bytes) -> bytes:
    match key:
        case rsa.RSAPrivateKey():
            return key.sign(data, algorithms.rsa_padding(scheme), HASHES[scheme.hash])
        case ec.EllipticCurvePrivateKey():
            return key.sign(data, ec.ECDSA(HASHES[scheme.hash], deterministic_signing=True))  # RFC 6979
        case ed25519.Ed25519PrivateKey() | mldsa.MLDSA65PrivateKey() | mldsa.MLDSA87PrivateKey():
            return key.sign(data)
        case _:
            msg = "Keys of this kind cannot sign bundles."
            raise SigningError(msg)


def belongs(key: PrivateKeyTypes, certificate: Certificate) -> bool:
    """Whether ``certificate`` is one of the public key that goes with the private ``key``."""
    return certificate.key is not None and certificate.key.id == describe(key.public_key()).id
