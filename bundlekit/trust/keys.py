"""Public keys: their names, their identity, and whether they are strong enough.

Keys are compared by their numbers. Two encodings of one key are one key with one id. Examples are an elliptic curve
point compressed or not, and RSA under its PSS identifier or its plain one.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import cryptography
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bundlekit.model.primitives import Frozen
from bundlekit.trust import asn1, degenerate

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

    from bundlekit.trust.scheme import SignatureScheme

RSA_BITS: Final = range(2048, 8192 + 1)
"""Modulus in bits. Minimum: NIST SP 800-131A rev. 2. Maximum: one verification above it could take seconds."""

RSA_EXPONENT: Final = range(65537, 2**64)
"""65537 at least (FIPS 186-5 section A.1.1); at most 64 bits, OpenSSL's own limit for large moduli."""

NO_ML_DSA: Final = (
    f"the installed cryptography {cryptography.__version__} does not support ML-DSA: it needs a wheel of version 48 "
    "or later, or a build with OpenSSL 3.5 or later"
)
"""Why a key cannot be used if the library was built without its algorithm."""

ML_DSA_CHAINS: Final = int(cryptography.__version__.partition(".")[0]) >= 50
"""Whether the library can verify chains of certificates with an ML-DSA key or signature."""

NO_ML_DSA_CHAINS: Final = (
    f"the installed cryptography {cryptography.__version__} cannot verify such a chain: use version 50 or later, "
    "or pin the signer's public key"
)
"""Why a chain of certificates is rejected if `ML_DSA_CHAINS` is false."""

ML_DSA_ARC: Final = "2.16.840.1.101.3.4.3."
"""The prefix of the identifiers of ML-DSA keys (RFC 9881 section 2), as the library prints them."""

CURVES: Final = {"secp256r1": "p256", "secp384r1": "p384", "secp521r1": "p521"}
"""The accepted curves of FIPS 186-5, and their names in reports."""


class Key(Frozen, frozen=True, kw_only=True):
    """A public key, described once.

    ``family`` determines the signatures that it can make. ``name`` is its kind (``rsa-3072``, ``ecdsa-p384``,
    ``ml-dsa-65``). ``id`` is the SHA-256 of its SubjectPublicKeyInfo in hex. ``identifier`` are the 20 bytes that name
    it in CMS (RFC 5280 section 4.2.1.2, method 1). ``weakness`` is the reason to reject it; empty if there is none.
    ``pss_only``: it is for RSA-PSS only. ``pss_demanded`` are its parameters, if they are stated too. Neither is part
    of the numbers, so neither is part of the id.
    """

    public: PublicKeyTypes
    family: str
    name: str
    id: str
    identifier: bytes
    weakness: str = ""
    pss_only: bool = False
    pss_demanded: SignatureScheme | None = None

    @property
    def bits(self) -> int:
        """Bits of an RSA modulus; 0 for other keys, whose kind is sufficient."""
        return self.public.key_size if isinstance(self.public, rsa.RSAPublicKey) else 0


def unsupported(error: Exception) -> str:
    """`NO_ML_DSA` if the library reports that; empty for any other error."""
    cause = error.__cause__ or error
    missing = isinstance(cause, UnsupportedAlgorithm) and any(one in str(cause) for one in ("ML-DSA", ML_DSA_ARC))
    return NO_ML_DSA if missing else ""


def describe(public: PublicKeyTypes) -> Key:
    """Describe a key, and whether it is strong enough."""
    family, name, weakness = _kind(public)
    # This encodes the numbers again: a compressed point becomes uncompressed.
    info = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Key(
        public=public,
        family=family,
        name=name,
        id=hashlib.sha256(info).hexdigest(),
        identifier=hashlib.sha1(asn1.decode(asn1.PublicKeyInfo, info).key.data, usedforsecurity=False).digest(),
        weakness=weakness,
    )


def _kind(public: PublicKeyTypes) -> tuple[str, str, str]:
    """Family, name, weakness."""
    match public:
        case rsa.RSAPublicKey():
            bits, exponent = public.key_size, public.public_numbers().e
            weakness = ""
            if bits not in RSA_BITS:
                weakness = f"RSA keys have {RSA_BITS.start} to {RSA_BITS.stop - 1} bits, this one {bits}"
            elif exponent not in RSA_EXPONENT or exponent % 2 == 0:
                weakness = f"its public exponent {exponent} is not an odd number between 65537 and 2^64"
            elif degenerate.modulus(public.public_numbers().n):
                weakness = "its modulus is not the product of two large primes"
            return "rsa", f"rsa-{bits}", weakness
        case ec.EllipticCurvePublicKey():
            curve = public.curve.name
            if curve in CURVES:
                return "ecdsa", f"ecdsa-{CURVES[curve]}", ""
            return "ecdsa", f"ecdsa-{curve}", f"the curve {curve} is not one of P-256, P-384 and P-521"
        case ed25519.Ed25519PublicKey():
            return "ed25519", "ed25519", degenerate.edwards_point(public.public_bytes_raw())
        case mldsa.MLDSA65PublicKey():
            return "ml-dsa-65", "ml-dsa-65", degenerate.lattice_key(public.public_bytes_raw())
        case mldsa.MLDSA87PublicKey():
            return "ml-dsa-87", "ml-dsa-87", degenerate.lattice_key(public.public_bytes_raw())
        case mldsa.MLDSA44PublicKey():
            return (
                "ml-dsa-44",
                "ml-dsa-44",
                "ML-DSA-44 has less than 128 bits of strength to spare; use ML-DSA-65 or ML-DSA-87",
            )
        case _:
            return "other", "key", "keys of this kind do not sign bundles"
