"""The ASN.1 structures of CMS and X.509 that are read and written, declared once for both directions.

`bundlekit.trust.der` reads and writes them.

Some fields must be one of a few known byte strings (algorithm identifiers), or equal bytes kept elsewhere (names). They
stay raw TLVs, because a comparison of bytes leaves no room for a second spelling.
"""

# Without annotations from __future__: they would be text, and would have to be evaluated again.
from typing import Annotated, Final, TypeVar

from bundlekit.trust import der
from bundlekit.trust.der import OID, TLV, NotDerError, Null, SetOf, decode, encode, tlv

__all__ = ["OID", "TLV", "NotDerError", "Null", "SetOf", "decode", "encode", "raw", "set_of", "tlv"]

DATA: Final = OID("1.2.840.113549.1.7.1")  # id-data, RFC 5652 section 4
SIGNED_DATA: Final = OID("1.2.840.113549.1.7.2")  # id-signedData, RFC 5652 section 5.1
CONTENT_TYPE: Final = OID("1.2.840.113549.1.9.3")  # RFC 5652 section 11.1
MESSAGE_DIGEST: Final = OID("1.2.840.113549.1.9.4")  # RFC 5652 section 11.2
SIGNING_CERTIFICATE: Final = OID("1.2.840.113549.1.9.16.2.12")  # RFC 2634 section 5.4
SIGNING_CERTIFICATE_V2: Final = OID("1.2.840.113549.1.9.16.2.47")  # RFC 5035 section 3
AUTHORITY_KEY_IDENTIFIER: Final = OID("2.5.29.35")  # id-ce-authorityKeyIdentifier, RFC 5280 section 4.2.1.1
DIRECTORY_NAME: Final = 0xA4  # the tag of a directoryName among GeneralNames, RFC 5280 section 4.2.1.6

T = TypeVar("T")


@der.sequence
class Identifier:
    """AlgorithmIdentifier without parameters (RFC 5280 section 4.1.1.2)."""

    algorithm: OID


@der.sequence
class IdentifierNull:
    """AlgorithmIdentifier whose parameters are NULL."""

    algorithm: OID
    parameters: Null


@der.sequence
class IdentifierAny:
    """AlgorithmIdentifier with parameters of any kind, used to name a rejected one."""

    algorithm: OID
    parameters: TLV


@der.sequence
class Mgf:
    """MaskGenAlgorithm (RFC 4055 section 2.2); its parameter is the hash's AlgorithmIdentifier."""

    algorithm: OID
    hash: TLV


@der.sequence
class PssParameters:
    """RSASSA-PSS-params (RFC 4055 section 3.1) without default fields, because the defaults mean SHA-1."""

    hash: Annotated[TLV, der.Explicit(0)]
    mgf: Annotated[Mgf, der.Explicit(1)]
    salt_length: Annotated[int, der.Explicit(2)]


@der.sequence
class IdentifierPss:
    """AlgorithmIdentifier of id-RSASSA-PSS."""

    algorithm: OID
    parameters: PssParameters


@der.sequence
class Attribute:
    """One attribute (RFC 5652 section 5.3)."""

    type: OID
    values: SetOf[TLV]


@der.sequence
class IssuerAndSerialNumber:
    """RFC 5652 section 10.2.4."""

    issuer: TLV
    serial_number: int


@der.sequence
class EncapsulatedContentInfo:
    """RFC 5652 section 5.2."""

    content_type: OID
    content: Annotated[bytes | None, der.Explicit(0)]


@der.sequence
class SignerInfo:
    """RFC 5652 section 5.3."""

    version: int
    sid: IssuerAndSerialNumber | Annotated[bytes, der.Implicit(0)]
    digest_algorithm: TLV
    signed_attributes: Annotated[SetOf[Attribute] | None, der.Implicit(0)]
    signature_algorithm: TLV
    signature: bytes
    unsigned_attributes: Annotated[SetOf[Attribute] | None, der.Implicit(1)]


@der.sequence
class SignedData:
    """RFC 5652 section 5.1."""

    version: int
    digest_algorithms: SetOf[TLV]
    encapsulated: EncapsulatedContentInfo
    certificates: Annotated[SetOf[TLV] | None, der.Implicit(0)]
    crls: Annotated[SetOf[TLV] | None, der.Implicit(1)]
    signer_infos: SetOf[SignerInfo]


@der.sequence
class ContentInfo:
    """RFC 5652 section 3, around a SignedData."""

    content_type: OID
    content: Annotated[SignedData, der.Explicit(0)]


@der.sequence
class IssuerSerial:
    """RFC 5035 section 5; the issuer as GeneralNames."""

    issuer: list[TLV]
    serial_number: int


@der.sequence
class EssCertificate:
    """ESSCertIDv2 (RFC 5035 section 4) with its default hash, SHA-256; and ESSCertID (RFC 2634 section 5.4.1)."""

    hash: bytes
    issuer_serial: IssuerSerial | None


@der.sequence
class EssCertificateHashed:
    """ESSCertIDv2 (RFC 5035 section 4) that names its hash."""

    algorithm: TLV
    hash: bytes
    issuer_serial: IssuerSerial | None


@der.sequence
class SigningCertificates:
    """SigningCertificateV2 (RFC 5035 section 3), and SigningCertificate (RFC 2634 section 5.4)."""

    certificates: list[TLV]
    policies: list[TLV] | None


@der.sequence
class DirectoryNames:
    """GeneralNames (RFC 5280 section 4.2.1.6) of one directoryName."""

    name: Annotated[TLV, der.Explicit(4)]


@der.sequence
class Extension:
    """RFC 5280 section 4.2."""

    id: OID
    critical: Annotated[bool, der.Default(False)]
    value: bytes


@der.sequence
class AuthorityKeyIdentifier:
    """RFC 5280 section 4.2.1.1; the issuer as GeneralNames."""

    key: Annotated[bytes | None, der.Implicit(0)]
    issuer: Annotated[list[TLV] | None, der.Implicit(1)]
    serial_number: Annotated[int | None, der.Implicit(2)]


@der.sequence
class PublicKeyInfo:
    """SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7)."""

    algorithm: TLV
    key: der.BitString


@der.sequence
class DigestInfo:
    """The digest inside a signature of PKCS #1 v1.5 (RFC 8017 section 9.2)."""

    algorithm: TLV
    digest: bytes


@der.sequence
class TbsCertificate:
    """RFC 5280 section 4.1.2; version 3 only."""

    version: Annotated[int, der.Explicit(0)]
    serial_number: int
    signature_algorithm: TLV
    issuer: TLV
    validity: TLV
    subject: TLV
    public_key: PublicKeyInfo
    issuer_id: Annotated[der.BitString | None, der.Implicit(1)]
    subject_id: Annotated[der.BitString | None, der.Implicit(2)]
    extensions: Annotated[list[Extension] | None, der.Explicit(3)]


@der.sequence
class CertificateSyntax:
    """RFC 5280 section 4.1.1."""

    tbs: TbsCertificate
    signature_algorithm: TLV
    signature: der.BitString


@der.sequence
class PrivateKeyInfo:
    """RFC 5208 section 5, without attributes, which no RSA key has."""

    version: int
    algorithm: TLV
    key: bytes


@der.sequence
class Pbkdf2:
    """PBKDF2-params (RFC 8018 appendix A.2); without a function it is HMAC with SHA-1."""

    salt: bytes
    rounds: int
    length: int | None
    function: IdentifierNull | None


@der.sequence
class Derivation:
    """AlgorithmIdentifier of PBKDF2."""

    algorithm: OID
    parameters: Pbkdf2


@der.sequence
class Encryption:
    """AlgorithmIdentifier of AES-CBC; the parameter is the initialisation vector."""

    algorithm: OID
    vector: bytes


@der.sequence
class Pbes2:
    """PBES2-params (RFC 8018 appendix A.4)."""

    derivation: Derivation
    encryption: Encryption


@der.sequence
class IdentifierPbes2:
    """AlgorithmIdentifier of PBES2."""

    algorithm: OID
    parameters: Pbes2


@der.sequence
class EncryptedPrivateKeyInfo:
    """RFC 5208 section 6."""

    algorithm: IdentifierPbes2
    data: bytes


def raw(value: TLV) -> bytes:
    """All bytes of an element: tag, length, contents."""
    return value.der


def set_of(values: list[T]) -> SetOf[T]:
    """A SET OF; DER puts its elements into order when it is written."""
    return SetOf(values)


def directory_name(name: bytes) -> bytes:
    """The GeneralName of a name in DER."""
    names = encode(DirectoryNames(name=tlv(name)))
    header = 2 + (names[1] & 0x7F if names[1] & 0x80 else 0)  # X.690 section 8.1.3: tag, length
    return names[header:]
