"""What a catalog keeps of a bundle, and the bundles at a place: files, folders and catalogs.

A catalog keeps the first bytes of an update.bin, up to the end of the signature area. For other formats it keeps the
pieces that a check of head and signatures reads. The check of these pieces is then the same as that of the file.
"""

from __future__ import annotations

import re
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from msgspec import Meta

from bundlekit import config, formats
from bundlekit.errors import ConfigError, UnreadableError
from bundlekit.escape import escape
from bundlekit.files import LIMITS
from bundlekit.layout import update_bin
from bundlekit.model.bundle import Span
from bundlekit.model.primitives import Count, Date, Size, Strict
from bundlekit.opening import open_source
from bundlekit.remote.url import remote_url
from bundlekit.source import BytesSource, FileSource, Pieces
from bundlekit.source import read as read_span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from bundlekit.model.bundle import Bundle
    from bundlekit.source import ReadOnce, Source

INDEX: Final = "catalog.json"
MAX_HEAD: Final = LIMITS["head"]
"""More than header, manifest and signature area of an update.bin can take together."""
MAX_PIECES: Final = LIMITS["pieces"]
"""Bytes that are kept of a bundle in another format. A firmware image without a head of its own is kept whole."""


class CatalogEntry(Strict, frozen=True, kw_only=True):
    """What a catalog knows of a bundle besides its head: file name and size when it was added, end of support.

    ``pieces`` are offset and size of each piece that the head file has, one after another. Without them it has the
    first bytes of the bundle.
    """

    file: str
    size: Size
    supported_until: Date | None = None
    pieces: Annotated[tuple[tuple[Count, Size], ...], Meta(max_length=4096)] = ()


class Index(Strict, frozen=True, kw_only=True):
    """``catalog.json``: the bundles by id."""

    schema: Literal["bundlekit/catalog/1"]
    bundles: dict[str, CatalogEntry] = {}


def read_index(catalog: Path) -> Index:
    """The index of a catalog; ConfigError if there is none, or it is damaged."""
    path = catalog / INDEX
    index = config.convert(config.load_json(path), Index, where=str(path))
    for identity in index.bundles:
        if not re.fullmatch("[0-9a-f]{64}", identity):
            raise ConfigError(f"{path}: at 'bundles': {identity[:64]!r} is not a bundle id, 64 hexadecimal digits")
    return index


def kept_head(path: Path, supported_until: str | None) -> tuple[str, bytes, CatalogEntry]:
    """The id of a bundle, the bytes that a catalog keeps of it, and its entry.

    Raises ConfigError if the head cannot be read, or if a large bundle has no head that can be verified alone.
    """
    with FileSource(path) as opened:
        source = formats.once(opened)  # the head that is kept is the one whose id was computed
        bundle = formats.read(source)
        if bundle.release is None or bundle.id is None or bundle.signatures is None:
            why = bundle.problems[0].message if bundle.problems else "it has no signed description"
            raise ConfigError(f"{path}: its head cannot be read: {why}", next_step="Run `bundlekit check` on it.")
        # A file name is bytes; one that is not UTF-8 is kept as it is shown.
        name, identity = escape(path.name), bundle.id.removeprefix("sha256:")
        if bundle.manifest is not None and bundle.area is not None:
            head = read_span(source, Span(start=0, stop=bundle.area.stop))
            return identity, head, CatalogEntry(file=name, size=source.size, supported_until=supported_until)
        _read_signed(path, source, bundle)
        pieces = _joined(source.pieces)
    return (
        identity,
        b"".join(data for _, data in pieces),
        CatalogEntry(
            file=name,
            size=source.size,
            supported_until=supported_until,
            pieces=tuple((offset, len(data)) for offset, data in pieces),
        ),
    )


def _read_signed(path: Path, source: ReadOnce, bundle: Bundle) -> None:
    """Read what a later check of the signatures needs. ConfigError if that is the payload of a large bundle."""
    spans = [span for claim in bundle.signatures or () for span in claim.signed if not span.stream]
    size = sum(span.size for span in dict.fromkeys(spans)) + sum(len(data) for _, data in source.pieces)
    if size > MAX_PIECES:
        raise ConfigError(
            f"{path}: it has no head apart from its payload: {size:,} bytes are needed to verify its signatures, and a "
            f"catalog keeps at most {MAX_PIECES:,}",
            next_step="Give the bundle itself to `bundlekit path`, or build a detached head for it and add that.",
        )
    with source.remembering():
        for span in spans:
            read_span(source, span)


def _joined(pieces: Iterable[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """The same bytes in as few pieces as possible. ``pieces`` are in order, and do not overlap."""
    joined: list[tuple[int, bytearray]] = []
    for offset, data in pieces:
        if joined and offset == joined[-1][0] + len(joined[-1][1]):
            joined[-1][1].extend(data)
        else:
            joined.append((offset, bytearray(data)))
    return [(offset, bytes(data)) for offset, data in joined]


def bundle_sources(places: Iterable[Path]) -> Iterator[tuple[AbstractContextManager[Source], CatalogEntry | None]]:
    """The bundles at ``places``, and for those of a catalog their entries. ConfigError if a place has no bundles."""
    for place in places:
        if remote_url(place) is not None:
            yield closing(open_source(place)), None
        elif place == Path():  # which an empty path becomes
            raise ConfigError("A path of a bundle or catalog is empty.", next_step="Name the file or folder.")
        elif (place / INDEX).is_file():
            for identity, entry in read_index(place).bundles.items():
                yield nullcontext(_head_of(place / f"{identity}.head", entry)), entry
        elif place.is_dir():
            files = [file for file in sorted(place.iterdir()) if file.suffix == ".bin" or is_bundle(file)]
            if not files:
                raise ConfigError(
                    f"{place}: has neither {INDEX} nor any bundle", next_step="Name the bundles themselves."
                )
            yield from ((closing(FileSource(file)), None) for file in files)
        else:
            yield closing(FileSource(place)), None


def _head_of(file: Path, entry: CatalogEntry) -> Source:
    data = config.read_file(file, limit=MAX_PIECES if entry.pieces else MAX_HEAD)
    if not entry.pieces:
        return BytesSource(data, size=max(entry.size, len(data)), name=entry.file)
    pieces, at = [], 0
    for offset, size in entry.pieces:
        pieces.append((offset, data[at : at + size]))
        at += size
    if at != len(data) or max(offset + size for offset, size in entry.pieces) > entry.size:
        raise ConfigError(f"{file}: its size is not that of the pieces in {INDEX}", next_step="Add the bundle again.")
    return Pieces(pieces, size=entry.size, name=entry.file)


def is_bundle(file: Path) -> bool:
    """Whether a file in a folder is a bundle, by its content. Links count as the files that they lead to."""
    if not file.is_file():
        return False
    try:
        with FileSource(file) as source:
            start = read_span(source, Span(start=0, stop=min(source.held, len(update_bin.MAGIC))))
            return start == update_bin.MAGIC or formats.format_of(formats.once(source)) != ""
    except UnreadableError:
        return False
