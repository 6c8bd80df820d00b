"""The closed list of signature algorithms: their identifiers as byte strings, and verification with them.

No signature covers an AlgorithmIdentifier in CMS. Each must therefore be one of a few known encodings, with absent or
NULL parameters exactly as the RFC of the algorithm specifies. Any other identifier is rejected, and reported as weak if
it is known to be weak.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa, utils
from msgspec.structs import replace

from bundlekit.trust import asn1
from bundlekit.trust.asn1 import OID
from bundlekit.trust.door import UnreadableObjectError, reading
from bundlekit.trust.fault import SignatureFault, malformed
from bundlekit.trust.scheme import SignatureScheme

if TYPE_CHECKING:
    from bundlekit.trust.keys import Key

HASHES: Final = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}
"""FIPS 180-4; nothing shorter than 256 bits."""

HASH_OIDS: Final = {  # RFC 5754 section 2
    "sha256": OID("2.16.840.1.101.3.4.2.1"),
    "sha384": OID("2.16.840.1.101.3.4.2.2"),
    "sha512": OID("2.16.840.1.101.3.4.2.3"),
}
RSA_ENCRYPTION: Final = OID("1.2.840.113549.1.1.1")  # RFC 3370 section 3.2: any hash; OpenSSL writes it
RSA_PSS: Final = OID("1.2.840.113549.1.1.10")  # RFC 4055 section 3.1
MGF1: Final = OID("1.2.840.113549.1.1.8")  # RFC 4055 section 2.2
RSA_OIDS: Final = {  # RFC 5754 section 3.2
    "sha256": OID("1.2.840.113549.1.1.11"),
    "sha384": OID("1.2.840.113549.1.1.12"),
    "sha512": OID("1.2.840.113549.1.1.13"),
}
ECDSA_OIDS: Final = {  # RFC 5754 section 3.3
    "sha256": OID("1.2.840.10045.4.3.2"),
    "sha384": OID("1.2.840.10045.4.3.3"),
    "sha512": OID("1.2.840.10045.4.3.4"),
}
ED25519: Final = OID("1.3.101.112")  # RFC 8410 section 3, RFC 8419 section 2
ML_DSA_65: Final = OID("2.16.840.1.101.3.4.3.18")  # RFC 9882 section 2
ML_DSA_87: Final = OID("2.16.840.1.101.3.4.3.19")  # RFC 9882 section 2

WEAK: Final = {
    "1.2.840.113549.2.5": "MD5",
    "1.3.14.3.2.26": "SHA-1",
    "2.16.840.1.101.3.4.2.4": "SHA-224",
    "1.2.840.113549.1.1.4": "RSA with MD5",
    "1.2.840.113549.1.1.5": "RSA with SHA-1",
    "1.3.14.3.2.29": "RSA with SHA-1",
    "1.2.840.113549.1.1.14": "RSA with SHA-224",
    "1.2.840.10045.4.1": "ECDSA with SHA-1",
    "1.2.840.10045.4.3.1": "ECDSA with SHA-224",
    "1.2.840.10040.4.3": "DSA with SHA-1",
    "2.16.840.1.101.3.4.3.17": "ML-DSA-44",
}
"""Identifiers rejected by name. Any other unlisted identifier is reported as unknown."""

FAMILIES: Final = {
    "1.2.840.113549.1.1.": "rsa",
    "1.2.840.10045.4.": "ecdsa",
    "1.3.101.112.": "ed25519",
    "2.16.840.1.101.3.4.3.17.": "ml-dsa-44",
    "2.16.840.1.101.3.4.3.18.": "ml-dsa-65",
    "2.16.840.1.101.3.4.3.19.": "ml-dsa-87",
}
"""The families of keys, by the prefixes of the identifiers of their signatures (RFC 8017, 5758, 8410, 9882)."""

REMEDY: Final = "Sign with RSA (2048 bits or more), ECDSA, Ed25519 or ML-DSA-65/87, and SHA-256 or better."


def _absent(oid: OID) -> bytes:
    return asn1.encode(asn1.Identifier(algorithm=oid))


def _null(oid: OID) -> bytes:
    return asn1.encode(asn1.IdentifierNull(algorithm=oid, parameters=asn1.Null()))


DIGESTS: Final = {form(oid): name for name, oid in HASH_OIDS.items() for form in (_absent, _null)}
"""RFC 5754 section 2: parameters are absent, and NULL must be accepted."""

SCHEMES: Final = {
    _null(RSA_ENCRYPTION): SignatureScheme(family="rsa", hash="*"),
    **{_null(oid): SignatureScheme(family="rsa", hash=name) for name, oid in RSA_OIDS.items()},
    **{_absent(oid): SignatureScheme(family="ecdsa", hash=name) for name, oid in ECDSA_OIDS.items()},
    _absent(ED25519): SignatureScheme(family="ed25519"),
    _absent(ML_DSA_65): SignatureScheme(family="ml-dsa-65"),
    _absent(ML_DSA_87): SignatureScheme(family="ml-dsa-87"),
}
"""Every signature algorithm except PSS. The parameters of PSS vary, and `read_scheme` reads them."""

PURE_DIGESTS: Final = {"ed25519": ("sha512",), "ml-dsa-65": ("sha384", "sha512"), "ml-dsa-87": ("sha512",)}
"""The digest used with a scheme that hashes by itself: RFC 8419 section 3.1, RFC 9882 section 3.3."""


def read_digest(identifier: bytes) -> str:
    """The hash that an AlgorithmIdentifier names. Raises SignatureFault if it is not on the list."""
    name = DIGESTS.get(identifier)
    if name is None:
        raise _not_listed(identifier, "digest algorithm")
    return name


def read_scheme(identifier: bytes) -> SignatureScheme:
    """The signature algorithm that an AlgorithmIdentifier names. Raises SignatureFault if it is not on the list."""
    scheme = SCHEMES.get(identifier)
    if scheme is not None:
        return scheme
    if _oid(identifier) == RSA_PSS:
        return _read_pss(identifier)
    raise _not_listed(identifier, "signature algorithm")


def signing_family(identifier: bytes) -> str:
    """The family of keys for signatures of this algorithm, even of a weak one; empty if unknown."""
    if scheme := SCHEMES.get(identifier):
        return scheme.family
    oid = _oid(identifier)
    return next((family for arc, family in FAMILIES.items() if oid and f"{oid.dotted_string}.".startswith(arc)), "")


def pss_identifier(hash_name: str, salt: int, form: bytes | None = None) -> bytes:
    """AlgorithmIdentifier of PSS with the same hash in the mask generator."""
    inner = asn1.tlv(form or _null(HASH_OIDS[hash_name]))
    return asn1.encode(
        asn1.IdentifierPss(
            algorithm=RSA_PSS,
            parameters=asn1.PssParameters(hash=inner, mgf=asn1.Mgf(algorithm=MGF1, hash=inner), salt_length=salt),
        )
    )


def _read_pss(identifier: bytes) -> SignatureScheme:
    try:
        parameters = asn1.decode(asn1.IdentifierPss, identifier).parameters
    except asn1.NotDerError:
        # Fields left to their default mean SHA-1 and a salt of 20 bytes (RFC 4055 section 3.1).
        raise SignatureFault(
            "weak-algorithm",
            f"The RSA-PSS parameters leave a field to its default, which means SHA-1. {REMEDY}",
            identifier,
        ) from None
    inner = asn1.raw(parameters.hash)
    name, salt = read_digest(inner), parameters.salt_length
    if salt < HASHES[name].digest_size:
        raise SignatureFault(
            "weak-algorithm",
            f"The RSA-PSS salt has {salt} bytes; it needs {HASHES[name].digest_size}, as many as {name}. "
            "Sign again with `-keyopt rsa_pss_saltlen:digest`.",
            identifier,
            salt=salt,
        )
    if salt > RSA_MODULUS_BYTES or pss_identifier(name, salt, inner) != identifier:
        msg = f"The RSA-PSS parameters do not use MGF1 with {name}, the hash of the signature itself"
        raise malformed(msg, identifier)
    return SignatureScheme(family="rsa", hash=name, salt=salt)


def pss_demanded(identifier: bytes) -> SignatureScheme | None:
    """The requirements of the AlgorithmIdentifier of a PSS-only key for its signatures; None if there are none.

    Signatures must use this hash, and a salt no shorter (RFC 4055 section 3.3). Raises SignatureFault if it is not on
    the list.
    """
    return None if identifier == _absent(RSA_PSS) else _read_pss(identifier)


def limited(key: Key, identifier: bytes) -> Key:
    """``key`` with the limits of its AlgorithmIdentifier: a key can be for RSA-PSS only. Raises SignatureFault."""
    if key.family != "rsa" or _oid(identifier) != RSA_PSS:
        return key
    return replace(key, pss_only=True, pss_demanded=pss_demanded(identifier))


def pss_misuse(key: Key, scheme: SignatureScheme) -> str:
    """The requirement of a PSS-only key that a signature violates; empty if there is none."""
    demanded = key.pss_demanded
    if key.pss_only and scheme.salt is None:
        return "The signer's key is for RSA-PSS only, and the signature is one of PKCS#1 v1.5"
    if demanded and scheme.hash != demanded.hash:
        return f"The signer's key is for RSA-PSS with {demanded.hash} only, and the signature uses {scheme.hash}"
    if demanded and (scheme.salt or 0) < (demanded.salt or 0):
        return f"The signer's key requires a salt of {demanded.salt} bytes, and that of the signature has {scheme.salt}"
    return ""


RSA_MODULUS_BYTES: Final = 1024
"""No PSS salt is longer than the largest accepted modulus."""


def _oid(identifier: bytes) -> OID | None:
    kinds: tuple[type[asn1.Identifier | asn1.IdentifierAny], ...] = (asn1.Identifier, asn1.IdentifierAny)
    for kind in kinds:
        try:
            return asn1.decode(kind, identifier).algorithm
        except asn1.NotDerError:
            continue
    return None


def _not_listed(identifier: bytes, what: str) -> SignatureFault:
    oid = _oid(identifier)
    dotted = oid.dotted_string if oid else ""
    if dotted in WEAK:
        return SignatureFault(
            "weak-algorithm", f"The {what} is {WEAK[dotted]}. {REMEDY}", identifier, algorithm=WEAK[dotted]
        )
    return malformed(f"The {what} ({dotted or identifier.hex()}) is not an accepted encoding", identifier)


def digest_identifier(name: str) -> bytes:
    """The AlgorithmIdentifier that is written for a hash: parameters absent (RFC 5754 section 2)."""
    return _absent(HASH_OIDS[name])


def scheme_identifier(scheme: SignatureScheme) -> bytes:
    """The AlgorithmIdentifier that is written for a scheme."""
    if scheme.salt is not None:
        return pss_identifier(scheme.hash, scheme.salt)
    return next(identifier for identifier, known in SCHEMES.items() if known == scheme)


def digest(name: str, data: bytes) -> bytes:
    """The digest of ``data``."""
    return hashlib.new(name, data).digest()


def verify(scheme: SignatureScheme, key: Key, signature: bytes, data: bytes, *, hashed: bool = False) -> bool:
    """Whether ``signature`` is that of ``key`` over ``data``. ``scheme.hash`` must be set to a hash.

    ``hashed``: ``data`` is the digest of the content by that hash. Schemes that hash by themselves cannot use it.
    """
    public = key.public
    try:
        with reading():
            match public:
                case rsa.RSAPublicKey():
                    public.verify(signature, data, rsa_padding(scheme), _hash(scheme, hashed=hashed))
                case ec.EllipticCurvePublicKey():
                    public.verify(signature, data, ec.ECDSA(_hash(scheme, hashed=hashed)))
                case ed25519.Ed25519PublicKey() | mldsa.MLDSA65PublicKey() | mldsa.MLDSA87PublicKey():
                    public.verify(signature, data)
                case _:
                    return False
    except UnreadableObjectError:  # InvalidSignature, and any other error of the library for an impossible signature
        return False
    return True


def _hash(scheme: SignatureScheme, *, hashed: bool) -> hashes.HashAlgorithm | utils.Prehashed:
    return utils.Prehashed(HASHES[scheme.hash]) if hashed else HASHES[scheme.hash]


def rsa_padding(scheme: SignatureScheme) -> padding.AsymmetricPadding:
    """The padding of an RSA scheme."""
    if scheme.salt is None:
        return padding.PKCS1v15()
    return padding.PSS(padding.MGF1(HASHES[scheme.hash]), scheme.salt)
