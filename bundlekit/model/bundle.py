"""A bundle in any container format: sections, and claims about spans of bytes.

Byte coverage and integrity are computed from the claims alone, without knowledge of a format. Another vendor's
container therefore needs only a layout reader that returns its claims.
"""

from __future__ import annotations

from hashlib import sha256

from bundlekit.model.manifest import Manifest
from bundlekit.model.primitives import Frozen


class Span(Frozen, frozen=True, kw_only=True, order=True):
    """The half-open byte range ``[start, stop)`` of the bundle file."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        """Bytes in the span."""
        return self.stop - self.start

    def __str__(self) -> str:
        return f"0x{self.start:x}..0x{self.stop:x}"


class Section(Frozen, frozen=True, kw_only=True):
    """A named part of the file, for the map of the file that reports show."""

    name: str
    span: Span


class Problem(Frozen, frozen=True, kw_only=True):
    """A fault found while reading, kept as data until the rule of that name reports it.

    ``rule`` is the rule that fails. ``where`` is the span to look at; None if no byte is at fault. ``subject`` is the
    component, signature or entry concerned. ``params`` are the facts in the message, for translators.
    """

    rule: str
    message: str
    where: Span | None = None
    subject: str = ""
    params: dict[str, str | int] = {}


class SignatureClaim(Frozen, frozen=True, kw_only=True):
    """The claim that ``blob`` signs ``signed``: one entry of the signature area, numbered from 0."""

    index: int
    signed: Span
    blob: Span


class DigestClaim(Frozen, frozen=True, kw_only=True):
    """The claim that the digest of ``span`` is ``expected`` (``algorithm:hex``).

    ``serial`` marks a digest over a whole component. It cannot be computed in parallel and proves no more than the
    chunk index, so it is checked only on request.
    """

    subject: str
    span: Span
    expected: str
    serial: bool = False


class ChunkClaim(Frozen, frozen=True, kw_only=True):
    """The claim that each ``chunk_size`` bytes of ``span`` have the digest at their position in ``index``."""

    subject: str
    span: Span
    index: Span
    chunk_size: int
    algorithm: str


class ZeroClaim(Frozen, frozen=True, kw_only=True):
    """The claim that every byte of ``span`` is zero: padding, and the unused part of the signature area."""

    subject: str
    span: Span


ByteClaim = SignatureClaim | DigestClaim | ChunkClaim | ZeroClaim


class Bundle(Frozen, frozen=True, kw_only=True):
    """A bundle as its layout reader understood it, up to the first fault.

    ``size`` is the real size of the file in bytes. ``head`` is the signed span, and ``head_bytes`` are its bytes.
    ``signatures`` are the raw blobs in the order of their claims. ``document`` is the manifest as plain JSON values,
    and ``manifest`` the same as typed values. ``declared_size`` is the ``size`` that the header states. Each is None if
    reading ended before it; the ``problems`` give the reason.
    """

    format: str
    size: int
    declared_size: int | None = None
    head: Span | None = None
    head_bytes: bytes | None = None
    area: Span | None = None
    signatures: tuple[bytes, ...] | None = None
    document: dict[str, object] | None = None
    manifest: Manifest | None = None
    sections: tuple[Section, ...] = ()
    claims: tuple[ByteClaim, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def id(self) -> str | None:
        """The id of the bundle in reports, journals and tickets: the SHA-256 of its head."""
        return None if self.head_bytes is None else f"sha256:{sha256(self.head_bytes).hexdigest()}"
