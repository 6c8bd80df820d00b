"""The ASN.1 structures of CMS and X.509 that we read and write, declared once for both directions.

``cryptography.hazmat.asn1`` is young, so it is met in this file alone. Its decoder takes DER only; `decode`
also encodes again and compares, so that what was read is the only encoding of what it says.

What has to be one of a few known byte strings (algorithm identifiers), or equal to bytes kept elsewhere
(names), stays a raw TLV: comparing bytes leaves no room for a second spelling.
"""

# Without annotations from __future__: they would be text, and the library would evaluate each of them again.
from typing import Annotated, Final, TypeVar

from cryptography import x509
from cryptography.hazmat import asn1

OID = x509.ObjectIdentifier
TLV = asn1.TLV
SetOf = asn1.SetOf
Null = asn1.Null

DATA: Final = OID("1.2.840.113549.1.7.1")  # id-data, RFC 5652 section 4
SIGNED_DATA: Final = OID("1.2.840.113549.1.7.2")  # id-signedData, RFC 5652 section 5.1
CONTENT_TYPE: Final = OID("1.2.840.113549.1.9.3")  # RFC 5652 section 11.1
MESSAGE_DIGEST: Final = OID("1.2.840.113549.1.9.4")  # RFC 5652 section 11.2
SIGNING_CERTIFICATE: Final = OID("1.2.840.113549.1.9.16.2.12")  # RFC 2634 section 5.4
SIGNING_CERTIFICATE_V2: Final = OID("1.2.840.113549.1.9.16.2.47")  # RFC 5035 section 3
AUTHORITY_KEY_IDENTIFIER: Final = OID("2.5.29.35")  # id-ce-authorityKeyIdentifier, RFC 5280 section 4.2.1.1
DIRECTORY_NAME: Final = 0xA4  # the tag of a directoryName among GeneralNames, RFC 5280 section 4.2.1.6

T = TypeVar("T")


class NotDerError(ValueError):
    """Bytes that are not the DER encoding of the structure asked for."""


@asn1.sequence
class Identifier:
    """AlgorithmIdentifier without parameters (RFC 5280 section 4.1.1.2)."""

    algorithm: OID


@asn1.sequence
class IdentifierNull:
    """AlgorithmIdentifier whose parameters are NULL."""

    algorithm: OID
    parameters: asn1.Null


@asn1.sequence
class IdentifierAny:
    """AlgorithmIdentifier with parameters of any kind; for naming what is refused."""

    algorithm: OID
    parameters: asn1.TLV


@asn1.sequence
class Mgf:
    """MaskGenAlgorithm (RFC 4055 section 2.2); its parameter is the hash's AlgorithmIdentifier."""

    algorithm: OID
    hash: asn1.TLV


@asn1.sequence
class PssParameters:
    """RSASSA-PSS-params (RFC 4055 section 3.1) with no field left to its default, which means SHA-1."""

    hash: Annotated[asn1.TLV, asn1.Explicit(0)]
    mgf: Annotated[Mgf, asn1.Explicit(1)]
    salt_length: Annotated[int, asn1.Explicit(2)]


@asn1.sequence
class IdentifierPss:
    """AlgorithmIdentifier of id-RSASSA-PSS."""

    algorithm: OID
    parameters: PssParameters


@asn1.sequence
class Attribute:
    """One attribute (RFC 5652 section 5.3)."""

    type: OID
    values: asn1.SetOf[asn1.TLV]


@asn1.sequence
class IssuerAndSerialNumber:
    """RFC 5652 section 10.2.4."""

    issuer: asn1.TLV
    serial_number: int


@asn1.sequence
class EncapsulatedContentInfo:
    """RFC 5652 section 5.2."""

    content_type: OID
    content: Annotated[bytes | None, asn1.Explicit(0)]


@asn1.sequence
class SignerInfo:
    """RFC 5652 section 5.3."""

    version: int
    sid: IssuerAndSerialNumber | Annotated[bytes, asn1.Implicit(0)]
    digest_algorithm: asn1.TLV
    signed_attributes: Annotated[asn1.SetOf[Attribute] | None, asn1.Implicit(0)]
    signature_algorithm: asn1.TLV
    signature: bytes
    unsigned_attributes: Annotated[asn1.SetOf[Attribute] | None, asn1.Implicit(1)]


@asn1.sequence
class SignedData:
    """RFC 5652 section 5.1."""

    version: int
    digest_algorithms: asn1.SetOf[asn1.TLV]
    encapsulated: EncapsulatedContentInfo
    certificates: Annotated[asn1.SetOf[asn1.TLV] | None, asn1.Implicit(0)]
    crls: Annotated[asn1.SetOf[asn1.TLV] | None, asn1.Implicit(1)]
    signer_infos: asn1.SetOf[SignerInfo]


@asn1.sequence
class ContentInfo:
    """RFC 5652 section 3, around a SignedData."""

    content_type: OID
    content: Annotated[SignedData, asn1.Explicit(0)]


@asn1.sequence
class IssuerSerial:
    """RFC 5035 section 5; the issuer as GeneralNames."""

    issuer: list[asn1.TLV]
    serial_number: int


@asn1.sequence
class EssCertificate:
    """ESSCertIDv2 (RFC 5035 section 4) with its default hash, SHA-256; and ESSCertID (RFC 2634 section 5.4.1)."""

    hash: bytes
    issuer_serial: IssuerSerial | None


@asn1.sequence
class EssCertificateHashed:
    """ESSCertIDv2 (RFC 5035 section 4) that names its hash."""

    algorithm: asn1.TLV
    hash: bytes
    issuer_serial: IssuerSerial | None


@asn1.sequence
class SigningCertificates:
    """SigningCertificateV2 (RFC 5035 section 3), and SigningCertificate (RFC 2634 section 5.4)."""

    certificates: list[asn1.TLV]
    policies: list[asn1.TLV] | None


@asn1.sequence
class DirectoryNames:
    """GeneralNames (RFC 5280 section 4.2.1.6) of one directoryName."""

    name: Annotated[asn1.TLV, asn1.Explicit(4)]


@asn1.sequence
class Extension:
    """RFC 5280 section 4.2."""

    id: OID
    critical: Annotated[bool, asn1.Default(False)]
    value: bytes


@asn1.sequence
class AuthorityKeyIdentifier:
    """RFC 5280 section 4.2.1.1; the issuer as GeneralNames."""

    key: Annotated[bytes | None, asn1.Implicit(0)]
    issuer: Annotated[list[asn1.TLV] | None, asn1.Implicit(1)]
    serial_number: Annotated[int | None, asn1.Implicit(2)]


@asn1.sequence
class PublicKeyInfo:
    """SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7)."""

    algorithm: asn1.TLV
    key: asn1.BitString


@asn1.sequence
class TbsCertificate:
    """RFC 5280 section 4.1.2; version 3 only."""

    version: Annotated[int, asn1.Explicit(0)]
    serial_number: int
    signature_algorithm: asn1.TLV
    issuer: asn1.TLV
    validity: asn1.TLV
    subject: asn1.TLV
    public_key: PublicKeyInfo
    issuer_id: Annotated[asn1.BitString | None, asn1.Implicit(1)]
    subject_id: Annotated[asn1.BitString | None, asn1.Implicit(2)]
    extensions: Annotated[list[Extension] | None, asn1.Explicit(3)]


@asn1.sequence
class Certificate:
    """RFC 5280 section 4.1.1."""

    tbs: TbsCertificate
    signature_algorithm: asn1.TLV
    signature: asn1.BitString


@asn1.sequence
class PrivateKeyInfo:
    """RFC 5208 section 5, without attributes, which no RSA key has."""

    version: int
    algorithm: asn1.TLV
    key: bytes


@asn1.sequence
class Pbkdf2:
    """PBKDF2-params (RFC 8018 appendix A.2); without a function it is HMAC with SHA-1."""

    salt: bytes
    rounds: int
    length: int | None
    function: IdentifierNull | None


@asn1.sequence
class Derivation:
    """AlgorithmIdentifier of PBKDF2."""

    algorithm: OID
    parameters: Pbkdf2


@asn1.sequence
class Encryption:
    """AlgorithmIdentifier of AES-CBC; the parameter is the initialisation vector."""

    algorithm: OID
    vector: bytes


@asn1.sequence
class Pbes2:
    """PBES2-params (RFC 8018 appendix A.4)."""

    derivation: Derivation
    encryption: Encryption


@asn1.sequence
class IdentifierPbes2:
    """AlgorithmIdentifier of PBES2."""

    algorithm: OID
    parameters: Pbes2


@asn1.sequence
class EncryptedPrivateKeyInfo:
    """RFC 5208 section 6."""

    algorithm: IdentifierPbes2
    data: bytes


def decode(kind: type[T], data: bytes) -> T:
    """Read ``data`` as the DER encoding of ``kind``.

    Raises NotDerError if it is anything else, such as BER or DER with bytes after it.
    """
    try:
        value = asn1.decode_der(kind, data)
        same = asn1.encode_der(value) == data
    except (ValueError, TypeError, OverflowError) as error:
        # What the library says of it is about its own code, and no help to whoever has the file.
        msg = "it cannot be read as one"
        raise NotDerError(msg) from error
    if not same:
        msg = "it is not in the distinguished encoding of what it says"
        raise NotDerError(msg)
    return value


def encode(value: object) -> bytes:
    """Write a structure of this module as DER."""
    return asn1.encode_der(value)


def raw(value: asn1.TLV) -> bytes:
    """All bytes of an element: tag, length, contents."""
    return asn1.encode_der(value)


def tlv(data: bytes) -> asn1.TLV:
    """``data``, the DER of one element, as a part of a structure to be written."""
    return asn1.decode_der(asn1.TLV, data)


def set_of(values: list[T]) -> asn1.SetOf[T]:
    """A SET OF; DER puts its elements into order when it is written."""
    return asn1.SetOf(values)


def directory_name(name: bytes) -> bytes:
    """The GeneralName of a name in DER."""
    names = encode(DirectoryNames(name=tlv(name)))
    header = 2 + (names[1] & 0x7F if names[1] & 0x80 else 0)  # X.690 section 8.1.3: tag, length
    return names[header:]
