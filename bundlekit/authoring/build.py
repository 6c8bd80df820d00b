"""Build an update.bin: one pass over each input, payload first, head last, renamed into place when whole."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from bundlekit.authoring.sign import signature_area
from bundlekit.errors import CancelledError, ConfigError
from bundlekit.files import whole_file
from bundlekit.layout import manifest as manifest_layout
from bundlekit.layout import update_bin
from bundlekit.model.bundle import Span
from bundlekit.model.manifest import Stored

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import BinaryIO

    from bundlekit.authoring.sign import Signer
    from bundlekit.authoring.spec import Draft
    from bundlekit.integrity import Cancel, Progress
    from bundlekit.layout.update_bin import Placed
    from bundlekit.model.manifest import Manifest

PIECE: Final = 256 * 1024


def build(
    draft: Draft,
    output: Path,
    *,
    signers: Sequence[Signer] = (),
    capacity: int = update_bin.DEFAULT_CAPACITY,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Manifest:
    """Write the bundle of ``draft`` to ``output``, signed by ``signers``, and return its final manifest.

    The sizes alone say where everything lies, so each input is read once: copied and hashed on the way. The
    same inputs give the same head. ``output`` appears only when it is whole and signed; an existing file is
    replaced. ``capacity`` is the size of the signature area in bytes.
    """
    head_size = len(manifest_layout.encode(draft.manifest)) + update_bin.HEADER_SIZE
    if head_size > update_bin.MAX_MANIFEST:
        raise ConfigError(f"the manifest has {head_size} bytes, allowed are {update_bin.MAX_MANIFEST}")
    laid_out = update_bin.place(draft.manifest, head_size + capacity)
    total = sum(item.data.size for item in laid_out.placed)
    with whole_file(output) as file:
        file.truncate(laid_out.end)
        stored: list[Stored] = []
        done = 0
        for item, path in zip(laid_out.placed, draft.files, strict=True):
            with path.open("rb") as source:
                stored.append(_store(item, source, path, file, done, total, progress, cancel))
            done += item.data.size
        manifest = _with_digests(draft.manifest, stored)
        encoded = manifest_layout.encode(manifest)
        header = update_bin.Header(manifest_size=len(encoded), signature_capacity=capacity, file_size=laid_out.end)
        head = update_bin.encode_header(header) + encoded
        file.seek(0)
        file.write(head + signature_area([signer.sign(head) for signer in signers], capacity))
    return manifest


def _store(
    item: Placed,
    source: BinaryIO,
    path: Path,
    file: BinaryIO,
    done: int,
    total: int,
    progress: Progress | None,
    cancel: Cancel | None,
) -> Stored:
    """Copy one input to its place and its chunk digests to theirs; return it with its real digests."""
    algorithm = update_bin.algorithm(item.stored.index)
    plain = hashlib.new(update_bin.algorithm(item.stored.digest))
    index = bytearray()
    for start in range(0, item.data.size, item.stored.chunk_size):
        chunk = Span(start=start, stop=min(start + item.stored.chunk_size, item.data.size))
        state = hashlib.new(algorithm)
        file.seek(item.data.start + start)
        for at in range(chunk.start, chunk.stop, PIECE):
            wanted = min(PIECE, chunk.stop - at)
            piece = source.read(wanted)
            if len(piece) != wanted:
                raise ConfigError(f"{path}: became shorter while it was read")
            state.update(piece)
            plain.update(piece)
            file.write(piece)
        index += state.digest()
        if progress:
            progress(done + chunk.stop, total)
        if cancel and cancel():
            raise CancelledError("cancelled; nothing was built")
    if source.read(1):
        raise ConfigError(f"{path}: became longer while it was read")
    file.seek(item.index.start)
    file.write(index)
    return replace(
        item.stored,
        digest=f"{plain.name}:{plain.hexdigest()}",
        index=f"{algorithm}:{hashlib.new(algorithm, index).hexdigest()}",
    )


def _with_digests(manifest: Manifest, stored: list[Stored]) -> Manifest:
    """The manifest with what was stored in the place of its placeholders, in stored order."""
    left = iter(stored)
    components = tuple(
        replace(component, images=tuple(next(left) for _ in component.images)) for component in manifest.components
    )
    documents = tuple(next(left) for _ in manifest.documents)
    return replace(manifest, components=components, documents=documents)
