"""CMS SignedData (RFC 5652) in DER, read within a profile, and written.

What RFC 5652 leaves open, and no signature covers, has a single possible value. Every change of a blob is detected:

1. ContentInfo holds a SignedData in DER, and nothing follows it. BER is not accepted.
2. The content is of type id-data.
3. Each SignerInfo is of another signer and has no unsigned attributes.
4. Versions are those that RFC 5652 sections 5.1 and 5.3 compute.
5. digestAlgorithms are exactly those of the SignerInfos.
6. Signed attributes have each type once. contentType is id-data, and messageDigest is one octet string. The
   certificates that the signer names are in one of the forms of RFC 5035 (`bundlekit.trust.ess`). An attacker can
   present a signature with them as one without them to a verifier that accepts both.

A `Profile` adds what one format demands: `UPDATE_BIN` leaves nothing open, and `OTHER_FORMATS` allows what the tools of
other formats make.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bundlekit.model.primitives import Frozen
from bundlekit.trust import asn1, ess
from bundlekit.trust.fault import SignatureFault, malformed

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_BLOB: Final = 65536
"""Bytes of one SignedData. An ML-DSA-87 signature with three certificates of its kind has about 32 KiB."""

MAX_CERTIFICATES: Final = 16
"""Certificates in one SignedData. The longest path that can be verified has nine."""


class Profile(Frozen, frozen=True, kw_only=True):
    """What a format allows beyond one SignerInfo with signed attributes over a detached content.

    ``max_signers`` are the SignerInfos in one SignedData. ``enclosing`` objects contain their content. ``crls`` are
    read over and never used, since they come from trust. ``bare`` signatures have no signed attributes.
    """

    max_signers: int = 1
    enclosing: bool = False
    crls: bool = False
    bare: bool = False


UPDATE_BIN: Final = Profile()
"""The profile of a signature entry: a bundle with several signers has an entry for each."""

OTHER_FORMATS: Final = Profile(max_signers=16, enclosing=True, crls=True, bare=True)
"""What other formats allow. A release has as many signers as people sign it."""


class Signature(Frozen, frozen=True, kw_only=True):
    """One SignerInfo with the certificates of its SignedData, not verified.

    The signer is identified by ``identifier`` (subjectKeyIdentifier), or by ``issuer`` (DER) and ``serial``. ``signed``
    are the bytes under the signature. ``named`` are the certificates that the signer covered by the signature itself,
    for each attribute that does so (`bundlekit.trust.ess`). Without signed attributes ``signed`` and ``message_digest``
    are empty, and the signature is over the content itself.
    """

    identifier: bytes | None
    issuer: bytes
    serial: int
    certificates: tuple[bytes, ...]
    digest_algorithm: bytes
    signature_algorithm: bytes
    message_digest: bytes
    signed: bytes
    signature: bytes
    named: tuple[tuple[ess.Named, ...], ...] = ()

    def binds(self, der: bytes) -> bool:
        """Whether the signature covers this certificate."""
        return any(one.binds(der) for each in self.named for one in each)


class SignedObject(Frozen, frozen=True, kw_only=True):
    """The content of one SignedData, not verified. ``content`` is None if it is detached."""

    content: bytes | None
    certificates: tuple[bytes, ...]
    signatures: tuple[Signature, ...]


def read(blob: bytes) -> Signature:
    """Read one signature entry of an update.bin. Raises SignatureFault (``signature-malformed``)."""
    return read_signed_data(blob, UPDATE_BIN).signatures[0]


def enclosed_content(blob: bytes) -> bytes:
    """The content inside a SignedData in DER, not verified. It has at most `MAX_BLOB` bytes. Raises SignatureFault.

    A reader uses it before the signature is verified. Verification reads the same object again, so the bytes are the
    same.
    """
    content = read_signed_data(blob).content
    if content is None:
        raise malformed("The signature encloses no content (eContent)")
    return content


def read_signed_data(blob: bytes, profile: Profile = OTHER_FORMATS) -> SignedObject:
    """Read one SignedData within ``profile``. Raises SignatureFault (``signature-malformed``)."""
    if len(blob) > MAX_BLOB:
        msg = f"The signature has {len(blob)} bytes, more than the limit of {MAX_BLOB}"
        raise malformed(msg)
    try:
        info = asn1.decode(asn1.ContentInfo, blob)
    except asn1.NotDerError as error:
        msg = f"The signature is not a CMS SignedData in DER: {error}"
        raise malformed(msg) from error
    data, content = info.content, info.content.encapsulated.content
    signers = data.signer_infos.as_list()
    if info.content_type != asn1.SIGNED_DATA:
        raise malformed("The content type of the signature is not signedData")
    if data.encapsulated.content_type != asn1.DATA:
        raise malformed("The signed content is not of type id-data")
    if content is not None and not profile.enclosing:
        raise has_content()
    if data.crls is not None and not profile.crls:
        raise malformed("The signature carries CRLs; they come from trust, never from the bundle")
    if not 1 <= len(signers) <= profile.max_signers:
        allowed = "exactly 1 is" if profile.max_signers == 1 else f"1 to {profile.max_signers} are"
        msg = f"The signature has {len(signers)} signers; {allowed} allowed"
        raise malformed(msg)
    _demand_versions(data.version, signers)
    certificates = _carried(data.certificates)
    signatures = tuple(_signature(one, certificates, profile) for one in signers)
    if len({(one.identifier, one.issuer, one.serial) for one in signatures}) < len(signatures):
        raise malformed("Two of the signers are identical")
    stated = sorted(asn1.raw(one) for one in data.digest_algorithms.as_list())
    if stated != sorted({one.digest_algorithm for one in signatures}):
        raise malformed("digestAlgorithms are not the digest algorithms of the signers", signatures[0].digest_algorithm)
    return SignedObject(content=content, certificates=certificates, signatures=signatures)


def has_content() -> SignatureFault:
    """The fault that a signature which has to be detached encloses a content."""
    return malformed("The signature carries a content of its own (eContent); it has to be detached")


def _demand_versions(version: int, signers: Sequence[asn1.SignerInfo]) -> None:
    """Enforce the version fields, which no signature covers. Raises SignatureFault."""
    required = [3 if isinstance(one.sid, bytes) else 1 for one in signers]
    fields = [("SignedData", version, max(required))]
    fields += [("SignerInfo", one.version, due) for one, due in zip(signers, required, strict=True)]
    for structure, found, due in fields:
        if found != due:
            msg = f"The version of the {structure} is {found}; RFC 5652 requires {due}"
            raise malformed(msg)


def _signature(signer: asn1.SignerInfo, certificates: tuple[bytes, ...], profile: Profile) -> Signature:
    if signer.unsigned_attributes is not None:
        raise malformed("The signature has unsigned attributes, which anyone could have added")
    attributes = signer.signed_attributes
    if attributes is None and not profile.bare:
        raise malformed("The signature has no signed attributes; sign without `-noattr`")
    message_digest, named = _statements(attributes) if attributes is not None else (b"", ())
    by_issuer = signer.sid if isinstance(signer.sid, asn1.IssuerAndSerialNumber) else None
    return Signature(
        identifier=signer.sid if isinstance(signer.sid, bytes) else None,
        issuer=asn1.raw(by_issuer.issuer) if by_issuer else b"",
        serial=by_issuer.serial_number if by_issuer else 0,
        certificates=certificates,
        digest_algorithm=asn1.raw(signer.digest_algorithm),
        signature_algorithm=asn1.raw(signer.signature_algorithm),
        message_digest=message_digest,
        signed=asn1.encode(attributes) if attributes is not None else b"",
        signature=signer.signature,
        named=named,
    )


def _statements(field: asn1.SetOf[asn1.Attribute]) -> tuple[bytes, tuple[tuple[ess.Named, ...], ...]]:
    """The digest and the certificates that the signed attributes state. Raises SignatureFault."""
    values = _attributes(field)
    if _single(values, asn1.CONTENT_TYPE, "contentType") != asn1.encode(asn1.DATA):
        raise malformed("The contentType attribute is not id-data")
    try:
        message_digest = asn1.decode(bytes, _single(values, asn1.MESSAGE_DIGEST, "messageDigest"))
    except asn1.NotDerError as error:
        raise malformed("The messageDigest attribute is not one octet string") from error
    return message_digest, ess.read(values)


def _carried(field: asn1.SetOf[asn1.TLV] | None) -> tuple[bytes, ...]:
    """The certificates that a SignedData carries. Raises SignatureFault."""
    if field is None:
        return ()
    found = field.as_list()
    if not 1 <= len(found) <= MAX_CERTIFICATES:
        msg = f"The signature carries {len(found)} certificates; 1 to {MAX_CERTIFICATES} are allowed"
        raise malformed(msg)
    return tuple(asn1.raw(one) for one in found)


def _attributes(field: asn1.SetOf[asn1.Attribute]) -> dict[asn1.OID, list[bytes]]:
    values: dict[asn1.OID, list[bytes]] = {}
    for attribute in field.as_list():
        if attribute.type in values:
            msg = f"The signed attribute {attribute.type.dotted_string} is given twice"
            raise malformed(msg)
        values[attribute.type] = [asn1.raw(one) for one in attribute.values.as_list()]
    return values


def _single(values: dict[asn1.OID, list[bytes]], kind: asn1.OID, name: str) -> bytes:
    found = values.get(kind, [])
    if len(found) != 1:
        msg = f"The signed attribute {name} has {len(found)} values; it must have exactly one"
        raise malformed(msg)
    return found[0]


def attributes(message_digest: bytes, bound: Sequence[bytes]) -> asn1.SetOf[asn1.Attribute]:
    """The signed attributes to write. They bind certificates by their SHA-256 digests, the signer's first.

    There is no signing time, so that a signature depends only on its inputs.
    """
    found = {asn1.CONTENT_TYPE: asn1.encode(asn1.DATA), asn1.MESSAGE_DIGEST: asn1.encode(message_digest)}
    if bound:
        found[asn1.SIGNING_CERTIFICATE_V2] = ess.write(bound)
    return asn1.set_of(
        [asn1.Attribute(type=kind, values=asn1.set_of([asn1.tlv(value)])) for kind, value in found.items()]
    )


def write(
    signed_attributes: asn1.SetOf[asn1.Attribute],
    signature: bytes,
    *,
    signer: bytes | tuple[bytes, int],
    certificates: Sequence[bytes],
    digest_algorithm: bytes,
    signature_algorithm: bytes,
) -> bytes:
    """DER of a SignedData. ``signer`` is a subjectKeyIdentifier, or an issuer's DER and a serial number."""
    version = 3 if isinstance(signer, bytes) else 1
    sid = (
        signer
        if isinstance(signer, bytes)
        else asn1.IssuerAndSerialNumber(issuer=asn1.tlv(signer[0]), serial_number=signer[1])
    )
    info = asn1.SignerInfo(
        version=version,
        sid=sid,
        digest_algorithm=asn1.tlv(digest_algorithm),
        signed_attributes=signed_attributes,
        signature_algorithm=asn1.tlv(signature_algorithm),
        signature=signature,
        unsigned_attributes=None,
    )
    data = asn1.SignedData(
        version=version,
        digest_algorithms=asn1.set_of([asn1.tlv(digest_algorithm)]),
        encapsulated=asn1.EncapsulatedContentInfo(content_type=asn1.DATA, content=None),
        certificates=asn1.set_of([asn1.tlv(one) for one in certificates]) if certificates else None,
        crls=None,
        signer_infos=asn1.set_of([info]),
    )
    return asn1.encode(asn1.ContentInfo(content_type=asn1.SIGNED_DATA, content=data))
