"""The certificates covered by a signature: signingCertificate (RFC 2634) and its version 2 (RFC 5035).

A SignedData does not sign the certificates that it carries. The signer binds them with one of these attributes:

1. An attribute has one value, with at least one identifier. Both attributes can be present; each is enforced.
2. The first identifier is that of the signer's certificate.
3. With more than one identifier, no other carried certificate can be used than the named ones.
4. An identifier names a certificate by a hash and, if it has them, by issuer and serial number. All must match.

`bundlekit.trust.verify` enforces 2 to 4 when it reads the signature. A certificate counts as bound only by SHA-256 or
better. Version 1 uses SHA-1, which is compared but binds nothing.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from bundlekit.model.primitives import Frozen
from bundlekit.trust import algorithms, asn1
from bundlekit.trust.fault import malformed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bundlekit.trust.certificates import Certificate

VERSION_1: Final = "sha1"
"""The hash of RFC 2634."""

MAX_NAMED: Final = 32
"""Certificates that one attribute names: twice as many as a signature carries."""

DEFAULT: Final = "sha256"
"""The hash of RFC 5035 if none is given."""


class Named(Frozen, frozen=True, kw_only=True):
    """One identifier of a certificate. ``issuer`` (a GeneralName) and ``serial`` are None if it has none."""

    algorithm: str
    hash: bytes
    issuer: bytes | None = None
    serial: int | None = None

    def fits(self, der: bytes) -> bool:
        """Whether this is the hash of a certificate."""
        return hashlib.new(self.algorithm, der, usedforsecurity=False).digest() == self.hash

    def contradicts(self, certificate: Certificate) -> bool:
        """Whether issuer and serial number are those of another certificate than the hash."""
        return self.serial is not None and (
            (self.issuer, self.serial) != (asn1.directory_name(certificate.issuer_der), certificate.serial)
        )

    def binds(self, der: bytes) -> bool:
        """Whether the signature covers this certificate by a hash that is strong enough."""
        return self.algorithm in algorithms.HASHES and self.fits(der)


def read(values: Mapping[asn1.OID, Sequence[bytes]]) -> tuple[tuple[Named, ...], ...]:
    """The certificates that each present attribute of the two names. ``values`` are those of all signed attributes.

    Raises SignatureFault (``signature-malformed``, ``weak-algorithm``).
    """
    kinds = ((asn1.SIGNING_CERTIFICATE, "signingCertificate"), (asn1.SIGNING_CERTIFICATE_V2, "signingCertificateV2"))
    return tuple(_attribute(kind, name, values[kind]) for kind, name in kinds if kind in values)


def _attribute(kind: asn1.OID, name: str, values: Sequence[bytes]) -> tuple[Named, ...]:
    if len(values) != 1:
        msg = f"The signed attribute {name} has {len(values)} values; it must have one"
        raise malformed(msg, b"".join(values))
    try:
        found = [asn1.raw(one) for one in asn1.decode(asn1.SigningCertificates, values[0]).certificates]
        if len(found) > MAX_NAMED:
            msg = f"The signed attribute {name} names {len(found)} certificates; {MAX_NAMED} are allowed"
            raise malformed(msg, values[0])
        named = tuple(_version_1(one) if kind == asn1.SIGNING_CERTIFICATE else _version_2(one) for one in found)
    except asn1.NotDerError as error:
        msg = f"The signed attribute {name} does not have the form of RFC 5035"
        raise malformed(msg, values[0]) from error
    if not named:
        msg = f"The signed attribute {name} names no certificate"
        raise malformed(msg, values[0])
    return named


def _version_1(der: bytes) -> Named:
    return _named(VERSION_1, asn1.decode(asn1.EssCertificate, der))


def _version_2(der: bytes) -> Named:
    try:
        return _named(DEFAULT, asn1.decode(asn1.EssCertificate, der))
    except asn1.NotDerError:
        found = asn1.decode(asn1.EssCertificateHashed, der)
        return _named(algorithms.read_digest(asn1.raw(found.algorithm)), found)


def _named(algorithm: str, found: asn1.EssCertificate | asn1.EssCertificateHashed) -> Named:
    if len(found.hash) != hashlib.new(algorithm, usedforsecurity=False).digest_size:
        raise asn1.NotDerError("a hash of another length")
    if found.issuer_serial is None:
        return Named(algorithm=algorithm, hash=found.hash)
    names = [asn1.raw(one) for one in found.issuer_serial.issuer]
    if len(names) != 1:
        raise asn1.NotDerError("one issuer is named by several names")
    return Named(algorithm=algorithm, hash=found.hash, issuer=names[0], serial=found.issuer_serial.serial_number)


def write(digests: Sequence[bytes]) -> bytes:
    """The value of signingCertificateV2 for the certificates with these SHA-256 digests, the signer's first."""
    named = [asn1.EssCertificate(hash=one, issuer_serial=None) for one in digests]
    return asn1.encode(
        asn1.SigningCertificates(certificates=[asn1.tlv(asn1.encode(one)) for one in named], policies=None)
    )
