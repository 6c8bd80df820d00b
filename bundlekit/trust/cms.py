"""One detached CMS SignedData (RFC 5652), read strictly and written to the same profile.

The profile gives a single possible value to each byte that no signature covers, so every change of a blob is detected:

1. ContentInfo holds a SignedData in DER, and nothing follows it.
2. The content is id-data and absent. There are no CRLs, and there is one SignerInfo without unsigned attributes.
3. Versions are those that RFC 5652 sections 5.1 and 5.3 compute.
4. digestAlgorithms is exactly the SignerInfo's digestAlgorithm.
5. Signed attributes are present, each type once. contentType is id-data, and messageDigest is one octet string. The
   certificates that the signer names are in one of the forms of RFC 5035 (`bundlekit.trust.ess`). An attacker can
   present a signature with them as one without them to a verifier that accepts both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bundlekit.model.primitives import Frozen
from bundlekit.trust import asn1, ess
from bundlekit.trust.fault import malformed

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_BLOB: Final = 65536
"""Bytes of one SignedData. An ML-DSA-87 signature with three certificates of its kind has about 32 KiB."""

MAX_CERTIFICATES: Final = 16
"""Certificates in one SignedData. The longest path that can be verified has nine."""


class Signature(Frozen, frozen=True, kw_only=True):
    """The content of one SignedData, not verified.

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


def read(blob: bytes) -> Signature:
    """Read one SignedData. Raises SignatureFault (``signature-malformed``)."""
    if len(blob) > MAX_BLOB:
        msg = f"The signature has {len(blob)} bytes, more than the limit of {MAX_BLOB}"
        raise malformed(msg)
    try:
        info = asn1.decode(asn1.ContentInfo, blob)
    except asn1.NotDerError as error:
        msg = f"The signature is not a CMS SignedData in DER: {error}"
        raise malformed(msg) from error
    data = info.content
    signers = data.signer_infos.as_list()
    if info.content_type != asn1.SIGNED_DATA:
        raise malformed("The content type of the signature is not signedData")
    if data.encapsulated.content_type != asn1.DATA:
        raise malformed("The signed content is not of type id-data")
    if data.encapsulated.content is not None:
        raise malformed("The signature carries a content of its own (eContent); it has to be detached")
    if data.crls is not None:
        raise malformed("The signature carries CRLs; they come from trust, never from the bundle")
    if len(signers) != 1:
        msg = f"The signature has {len(signers)} signers; each entry has one"
        raise malformed(msg)
    signer = signers[0]
    identifier = signer.sid if isinstance(signer.sid, bytes) else None
    version = 1 if identifier is None else 3
    if (data.version, signer.version) != (version, version):
        msg = f"The version fields are {data.version} and {signer.version}; RFC 5652 requires {version} for both"
        raise malformed(msg)
    if signer.unsigned_attributes is not None:
        raise malformed("The signature has unsigned attributes, which anyone could have added")
    digest_algorithm = asn1.raw(signer.digest_algorithm)
    if [asn1.raw(one) for one in data.digest_algorithms.as_list()] != [digest_algorithm]:
        raise malformed("digestAlgorithms is not the digest algorithm of the signer", digest_algorithm)
    certificates = carried(data.certificates)
    if signer.signed_attributes is None:
        raise malformed("The signature has no signed attributes; sign without `-noattr`")
    message_digest, named = statements(signer.signed_attributes)
    by_issuer = signer.sid if isinstance(signer.sid, asn1.IssuerAndSerialNumber) else None
    return Signature(
        identifier=identifier,
        issuer=asn1.raw(by_issuer.issuer) if by_issuer else b"",
        serial=by_issuer.serial_number if by_issuer else 0,
        certificates=certificates,
        digest_algorithm=digest_algorithm,
        signature_algorithm=asn1.raw(signer.signature_algorithm),
        message_digest=message_digest,
        signed=asn1.encode(signer.signed_attributes),
        signature=signer.signature,
        named=named,
    )


def statements(field: asn1.SetOf[asn1.Attribute]) -> tuple[bytes, tuple[tuple[ess.Named, ...], ...]]:
    """The digest and the certificates that the signed attributes state. Raises SignatureFault."""
    values = _attributes(field)
    if _single(values, asn1.CONTENT_TYPE, "contentType") != asn1.encode(asn1.DATA):
        raise malformed("The contentType attribute is not id-data")
    try:
        message_digest = asn1.decode(bytes, _single(values, asn1.MESSAGE_DIGEST, "messageDigest"))
    except asn1.NotDerError as error:
        raise malformed("The messageDigest attribute is not one octet string") from error
    return message_digest, ess.read(values)


def carried(field: asn1.SetOf[asn1.TLV] | None) -> tuple[bytes, ...]:
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
