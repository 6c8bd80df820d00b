"""A temporary PKI for testing: everything in it is marked TEST ONLY."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from bundlekit.errors import SigningError
from bundlekit.trust import keys
from bundlekit.trust.store import TEST_MARK

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.types import (
        CertificateIssuerPrivateKeyTypes,
        CertificatePublicKeyTypes,
    )

ALGORITHMS: Final[dict[str, Callable[[], CertificateIssuerPrivateKeyTypes]]] = {
    "ecdsa-p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "rsa-3072": lambda: rsa.generate_private_key(65537, 3072),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ml-dsa-65": mldsa.MLDSA65PrivateKey.generate,
}
"""The algorithms that `keygen` can make keys for."""

LIFETIME: Final = timedelta(days=825)
"""The lifetime of its certificates."""


def keygen(directory: Path, algorithm: str, *, now: datetime, name: str = "Example") -> list[Path]:
    """Write keys and certificates into ``directory`` and return the files, the one to trust first.

    The files are ``root.pem`` (the anchor), ``signer.pem`` (certificate) and ``signer.key``. The root's private key is
    discarded. An Ed25519 key cannot issue certificates here. Its files are ``signer.pub.pem``, a key to pin, and
    ``signer.key``. Only their owner can read private keys. Raises SigningError if a file exists already or cannot be
    written; then no file is left.
    """
    if algorithm not in ALGORITHMS:
        msg = f"No keys are made for '{algorithm}'; choose one of {', '.join(ALGORITHMS)}."
        raise SigningError(msg)
    try:
        key = ALGORITHMS[algorithm]()
    except UnsupportedAlgorithm as error:
        msg = f"No {algorithm} keys can be made: {keys.unsupported(error) or error}."
        raise SigningError(msg) from error
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    if isinstance(key, ed25519.Ed25519PrivateKey):
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return _write(directory, {"signer.pub.pem": f"{TEST_MARK}: {name}\n".encode() + public, "signer.key": secret})
    issuer = ALGORITHMS[algorithm]()
    root_name, signer_name = _name(f"{name} Root"), _name(f"{name} Signer")
    start = now.replace(microsecond=0)
    root = _certificate(root_name, issuer.public_key(), root_name, issuer, start, ca=True)
    signer = _certificate(signer_name, key.public_key(), root_name, issuer, start, ca=False)
    return _write(
        directory,
        {
            "root.pem": root.public_bytes(Encoding.PEM),
            "signer.pem": signer.public_bytes(Encoding.PEM),
            "signer.key": secret,
        },
    )


def unverifiable(algorithm: str) -> str:
    """Why signatures with the keys of `keygen` cannot be verified here; empty if they can."""
    if algorithm.startswith("ml-dsa") and not keys.ML_DSA_CHAINS:
        return f"{algorithm} certificates are made, and {keys.NO_ML_DSA_CHAINS}"
    return ""


def _name(text: str) -> x509.Name:
    oid = x509.NameOID
    return x509.Name(
        [
            x509.NameAttribute(oid.ORGANIZATION_NAME, TEST_MARK),
            x509.NameAttribute(oid.COMMON_NAME, f"{text} ({TEST_MARK})"),
        ]
    )


def _certificate(
    subject: x509.Name,
    public: CertificatePublicKeyTypes,
    issuer: x509.Name,
    issuer_key: CertificateIssuerPrivateKeyTypes,
    start: datetime,
    *,
    ca: bool,
) -> x509.Certificate:
    usage = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    usage |= {"key_cert_sign": True, "crl_sign": True} if ca else {"digital_signature": True}
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
    match issuer_key:
        case rsa.RSAPrivateKey():
            return builder.sign(issuer_key, hashes.SHA256())
        case ec.EllipticCurvePrivateKey():
            return builder.sign(issuer_key, hashes.SHA384())
        case _:
            return builder.sign(issuer_key, None)


def _write(directory: Path, files: dict[str, bytes]) -> list[Path]:
    written: list[str] = []
    at: int | None = None  # the open folder: another one can have its name when a file is created or removed
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if os.open in os.supports_dir_fd:
            at = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for name, data in files.items():
            mode = 0o600 if name.endswith(".key") else 0o644
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
            with open(os.open(name if at is not None else directory / name, flags, mode, dir_fd=at), "wb") as stream:
                written.append(name)
                stream.write(data)
    except BaseException as error:
        for name in written:
            with suppress(OSError):
                os.unlink(name if at is not None else directory / name, dir_fd=at)
        if not isinstance(error, OSError):
            raise
        there = isinstance(error, FileExistsError)
        reason = "it exists and is not overwritten" if there else error.strerror
        where = directory / str(error.filename or "")
        raise SigningError(f"{where} cannot be written: {reason}.", next_step="Choose another folder.") from error
    finally:
        if at is not None:
            os.close(at)
    return [directory / name for name in written]
