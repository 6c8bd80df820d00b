"""Certificates: the needed content of one is read once, strictly, into a frozen value."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeVar

from bundlekit.model.primitives import Frozen
from bundlekit.trust import algorithms, asn1
from bundlekit.trust.door import UnreadableObjectError, reading
from bundlekit.trust.fault import SignatureFault
from bundlekit.trust.keys import Key, describe, unsupported
from bundlekit.trust.scheme import SignatureScheme

if TYPE_CHECKING:
    # It takes 20 ms to load, and is not needed where only public keys are trusted.
    from cryptography import x509

PURPOSES: Final = {"code-signing": "1.3.6.1.5.5.7.3.3", "email-protection": "1.3.6.1.5.5.7.3.4"}
"""The purposes that can be required of a signer's certificate (RFC 5280 section 4.2.1.12)."""

RSASSA_PSS: Final = "1.2.840.113549.1.1.10"

KEY_KINDS: Final = {
    "1.2.840.113549.1.1.1",  # rsaEncryption
    RSASSA_PSS,
    "1.2.840.10045.2.1",  # id-ecPublicKey
    "1.3.101.112",  # id-Ed25519
    "2.16.840.1.101.3.4.3.17",  # id-ml-dsa-44, loaded only to be rejected by name
    "2.16.840.1.101.3.4.3.18",  # id-ml-dsa-65
    "2.16.840.1.101.3.4.3.19",  # id-ml-dsa-87
}
"""The kinds of public keys that are loaded from certificates (RFC 3279, 4055, 8410, 9881)."""

MAX_NAME: Final = 512
"""Characters of a name that are shown; RFC 5280 has 64 for a common name."""

NOT_POSITIVE: Final = "its serial number, or its issuer's, is not positive (RFC 5280 section 4.1.2.2)"

ANY_PURPOSE: Final = "2.5.29.37.0"
"""anyExtendedKeyUsage (RFC 5280 section 4.2.1.12)."""

ExtensionT = TypeVar("ExtensionT", bound="x509.ExtensionType")


class UnusableCertificateError(ValueError):
    """A certificate that cannot be read, or that is not encoded in DER."""


class Authority(Frozen, frozen=True, kw_only=True):
    """How a certificate identifies its issuer's (authorityKeyIdentifier, RFC 5280 section 4.2.1.1).

    ``key`` is the subjectKeyIdentifier of the issuer. ``name`` (a GeneralName) and ``serial`` are the issuer and the
    serial number *of the issuer's certificate*. An absent field is None.
    """

    key: bytes | None = None
    name: bytes | None = None
    serial: int | None = None


class Certificate(Frozen, frozen=True, kw_only=True):
    """A certificate. ``subject`` and ``issuer`` are RFC 4514 text; the names compare by their DER.

    ``key`` is None if the public key is of a kind that cannot be loaded; ``unloadable`` is then the reason.
    ``pss_only``: the key is for RSA-PSS only. ``pss_demanded`` are its parameters, if the certificate states them. The
    certificate is valid from ``not_before`` to ``not_after``, UTC, inclusive. ``subject`` is shortened if it is too
    long to print; ``whole_subject`` is not. ``usage`` and ``purposes`` are None if the certificate has no such
    extension.
    """

    parsed: x509.Certificate
    der: bytes
    subject: str
    subject_der: bytes
    issuer: str
    issuer_der: bytes
    serial: int
    signature_algorithm: bytes
    key: Key | None
    unloadable: str = ""
    pss_only: bool = False
    pss_demanded: SignatureScheme | None = None
    not_before: datetime
    not_after: datetime
    is_ca: bool = False
    path_length: int | None = None
    usage: x509.KeyUsage | None = None
    purposes: tuple[str, ...] | None = None
    identifier: bytes | None = None
    subject_name: x509.Name
    whole_subject: str = ""
    common_names: tuple[str, ...] = ()
    constrains_names: bool = False
    authority: Authority = Authority()

    @property
    def id(self) -> str:
        """SHA-256 of its DER, in hex."""
        return hashlib.sha256(self.der).hexdigest()

    @property
    def self_issued(self) -> bool:
        """Whether it names itself as its issuer."""
        return self.subject_der == self.issuer_der

    def contradicts(self, issuer: Certificate) -> bool:
        """Whether the authorityKeyIdentifier does not match the certificate ``issuer``, by the rules of OpenSSL."""
        named = self.authority
        return (
            (named.key is not None and issuer.identifier is not None and named.key != issuer.identifier)
            or (named.serial is not None and named.serial != issuer.serial)
            or (named.name is not None and named.name != asn1.directory_name(issuer.issuer_der))
        )

    @property
    def weakness(self) -> str:
        """Why its key is rejected; empty if it is not."""
        return self.key.weakness if self.key else self.unloadable

    @property
    def name(self) -> str:
        """The name of the certificate in messages."""
        return f"'{self.subject}'" if self.subject else f"serial number {self.serial:x}"


def read_certificate(der: bytes) -> Certificate:
    """Read one DER certificate. Raises UnusableCertificateError.

    The issuer's signature does not cover the outer algorithm identifier nor the unused bits of the outer bit
    string, so both are checked here: each byte of a certificate is covered or has one possible value.
    """
    try:
        outer = asn1.decode(asn1.CertificateSyntax, der)
        _demand_one_encoding(outer)
        authority = _authority(outer.tbs)
    except asn1.NotDerError as error:
        raise UnusableCertificateError(str(error)) from error
    try:
        with reading():
            return _converted(der, outer, authority)
    except UnreadableObjectError as error:
        msg = "it breaks a rule of RFC 5280 on how certificates are written"
        raise UnusableCertificateError(msg) from error


def _converted(der: bytes, outer: asn1.CertificateSyntax, authority: Authority) -> Certificate:
    """The certificate as a frozen value. Fields that the library reads late are read here."""
    from cryptography import x509

    parsed = x509.load_der_x509_certificate(der)
    extensions = parsed.extensions
    basic = _extension(extensions, x509.BasicConstraints)
    purposes = _extension(extensions, x509.ExtendedKeyUsage)
    identifier = _extension(extensions, x509.SubjectKeyIdentifier)
    key, unloadable = _key(parsed)
    pss_only = parsed.public_key_algorithm_oid.dotted_string == RSASSA_PSS
    pss_demanded = None
    if pss_only:
        try:
            stated = asn1.raw(outer.tbs.public_key.algorithm)
            pss_demanded = algorithms.pss_demanded(stated)
            key = algorithms.limited(key, stated) if key else None
        except SignatureFault as refusal:
            key, unloadable = None, f"it is for RSA-PSS with parameters that are not accepted ({refusal.message})"
    return Certificate(
        parsed=parsed,
        der=der,
        subject=_text(parsed.subject),
        subject_der=asn1.raw(outer.tbs.subject),
        issuer=_text(parsed.issuer),
        issuer_der=asn1.raw(outer.tbs.issuer),
        serial=outer.tbs.serial_number,
        signature_algorithm=asn1.raw(outer.signature_algorithm),
        key=key,
        unloadable=unloadable,
        not_before=parsed.not_valid_before_utc,  # raises ValueError for the year 0
        not_after=parsed.not_valid_after_utc,
        pss_only=pss_only,
        pss_demanded=pss_demanded,
        is_ca=basic is not None and basic.ca,
        path_length=basic.path_length if basic else None,
        usage=_extension(extensions, x509.KeyUsage),
        purposes=None if purposes is None else tuple(one.dotted_string for one in purposes),
        identifier=identifier.digest if identifier else None,
        subject_name=parsed.subject,
        whole_subject=parsed.subject.rfc4514_string(),
        common_names=tuple(str(one.value) for one in parsed.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)),
        constrains_names=_extension(extensions, x509.NameConstraints) is not None,
        authority=authority,
    )


def _text(name: x509.Name) -> str:
    """A name as reports print it, shortened to its beginning if it would fill a screen."""
    text = name.rfc4514_string()
    return text if len(text) <= MAX_NAME else f"{text[:MAX_NAME]}… ({len(text):,} characters)"


def _demand_one_encoding(outer: asn1.CertificateSyntax) -> None:
    """Check the parts without the cover of the issuer's signature, and the faults that the library only warns about."""
    if asn1.raw(outer.signature_algorithm) != asn1.raw(outer.tbs.signature_algorithm):
        msg = "its two signature algorithms differ"
    elif outer.signature.padding_bits():
        msg = "its signature has unused bits"
    elif outer.tbs.serial_number <= 0:
        msg = NOT_POSITIVE
    else:
        return
    raise UnusableCertificateError(msg)


def _authority(tbs: asn1.TbsCertificate) -> Authority:
    """The statements of the certificate about its issuer's certificate."""
    for extension in tbs.extensions or ():
        if extension.id != asn1.AUTHORITY_KEY_IDENTIFIER:
            continue
        found = asn1.decode(asn1.AuthorityKeyIdentifier, extension.value)
        if found.serial_number is not None and found.serial_number <= 0:
            raise UnusableCertificateError(NOT_POSITIVE)
        names = [asn1.raw(one) for one in found.issuer or ()]
        return Authority(
            key=found.key,
            name=next((one for one in names if one[0] == asn1.DIRECTORY_NAME), None),
            serial=found.serial_number,
        )
    return Authority()


def _key(certificate: x509.Certificate) -> tuple[Key | None, str]:
    kind = certificate.public_key_algorithm_oid.dotted_string
    if kind not in KEY_KINDS:  # the library would load some of them, with a warning
        return None, f"keys of its kind ({kind}) do not sign bundles"
    try:
        with reading():
            return describe(certificate.public_key()), ""
    except UnreadableObjectError as error:
        return None, unsupported(error) or "its public key is of a kind or size that is not accepted"


def _extension(extensions: x509.Extensions, kind: type[ExtensionT]) -> ExtensionT | None:
    return next((one.value for one in extensions if isinstance(one.value, kind)), None)
