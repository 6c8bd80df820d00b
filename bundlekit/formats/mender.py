"""Mender artifacts of version 3 (``.mender``): a tar archive with a signed list of digests, a header and one payload.

Sources: "Mender Artifact file format", version 3, of the project mender-artifact, and what the client on the device
enforces beyond it. Only ``manifest`` is signed. Everything else counts as far as it is listed there.
"""

from __future__ import annotations

import base64
import binascii
import re
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from bundlekit.errors import LayoutError
from bundlekit.integrity.archive import DecodedStream
from bundlekit.integrity.decoding import StreamError, decoded, readable
from bundlekit.layout.mender.header import DEVICE_TYPE, GROUP, NAME, ROOTFS, read_header, read_object
from bundlekit.layout.mender.manifest import HEADERS, PAYLOADS, manifest_entries
from bundlekit.layout.tar import BLOCK, END_SIZE, FREE, check_end, next_member
from bundlekit.model.bundle import (
    ArchiveClaim,
    Bundle,
    DigestClaim,
    FramingClaim,
    Problem,
    Section,
    SignatureClaim,
    Span,
    Unread,
    ZeroClaim,
)
from bundlekit.model.release import Demand, Part, Release, Terms
from bundlekit.source import read as read_span
from bundlekit.wording import count

if TYPE_CHECKING:
    from bundlekit.layout.mender.header import MenderHeader
    from bundlekit.layout.mender.manifest import ManifestEntry
    from bundlekit.layout.tar import TarMember
    from bundlekit.model.bundle import Aspect, ByteClaim, RawAlgorithm
    from bundlekit.source import Source

ASPECTS: Final[frozenset[Aspect]] = frozenset({"structure", "metadata", "members", "content"})

VERSION: Final = 3
MAX_VERSION: Final = 1024
"""Bytes of ``version``, which has 31."""

MAX_MANIFEST: Final = 1024 * 1024
"""Bytes of ``manifest``: five thousand files with the longest names."""

MAX_SIGNATURE: Final = 4096
"""Bytes of ``manifest.sig``: RSA with 8192 bits has 1368 in base64."""

MAX_HEADER: Final = 8 * 1024 * 1024
"""Stored bytes of the header, which is kept in memory. Real ones have a few KiB."""

ORDER: Final = {
    "version": 0,
    "manifest": 1,
    "manifest.sig": 2,
    "manifest-augment": 3,
    **dict.fromkeys(HEADERS, 4),
    **{f"header-augment{name.removeprefix('header')}": 5 for name in HEADERS},
    **dict.fromkeys(PAYLOADS, 6),
}
"""The members of an artifact, in the only order that the format allows."""

IN_ARCHIVE: Final = (
    "structure-malformed",
    "member-duplicate",
    "member-unlisted",
    "member-missing",
    "member-misplaced",
    "digest-mismatch",
)
"""The rules that need what is inside a compressed archive."""

_PAYLOAD_LIKE: Final = r"data/[0-9]{4}\.tar(?:\.gz|\.xz|\.zst)?"
_RSA_SIZES: Final = range(2048 // 8, 8192 // 8 + 1)
_P256_DER: Final = 72
"""Bytes of the same in DER, at most."""
_P256: Final = 64
"""Bytes of r and s together with P-256, the only curve of the format; and of an Ed25519 signature."""


def read(source: Source) -> Bundle:
    """Read everything but the payload of ``source``: at most 10 MiB, and 32 MiB of decoded header."""
    reading = _Reading(source)
    try:
        reading.run()
    except LayoutError as error:
        reading.problems.append(error.problem)
    return reading.bundle()


class _Reading:
    """One artifact, as far as it has been read."""

    def __init__(self, source: Source) -> None:
        self.at = 0
        self.problems: list[Problem] = []
        self._source = source
        self._claims: list[ByteClaim] = []
        self._sections: list[Section] = []
        self._seen: dict[str, TarMember] = {}
        self._known: dict[str, Any] = {}
        self._document: dict[str, Any] = {}
        self._entries: dict[str, ManifestEntry] = {}
        self._header: MenderHeader | None = None
        self._peeked: TarMember | None = None
        self._ended = False
        self._version_bytes = b""

    def bundle(self) -> Bundle:
        """What was read so far."""
        return Bundle(
            format="mender",
            aspects=ASPECTS,
            size=self._source.size,
            document=self._document or None,
            sections=tuple(self._sections),
            claims=tuple(self._claims),
            problems=tuple(self.problems),
            **self._known,
        )

    def run(self) -> None:
        """Read the members in their order. Raises LayoutError at the first fault."""
        version = self._demand("version")
        try:
            self._version(version)
        except LayoutError as error:
            self.problems += [error.problem, *self._changed(version)]
            return
        self._signed(version)
        if augment := self._optional("manifest-augment"):
            message = "manifest-augment lists files of the payload, and no signature covers it"
            raise _wrong("metadata-unprotected", message, augment.content)
        self._read_header(self._demand(*HEADERS))
        self._payload(self._optional(*PAYLOADS))
        self._end()
        self._known["complete"] = True

    # --- the archive ---

    def block(self) -> bytes:
        """The next block of the file."""
        where = Span(start=self.at, stop=self.at + BLOCK)
        if where.stop > self._source.size:
            self._truncated(where.stop)
        self.at = where.stop
        return read_span(self._source, where)

    def _truncated(self, needed: int) -> None:
        size = self._source.size
        self._known["declared_size"] = needed + END_SIZE
        message = f"the file ends after {size:,} bytes, and its archive needs at least {needed + END_SIZE:,}"
        raise _wrong("truncated", message, Span(start=size, stop=needed + END_SIZE))

    def _next(self) -> TarMember | None:
        """The next member, which is not taken yet; None at the end of the archive."""
        if self._peeked is None and not self._ended:
            self._peeked = next_member(self)
            self._ended = self._peeked is None
            if self._peeked is not None and self._peeked.padding.stop > self._source.size:
                self._truncated(self._peeked.padding.stop)
        return self._peeked

    def _demand(self, *names: str) -> TarMember:
        member = self._optional(*names)
        if member is None:
            found = self._next()
            if found is not None:
                raise self._unexpected(found, names[0])
            start = self.at - BLOCK
            check_end(self)
            raise _wrong("member-missing", f"the artifact has no {names[0]}", Span(start=start, stop=start + BLOCK))
        return member

    def _optional(self, *names: str) -> TarMember | None:
        """Take the next member if it has one of the names, with its framing, and continue after it."""
        member = self._next()
        if member is None or member.name not in names:
            return None
        self._peeked = None
        self._seen[member.name] = member
        self._sections.append(Section(name=member.name, span=member.content))
        self._claims += _framing(member)
        self._claims.append(ZeroClaim(subject="padding", span=member.padding))
        self.at = member.padding.stop
        return member

    def _unexpected(self, member: TarMember, wanted: str) -> LayoutError:
        """The fault of a member that is not in its place."""
        name = member.name
        if name in self._seen:
            return _wrong("member-duplicate", f"{name!r} exists twice", member.header)
        if wanted and name in ORDER:
            return _wrong("member-misplaced", f"{name!r} is at the position of {wanted!r}", member.header)
        if name in ORDER or re.fullmatch(_PAYLOAD_LIKE, name):
            return _wrong(
                "member-misplaced", f"{name!r} belongs to a second payload, but an artifact has one", member.header
            )
        return _wrong("member-unlisted", f"the artifact must not have a member {name!r}", member.header)

    def _end(self) -> None:
        """The two blocks of zeros at the end, and nothing after them."""
        if member := self._peeked:
            raise self._unexpected(member, "")
        size, held = self._source.size, self._source.held
        start = self.at - BLOCK if self._ended else self.at
        end = Span(start=start, stop=start + END_SIZE)
        if size < end.stop:
            self._truncated(end.start)
        if held >= end.stop:  # if only the first bytes of the file are given, its size alone shows the end
            if member := self._next():
                raise self._unexpected(member, "")
            check_end(self)
        self._known["declared_size"] = end.stop
        self._claims.append(ZeroClaim(subject="padding", span=end))
        if size > end.stop:
            message = f"{count(size - end.stop, 'byte')} after the end of the archive"
            self.problems.append(Problem(rule="trailing-data", message=message, where=Span(start=end.stop, stop=size)))

    def _content(self, member: TarMember, limit: int) -> bytes:
        if not 0 < member.content.size <= limit:
            message = f"{member.name} has {member.content.size:,} bytes; 1 to {limit:,} are allowed"
            raise _wrong("metadata-malformed", message, member.header)
        return read_span(self._source, member.content)

    # --- its members ---

    def _version(self, member: TarMember) -> None:
        content = self._version_bytes = self._content(member, MAX_VERSION)
        found = read_object("version", content, member.content)
        version = found.get("version")
        if found.keys() != {"format", "version"} or found["format"] != "mender" or type(version) is not int:
            message = "version must state the format mender and its version, and nothing more"
            raise _wrong("metadata-malformed", message, member.content)
        if version != VERSION:
            rule = "tool-too-old" if version > VERSION else "metadata-malformed"
            message = f"the artifact is of version {version}, but only version {VERSION} is supported"
            raise _wrong(rule, message, member.content)
        self._document["version"] = found

    def _changed(self, version: TarMember) -> list[Problem]:
        """The fault that ``version``, which cannot be used, has another digest than the one in the manifest, if so."""
        if not self._version_bytes:
            return []
        try:
            self._signed(version)
        except LayoutError as error:
            return [error.problem] if error.problem.rule == "digest-mismatch" else []
        return []

    def _signed(self, version: TarMember) -> None:
        """Read the manifest, with its signature first: that shows who wrote what the manifest states."""
        member = self._demand("manifest")
        content = self._content(member, MAX_MANIFEST)
        self._known |= {"head": member.content, "head_bytes": content}
        self._signature(self._optional("manifest.sig"))
        self._entries = manifest_entries(content, member.content.start)
        self._document["manifest"] = {entry.name: entry.digest for entry in self._entries.values()}
        self._demand_digest(version, self._version_bytes)

    def _demand_digest(self, member: TarMember, content: bytes) -> None:
        """Compare the digest of what is about to be used. It is claimed as well, like that of any other part."""
        entry = self._entries.pop(member.name, None)
        if entry is None:
            raise _wrong("member-unlisted", f"{member.name!r} is not listed in the manifest", member.header)
        found = f"sha256:{sha256(content).hexdigest()}"
        if found != entry.digest:
            message = f"the digest of {member.name!r} differs from the one in the manifest"
            params: dict[str, str | int] = {"expected": entry.digest, "found": found}
            raise LayoutError(
                Problem(
                    rule="digest-mismatch", message=message, where=member.content, subject=member.name, params=params
                )
            )
        self._claims.append(DigestClaim(subject=member.name, span=member.content, expected=entry.digest))

    def _signature(self, member: TarMember | None) -> None:
        if member is None:
            following = self._next()
            if following is None or ORDER.get(following.name, 0) > ORDER["manifest.sig"]:
                self._known["signatures"] = ()
            return
        content = self._content(member, MAX_SIGNATURE)
        try:
            value = base64.b64decode(content, validate=True)
        except binascii.Error:
            value = b""
        if not value or base64.b64encode(value) != content:
            raise _wrong("metadata-malformed", "manifest.sig is not one value in base64", member.content)
        claim = SignatureClaim(
            index=0,
            signed=(self._known["head"],),
            blob=member.content,
            entry=member.content,
            form="raw",
            value=value,
            candidates=_candidates(value),
        )
        self._known["signatures"] = (claim,)

    def _read_header(self, member: TarMember) -> None:
        content = self._content(member, MAX_HEADER)
        self._demand_digest(member, content)
        compression = HEADERS[member.name]
        if not readable(compression):
            self._leave_unread(member.name, "metadata-malformed")
            return
        try:
            self._header = read_header(DecodedStream(decoded(content, compression), 0), member.name)
        except StreamError as error:
            raise _wrong("structure-malformed", f"{member.name}: {error}", member.content) from error
        self._document |= self._header.documents
        self._known["release"] = _release(self._header)

    def _payload(self, member: TarMember | None) -> None:
        files = {entry.file: entry.digest for entry in self._entries.values() if entry.file}
        for entry in self._entries.values():
            if not entry.file:
                raise _wrong(
                    "member-missing", f"{entry.name!r} is listed, but the artifact does not have it", entry.where
                )
        header = self._header
        if header and header.payload == ROOTFS and len(files) != 1:
            raise _wrong("metadata-malformed", f"a {ROOTFS} has one file, but {len(files)} are listed", self._head)
        if header and header.payload is None and files:
            raise _wrong("metadata-malformed", "files are listed, but the payload is empty", self._head)
        if member is None:
            if files or self._peeked or not header or header.payload is not None:
                self._demand(*PAYLOADS)
            return
        compression = PAYLOADS[member.name]
        claim = ArchiveClaim(subject=member.name, span=member.content, compression=compression, digests=files)
        self._claims.append(claim)
        if not readable(compression):
            self._leave_unread(member.name)
        if release := self._known.get("release"):
            digest = next(iter(files.values())) if len(files) == 1 else ""
            part = Part(label=member.name, size=member.content.size, digest=digest)
            self._known["release"] = replace(release, parts=(part,))

    @property
    def _head(self) -> Span:
        return self._seen["manifest"].content

    def _leave_unread(self, name: str, *rules: str) -> None:
        reason = f"{name} is compressed with zstd, which this version of Python cannot decode"
        unread = Unread(rules=(*rules, *IN_ARCHIVE), reason=reason, next="Use Python 3.14 or later.")
        self._known["unread"] = (*self._known.get("unread", ()), unread)


def _framing(member: TarMember) -> list[FramingClaim]:
    """The header of a member, field by field: the free ones, and those that have only one value."""
    subject = f"tar header of {member.name}"
    if member.header.size > BLOCK:  # with pax records, other fields are free as well
        return [FramingClaim(subject=subject, span=member.header)]
    found: list[tuple[int, int, bool]] = []
    at = 0
    for field in FREE:
        found += [(at, field.start, True), (field.start, field.stop, False)]
        at = field.stop
    found.append((at, BLOCK, True))
    return [
        FramingClaim(
            subject=subject,
            span=Span(start=member.header.start + start, stop=member.header.start + stop),
            checked=checked,
        )
        for start, stop, checked in found
    ]


def _candidates(value: bytes) -> tuple[RawAlgorithm, ...]:
    """The algorithms whose signatures look like ``value``. Only the key shows which one it is.

    There is none for a length that no key of the format makes, such as that of a signature with P-384.
    """
    if len(value) == _P256:
        return ("ecdsa-p1363-sha256", "ed25519")
    if len(value) in _RSA_SIZES:
        return ("rsa-pkcs1v15-sha256",)
    return ("ecdsa-sha256",) if len(value) <= _P256_DER else ()


def _release(header: MenderHeader) -> Release:
    """What the artifact claims to be. Mender has no products, so that the device types together stand for one."""
    annotations = {"payload": header.payload or "empty"}
    annotations |= {f"provides.{key}": ", ".join(values) for key, values in header.provides.items()}
    annotations |= {f"depends.{key}": ", ".join(values) for key, values in header.depends.items()}
    if header.scripts:
        annotations["scripts"] = ", ".join(header.scripts)
    return Release(
        product=", ".join(sorted(header.device_types)),
        version=header.name,
        models=header.device_types,
        annotations=annotations,
        terms=_terms(header),
    )


def _terms(header: MenderHeader) -> Terms:
    """What the client compares before it installs the artifact, and what the device provides afterwards."""
    demands = [
        Demand(on="version", one_of=values) if key == NAME else Demand(on="provides", key=key, one_of=values)
        for key, values in header.depends.items()
        if key != DEVICE_TYPE and (values or key not in (NAME, GROUP))
    ]
    provides = {key: values[0] for key, values in header.provides.items() if len(values) == 1 and values[0]}
    return Terms(demands=tuple(demands), provides=provides, clears=header.clears, unnamed=True)


def _wrong(rule: str, message: str, where: Span) -> LayoutError:
    return LayoutError(Problem(rule=rule, message=message, where=where))
