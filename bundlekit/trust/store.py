"""What the operator trusts: anchors and pinned keys, read from PEM files. Nothing is trusted by default.

A trust.toml says more: names, demands, limits. `bundlekit.trust.policy` reads it, and is loaded only for one.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from bundlekit.errors import TrustError
from bundlekit.model.primitives import Frozen
from bundlekit.trust.certificates import Certificate, UnusableCertificateError, read_certificate
from bundlekit.trust.keys import Key, describe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bundlekit.trust.policy import Policy

MAX_FILE: Final = 1024 * 1024
"""Bytes of one trust file."""

MAX_FILES: Final = 256
"""Files in all the folders given."""

MAX_ENTRIES: Final = 1024
"""Certificates and keys in all the files given."""

SUFFIXES: Final = (".pem", ".crt", ".cer", ".pub")
"""What a trust file in a folder ends with; other files there are left alone."""

PEM: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----.*?-----END \1-----", re.DOTALL)

TEST_MARK: Final = "TEST ONLY"
"""In the subject of every certificate made for trying out, and above every such public key."""


class Pinned(Frozen, frozen=True, kw_only=True):
    """A public key trusted by itself; ``name`` is the file it came from. ``test``: marked as one for tests."""

    name: str
    key: Key
    test: bool = False


class TrustStore(Frozen, frozen=True, kw_only=True):
    """Anchors and pinned keys. Given as PEM they are one signer set without names, and count as one.

    ``policy`` is what a trust.toml says besides; None where PEM was given.
    """

    anchors: tuple[Certificate, ...] = ()
    pinned: tuple[Pinned, ...] = ()
    policy: Policy | None = None

    @property
    def digest(self) -> str:
        """SHA-256 over what is trusted, whatever the files' names and order; for the report's inputs."""
        if self.policy:
            return self.policy.digest
        parts = sorted({*(one.der for one in self.anchors), *(bytes.fromhex(one.key.id) for one in self.pinned)})
        return "sha256:" + hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()

    def pin(self, key: Key) -> Pinned | None:
        """The pinned key that is this key, by its numbers."""
        return next((one for one in self.pinned if one.key.id == key.id), None)

    def pins_named(self, identifier: bytes) -> tuple[Pinned, ...]:
        """The pinned keys that CMS names by ``identifier``. SHA-1: there can be several."""
        return tuple(one for one in self.pinned if one.key.identifier == identifier)


def load_trust(names: Sequence[str | Path] | str | Path) -> TrustStore:
    """Read a trust.toml; or PEM files, and the PEM files of folders.

    Certificates of CAs become anchors, public keys become pinned keys. Raises TrustError for anything else in
    them, and if there is nothing: no key given never means success. ConfigError for what is wrong in a
    trust.toml, which has to stand alone: what it demands would mean nothing beside other trust.
    """
    paths = [Path(name) for name in ([names] if isinstance(names, str | Path) else names)]
    if any(path.suffix == ".toml" for path in paths):
        if len(paths) > 1:
            raise TrustError(
                "A trust.toml is given together with other trust.",
                next_step="Name the other keys in the trust.toml, or give PEM files alone.",
            )
        from bundlekit.trust import policy

        return policy.read(paths[0])
    found = from_pem((file, read_pem(file)) for file in _files(paths))
    if not found.anchors and not found.pinned:
        names = ", ".join(str(path) for path in paths)
        raise TrustError(
            f"There is nothing to trust in {names or 'what was given'}.",
            next_step="Give the certificate of a CA or a public key, as PEM.",
        )
    return found


def from_pem(files: Iterable[tuple[Path, bytes]]) -> TrustStore:
    """The CAs' certificates and the public keys of PEM files. Raises TrustError for anything else in them."""
    anchors: dict[bytes, Certificate] = {}
    pinned: dict[str, Pinned] = {}
    for file, data in files:
        for label, block, before in _blocks(file, data):
            found = _entry(file, label, block)
            if isinstance(found, Certificate):
                anchors.setdefault(_anchor(file, found).der, found)
            else:
                test = TEST_MARK.encode() in before
                pinned.setdefault(found.id, Pinned(name=file.name, key=found, test=test))
            if len(anchors) + len(pinned) > MAX_ENTRIES:
                msg = f"There are more than {MAX_ENTRIES} certificates and keys in what was given as trust."
                raise TrustError(msg)
    return TrustStore(anchors=tuple(anchors.values()), pinned=tuple(pinned.values()))


def ids(file: Path, data: bytes) -> set[str]:
    """The SHA-256 ids of the certificates and public keys of a PEM file, in hex. Raises TrustError."""
    found = (_entry(file, label, block) for label, block, _ in _blocks(file, data))
    return {hashlib.sha256(one.der).hexdigest() if isinstance(one, Certificate) else one.id for one in found}


def _files(paths: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        try:
            if path.is_dir():
                files += sorted(one for one in path.iterdir() if one.suffix in SUFFIXES and one.is_file())
            elif path.is_file():
                files.append(path)
            else:
                msg = f"{path} is not there, or neither a file nor a folder."
                raise TrustError(msg)
        except OSError as error:
            msg = f"{path} cannot be read: {error.strerror}."
            raise TrustError(msg) from error
    if len(files) > MAX_FILES:
        msg = f"There are {len(files)} files in what was given as trust; at most {MAX_FILES} are read."
        raise TrustError(msg)
    return files


def read_pem(file: Path, limit: int = MAX_FILE) -> bytes:
    """The bytes of a file of at most ``limit`` bytes. Raises TrustError."""
    try:
        with file.open("rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        msg = f"{file} cannot be read: {error.strerror}."
        raise TrustError(msg) from error
    if len(data) > limit:
        msg = f"{file} has more than {limit} bytes; that is not a file of certificates and keys."
        raise TrustError(msg)
    return data


def _blocks(file: Path, data: bytes) -> Iterator[tuple[str, bytes, bytes]]:
    """Label, the block itself, and the words before it."""
    found = list(PEM.finditer(data))
    if not data.strip():
        raise TrustError(f"{file} is empty.", next_step="Give the certificate of a CA, or a public key, as PEM.")
    if len(found) != data.count(b"-----BEGIN ") or not found:
        raise TrustError(
            f"{file} is not a PEM file, or a damaged one.",
            next_step="A DER file is turned into PEM by `openssl x509 -inform DER -in FILE -out FILE.pem`.",
        )
    end = 0
    for match in found:
        yield match[1].decode("ascii"), match[0], data[end : match.start()]
        end = match.end()


def _entry(file: Path, label: str, block: bytes) -> Certificate | Key:
    if label.endswith("PRIVATE KEY"):
        raise TrustError(
            f"{file} holds a private key. It does not belong where trust is kept.",
            next_step="Take it away from here; `openssl pkey -in FILE -pubout` prints its public key.",
        )
    if label == "PUBLIC KEY":
        try:
            return describe(load_pem_public_key(block))
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            msg = f"A public key in {file} cannot be used: it is damaged, or of a kind or size that is not accepted."
            raise TrustError(msg) from error
    if label != "CERTIFICATE":
        msg = f"{file} holds a '{label}'; trust is made of certificates and public keys."
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
    from base64 import b64decode

    try:
        return read_certificate(b64decode(b"".join(block.splitlines()[1:-1]), validate=True))
    except (UnusableCertificateError, ValueError) as error:
        msg = f"A certificate in {file} cannot be used: {error}."
        raise TrustError(msg) from error


def read_certificates(path: Path) -> tuple[Certificate, ...]:
    """The certificates of a PEM file, in its order. Raises TrustError."""
    return certificates(path, read_pem(path))


def certificates(path: Path, data: bytes) -> tuple[Certificate, ...]:
    """The certificates in the bytes of a PEM file, in their order. Raises TrustError."""
    return tuple(pem_certificate(path, block) for label, block, _ in _blocks(path, data) if label == "CERTIFICATE")
