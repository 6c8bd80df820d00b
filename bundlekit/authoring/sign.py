"""Sign a bundle in place: the head is signed, the signature area is rewritten, the payload is not touched.

A crash in the middle must not lose the signatures that were there. So the new area is first written to a
file beside the bundle (``update.bin.signing``), bound to the bundle id; only then the area is overwritten.
Whoever finds that file finishes the work by writing the area again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
from typing import TYPE_CHECKING, Any

from bundlekit import pipeline
from bundlekit.checks import integrity, layout
from bundlekit.errors import SigningError
from bundlekit.files import sync_folder
from bundlekit.layout import reader, update_bin
from bundlekit.model.bundle import Span
from bundlekit.model.primitives import Frozen
from bundlekit.source import FileSource
from bundlekit.trust import (
    ABOUT_THE_BLOB,
    belongs,
    load_private_key,
    read_certificates,
    signer_fault,
    verify_signatures,
)
from bundlekit.trust import sign as sign_head

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from bundlekit.model.bundle import Bundle
    from bundlekit.model.evidence import SignatureEvidence
    from bundlekit.model.trust import Purpose


class Signer(Frozen, frozen=True, kw_only=True):
    """A private key, and its certificate with those above it up to, without, the root.

    Without certificates the key has to be pinned by those who check. ``purpose`` is what they want certificates for.
    """

    key: Any
    certificates: tuple[Any, ...] = ()
    pss: bool = False
    purpose: Purpose = "code-signing"

    def sign(self, head: bytes) -> bytes:
        """One DER SignedData over ``head``."""
        return sign_head(head, self.key, self.certificates, pss=self.pss, purpose=self.purpose)


def load_signers(
    keys: Sequence[Path],
    certificates: Sequence[Path],
    *,
    ask: Callable[[Path], bytes],
    pss: bool = False,
    purpose: Purpose = "code-signing",
) -> tuple[Signer, ...]:
    """Load keys and certificate files and find out which belong together; ``ask`` is for passphrases.

    A key to which no certificate belongs signs alone. SigningError for a certificate without its key.
    """
    chains = [(path, read_certificates(path)) for path in certificates]
    signers = []
    for path in keys:
        key = load_private_key(path, ask)
        chain = next((chain for chain in chains if belongs(key, chain[1][0])), None)
        if chain:
            chains.remove(chain)
        signers.append(Signer(key=key, certificates=chain[1] if chain else (), pss=pss, purpose=purpose))
    if chains:
        raise SigningError(f"{chains[0][0]}: none of the given keys belongs to this certificate")
    return tuple(signers)


def sign(path: Path, signer: Signer, *, at: dt.datetime, replace: int | None = None) -> SignatureEvidence:
    """Sign the head of the bundle at ``path`` and add the signature, or put it in the place of ``replace``.

    Returns what was added. SigningError if layout or integrity of the bundle is at fault, its signature area
    is full, the key has signed, or there is no signature to replace.
    """
    with _locked(path):
        bundle = read_for_signing(path, at=at)
        return _add(path, bundle, signer.sign(bundle.head_bytes or b""), at, replace, signer.purpose)


def attach(
    path: Path, blob: bytes, *, at: dt.datetime, replace: int | None = None, purpose: Purpose = "code-signing"
) -> SignatureEvidence:
    """Add a signature (one DER SignedData) that was made elsewhere, for instance by ``openssl cms -sign``.

    SigningError as for `sign`, and if it is not a signature over the head of this bundle.
    """
    name = shlex.quote(str(path))
    how = (
        f"Sign the head, and nothing else: `bundlekit extract {name} --head -o head`, then `openssl cms -sign -binary "
        "-cades -in head -signer signer.pem -inkey signer.key -outform DER -out sig.der` with your certificate and key."
    )
    with _locked(path):
        return _add(path, read_for_signing(path, at=at), blob, at, replace, purpose, how=how)


def remove(path: Path, index: int, *, at: dt.datetime) -> SignatureEvidence:
    """Take signature ``index``, counted from 0, out of the bundle. Returns what was removed."""
    with _locked(path):
        bundle = read_for_signing(path, at=at)
        blobs = list(bundle.signatures or ())
        _demand_index(path, index, blobs)
        removed = _judge(bundle, blobs, at)[index]
        del blobs[index]
        assert bundle.area is not None  # noqa: S101 - read_for_signing refuses otherwise
        _write_area(path, bundle, signature_area(blobs, bundle.area.size))
        return removed


def read_for_signing(path: Path, *, at: dt.datetime) -> Bundle:
    """The bundle, if neither its layout nor any byte of it is at fault; an interrupted signing is finished first.

    The whole payload is read: who signs vouches for all of it.
    """
    finish_interrupted(path)
    with FileSource(path) as source:
        bundle = reader.read(source)
        report = pipeline.check(source, at=at, full=True, rules=(*layout.RULES, *integrity.RULES))
    faults = [(one.message, one.rule) for one in report.findings if one.severity == "error"]
    faults += [(one.message, one.rule) for one in bundle.problems]
    if faults:
        message, rule = faults[0]
        raise SigningError(
            f"{path}: is not signed, for it is not whole: {message} ({rule})",
            next_step=f"Run `bundlekit check {shlex.quote(str(path))}`, then build the bundle again.",
        )
    return bundle


def _add(
    path: Path, bundle: Bundle, blob: bytes, at: dt.datetime, replace: int | None, purpose: Purpose, *, how: str = ""
) -> SignatureEvidence:
    assert bundle.area is not None  # noqa: S101 - read_for_signing refuses otherwise
    blobs = list(bundle.signatures or ())
    if replace is None:
        place = len(blobs)
        blobs.append(blob)
    else:
        _demand_index(path, replace, blobs)
        place = replace
        blobs[place] = blob
    judged = _judge(bundle, blobs, at)
    added = judged.pop(place)
    if added.problems:
        problem = added.problems[0]
        raise SigningError(
            f"{path}: nothing was added, and the bundle is as it was: {problem.message}",
            next_step=how if problem.rule in ABOUT_THE_BLOB else "",
        )
    if fault := signer_fault(blob, at, purpose):
        raise SigningError(f"{path}: the signature is not added, for nobody would accept it: {fault}")
    for other in judged:
        if other.problems:
            raise SigningError(
                f"{path}: nothing was added, for signature {other.index} would refuse the bundle all the same: "
                f"{other.problems[0].message}",
                next_step=f"Take it out first: `bundlekit sign {shlex.quote(str(path))} --remove {other.index}`",
            )
    if added.signer in {signature.signer for signature in judged}:
        raise SigningError(
            f"{path}: {added.signer} has signed this bundle already",
            next_step="Put the new signature in the place of the old one with --replace.",
        )
    _write_area(path, bundle, signature_area(blobs, bundle.area.size))
    return added


def _demand_index(path: Path, index: int, blobs: Sequence[bytes]) -> None:
    if not 0 <= index < len(blobs):
        there = f"has {len(blobs)}, counted from 0" if blobs else "has none"
        raise SigningError(f"{path}: there is no signature {index}; the bundle {there}")


def _judge(bundle: Bundle, blobs: Sequence[bytes], at: dt.datetime) -> list[SignatureEvidence]:
    """What each of these signatures would be in the bundle's area."""
    assert bundle.head_bytes is not None  # noqa: S101 - read_for_signing refuses otherwise
    assert bundle.area is not None  # noqa: S101
    spans, start = [], bundle.area.start
    for blob in blobs:
        spans.append(Span(start=start + 4, stop=start + 4 + len(blob)))  # behind its length
        start = spans[-1].stop
    return list(verify_signatures(bundle.head_bytes, blobs, spans, None, at))


def signature_area(blobs: Sequence[bytes], capacity: int) -> bytes:
    """The bytes of a signature area that holds ``blobs``; SigningError if they do not fit."""
    if len(blobs) > update_bin.MAX_SIGNATURES:
        raise SigningError(f"{len(blobs)} signatures are too many, allowed are {update_bin.MAX_SIGNATURES}")
    try:
        return update_bin.encode_area(blobs, capacity)
    except ValueError as error:
        raise SigningError(str(error), next_step="Build with a larger --signature-capacity.") from error


def _sidecar(path: Path) -> Path:
    return path.with_name(f"{path.name}.signing")


def _write_area(path: Path, bundle: Bundle, area: bytes) -> None:
    record = (bundle.id or "").encode() + b"\n" + area
    record = hashlib.sha256(record).hexdigest().encode() + b"\n" + record
    try:
        with _sidecar(path).open("wb") as file:
            file.write(record)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)
        _overwrite(path, bundle, area)
        _sidecar(path).unlink()
    except OSError as error:
        raise SigningError(
            f"{error.filename or path}: {error.strerror}",
            next_step="Mend the cause, then run the same command again; it finishes or repeats the work.",
        ) from error


def finish_interrupted(path: Path) -> bool:
    """Finish a signing that a crash interrupted; True if there was one."""
    try:
        record = _sidecar(path).read_bytes()
    except FileNotFoundError:
        return False
    checksum, _, content = record.partition(b"\n")
    if hashlib.sha256(content).hexdigest().encode() == checksum:
        name, _, area = content.partition(b"\n")
        with FileSource(path) as source:
            bundle = reader.read(source)
        if bundle.area is None or (bundle.id or "").encode() != name or bundle.area.size != len(area):
            raise SigningError(
                f"{_sidecar(path)}: is left over from signing another bundle",
                next_step="Delete it if no signing of this file is under way.",
            )
        _overwrite(path, bundle, area)
    # A record that is not whole was cut off before the bundle was touched: there is nothing to finish.
    _sidecar(path).unlink()
    return True


def _overwrite(path: Path, bundle: Bundle, area: bytes) -> None:
    assert bundle.area is not None  # noqa: S101 - both callers made sure
    with path.open("r+b") as file:
        file.seek(bundle.area.start)
        file.write(area)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep two signers of one file apart, where the system has flock."""
    try:
        import fcntl  # not there on Windows
    except ImportError:
        yield
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise SigningError(f"{path}: {error.strerror}") from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
