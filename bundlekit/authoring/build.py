"""Build an update.bin: one pass over each input, payload first, head last, renamed into place when whole."""

from __future__ import annotations

import hashlib
import os
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from bundlekit import wall_clock
from bundlekit.authoring.admission import admit, signature_area
from bundlekit.authoring.signatures import SignatureList
from bundlekit.authoring.spec import PLACEHOLDER
from bundlekit.errors import CancelledError, ConfigError
from bundlekit.file_kind import kind_of, reason
from bundlekit.files import whole_file
from bundlekit.layout import manifest as manifest_layout
from bundlekit.layout import update_bin
from bundlekit.model.manifest import labelled
from bundlekit.model.primitives import FILE_NAME
from bundlekit.trust import Signed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import BinaryIO

    from bundlekit.authoring.signers import SigningIdentity
    from bundlekit.authoring.spec import Draft
    from bundlekit.integrity import Cancel, ReadProgress
    from bundlekit.layout.update_bin import Placed
    from bundlekit.model.manifest import Manifest, Stored
    from bundlekit.model.matrix import MatrixSource
    from bundlekit.trust import TrustStore

PIECE: Final = 256 * 1024


class Built(NamedTuple):
    """What was written: the final manifest, and the signatures, which trust has evaluated if it was given."""

    manifest: Manifest
    signatures: SignatureList


def build(
    draft: Draft,
    output: Path | BinaryIO,
    *,
    signers: Sequence[SigningIdentity] = (),
    capacity: int = update_bin.DEFAULT_CAPACITY,
    detached: bool = False,
    progress: ReadProgress | None = None,
    cancel: Cancel | None = None,
) -> Manifest:
    """Write the bundle of ``draft`` to ``output``, signed by ``signers``, and return its final manifest.

    See `build_signed` for the parameters and the exceptions.
    """
    terms = partial(build_signed, capacity=capacity, detached=detached, progress=progress, cancel=cancel)
    return terms(draft, output, signers=signers).manifest


def build_signed(
    draft: Draft,
    output: Path | BinaryIO,
    *,
    signers: Sequence[SigningIdentity] = (),
    trust: TrustStore | None = None,
    capacity: int = update_bin.DEFAULT_CAPACITY,
    detached: bool = False,
    progress: ReadProgress | None = None,
    cancel: Cancel | None = None,
) -> Built:
    """Write the bundle of ``draft`` to ``output``, signed by ``signers``, and return what was written.

    The layout depends on the sizes alone, so each input is read once, and hashed while it is copied. The same inputs
    give the same head. ``output`` appears only when it is whole and signed. An existing file is replaced. ``capacity``
    is the size of the signature area in bytes. With ``trust``, nothing is built if a signature would not count.

    A ``detached`` head contains no payload: the inputs stay where they are, and the head names them. Raises ConfigError
    if two of them have one name, or a name that a head cannot contain.
    """
    if detached:
        draft = replace(draft, manifest=_naming_files(draft))
    head_size = len(manifest_layout.encode(draft.manifest)) + update_bin.HEADER_SIZE
    if head_size > update_bin.MAX_MANIFEST:
        raise ConfigError(f"the manifest has {head_size} bytes; the maximum is {update_bin.MAX_MANIFEST}")
    laid_out = update_bin.place(draft.manifest, head_size + capacity, detached=detached)
    with whole_file(output) as file:
        file.truncate(laid_out.end)
        advance = _Advance(sum(item.data.size for item in laid_out.placed), progress, cancel)
        stored = [_store(item, path, file, advance) for item, path in zip(laid_out.placed, draft.files, strict=True)]
        manifest = _with_digests(draft.manifest, stored)
        encoded = manifest_layout.encode(manifest)
        header = update_bin.Header(
            version=update_bin.DETACHED_VERSION if detached else update_bin.VERSION,
            manifest_size=len(encoded),
            signature_capacity=capacity,
            file_size=laid_out.end,
        )
        head = update_bin.encode_header(header) + encoded
        file.seek(0)
        signatures = _signed(head, signers, trust, Signed(product=manifest.product, released=manifest.released))
        file.write(head + signature_area(signatures.blobs, capacity))
    return Built(manifest, signatures)


def _signed(head: bytes, signers: Sequence[SigningIdentity], trust: TrustStore | None, signed: Signed) -> SignatureList:
    """The signatures; SigningError for one that a check would reject, or that does not count for the trust."""
    blobs: list[bytes] = []
    at = wall_clock.now()
    for signer in signers:
        blobs.append(signer.sign(head))
        at = wall_clock.now()
        terms = partial(admit, start=len(head), at=at, purpose=signer.purpose, refused="nothing was built")
        terms(head, blobs, len(blobs) - 1, verified=True, trust=trust, signed=signed)
    made = partial(SignatureList, start=len(head), at=at, name="", what="bundle", verb="sign")
    return made(head, blobs, signed=signed, trust=trust)


class _Advance:
    """Counts the bytes stored, reports them, and stops where the caller wants it."""

    def __init__(self, total: int, progress: ReadProgress | None, cancel: Cancel | None) -> None:
        self._total, self._progress, self._cancel = total, progress, cancel
        self._done = 0

    def __call__(self, count: int) -> None:
        self._done += count
        if self._progress:
            self._progress(self._done, self._total)
        if self._cancel and self._cancel():
            raise CancelledError("cancelled; nothing was built")


def _store(item: Placed, path: Path, file: BinaryIO, advance: _Advance) -> Stored:
    """Copy one input to its place and its chunk digests to theirs; return it with its real digests.

    An input with a stream of its own is only read.
    """
    algorithm = update_bin.algorithm(item.stored.index)
    plain = hashlib.new(update_bin.algorithm(item.stored.digest))
    index = bytearray()
    with _opened(path) as source:
        for start in range(item.data.start, item.data.stop, item.stored.chunk_size):
            stop = min(start + item.stored.chunk_size, item.data.stop)
            chunk = hashlib.new(algorithm)
            if not item.data.stream:
                file.seek(start)
            for at in range(start, stop, PIECE):
                wanted = min(PIECE, stop - at)
                piece = source.read(wanted)
                if len(piece) != wanted:
                    raise ConfigError(f"{path}: became shorter while it was read")
                chunk.update(piece)
                plain.update(piece)
                if not item.data.stream:
                    file.write(piece)
            index += chunk.digest()
            advance(stop - start)
        if source.read(1):
            raise ConfigError(f"{path}: became longer while it was read")
    file.seek(item.index.start)
    file.write(index)
    return replace(
        item.stored,
        digest=f"{plain.name}:{plain.hexdigest()}",
        index=f"{algorithm}:{hashlib.new(algorithm, index).hexdigest()}",
    )


def _opened(path: Path) -> BinaryIO:
    """The file of a component. It was a regular one when its size was taken, and can be a pipe or a device by now."""
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {reason(error, path)}") from error
    if kind := kind_of(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ConfigError(f"{path}: is {kind} now, but it was a file when its size was read")
    return open(descriptor, "rb")


def _naming_files(draft: Draft) -> Manifest:
    """The manifest of a detached head, in which each stored part names its file."""
    names = [path.name for path in draft.files]
    for path, name in zip(draft.files, names, strict=True):
        if names.count(name) > 1:
            raise ConfigError(f"{path}: two files are named {name!r}, but the head must be next to both")
        if not FILE_NAME.match(name):
            raise ConfigError(
                f"{path}: a detached head cannot contain the name {name!r}",
                next_step="Rename the file: letters, digits and . _ + ~ @ ( ) - and blanks, at most 128.",
            )
    stored = (item.stored for item in labelled(draft.manifest))
    named = [replace(one, file=name) for one, name in zip(stored, names, strict=True)]
    return replace(_with_digests(draft.manifest, named), format=manifest_layout.SECOND)


def _with_digests(manifest: Manifest, stored: list[Stored]) -> Manifest:
    """The manifest with what is stored in the place of its placeholders, in stored order."""
    left = iter(stored)
    components = tuple(
        replace(component, images=tuple(next(left) for _ in component.images)) for component in manifest.components
    )
    documents = tuple(next(left) for _ in manifest.documents)
    digests = {name: one.digest for name, one in zip((d.name for d in manifest.documents), documents, strict=True)}
    sources = tuple(_with_record(source, digests) for source in manifest.matrix.sources)
    matrix = replace(manifest.matrix, sources=sources)
    return replace(manifest, components=components, documents=documents, matrix=matrix)


def _with_record(source: MatrixSource, digests: dict[str, str]) -> MatrixSource:
    """The source with the digest of the document that its test record is, in the place of the placeholder."""
    name, digest = source.record
    if digest != PLACEHOLDER or name.lower() not in digests:
        return source
    return replace(source, tested=f"{name}@{digests[name.lower()]}")
