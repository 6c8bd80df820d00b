"""Read the head of an update.bin into a Bundle, up to the first fault, which becomes a problem.

``STEPS`` lists the steps; each needs the one before it. The manifest is parsed from the exact bytes that the signatures
cover; nothing is serialised again. The payload is not read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bundlekit.errors import ChangedWhileReadError, LayoutError
from bundlekit.layout import damage, foreign, manifest, update_bin
from bundlekit.model.bundle import (
    Bundle,
    ByteClaim,
    ChunkClaim,
    DigestClaim,
    Problem,
    Section,
    SignatureClaim,
    Span,
    ZeroClaim,
)
from bundlekit.model.release import release_of
from bundlekit.source import BytesSource, ReadOnce, absent_of, streams_of
from bundlekit.source import read as read_span
from bundlekit.wording import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.layout.update_bin import Placed
    from bundlekit.model.bundle import Aspect
    from bundlekit.source import Source


ASPECTS: Final[frozenset[Aspect]] = frozenset({"container", "manifest", "area", "chunks"})
"""The aspects of update.bin. A detached head has one more."""

START: Final = 64
"""First bytes that identify the format of a file: the header, and the magics of other formats."""


MAX_ZEROS: Final = 1024 * 1024
"""Bytes read from a file that is not a bundle, to count its leading zeros."""


def read(source: Source) -> Bundle:
    """Read head and signatures of ``source``: at most 1.25 MiB and 32 bytes, regardless of the sizes in the file."""
    bundle = Bundle(format=update_bin.FORMAT, aspects=ASPECTS, size=source.size)
    for step in STEPS:
        try:
            bundle = step(source, bundle)
        except LayoutError as error:
            return bundle.plus(problems=[error.problem])
    return bundle


def read_once(source: Source) -> ReadOnce:
    """``source`` with its head and signature area read only once.

    A caller that validates a head and then uses it reads both times from the result, so both reads see the same bytes.
    """
    if isinstance(source, ReadOnce):
        return source
    if isinstance(source, BytesSource):
        return ReadOnce(source)
    start = read_span(source, Span(start=0, stop=min(source.size, START)))
    if len(start) < update_bin.HEADER_SIZE or not start.startswith(update_bin.MAGIC):
        return ReadOnce(source, start)
    header = update_bin.decode_header(start[: update_bin.HEADER_SIZE])
    if any(update_bin.bounds_problems(header)):
        return ReadOnce(source, start)
    # One read from the first byte on: a header and a manifest of two different files must not be combined.
    whole = read_span(source, Span(start=0, stop=max(len(start), min(source.size, header.area.stop))))
    if not whole.startswith(start):
        raise ChangedWhileReadError(
            f"{source.name}: changed while it was read",
            next_step="Wait until the file is no longer written, then run again.",
        )
    return ReadOnce(source, whole)


def _header(source: Source, bundle: Bundle) -> Bundle:
    """Check the magic, the limits of the fields, and the real size of the file against the header."""
    size = bundle.size
    start = read_span(source, Span(start=0, stop=min(size, START)))
    if not start.startswith(update_bin.MAGIC):
        raise LayoutError(_not_a_bundle(source, start))
    if size < update_bin.HEADER_SIZE:
        message = f"the file ends within its header, after {size} of {update_bin.HEADER_SIZE} bytes"
        where = Span(start=size, stop=update_bin.HEADER_SIZE)
        raise LayoutError(Problem(rule="truncated", message=message, where=where))
    header = update_bin.decode_header(start[: update_bin.HEADER_SIZE])
    if update_bin.DETACHED_VERSION < header.version <= update_bin.MAX_VERSION:
        supported = update_bin.DETACHED_VERSION
        message = f"its layout is of version {header.version}, but this bundlekit supports {supported}"
        raise LayoutError(Problem(rule="tool-too-old", message=message, where=Span(start=8, stop=12)))
    for message, where in update_bin.bounds_problems(header):
        raise LayoutError(Problem(rule="header-out-of-bounds", message=message, where=where))

    problems = []
    params: dict[str, str | int] = {"expected": header.file_size, "found": size}
    if size < header.file_size:
        missing = header.file_size - size
        message = f"the file has {size} of the {header.file_size} bytes stated in its header, {missing} are missing"
        if part := foreign.part_of_a_bundle(size, header):
            message, params = f"this is {foreign.KINDS[part].what}", params | {"format": part}
        where = Span(start=size, stop=header.file_size)
        problems.append(Problem(rule="truncated", message=message, where=where, params=params))
    if size > header.file_size:
        surplus = size - header.file_size
        message = f"{count(surplus, 'byte')} after the {count(header.file_size, 'byte')} that the header states"
        where = Span(start=header.file_size, stop=size)
        problems.append(Problem(rule="trailing-data", message=message, where=where, params=params))

    known: dict[str, Any] = {}
    if header.version == update_bin.DETACHED_VERSION:
        known["aspects"] = bundle.aspects | {"detached"}
    if size >= header.head.stop:
        known |= {"head": header.head, "head_bytes": read_span(source, header.head)}
    if size >= header.area.stop:
        known["area"] = header.area
    section = Section(name="header", span=Span(start=0, stop=update_bin.HEADER_SIZE))
    return bundle.plus(sections=[section], problems=problems, declared_size=header.file_size, **known)


def _signatures(source: Source, bundle: Bundle) -> Bundle:
    """The entries of the signature area. A malformed area does not prevent reading the manifest."""
    if bundle.head is None or bundle.area is None:
        return bundle
    sections = [
        Section(name="manifest", span=Span(start=update_bin.HEADER_SIZE, stop=bundle.head.stop)),
        Section(name="signatures", span=bundle.area),
    ]
    try:
        entries, rest = update_bin.decode_area(read_span(source, bundle.area), bundle.area.start)
    except LayoutError as error:
        return bundle.plus(sections=sections, problems=[error.problem])
    signatures = tuple(
        SignatureClaim(
            index=index,
            signed=(bundle.head,),
            blob=span,
            entry=Span(start=span.start - update_bin.LENGTH_SIZE, stop=span.stop),
            form="cms-strict",
            value=blob,
        )
        for index, (span, blob) in enumerate(entries)
    )
    claims = [ZeroClaim(subject="signature area", span=rest)]
    return bundle.plus(sections=sections, claims=claims, signatures=signatures)


def _manifest(_: Source, bundle: Bundle) -> Bundle:
    """Read the manifest: canonical JSON, then the version of its format, then its schema."""
    if bundle.head is None or bundle.head_bytes is None:
        return bundle
    where = Span(start=update_bin.HEADER_SIZE, stop=bundle.head.stop)
    document = manifest.decode_document(bundle.head_bytes[where.start :], where)
    bundle = bundle.plus(document=document)
    try:
        decoded = manifest.decode(document, where)
        inner = {"inner"} if any(one.format for one in decoded.components) else set()
        return bundle.plus(aspects=bundle.aspects | inner, manifest=decoded, release=release_of(decoded))
    except LayoutError as error:
        return bundle.plus(problems=[error.problem])


def _payload(source: Source, bundle: Bundle) -> Bundle:
    """The position of the payload, and the claims of the manifest about it."""
    if bundle.manifest is None or bundle.area is None:
        return bundle
    detached = "detached" in bundle.aspects
    laid_out = update_bin.place(bundle.manifest, bundle.area.stop, detached=detached)
    problems = [problem for item in laid_out.placed for problem in _misplaced(item, source, detached=detached)]
    sections = [Section(name="padding", span=span) for span in laid_out.padding]
    claims: list[ByteClaim] = [ZeroClaim(subject="padding", span=span) for span in laid_out.padding]
    for item in laid_out.placed:
        index_name = f"{item.label} (chunk index)"
        sections += [Section(name=index_name, span=item.index), Section(name=item.label, span=item.data)]
        chunks = ChunkClaim(
            subject=item.label,
            span=item.data,
            index=item.index,
            chunk_size=item.stored.chunk_size,
            algorithm=update_bin.algorithm(item.stored.index),
        )
        claims += [
            DigestClaim(subject=index_name, span=item.index, expected=item.stored.index, of="index"),
            chunks,
            DigestClaim(subject=item.label, span=item.data, expected=item.stored.digest, serial=True),
        ]
    files = {name: file.size for name, file in streams_of(source).items()}
    return bundle.plus(sections=sections, claims=claims, problems=problems, files=files, complete=True)


def _misplaced(item: Placed, source: Source, *, detached: bool) -> Iterator[Problem]:
    """What is wrong with the place of a stored item: in the bundle itself, or in the file of a detached head."""
    label, size, file = item.label, item.stored.size, item.stored.file
    if detached != (file is not None):
        wrong = "has to name its file" if detached else "names a file, but the bundle is not a detached head"
        yield Problem(rule="manifest-schema", message=f"the manifest cannot be used: {label!r} {wrong}", subject=label)
    if not detached or file is None:
        return
    found = streams_of(source).get(label)
    if found is None:
        kind = absent_of(source).get(label)
        message = f"the file {file!r} of {label!r} " + (
            f"cannot be read: {kind}" if kind else "is not next to the head"
        )
        yield Problem(rule="component-missing", message=message, subject=label, params={"file": file})
    elif found.size < size:
        message = f"{found.name}: has {found.size} of the {size} bytes of {label!r}, {size - found.size} are missing"
        missing = Span(start=found.size, stop=size, stream=label)
        yield Problem(rule="truncated", message=message, where=missing, subject=label)
    elif found.size > size:
        message = f"{found.name}: {count(found.size - size, 'byte')} after the {count(size, 'byte')} of {label!r}"
        surplus = Span(start=size, stop=found.size, stream=label)
        yield Problem(rule="trailing-data", message=message, where=surplus, subject=label)


STEPS: Final = (_header, _signatures, _manifest, _payload)


def _not_a_bundle(source: Source, start: bytes) -> Problem:
    """Report what a file is that does not begin with the magic: damaged, of another kind, or unknown."""
    if start == update_bin.MAGIC[: len(start)]:
        message = f"the file ends after {len(start)} bytes, within its magic" if start else "the file is empty"
        where = Span(start=len(start), stop=update_bin.HEADER_SIZE)
        return Problem(rule="truncated", message=message, where=where)
    where = Span(start=0, stop=min(len(start), len(update_bin.MAGIC)))
    if how := damage.text_mode(start):
        message = f"the file went through a text-mode transfer: {how}"
        return Problem(rule="text-mode-damage", message=message, where=where)
    message = "the file does not begin with the magic of an update.bin"
    params: dict[str, str | int] = {}
    if width := damage.swapped(start):
        message += f"; its bytes are reversed in units of {width}"
    elif kind := foreign.recognised(foreign.view(source)):
        message = f"this is {kind.what}; {foreign.only(kind)}"
        params = {"format": kind.name}
    elif zeros := damage.leading_zeros(_beginning(source), source.size):
        message += f"; {zeros}"
    return Problem(rule="not-a-bundle", message=message, where=where, params=params)


def _beginning(source: Source) -> bytes:
    return read_span(source, Span(start=0, stop=min(source.held, MAX_ZEROS)))
