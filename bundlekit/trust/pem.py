"""Certificates and public keys in PEM files. Everything in a file is used, or the file is rejected."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.serialization import load_der_public_key

from bundlekit.errors import TrustError
from bundlekit.trust import asn1
from bundlekit.trust.algorithms import limited
from bundlekit.trust.certificates import Certificate, UnusableCertificateError, read_certificate
from bundlekit.trust.door import UnreadableObjectError, reading
from bundlekit.trust.fault import SignatureFault
from bundlekit.trust.keys import Key, describe, unsupported
from bundlekit.trust.pem_blocks import block_bytes, blocks, read_pem
from bundlekit.trust.store import TEST_MARK, Anchors, Pinned

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MAX_ENTRIES: Final = 1024
"""Certificates and keys in all the given files."""


def from_pem(files: Iterable[tuple[Path, bytes]]) -> Anchors:
    """The CAs' certificates and the public keys of PEM files. Raises TrustError for anything else in them."""
    anchors: dict[bytes, Certificate] = {}
    pinned: dict[str, Pinned] = {}
    for file, data in files:
        for label, block, before in blocks(file, data):
            found = entry(file, label, block)
            if isinstance(found, Certificate):
                anchors.setdefault(_anchor(file, found).der, found)
            else:
                if found.weakness:
                    msg = f"The public key {found.id[:16]}… in {file} can never count: {found.weakness}."
                    raise TrustError(msg, next_step="Pin another key.")
                known = pinned.get(found.id)
                if known is None or (found.pss_only and not known.key.pss_only):  # the stricter statement counts
                    pinned[found.id] = Pinned(name=file.name, key=found, test=TEST_MARK.encode() in before)
            if len(anchors) + len(pinned) > MAX_ENTRIES:
                msg = f"There are more than {MAX_ENTRIES} certificates and keys in what was given as trust."
                raise TrustError(msg)
    return Anchors(anchors=tuple(anchors.values()), pinned=tuple(pinned.values()))


def ids(file: Path, data: bytes) -> set[str]:
    """The SHA-256 ids, in hex, of the certificates of a PEM file and of all its public keys. Raises TrustError.

    A certificate also implies its key, because its owner can get another certificate for the same key.
    """
    found: set[str] = set()
    for label, block, _ in blocks(file, data, notes=False):
        one = entry(file, label, block)
        if isinstance(one, Certificate):
            found |= {hashlib.sha256(one.der).hexdigest(), *((one.key.id,) if one.key else ())}
        else:
            found.add(one.id)
    return found


def entry(file: Path, label: str, block: bytes) -> Certificate | Key:
    """The certificate or public key in one PEM block. Raises TrustError."""
    if label.endswith("PRIVATE KEY"):
        raise TrustError(
            f"{file} holds a private key. A trust file must not contain one.",
            next_step="Remove it; `openssl pkey -in FILE -pubout` prints its public key.",
        )
    if label == "PUBLIC KEY":
        der = block_bytes(file, block)
        try:
            with reading():
                key = describe(load_der_public_key(der))
            return limited(key, asn1.raw(asn1.decode(asn1.PublicKeyInfo, der).algorithm))
        except SignatureFault as refusal:
            msg = f"A public key in {file} cannot be used: {refusal.message}"
            raise TrustError(msg) from refusal
        except (UnreadableObjectError, asn1.NotDerError) as error:
            why = unsupported(error) or "it is damaged, or of a kind or size that is not accepted"
            msg = f"A public key in {file} cannot be used: {why}."
            raise TrustError(msg) from error
    if label != "CERTIFICATE":
        msg = f"{file} holds a '{label}'; only certificates and public keys can be trusted."
        raise TrustError(msg)
    return pem_certificate(file, block)


def _anchor(file: Path, certificate: Certificate) -> Certificate:
    if not certificate.is_ca:
        raise TrustError(
            f"{file} holds the certificate {certificate.name}, which is not a CA and cannot be an anchor.",
            next_step=f"To trust this signer itself, pin its key: `openssl x509 -in {file} -noout -pubkey`.",
        )
    return certificate


def pem_certificate(file: Path, block: bytes) -> Certificate:
    """One PEM certificate of ``file``. Raises TrustError."""
    try:
        return read_certificate(block_bytes(file, block))
    except UnusableCertificateError as error:
        msg = f"A certificate in {file} cannot be used: {error}."
        raise TrustError(msg) from error


def read_certificates(path: Path) -> tuple[Certificate, ...]:
    """The certificates of a PEM file, in its order. Raises TrustError."""
    return tuple(
        pem_certificate(path, block) for label, block, _ in blocks(path, read_pem(path)) if label == "CERTIFICATE"
    )


def intermediates(path: Path, data: bytes) -> tuple[Certificate, ...]:
    """The CAs in the bytes of a PEM file, in their order. Raises TrustError for any other content."""
    found = []
    for label, block, _ in blocks(path, data):
        one = entry(path, label, block)
        if not isinstance(one, Certificate) or not one.is_ca:
            what = one.name if isinstance(one, Certificate) else "a public key"
            raise TrustError(
                f"{path} holds {what}, which is not an intermediate CA.",
                next_step="intermediate-files are only for CA certificates.",
            )
        found.append(one)
    return tuple(found)
