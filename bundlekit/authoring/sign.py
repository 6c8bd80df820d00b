"""Sign a bundle in place: the head is signed, the signature area is rewritten, and the payload is not touched.

A crash in the middle must not lose the existing signatures. So the new area is first written to a file next to the
bundle (``update.bin.signing``), bound to the bundle id. Only then is the area overwritten. The next signer that finds
that file finishes the work: it writes the area again.

The bundle is opened once. The verified file, the shown file and the written file are that one file, even if another
file takes its name meanwhile.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from bundlekit import pipeline
from bundlekit.authoring.admission import signature_area
from bundlekit.authoring.inplace import InPlace, InplaceRecord
from bundlekit.authoring.signatures import SignatureList
from bundlekit.authoring.signers import SigningIdentity, load_signers
from bundlekit.checks import integrity, layout
from bundlekit.errors import SigningError
from bundlekit.layout import foreign, reader
from bundlekit.model.release import release_of
from bundlekit.opening import with_components
from bundlekit.report.phrases import describe
from bundlekit.trust import Signed
from bundlekit.wording import command

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bundlekit.model.bundle import Bundle
    from bundlekit.model.evidence import SignatureEvidence
    from bundlekit.model.trust import Purpose
    from bundlekit.trust import TrustStore
    from bundlekit.trust.keys import Key

__all__ = ["Signing", "SigningIdentity", "attach", "load_signers", "opened", "remove", "sign", "signature_area"]

LIMIT: Final = "bundlekit signs only update.bin files"


@contextlib.contextmanager
def opened(path: Path, *, at: dt.datetime, trust: TrustStore | None = None, change: bool = True) -> Iterator[Signing]:
    """The bundle at ``path``, verified whole and open to be signed; an interrupted signing is finished first.

    The changed signatures are written when the block ends well, all of them or none. The whole payload is read,
    because who signs is responsible for all of it. With ``trust`` only signatures that count can be added. Without
    ``change`` the file is only read. SigningError if layout or integrity of the bundle is at fault.
    """
    with InPlace(path, writable=change) as file:
        if change:
            _finish_interrupted(file)
        signing = Signing(file, _verified(file, at), at, trust)
        yield signing
        if change:
            signing.save()


class Signing(SignatureList):
    """A bundle that was verified and can be signed. ``bundle`` is as it was found."""

    def __init__(self, file: InPlace, bundle: Bundle, at: dt.datetime, trust: TrustStore | None = None) -> None:
        assert bundle.area is not None  # noqa: S101 - what has none was refused
        manifest = bundle.manifest
        super().__init__(
            bundle.head_bytes or b"",
            bundle.blobs or (),
            start=bundle.area.start,
            at=at,
            name=file.name,
            what="bundle",
            verb="sign",
            signed=Signed(product=manifest.product, released=manifest.released) if manifest else Signed(),
            trust=trust,
        )
        self.bundle = bundle
        self._file = file
        self._place = bundle.area
        self._area = signature_area(self.blobs, self._place.size)

    def described(self) -> Iterator[str]:
        """Lines that identify the bundle."""
        if self.bundle.manifest:
            what = describe(release_of(self.bundle.manifest))
            yield f"bundle    {what}, security counter {self.bundle.manifest.counter}"
        yield f"bundle id {self.id}"

    def _demand_space(self, blobs: Sequence[bytes]) -> None:
        signature_area(blobs, self._place.size)

    def save(self) -> None:
        """Write the signatures as they are now, if they were changed."""
        area = signature_area(self.blobs, self._place.size)
        if area == self._area:
            return
        # Nothing is written into what is not, up to this moment, the bundle that was verified.
        self._file.demand_content(0, self.content + self._area)
        record = InplaceRecord(self._file)
        try:
            record.write(self.bundle.id or "", area)
            self._file.overwrite(self._place.start, area)
            record.remove()
        except OSError as error:
            raise SigningError(
                f"{error.filename or self._file.name}: {error.strerror}",
                next_step="Fix the cause, then run the same command again; it finishes or repeats the work.",
            ) from error
        except KeyboardInterrupt:  # not a crash: the bundle is restored, and no record is left
            self._file.overwrite(self._place.start, self._area)
            record.remove()
            raise
        self._area = area
        self._file.demand_content(0, self.content + self._area)


def sign(path: Path, signer: SigningIdentity, *, at: dt.datetime, replace: int | None = None) -> SignatureEvidence:
    """Sign the head of the bundle at ``path`` and add the signature, or put it in the place of ``replace``.

    Returns what was added. SigningError as for `opened` and `Signing.sign`.
    """
    with opened(path, at=at) as signing:
        return signing.sign(signer, replace=replace)


def attach(
    path: Path,
    blob: bytes,
    *,
    at: dt.datetime,
    replace: int | None = None,
    purpose: Purpose = "code-signing",
    key: Key | None = None,
) -> SignatureEvidence:
    """Add a signature (one DER SignedData) that was made elsewhere, for instance by ``openssl cms -sign``.

    It is verified under the key of its certificate, or under ``key``. SigningError as for `sign`, and if it is not a
    signature over the head of this bundle.
    """
    with opened(path, at=at) as signing:
        return signing.attach(blob, replace=replace, purpose=purpose, key=key)


def remove(path: Path, index: int, *, at: dt.datetime) -> SignatureEvidence:
    """Take signature ``index``, counted from 0, out of the bundle. Returns what was removed."""
    with opened(path, at=at) as signing:
        return signing.remove(index)


def _verified(file: InPlace, at: dt.datetime) -> Bundle:
    with with_components(reader.read_once(file), file.name) as source:
        bundle = reader.read(source)
        report = pipeline.check(source, at=at, full=True, rules=(*layout.RULES, *integrity.RULES))
    faults = [(one.message, one.rule) for one in report.findings if one.severity == "error"]
    faults += [(one.message, one.rule) for one in bundle.problems]
    if kind := next(filter(None, (foreign.named(one.params) for one in bundle.problems)), None):
        raise SigningError(
            f"{file.name}: nothing was signed: this is {kind.what}; {foreign.only(kind, LIMIT)}",
            next_step=f"Sign it with {command('advisory sign', file.name)}."
            if kind.name == foreign.ADVISORIES
            else kind.next,
        )
    if faults:
        message, rule = faults[0]
        raise SigningError(
            f"{file.name}: not signed, because the bundle is incomplete: {message} ({rule})",
            next_step=f"Run {command('check', file.name)}, then build the bundle again.",
        )
    return bundle


def _finish_interrupted(file: InPlace) -> None:
    """Finish a signing that a crash interrupted."""
    record = InplaceRecord(file)
    if found := record.read():
        identity, area = found
        bundle = reader.read(reader.read_once(file))
        if bundle.area is None or bundle.id != identity or bundle.area.size != len(area):
            raise SigningError(
                f"{record.path}: is left over from signing another bundle",
                next_step="Delete it if no signing of this file is in progress.",
            )
        file.demand_content(0, bundle.head_bytes or b"")
        file.overwrite(bundle.area.start, area)
    record.remove()
