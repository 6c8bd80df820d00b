"""What the operator trusts: anchors and pinned keys, read from PEM files. Nothing is trusted by default.

A trust.toml says more: names, demands, limits. `bundlekit.trust.policy` reads it, and is loaded only for one.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from bundlekit.errors import TrustError
from bundlekit.files import LIMITS, read_bounded
from bundlekit.model.origin import Entry, Folder
from bundlekit.model.primitives import Frozen
from bundlekit.trust import asn1
from bundlekit.trust.algorithms import limited
from bundlekit.trust.certificates import Certificate, UnusableCertificateError, read_certificate
from bundlekit.trust.door import UnreadableObjectError, reading
from bundlekit.trust.keys import Key, describe, unsupported
from bundlekit.trust.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bundlekit.trust.policy import Policy

MAX_FILE: Final = LIMITS["pem"]
"""Bytes of one trust file."""

MAX_FILES: Final = 256
"""Files in all the folders given."""

MAX_ENTRIES: Final = 1024
"""Certificates and keys in all the files given."""

MAX_BLOCKS: Final = 4096
"""PEM blocks in one file."""

SUFFIXES: Final = (".pem", ".crt", ".cer", ".pub")
"""What a trust file in a folder ends with, in small or capital letters; other files there are left alone."""

DEMANDING: Final = (".toml", ".crl")
"""What a file ends with that restricts trust. A folder cannot restrict, so one with such a file is refused."""

TEST_MARK: Final = "TEST ONLY"
"""In the subject of every certificate made for trying out, and above every such public key."""


class Pinned(Frozen, frozen=True, kw_only=True):
    """A public key trusted by itself; ``name`` is the file it came from. ``test``: marked as one for tests."""

    name: str
    key: Key
    test: bool = False


class TrustStore(Frozen, frozen=True, kw_only=True):
    """Anchors and pinned keys. Given as PEM they are one signer set without names, and count as one.

    ``policy`` is what a trust.toml says besides; None where PEM was given. ``folders`` are the folders that
    were given, with what in them is trusted.
    """

    anchors: tuple[Certificate, ...] = ()
    pinned: tuple[Pinned, ...] = ()
    policy: Policy | None = None
    folders: tuple[Folder, ...] = ()

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
    """Read ``names``: one trust.toml, or PEM files and folders of PEM files.

    Certificates of CAs become anchors, public keys become pinned keys. Raises TrustError for anything else in them, and
    if they hold no key, because a missing key never means success. Raises ConfigError for a fault in a trust.toml. A
    trust.toml is given alone, because other trust next to it would weaken its demands.

    An empty path is a TrustError, and so is ``Path(".")``, which an empty one becomes. The current folder is given as
    ``"."`` or as ``Path.cwd()``.
    """
    paths = [_named(name) for name in ([names] if isinstance(names, str | Path) else names)]
    if any(path.suffix == ".toml" for path in paths):
        if len(paths) > 1:
            raise TrustError(
                "A trust.toml is given together with other trust.",
                next_step="Name the other keys in the trust.toml, or give PEM files alone.",
            )
        from bundlekit.trust import policy

        return policy.read(paths[0])
    given = [(path, folder_files(path) if _is_folder(path) else None) for path in paths]
    files = [file for path, inside in given for file in (inside if inside is not None else [_file(path)])]
    if len(files) > MAX_FILES:
        msg = f"There are {len(files)} files in what was given as trust; at most {MAX_FILES} are read."
        raise TrustError(msg)
    contents = {file: read_pem(file) for file in files}
    found = from_pem(contents.items())
    if not found.anchors and not found.pinned:
        names = ", ".join(str(path) for path in paths)
        raise TrustError(
            f"There is nothing to trust in {names or 'what was given'}.",
            next_step="Give the certificate of a CA or a public key, as PEM.",
        )
    folders = tuple(
        Folder(folder=str(path), entries=tuple(entry for file in inside for entry in _entries(file, contents[file])))
        for path, inside in given
        if inside is not None
    )
    return msgspec.structs.replace(found, folders=folders)


def _named(name: str | Path) -> Path:
    """The path that was given, and never the current folder for an empty one."""
    if not str(name).strip() or name == Path():
        raise TrustError(
            "A path given as trust is empty.",
            next_step="Name the file or folder. The current folder is Path.cwd().",
        )
    return Path(name)


def from_pem(files: Iterable[tuple[Path, bytes]]) -> TrustStore:
    """The CAs' certificates and the public keys of PEM files. Raises TrustError for anything else in them."""
    anchors: dict[bytes, Certificate] = {}
    pinned: dict[str, Pinned] = {}
    for file, data in files:
        for label, block, before in blocks(file, data):
            found = _entry(file, label, block)
            if isinstance(found, Certificate):
                anchors.setdefault(_anchor(file, found).der, found)
            else:
                if found.weakness:
                    msg = f"The public key {found.id[:16]}… in {file} can never count: {found.weakness}."
                    raise TrustError(msg, next_step="Pin another key.")
                known = pinned.get(found.id)
                if known is None or (found.pss_only and not known.key.pss_only):  # the narrower statement counts
                    pinned[found.id] = Pinned(name=file.name, key=found, test=TEST_MARK.encode() in before)
            if len(anchors) + len(pinned) > MAX_ENTRIES:
                msg = f"There are more than {MAX_ENTRIES} certificates and keys in what was given as trust."
                raise TrustError(msg)
    return TrustStore(anchors=tuple(anchors.values()), pinned=tuple(pinned.values()))


def words(data: bytes) -> bytes:
    """What stands outside the blocks of a PEM file that `blocks` has read."""
    before, *parts = data.split(BEGIN)
    return b"\n".join([before, *(part.partition(b"-----END ")[2].partition(b"-----")[2] for part in parts)])


def ids(file: Path, data: bytes) -> set[str]:
    """The SHA-256 ids, in hex, of the certificates of a PEM file and of all its public keys. Raises TrustError.

    A certificate stands for its key as well: its owner can have another certificate issued for the same key.
    """
    found: set[str] = set()
    for label, block, _ in blocks(file, data, notes=False):
        one = _entry(file, label, block)
        if isinstance(one, Certificate):
            found |= {hashlib.sha256(one.der).hexdigest(), *((one.key.id,) if one.key else ())}
        else:
            found.add(one.id)
    return found


def folder_files(folder: Path) -> list[Path]:
    """The files in a folder that count as trust: those with one of `SUFFIXES`, by name.

    Hidden files and subfolders do not count. Raises TrustError for a file that restricts trust, for one that is
    no regular file, and for a link out of the folder: such a link trusts what the folder does not hold.
    """
    try:
        inside = sorted(one for one in folder.iterdir() if not one.name.startswith("."))
        home = folder.resolve()
        restricting = [one.name for one in inside if one.suffix.lower() in DEMANDING]
        if restricting:
            raise TrustError(
                f"The folder {folder} contains {restricting[0]}, whose demands would be ignored.",
                next_step=f"Give the trust.toml itself: --trust {folder / 'trust.toml'}.",
            )
        found = [one for one in inside if one.suffix.lower() in SUFFIXES]
        for one in found:
            if not one.is_file():
                msg = f"{one} is not a regular file; in a folder of trust every {one.suffix} has to be one."
                raise TrustError(msg)
            if not one.resolve().is_relative_to(home):
                raise TrustError(
                    f"{one} is a link to {one.resolve()}, outside the folder that is given as trust.",
                    next_step="Copy the file into the folder, or name it by itself.",
                )
    except OSError as error:
        msg = f"{folder} cannot be read: {error.strerror}."
        raise TrustError(msg) from error
    return found


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}."
        raise TrustError(msg) from error


def _file(path: Path) -> Path:
    if path.exists():  # what is neither a file nor a pipe is refused by the reader
        return path
    msg = f"{path} is not there, or neither a file nor a folder."
    raise TrustError(msg)


def _entries(file: Path, data: bytes) -> Iterator[Entry]:
    """What a file of a folder adds to the trust."""
    for label, block, _ in blocks(file, data):
        one = _entry(file, label, block)
        if isinstance(one, Certificate):
            id_ = hashlib.sha256(one.der).hexdigest()
            yield Entry(file=file.name, kind="anchor", subject=one.subject, id=id_)
        else:
            yield Entry(file=file.name, kind="key", subject="", id=one.id)


def read_pem(file: Path, limit: int = MAX_FILE) -> bytes:
    """The bytes of a file, or of a pipe that was handed over, of at most ``limit`` bytes. Raises TrustError."""
    return read_bounded(file, limit, error=TrustError)


def blocks(file: Path, data: bytes, *, notes: bool = True) -> Iterator[tuple[str, bytes, bytes]]:
    """Label, the block itself, and the words before it. Raises TrustError for what would be left out.

    Words before a block explain it (RFC 7468 section 2), as `openssl x509 -text` writes them. After the last
    block there are comments alone, and nowhere anything that looks like data: it would not be used.
    ``notes=False``: the caller reads the words between the blocks itself.
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
"""How a line begins that is an id, encoded bytes, or a damaged mark of a block, and no words."""

ANYTHING: Final = re.compile(rb".")


def _stray(words: bytes, pattern: re.Pattern[bytes]) -> bytes:
    """The first line that the pattern fits, without blanks around it; comments begin with ``#``."""
    lines = (line.strip() for line in words.splitlines())
    return next((line for line in lines if not line.startswith(b"#") and pattern.match(line)), b"")


def utf_16(data: bytes) -> str:
    """What to do with text in UTF-16, as the redirection of some shells writes it; empty for anything else."""
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
        f"{file} holds {text!r} outside its PEM blocks, and it would not be used.",
        next_step="Take it out, or make it a comment that begins with #.",
    )


def _entry(file: Path, label: str, block: bytes) -> Certificate | Key:
    if label.endswith("PRIVATE KEY"):
        raise TrustError(
            f"{file} holds a private key. It does not belong where trust is kept.",
            next_step="Take it away from here; `openssl pkey -in FILE -pubout` prints its public key.",
        )
    if label == "PUBLIC KEY":
        der = block_bytes(file, block)
        try:
            with reading():
                key = describe(load_der_public_key(der))
            return limited(key, asn1.raw(asn1.decode(asn1.PublicKeyInfo, der).algorithm))
        except Refusal as refusal:
            msg = f"A public key in {file} cannot be used: {refusal.message}"
            raise TrustError(msg) from refusal
        except (UnreadableObjectError, asn1.NotDerError) as error:
            why = unsupported(error) or "it is damaged, or of a kind or size that is not accepted"
            msg = f"A public key in {file} cannot be used: {why}."
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
        msg = f"A block in {file} cannot be used: it is not base64, as PEM has it."
        raise TrustError(msg) from error


def read_certificates(path: Path) -> tuple[Certificate, ...]:
    """The certificates of a PEM file, in its order. Raises TrustError."""
    return tuple(
        pem_certificate(path, block) for label, block, _ in blocks(path, read_pem(path)) if label == "CERTIFICATE"
    )


def intermediates(path: Path, data: bytes) -> tuple[Certificate, ...]:
    """The CAs in the bytes of a PEM file, in their order. Raises TrustError for anything else in it."""
    found = []
    for label, block, _ in blocks(path, data):
        one = _entry(path, label, block)
        if not isinstance(one, Certificate) or not one.is_ca:
            what = one.name if isinstance(one, Certificate) else "a public key"
            raise TrustError(
                f"{path} holds {what}, which is no CA between a signer and an anchor.",
                next_step="intermediate-files are for certificates of CAs alone.",
            )
        found.append(one)
    return tuple(found)
