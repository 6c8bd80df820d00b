"""The algorithm of a private key according to its own file, which the loaded key does not show.

The library loads a PSS-only key (RFC 4055 section 1.2) like any RSA key. PKCS #8 states the algorithm next to the key.
In an encrypted file the algorithm is encrypted too (RFC 8018 section 6.2, PBES2), so the file is also decrypted here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.padding import PKCS7

from bundlekit.trust import asn1
from bundlekit.trust.asn1 import OID

if TYPE_CHECKING:
    from collections.abc import Callable

AES_KEYS: Final = {  # NIST's arc, CBC with each key length in bytes
    OID("2.16.840.1.101.3.4.1.2"): 16,
    OID("2.16.840.1.101.3.4.1.22"): 24,
    OID("2.16.840.1.101.3.4.1.42"): 32,
}
PRFS: Final[dict[OID, Callable[[], hashes.HashAlgorithm]]] = {  # RFC 8018 appendix B.1.2
    OID("1.2.840.113549.2.7"): hashes.SHA1,
    OID("1.2.840.113549.2.9"): hashes.SHA256,
    OID("1.2.840.113549.2.10"): hashes.SHA384,
    OID("1.2.840.113549.2.11"): hashes.SHA512,
}


class UnknownEncryptionError(ValueError):
    """A file with an encryption that is not supported here."""


def algorithm(der: bytes) -> bytes:
    """The AlgorithmIdentifier of a PrivateKeyInfo. Raises UnknownEncryptionError."""
    try:
        return asn1.raw(asn1.decode(asn1.PrivateKeyInfo, der).algorithm)
    except asn1.NotDerError as error:
        raise UnknownEncryptionError from error


def decrypted(der: bytes, passphrase: bytes) -> bytes:
    """The PrivateKeyInfo in an EncryptedPrivateKeyInfo by PBES2 with PBKDF2 and AES-CBC, as OpenSSL writes it.

    Raises UnknownEncryptionError for any other kind.
    """
    try:
        outer = asn1.decode(asn1.EncryptedPrivateKeyInfo, der)
        derivation, encryption = outer.algorithm.parameters.derivation.parameters, outer.algorithm.parameters.encryption
        make = PRFS[derivation.function.algorithm] if derivation.function else hashes.SHA1
        derive = PBKDF2HMAC(make(), AES_KEYS[encryption.algorithm], derivation.salt, derivation.rounds)
        cipher = Cipher(algorithms.AES(derive.derive(passphrase)), modes.CBC(encryption.vector)).decryptor()
        padded = cipher.update(outer.data) + cipher.finalize()
        unpadder = PKCS7(128).unpadder()
        return unpadder.update(padded) + unpadder.finalize()
    except (asn1.NotDerError, KeyError, ValueError, OverflowError, UnsupportedAlgorithm) as error:
        raise UnknownEncryptionError from error
