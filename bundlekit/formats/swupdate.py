"""SWUpdate images (``.swu``): a cpio archive of a signed description, its signature, and the files that it lists.

The head of the bundle is ``sw-description``. Its bytes are read once. They are what the signature signs, what is
parsed, and what is reported. ``bundlekit explain swupdate`` describes what is checked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bundlekit.errors import LayoutError
from bundlekit.escape import escape
from bundlekit.layout.cms_types import ENVELOPED_DATA, SIGNED_DATA
from bundlekit.layout.swupdate import cpio, sw_description
from bundlekit.layout.swupdate.sw_description import DESCRIPTION, SIGNATURE
from bundlekit.model.bundle import (
    Bundle,
    ByteClaim,
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
from bundlekit.model.rule import SIGNATURE_RULES
from bundlekit.source import read as read_span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.layout.swupdate.cpio import CpioArchive, CpioMember
    from bundlekit.layout.swupdate.sw_description import Description
    from bundlekit.model.bundle import Aspect, RawAlgorithm
    from bundlekit.source import Source

ASPECTS: Final[frozenset[Aspect]] = frozenset({"structure", "metadata", "members", "content"})
"""The aspects of SWUpdate images."""

MAX_DESCRIPTION: Final = 1024 * 1024
"""Bytes of a description, as of a manifest of update.bin. Releases have a few KiB, and embedded scripts a few more."""
MAX_SIGNATURE: Final = 64 * 1024
"""Bytes of a signature. A CMS object with a chain of certificates has a few KiB for each signer."""

RAW: Final[tuple[RawAlgorithm, ...]] = ("rsa-pkcs1v15-sha256", "rsa-pss-sha256")
"""What a bare signature can be. SWUpdate is built for one of them, always with SHA-256."""

_ABOUT_CONTENT: Final = (
    *("metadata-malformed", "member-unlisted", "member-missing", "digest-weak", "digest-mismatch", "uncovered-bytes"),
)


def read(source: Source) -> Bundle:
    """Read the headers of the archive, the description and the signature: about a MiB, regardless of the payload."""
    archive = cpio.walk(source)
    bundle = Bundle(
        format="swupdate",
        aspects=ASPECTS,
        size=source.size,
        declared_size=archive.size,
        sections=tuple(_sections(archive)),
        claims=tuple(_framing(archive)),
        problems=archive.problems,
    )
    for step in (_order, _description, _signature, _files):
        try:
            bundle = step(source, archive, bundle)
        except LayoutError as error:
            return bundle.plus(problems=[error.problem])
    return bundle


def _sections(archive: CpioArchive) -> Iterator[Section]:
    for member in archive.members:
        yield Section(name=f"header of {escape(member.name)}", span=member.header)
        yield Section(name=escape(member.name), span=member.data)
    if archive.end:
        yield Section(name="end of the archive", span=archive.end)


def _framing(archive: CpioArchive) -> Iterator[ByteClaim]:
    """The claims about everything but the content of the members."""
    for member in archive.members:
        name = escape(member.name)
        for span, free in member.framing():
            yield FramingClaim(subject=f"header of {name}", span=span, checked=not free)
        for span in member.padding:
            yield ZeroClaim(subject="padding", span=span)
    if archive.end:
        yield FramingClaim(subject="end of the archive", span=archive.end, checked=True)
    if archive.padding:
        yield ZeroClaim(subject="padding", span=archive.padding)


def _fault(rule: str, message: str, where: Span, subject: str = "") -> Problem:
    return Problem(rule=rule, message=message, where=where, subject=subject)


def _order(_: Source, archive: CpioArchive, bundle: Bundle) -> Bundle:
    """Each name occurs once. The description is the first member, and its signature the second."""
    problems: list[Problem] = []
    places: dict[str, int] = {}
    for number, member in enumerate(archive.members):
        name = escape(member.name)
        if member.name in places:
            problems.append(_fault("member-duplicate", f"the archive has two members {name!r}", member.header, name))
        elif member.name == SIGNATURE and number != 1:
            message = f"the signature is member {number + 1} of the archive, but SWUpdate expects it as the second"
            problems.append(_fault("member-misplaced", message, member.header, name))
        places.setdefault(member.name, number)
    if archive.members and archive.members[0].name != DESCRIPTION:
        first = archive.members[0]
        message = f"the first member of the archive is {escape(first.name)!r}, but SWUpdate expects {DESCRIPTION}"
        raise LayoutError(_fault("member-misplaced", message, first.header))
    return bundle.plus(problems=problems)


def _content(source: Source, member: CpioMember, limit: int) -> tuple[bytes, list[Problem]]:
    """The content of a small member, and whether its checksum is wrong."""
    if member.data.size > limit:
        message = f"{member.name} has {member.data.size:,} bytes, and {limit:,} are allowed"
        raise LayoutError(_fault("header-out-of-bounds", message, member.field("filesize")))
    if member.data.stop > source.size:  # the archive has a fault for it
        raise LayoutError(_fault("truncated", f"the file ends within {member.name}", member.data))
    data = read_span(source, member.data)
    if member.check in (None, sum(data)):
        return data, []
    message = f"the checksum of {member.name} is {member.check:#x} in its header, but its content has {sum(data):#x}"
    return data, [_fault("structure-malformed", message, member.field("check"), member.name)]


def _description(source: Source, archive: CpioArchive, bundle: Bundle) -> Bundle:
    if not archive.members:
        return bundle
    member = archive.members[0]
    data, problems = _content(source, member, MAX_DESCRIPTION)
    return bundle.plus(problems=problems, head=member.data, head_bytes=data, unread=tuple(_unreadable(data)))


def _signature(source: Source, archive: CpioArchive, bundle: Bundle) -> Bundle:
    """The signature, in the form that its content shows: nothing in the file names the form."""
    if bundle.head is None or _leaves_out(bundle, "unsigned"):
        return bundle
    if len(archive.members) < 2 or archive.members[1].name != SIGNATURE:
        absent = archive.end is not None and all(one.name != SIGNATURE for one in archive.members)
        return bundle.plus(signatures=() if absent else None)
    member = archive.members[1]
    value, problems = _content(source, member, MAX_SIGNATURE)
    if _is_openpgp(value):
        reason = "the signature is in OpenPGP, but bundlekit verifies only CMS and RSA signatures of SWUpdate images"
        step = "Verify it with gpg, or have the image signed with CMS or RSA."
        return bundle.plus(problems=problems, unread=(Unread(rules=SIGNATURE_RULES, reason=reason, next=step),))
    is_cms = _is_der(value, SIGNED_DATA)
    claim = SignatureClaim(
        index=0,
        signed=(bundle.head,),
        blob=member.data,
        entry=member.data,
        form="cms-detached" if is_cms else "raw",
        value=value,
        candidates=() if is_cms else RAW,
    )
    return bundle.plus(problems=problems, signatures=(claim,))


def _is_der(data: bytes, kind: bytes) -> bool:
    """Whether ``data`` begins like a CMS object with the content type ``kind``, in DER or BER."""
    return data[:1] == b"\x30" and data[2 : 6 + len(kind)].find(kind) >= 0


def _is_openpgp(data: bytes) -> bool:
    """Whether ``data`` is one signature packet of OpenPGP (RFC 9580, 4.2), or begins like one in text."""
    if data.startswith(b"-----BEGIN PGP "):
        return True
    width = {0x88: 1, 0x89: 2, 0x8A: 4}.get(data[0] if data else 0, 0)
    body = data[1 + width :]
    return (
        width > 0
        and int.from_bytes(data[1 : 1 + width], "big") == len(body)
        and body[:1] in (b"\3", b"\4", b"\5", b"\6")
    )


def _leaves_out(bundle: Bundle, rule: str) -> bool:
    return any(rule in one.rules for one in bundle.unread)


def _unreadable(data: bytes) -> Iterator[Unread]:
    """Why a description cannot be read here: it is encrypted, or for a parser that only the device has."""
    rules = (*SIGNATURE_RULES, *_ABOUT_CONTENT)
    if _is_der(data, ENVELOPED_DATA) or _is_noise(data):
        reason = "sw-description is encrypted, and its signature is over the unencrypted text"
        yield Unread(rules=rules, reason=reason, next="Check the image before sw-description is encrypted.")
    elif data.lstrip(b" \t\r\n").startswith(b"<"):
        reason = "sw-description is in XML, for a parser that only the device has"
        yield Unread(rules=_ABOUT_CONTENT, reason=reason, next="Use a description in libconfig or JSON.")


def _is_noise(data: bytes) -> bool:
    """Whether ``data`` looks like the result of AES-CBC: whole blocks, and a third of it is no text at all."""
    control = sum(byte < 9 or 13 < byte < 32 or byte > 126 for byte in data)
    return len(data) >= 16 and len(data) % 16 == 0 and 3 * control > len(data)


def _files(source: Source, archive: CpioArchive, bundle: Bundle) -> Bundle:
    """The description as values, and its claims about the members of the archive."""
    if bundle.head is None or bundle.head_bytes is None or _leaves_out(bundle, "metadata-malformed"):
        return bundle
    head = bundle.head
    description = sw_description.read_description(bundle.head_bytes, head)
    bundle = bundle.plus(document=description.document, release=_release(description, archive))
    problems: list[Problem] = []
    claims: list[ByteClaim] = []
    listed = {one.name: one for one in description.files}
    reserved = (DESCRIPTION, SIGNATURE)
    members = [one for one in archive.members if one.name not in reserved]
    for member in members:
        name = escape(member.name)
        if member.name not in listed:
            message = f"sw-description does not list the member {name!r}"
            problems.append(_fault("member-unlisted", message, member.data, name))
            continue
        one = listed[member.name]
        if one.digest:
            claims.append(DigestClaim(subject=name, span=member.data, expected=one.digest))
        if member.check is not None:
            expected, stored = f"sum32:{member.check:08x}", member.field("check")
            claims.append(DigestClaim(subject=name, span=member.data, expected=expected, of="checksum", stored=stored))
        if one.size is not None and one.size != member.data.size:
            message = f"{name!r} has {member.data.size:,} bytes, but sw-description states {one.size:,}"
            problems.append(_fault("structure-malformed", message, member.field("filesize"), name))
    present = {one.name for one in members}
    for one in description.files:
        name = escape(one.name)
        if one.name not in present and archive.end:
            message = f"sw-description lists {name!r}, but the archive does not have it"
            problems.append(_fault("member-missing", message, head, name))
        if not one.digest:
            message = f"sw-description has no sha256 for {name!r}"
            problems.append(_fault("digest-weak", message, head, name))
    return bundle.plus(
        problems=problems,
        claims=claims,
        complete=archive.end is not None and not bundle.unread,
    )


def _release(description: Description, archive: CpioArchive) -> Release:
    sizes = {one.name: one.data.size for one in archive.members}
    return Release(
        product=description.product,
        version=description.version,
        models=description.revisions,
        parts=tuple(
            Part(label=one.name, version=one.version, size=sizes.get(one.name, one.size or 0), digest=one.digest)
            for one in description.files
        ),
        annotations=description.annotations,
        terms=Terms(
            demands=(
                Demand(on="fact", key="swupdate.no-downgrading", at_most=description.version, own_limit=True),
                Demand(on="fact", key="swupdate.max-version", at_least=description.version, own_limit=True),
            ),
            hardware=description.hardware,
        ),
    )
