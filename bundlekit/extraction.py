"""Extract parts of a bundle. They are verified while they are written."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeVar

from bundlekit import pipeline
from bundlekit.advisories import load_signed, take_in
from bundlekit.errors import ChangedWhileReadError, ConfigError, UnreadableError
from bundlekit.files import whole_file
from bundlekit.integrity import verified_chunks
from bundlekit.layout import advisory as layout
from bundlekit.layout import reader
from bundlekit.model.bundle import ChunkClaim, DigestClaim, Span
from bundlekit.opening import open_bundle
from bundlekit.schema_errors import nearest
from bundlekit.source import FileSource
from bundlekit.source import read as read_span
from bundlekit.wording import command, given

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping
    from pathlib import Path
    from typing import BinaryIO

    from bundlekit.layout.advisory import SignedAdvisory
    from bundlekit.model.bundle import Bundle
    from bundlekit.source import Source
    from bundlekit.trust import TrustStore


T = TypeVar("T")


def extract(
    file: Path,
    label: str,
    output: Path | BinaryIO,
    *,
    trust: TrustStore | None = None,
    at: dt.datetime | None = None,
    components: Mapping[str, str | Path] | None = None,
) -> int:
    """Write the component or document ``label`` of the bundle ``file`` to ``output``; return its size in bytes.

    Every chunk is verified before it is written, and the plain digest at the end. ``output`` appears only if all of it
    is right. With ``trust``, nothing is written of a bundle that :func:`bundlekit.preflight` does not accept at the
    time ``at``, which has a time zone (default: now). ``components`` is as for :func:`bundlekit.check`. Raises
    ConfigError for an unknown label, and UnreadableError for a bundle that is damaged or not accepted.
    """
    with open_bundle(file, components) as source:  # the verified bytes are the extracted bytes
        _require_accepted(source, trust, at)
        bundle = reader.read(source)
        chunks, index, plain = _claims(bundle, file, label)
        state = hashlib.new(plain.expected.partition(":")[0])
        with whole_file(output) as target:
            for chunk in verified_chunks(source, chunks, index):
                state.update(chunk)
                target.write(chunk)
            if f"{state.name}:{state.hexdigest()}" != plain.expected:
                raise ChangedWhileReadError(f"{file}: the plain digest of {label!r} is not the one in the manifest")
        return chunks.span.size


def extract_head(
    file: Path, output: Path | BinaryIO, *, trust: TrustStore | None = None, at: dt.datetime | None = None
) -> int:
    """Write the bytes that the signatures sign; returns their number. ``trust`` is as for :func:`extract`."""
    with FileSource(file) as opened:
        if advisories := _advisories(opened, file, trust, at):
            return _write(advisories.signed, output)
        source = reader.read_once(opened)  # the verified bytes are the extracted bytes
        _require_accepted(source, trust, at)
        bundle = reader.read(source)
    return _write(_readable(bundle.head_bytes, bundle, file), output)


def extract_signature(
    file: Path, number: int, output: Path | BinaryIO, *, trust: TrustStore | None = None, at: dt.datetime | None = None
) -> int:
    """Write signature ``number``, counted from 0, one DER SignedData; returns its size in bytes.

    ``trust`` is as for :func:`extract`.
    """
    with FileSource(file) as opened:
        if advisories := _advisories(opened, file, trust, at):
            _demand_number(file, number, len(advisories.signatures))
            return _write(advisories.signatures[number], output)
        source = reader.read_once(opened)  # the verified bytes are the extracted bytes
        _require_accepted(source, trust, at)
        bundle = reader.read(source)
    blobs = _readable(bundle.blobs, bundle, file)
    _demand_number(file, number, len(blobs))
    return _write(blobs[number], output)


def _advisories(source: Source, file: Path, trust: TrustStore | None, at: dt.datetime | None) -> SignedAdvisory | None:
    """The advisories in ``source``, or None for another kind of file. They are handled like bundles."""
    if not read_span(source, Span(start=0, stop=min(source.size, len(layout.MAGIC)))).startswith(layout.MAGIC):
        return None
    data = read_span(source, Span(start=0, stop=min(source.size, layout.MAX_FILE + 1)))
    if trust is not None:
        take_in(file, data, trust=trust, at=at)
    return load_signed(file, data)


def _demand_number(file: Path, number: int, there: int) -> None:
    if number >= there:
        raise ConfigError(f"{file}: has {there} signatures, but no signature {number}")


def _require_accepted(source: Source, trust: TrustStore | None, at: dt.datetime | None) -> None:
    if trust is None:
        return
    report = pipeline.preflight(source, trust=trust, at=at)
    if report.verdict != "accept":
        raise UnreadableError(
            f"{source.name}: nothing was extracted: {report.summary}",
            next_step=f"Run {command('check', source.name)} with the same {given('trust')}.",
        )


def _readable(value: T | None, bundle: Bundle, file: Path) -> T:
    if value is None:
        raise UnreadableError(f"{file}: {bundle.problems[0].message}", next_step=f"Run {command('check', file)}.")
    return value


def _claims(bundle: Bundle, file: Path, label: str) -> tuple[ChunkClaim, DigestClaim, DigestClaim]:
    """The claims about one component: its chunks, their index, its plain digest."""
    _readable(bundle.manifest, bundle, file)
    chunks = {claim.subject: claim for claim in bundle.claims if isinstance(claim, ChunkClaim)}
    if label not in chunks and (images := [name for name in chunks if name.startswith(f"{label}/")]):
        raise ConfigError(f"{file}: {label!r} has an image per model; name one of {', '.join(images)}")
    if label not in chunks:
        raise ConfigError(f"{file}: has no component {label!r}{nearest(label, set(chunks))}")
    digests = [claim for claim in bundle.claims if isinstance(claim, DigestClaim)]
    index = next(claim for claim in digests if claim.span == chunks[label].index)
    plain = next(claim for claim in digests if claim.serial and claim.subject == label)
    return chunks[label], index, plain


def _write(data: bytes, output: Path | BinaryIO) -> int:
    with whole_file(output) as target:
        target.write(data)
    return len(data)
