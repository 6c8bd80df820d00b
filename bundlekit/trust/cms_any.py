"""A CMS SignedData (RFC 5652) as the tools of other formats make it: detached, or around its content.

`bundlekit.trust.cms` has the profile of update.bin. This one allows more, since the signers use other programs:

1. ContentInfo holds a SignedData in DER, and nothing follows it. BER is not accepted.
2. The content is of type id-data. It is present if the format encloses it, and absent otherwise.
3. There are 1 to `MAX_SIGNERS` SignerInfos, each of another signer and without unsigned attributes.
4. Versions are those that RFC 5652 sections 5.1 and 5.3 compute. digestAlgorithms are exactly those of the SignerInfos.
5. Signed attributes are optional. If they are present, each type occurs once, with contentType and messageDigest.
6. CRLs are read over and never used. They come from trust.
"""

from __future__ import annotations

from typing import Final

from bundlekit.model.primitives import Frozen
from bundlekit.trust import asn1
from bundlekit.trust.cms import MAX_BLOB, Signature, carried, statements
from bundlekit.trust.fault import malformed

MAX_SIGNERS: Final = 16
"""SignerInfos in one SignedData. A release has as many signers as people sign it."""


class SignedObject(Frozen, frozen=True, kw_only=True):
    """The content of one SignedData, not verified. ``content`` is None if it is detached."""

    content: bytes | None
    certificates: tuple[bytes, ...]
    signatures: tuple[Signature, ...]


def enclosed_content(blob: bytes) -> bytes:
    """The content inside a SignedData in DER, not verified. It has at most `MAX_BLOB` bytes. Raises SignatureFault.

    A reader uses it before the signature is verified. Verification reads the same object again, so the bytes are the
    same.
    """
    content = read(blob).content
    if content is None:
        raise malformed("The signature encloses no content (eContent)")
    return content


def read(blob: bytes) -> SignedObject:
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
    if info.content_type != asn1.SIGNED_DATA:
        raise malformed("The content type of the signature is not signedData")
    if data.encapsulated.content_type != asn1.DATA:
        raise malformed("The signed content is not of type id-data")
    signers = data.signer_infos.as_list()
    if not 1 <= len(signers) <= MAX_SIGNERS:
        msg = f"The signature has {len(signers)} signers; 1 to {MAX_SIGNERS} are allowed"
        raise malformed(msg)
    certificates = carried(data.certificates)
    signatures = tuple(_signature(one, certificates) for one in signers)
    _demand_versions(data)
    if len({(one.identifier, one.issuer, one.serial) for one in signatures}) < len(signatures):
        raise malformed("Two of the signers are the same one")
    stated = [asn1.raw(one) for one in data.digest_algorithms.as_list()]
    if sorted(stated) != sorted({one.digest_algorithm for one in signatures}):
        raise malformed("digestAlgorithms are not the digest algorithms of the signers")
    return SignedObject(content=data.encapsulated.content, certificates=certificates, signatures=signatures)


def _demand_versions(data: asn1.SignedData) -> None:
    """Enforce the version fields, which no signature covers. Raises SignatureFault."""
    signers = data.signer_infos.as_list()
    versions = [3 if isinstance(one.sid, bytes) else 1 for one in signers]
    for required, found in [
        (max(versions), data.version),
        *zip(versions, (one.version for one in signers), strict=True),
    ]:
        if found != required:
            msg = f"A version field is {found}; RFC 5652 requires {required}"
            raise malformed(msg)


def _signature(signer: asn1.SignerInfo, certificates: tuple[bytes, ...]) -> Signature:
    if signer.unsigned_attributes is not None:
        raise malformed("The signature has unsigned attributes, which anyone could have added")
    by_issuer = signer.sid if isinstance(signer.sid, asn1.IssuerAndSerialNumber) else None
    attributes = signer.signed_attributes
    message_digest, named = statements(attributes) if attributes is not None else (b"", ())
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
