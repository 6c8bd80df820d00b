"""Certificates and public keys in PEM files. Everything in a file is used, or the file is rejected."""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.serialization import load_der_public_key

from bundlekit.errors import TrustError
from bundlekit.files import LIMITS, read_bounded
from bundlekit.trust import asn1
from bundlekit.trust.algorithms import limited
from bundlekit.trust.certificates import Certificate, UnusableCertificateError, read_certificate
from bundlekit.trust.door import UnreadableObjectError, reading
from bundlekit.trust.fault import SignatureFault
from bundlekit.trust.keys import Key, describe, unsupported
from bundlekit.trust.store import TEST_MARK, Anchors, Pinned

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

MAX_FILE: Final = LIMITS["pem"]
"""Bytes of one trust file."""

MAX_ENTRIES: Final = 1024
"""Certificates and keys in all the given files."""

MAX_BLOCKS: Final = 4096
"""PEM blocks in one file."""


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


def words(data: bytes) -> bytes:
    """The text outside the blocks of a PEM file that `blocks` has read."""
    before, *parts = data.split(BEGIN)
    return b"\n".join([before, *(part.partition(b"-----END ")[2].partition(b"-----")[2] for part in parts)])


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


def read_pem(file: Path, limit: int = MAX_FILE) -> bytes:
    """The bytes of a file, or of a pipe that was passed on, of at most ``limit`` bytes. Raises TrustError."""
    return read_bounded(file, limit, error=TrustError)


def blocks(file: Path, data: bytes, *, notes: bool = True) -> Iterator[tuple[str, bytes, bytes]]:
    """Label, block, and the text before it. Raises TrustError for content that would be ignored.

    Text before a block explains it (RFC 7468 section 2), as `openssl x509 -text` writes it. After the last block only
    comments are allowed. Text that looks like data is allowed nowhere, because it would not be used. ``notes=False``:
    the caller reads the text between the blocks itself.
    """
    if not data.strip():
        raise TrustError(f"{file} is empty.", next_step="Give the certificate of a CA, or a public key, as PEM.")
    before, *parts = data.split(BEGIN)
    if len(parts) > MAX_BLOCKS:
        msg = f"{file} has more than {MAX_BLOCKS} PEM blocks."
        raise TrustError(msg)
    if not parts:
        raise _no_pem(file, data)
    for part in parts:  # each ends before the next begins, so this takes one pass
        label = LABEL.match(part)
        end = part.find(b"-----END " + label[1] + b"-----") if label else -1
        if label is None or end < 0:
            raise _no_pem(file, data)
        if notes and (stray := _stray(before, LIKE_DATA)):
            raise _left_out(file, stray)
        stop = end + len(b"-----END ") + len(label[0])
        yield label[1].decode("ascii"), BEGIN + part[:stop], before
        before = part[stop:]
    if notes and (stray := _stray(before, ANYTHING)):
        raise _left_out(file, stray)


BEGIN: Final = b"-----BEGIN "
LABEL: Final = re.compile(rb"([A-Z0-9 ]{1,40})-----")

LIKE_DATA: Final = re.compile(rb"sha-?[0-9]+ *[:=]|[A-Za-z0-9+/]{40,}={0,2}$|-{4,} *(BEGIN|END)", re.IGNORECASE)
"""The beginning of a line that is an id, encoded bytes, or a damaged mark of a block, and no comment."""

ANYTHING: Final = re.compile(rb".")


def _stray(words: bytes, pattern: re.Pattern[bytes]) -> bytes:
    """The first line that matches the pattern, without blanks around it. Comments begin with ``#``."""
    lines = (line.strip() for line in words.splitlines())
    return next((line for line in lines if not line.startswith(b"#") and pattern.match(line)), b"")


def utf_16(data: bytes) -> str:
    """The next step for text in UTF-16, as the redirection of some shells writes it; empty for any other text."""
    return "It is text in UTF-16. Save it as ASCII or UTF-8." if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else ""


def _no_pem(file: Path, data: bytes) -> TrustError:
    if advice := utf_16(data):
        return TrustError(f"{file} is not a PEM file.", next_step=advice)
    return TrustError(
        f"{file} is not a PEM file, or a damaged one.",
        next_step="A DER file is turned into PEM by `openssl x509 -inform DER -in FILE -out FILE.pem`.",
    )


def _left_out(file: Path, line: bytes) -> TrustError:
    text = line[:64].decode(errors="replace")
    return TrustError(
        f"{file} holds {text!r} outside its PEM blocks, which would not be used.",
        next_step="Remove it, or make it a comment that begins with #.",
    )


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


def block_bytes(file: Path, block: bytes) -> bytes:
    """The bytes that one PEM block of ``file`` encodes. Raises TrustError."""
    try:
        return b64decode(b"".join(line.strip() for line in block.splitlines()[1:-1]), validate=True)
    except ValueError as error:
        msg = f"A block in {file} cannot be used: it is not base64."
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
