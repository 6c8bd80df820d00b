"""Keys that are not in this process: in a token, in a service, or on a computer without a network.

Such a key gets a `SigningRequest`, and returns the bare signature value. Nothing of that value is trusted: it is
verified under the public key before it becomes a part of a signature.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa, utils

from bundlekit.errors import SigningError, TrustError
from bundlekit.model.primitives import Frozen
from bundlekit.trust import algorithms, asn1
from bundlekit.trust.algorithms import HASHES
from bundlekit.trust.door import UnreadableObjectError, reading
from bundlekit.trust.keys import Key, describe, unsupported
from bundlekit.trust.pem import entry
from bundlekit.trust.pem_blocks import blocks, read_pem
from bundlekit.trust.scheme import SignatureScheme

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

MAX_VALUE: Final = 8192
"""Bytes of a signature value that are read. An ML-DSA-87 signature has 4627 bytes (FIPS 204 table 2)."""


class SigningRequest(Frozen, frozen=True, kw_only=True):
    """What a key is asked to sign.

    ``message`` is the DER of the signed attributes (RFC 5652 section 5.4). It has at most a few hundred bytes, because
    it contains only digests of the signed content and of the certificates.
    """

    message: bytes
    scheme: SignatureScheme

    @property
    def algorithm(self) -> str:
        """The algorithm to sign by, such as ``rsa-pkcs1v15-sha256``, ``ecdsa-sha384`` or ``ed25519``."""
        return self.scheme.label()

    @property
    def hash(self) -> str:
        """The hash of the signature, such as ``sha256``; empty if the algorithm hashes by itself."""
        return self.scheme.hash

    @property
    def salt(self) -> int | None:
        """Bytes of the RSA-PSS salt; None for other algorithms."""
        return self.scheme.salt

    @property
    def digest(self) -> bytes:
        """The digest of the message by `hash`; empty if the algorithm hashes by itself."""
        return algorithms.digest(self.hash, self.message) if self.hash else b""


class ExternalKey(Frozen, frozen=True, kw_only=True):
    """A key whose private part is somewhere else.

    ``sign`` takes a `SigningRequest` and returns the bare value. ``name`` is what messages call the key, such as the
    command that has it.
    """

    public: Key
    sign: Any
    name: str

    @property
    def id(self) -> str:
        """The SHA-256 of its SubjectPublicKeyInfo, in hex."""
        return self.public.id


def read_public_key(path: Path) -> Key:
    """The public key in a PEM file. Raises TrustError if the file has anything else, or several."""
    found = [entry(path, label, block) for label, block, _ in blocks(path, read_pem(path))]
    keys = [one for one in found if isinstance(one, Key)]
    if len(found) != 1 or not keys:
        msg = f"{path} does not contain exactly one public key."
        raise TrustError(msg, next_step="`openssl pkey -in KEY -pubout` prints one, as does `openssl x509 -pubkey`.")
    return keys[0]


EC_CURVES: Final = {
    "06082a8648ce3d030107": ec.SECP256R1(),
    "06052b81040022": ec.SECP384R1(),
    "06052b81040023": ec.SECP521R1(),
}
"""The curves by the DER of their object identifiers (RFC 5480 section 2.1.1.1), in hex."""

ML_DSA_65_SIZE: Final = 1952
"""Bytes of a public key of ML-DSA-65 (FIPS 204 table 2). The library rejects other sizes for ML-DSA-87."""


def token_key(numbers: dict[str, str]) -> Key:
    """The public key of a token, from the attributes of its object in hex. SigningError if they are of no known key.

    A point is an OCTET STRING (PKCS #11 version 3.1 section 6.3.3); some modules leave out its two first bytes.
    """
    values = {name: bytes.fromhex(one) for name, one in numbers.items() if name != "kind"}
    try:
        with reading():
            return describe(_public_key(numbers["kind"], values))
    except (UnreadableObjectError, asn1.NotDerError, KeyError) as error:
        why = unsupported(error) if isinstance(error, UnreadableObjectError) else ""
        msg = f"The public key in the token cannot be used: {why or 'its kind or its curve is not supported'}."
        raise SigningError(msg) from error


def _public_key(kind: str, values: dict[str, bytes]) -> PublicKeyTypes:
    if kind == "rsa":
        numbers = (int.from_bytes(values[name]) for name in ("exponent", "modulus"))
        return rsa.RSAPublicNumbers(*numbers).public_key()
    point = values["point"]
    if kind == "ml-dsa":
        if len(point) == ML_DSA_65_SIZE:
            return mldsa.MLDSA65PublicKey.from_public_bytes(point)
        return mldsa.MLDSA87PublicKey.from_public_bytes(point)
    if kind == "ed25519":
        return ed25519.Ed25519PublicKey.from_public_bytes(point if len(point) == 32 else asn1.decode(bytes, point))
    curve = EC_CURVES[values["curve"].hex()]
    raw = len(point) == 2 * ((curve.key_size + 7) // 8) + 1
    return ec.EllipticCurvePublicKey.from_encoded_point(curve, point if raw else asn1.decode(bytes, point))


def verified_value(request: SigningRequest, key: Key, value: bytes, name: str) -> bytes:
    """``value`` as CMS stores it. SigningError, beginning with ``name``, if it is not a signature for ``request``.

    An ECDSA value can be DER or r and s (IEEE P1363), because devices differ. CMS stores DER (RFC 5753 section 2.1.1).
    """
    for one in _forms(key, value):
        if algorithms.verify(request.scheme, key, one, request.message):
            return one
    raise SigningError(
        f"{name}: nothing was stored: {_why_not(request, key, value)}",
        next_step=f"The key has to sign the message by {request.algorithm}; see `bundlekit explain signing-rooms`.",
    )


def _forms(key: Key, value: bytes) -> list[bytes]:
    if not isinstance(key.public, ec.EllipticCurvePublicKey):
        return [value]
    size = (key.public.curve.key_size + 7) // 8
    if len(value) != 2 * size:
        return [value]
    numbers = int.from_bytes(value[:size]), int.from_bytes(value[size:])
    return [value, utils.encode_dss_signature(*numbers)]


def _why_not(request: SigningRequest, key: Key, value: bytes) -> str:
    """Why a value is not the signature that was requested, as far as its form shows it."""
    if not value:
        return "the signature is empty"
    if len(value) > MAX_VALUE:
        return f"the signature has more than {MAX_VALUE} bytes"
    if form := _encoded(value):
        return f"the signature is {form}, but the raw bytes are required"
    size = (key.public.key_size + 7) // 8 if isinstance(key.public, rsa.RSAPublicKey) else len(value)
    if len(value) != size:
        return f"the signature has {len(value)} bytes, and one by this key ({key.name}) has {size}"
    if mistake := next(filter(None, (_mistake(request, key, one) for one in _forms(key, value))), ""):
        return mistake
    return (
        f"the signature is not valid under the public key {key.id[:16]}… ({key.name}): it was made with another key, "
        f"of other bytes, or not by {request.algorithm}"
    )


def _mistake(request: SigningRequest, key: Key, value: bytes) -> str:
    """What a signer did to make a value of this key that is not the one requested; empty if that is not found out."""
    made = "the signature is by this key, but"
    for scheme in _other_schemes(request.scheme, key):
        if scheme != request.scheme and algorithms.verify(scheme, key, value, request.message):
            salt = f" with a salt of {scheme.salt} bytes" if scheme.salt is not None else ""
            return f"{made} it was made by {scheme.label()}{salt} instead of {request.algorithm}"
        if scheme.hash and algorithms.verify(scheme, key, value, algorithms.digest(scheme.hash, request.message)):
            return f"{made} the digest was hashed once more: the device got a digest as its message"
    return ""


def _other_schemes(scheme: SignatureScheme, key: Key) -> Iterator[SignatureScheme]:
    """The algorithm that was requested, and the others that this key has."""
    for hash_ in dict.fromkeys((scheme.hash, *HASHES)) if scheme.hash else ():
        if not isinstance(key.public, rsa.RSAPublicKey):
            yield SignatureScheme(family=key.family, hash=hash_)
            continue
        longest = padding.calculate_max_pss_salt_length(key.public, HASHES[hash_])
        for salt in (None, HASHES[hash_].digest_size, longest, 20):  # 20 is the default of RFC 4055 section 3.1
            yield SignatureScheme(family="rsa", hash=hash_, salt=salt)


def _encoded(value: bytes) -> str:
    """The text form of a value that is not raw; empty if it is raw."""
    text = re.sub(rb"\s", b"", value)
    if value.startswith(b"-----BEGIN"):
        return "PEM"
    if re.fullmatch(rb"[0-9A-Fa-f]{64,}", text):
        return "hexadecimal text"
    try:
        return "Base64 text" if len(base64.b64decode(text, validate=True)) >= 32 else ""
    except binascii.Error:
        return ""
