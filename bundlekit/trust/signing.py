"""Creation of signatures that the rest of this package accepts."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bundlekit.errors import SigningError, TrustError
from bundlekit.model.primitives import Frozen
from bundlekit.trust import algorithms, asn1, cms, pkcs8
from bundlekit.trust.algorithms import HASHES
from bundlekit.trust.chain import signer_refusals
from bundlekit.trust.door import UnreadableObjectError, reading
from bundlekit.trust.external import ExternalKey, SigningRequest, verified_value
from bundlekit.trust.fault import SignatureFault
from bundlekit.trust.keys import Key, describe, unsupported
from bundlekit.trust.paths import connected, self_signed
from bundlekit.trust.pem_blocks import block_bytes, blocks, read_pem, utf_16
from bundlekit.trust.scheme import SignatureScheme
from bundlekit.wording import given

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    from bundlekit.trust.certificates import Certificate

CURVE_HASHES = {"p256": "sha256", "p384": "sha384", "p521": "sha512"}
"""The hash with the strength of the curve (NIST SP 800-57 part 1)."""


class SigningKey(Frozen, frozen=True, kw_only=True):
    """A private key, and the limits that its file states.

    ``limits`` is the AlgorithmIdentifier in the file. None means that the file could not be read for it, which matters
    only for an RSA key without a certificate.
    """

    key: PrivateKeyTypes
    limits: bytes | None = b""

    @property
    def id(self) -> str:
        """The SHA-256 of its SubjectPublicKeyInfo, in hex."""
        return describe(self.key.public_key()).id

    @property
    def name(self) -> str:
        """The kind of the key, such as ``rsa-3072``."""
        return describe(self.key.public_key()).name


def load_private_key(path: Path, ask: Callable[[Path], bytes] | None = None) -> PrivateKeyTypes:
    """Read a private key from a PEM file. ``ask`` is called for the passphrase if it has one. Raises TrustError.

    The result does not show whether the key is for RSA-PSS only. Sign with the result of `load_signing_key` instead.
    """
    return load_signing_key(path, ask).key


def load_signing_key(path: Path, ask: Callable[[Path], bytes] | None = None) -> SigningKey:
    """Read a private key for signing, like `load_private_key`, with the limits that its file states."""
    data = read_pem(path)
    passphrase = None
    try:
        key = _loaded(data, None)
        if key is None:
            passphrase = ask(path) if ask else b""
            if not passphrase:
                msg = f"The private key in {path} needs a passphrase."
                raise TrustError(msg)
            key = _loaded(data, passphrase)
        assert key is not None  # noqa: S101 - there was a passphrase
    except UnreadableObjectError as error:
        why = "it is not a PEM private key" if passphrase is None else "the passphrase is wrong, or the file damaged"
        msg = f"{path} cannot be used as a private key: {unsupported(error) or why}."
        raise TrustError(msg, next_step=utf_16(data)) from error
    return SigningKey(key=key, limits=_limits(path, data, passphrase) if isinstance(key, rsa.RSAPrivateKey) else b"")


def _loaded(data: bytes, passphrase: bytes | None) -> PrivateKeyTypes | None:
    """The key; None if it is encrypted and there is no passphrase. Raises UnreadableObjectError."""
    with reading():
        try:
            return load_pem_private_key(data, passphrase)
        except TypeError:
            if passphrase is not None:
                raise
            return None


def _limits(path: Path, data: bytes, passphrase: bytes | None) -> bytes | None:
    """The AlgorithmIdentifier of a key in PKCS #8; empty for other files, None if it cannot be read."""
    try:
        found = [(label, block) for label, block, _ in blocks(path, data, notes=False) if label.endswith("PRIVATE KEY")]
        if found and found[0][0] not in {
            "PRIVATE KEY",
            "ENCRYPTED PRIVATE KEY",
        }:  # OpenSSL's own format has only plain RSA keys
            return b""
        der = block_bytes(path, found[0][1])
        return pkcs8.algorithm(der if passphrase is None else pkcs8.decrypted(der, passphrase))
    except (TrustError, ValueError, IndexError):
        return None


class Prepared(Frozen, frozen=True, kw_only=True):
    """A signature without its value: everything else of it depends only on the content, the key and certificates.

    ``line`` are the certificates that the signature carries.
    """

    public: Key
    line: tuple[Certificate, ...]
    attributes: Any
    digest: str
    scheme: SignatureScheme

    @property
    def request(self) -> SigningRequest:
        """What the private key has to sign."""
        return SigningRequest(message=asn1.encode(self.attributes), scheme=self.scheme)

    def completed(self, value: bytes) -> bytes:
        """DER of the detached SignedData with this signature value."""
        line = self.line
        return cms.write(
            self.attributes,
            value,
            signer=(line[0].issuer_der, line[0].serial) if line else self.public.identifier,
            certificates=[one.der for one in line],
            digest_algorithm=algorithms.digest_identifier(self.digest),
            signature_algorithm=algorithms.scheme_identifier(self.scheme),
        )


def prepare(
    head: bytes,
    public: Key,
    certificates: Sequence[Certificate] = (),
    *,
    pss: bool = False,
    purpose: str = "code-signing",
) -> Prepared:
    """The signature of ``head`` without its value. The parameters and errors are those of `sign`."""
    try:
        line = _line(certificates, public, purpose)
        scheme, digest = (
            (line and line[0].key and _demanded(line[0].key)) or _demanded(public) or _scheme(public, pss=pss)
        )
    except SignatureFault as refusal:
        raise SigningError(refusal.message) from refusal
    bound = [hashlib.sha256(one.der).digest() for one in line]
    attributes = cms.attributes(algorithms.digest(digest, head), bound)
    return Prepared(public=public, line=line, attributes=attributes, digest=digest, scheme=scheme)


def sign(
    head: bytes,
    key: PrivateKeyTypes | SigningKey | ExternalKey,
    certificates: Sequence[Certificate] = (),
    *,
    pss: bool = False,
    purpose: str = "code-signing",
) -> bytes:
    """DER of a detached SignedData over ``head``.

    ``certificates`` begin with the signer's and lead upwards. A root at the end is left out, because it comes from
    trust alone. Without certificates the signer is identified by the key identifier, for verifiers that have the key
    pinned. ``pss`` makes an RSA key use PSS. A key does so anyway if its file or certificate states that it is for PSS
    only (RFC 4055 section 1.2). RSA with PKCS#1 v1.5, ECDSA and Ed25519 signatures depend only on the arguments. PSS
    and ML-DSA signatures contain fresh randomness. An ECDSA key that is not in this process can add it, too.

    Raises SigningError if the result would not be accepted: weak key, certificate of another key or purpose, or a value
    that is not valid under the key.
    """
    if isinstance(key, ExternalKey):
        prepared = prepare(head, key.public, certificates, pss=pss, purpose=purpose)
        value = verified_value(prepared.request, key.public, key.sign(prepared.request), key.name)
        return prepared.completed(value)
    loaded = key if isinstance(key, SigningKey) else SigningKey(key=key)
    try:
        public = _public(loaded, certificates)
    except SignatureFault as refusal:
        raise SigningError(refusal.message) from refusal
    prepared = prepare(head, public, certificates, pss=pss, purpose=purpose)
    message = prepared.request.message
    value = _sign(prepared.scheme, loaded.key, message)
    if not algorithms.verify(prepared.scheme, public, value, message):
        msg = "The signature just made does not verify; nothing was written. Check the key and this computer."
        raise SigningError(msg)
    return prepared.completed(value)


def _public(loaded: SigningKey, certificates: Sequence[Certificate]) -> Key:
    public = describe(loaded.key.public_key())
    if loaded.limits is None and not certificates:
        raise SigningError(
            "Whether this RSA key is for PSS alone cannot be read from its file: it is encrypted by a method other "
            "than PBES2 with PBKDF2 and AES.",
            next_step=f"Give its certificate ({given('cert')}), or convert the key: `openssl pkcs8 -topk8 -v2 aes256`.",
        )
    return algorithms.limited(public, loaded.limits) if loaded.limits else public


def _line(certificates: Sequence[Certificate], public: Key, purpose: str) -> tuple[Certificate, ...]:
    if public.weakness:
        msg = f"The key is rejected: {public.weakness}."
        raise SigningError(msg)
    if not certificates:
        return ()
    signer, *others = certificates
    if signer.key is None or signer.key.id != public.id:
        msg = f"The private key is not that of the certificate {signer.name}."
        raise SigningError(msg)
    for refusal in signer_refusals(signer, purpose):
        raise refusal
    return connected(signer, [one for one in others if not self_signed(one)])


def _demanded(key: Key) -> tuple[SignatureScheme, str] | None:
    """The scheme and hash that a PSS-only key requires; None for all other keys."""
    if not key.pss_only:
        return None
    scheme = key.pss_demanded or SignatureScheme(family="rsa", hash="sha256", salt=32)
    return scheme, scheme.hash


def _scheme(public: Key, *, pss: bool) -> tuple[SignatureScheme, str]:
    """The scheme for a key, and the hash of the messageDigest."""
    if pss and public.family != "rsa":
        msg = f"PSS is only for RSA keys; this key is {public.name}."
        raise SigningError(msg)
    match public.family:
        case "rsa":
            return SignatureScheme(family="rsa", hash="sha256", salt=32 if pss else None), "sha256"
        case "ecdsa":
            name = CURVE_HASHES[public.name.removeprefix("ecdsa-")]
            return SignatureScheme(family="ecdsa", hash=name), name
        case _:
            return SignatureScheme(family=public.family), "sha512"


def _sign(scheme: SignatureScheme, key: PrivateKeyTypes, data: bytes) -> bytes:
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


def belongs(key: PrivateKeyTypes | SigningKey | ExternalKey, certificate: Certificate) -> bool:
    """Whether ``certificate`` is for the public key of the private ``key``."""
    identity = key.id if isinstance(key, SigningKey | ExternalKey) else describe(key.public_key()).id
    return certificate.key is not None and certificate.key.id == identity
