"""Certificate revocation lists (RFC 5280 section 5): from the trust file alone, never from a bundle.

*Revoked* and *not known* are two answers. A list means *revoked* if the issuer signed it and it names the certificate,
regardless of its age: time does not undo a revocation. It means *not revoked* only while it is current. The clock
decides whether it is current, never the release date.
"""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from bundlekit.errors import TrustError
from bundlekit.files import LIMITS
from bundlekit.model.primitives import Frozen
from bundlekit.trust.algorithms import HASHES
from bundlekit.trust.door import UnreadableObjectError, reading
from bundlekit.trust.fault import SignatureFault, day
from bundlekit.trust.pem_blocks import block_bytes, blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cryptography import x509

    from bundlekit.trust.certificates import Certificate

MAX_FILE: Final = LIMITS["crl"]
"""Bytes of one list, which is room for some 400,000 revoked certificates."""

MAX_LISTS: Final = 64
"""Lists in one PEM file."""

DER_SEQUENCE: Final = b"\x30"
LONG_FORM: Final = b"\x80"
"""The second byte of a list in DER: a SEQUENCE of more than 127 bytes. No text has this byte after a ``0``."""


class Crl(Frozen, frozen=True, kw_only=True):
    """One list: its issuer, its date, the date of the next list, and the revocation time of each serial number.

    ``fault`` is why it can never be used; empty if it can. ``parsed`` is used only for its signature.
    """

    name: str
    parsed: x509.CertificateRevocationList
    issuer: x509.Name
    start: datetime
    end: datetime | None
    revoked: dict[int, datetime]
    fault: str = ""

    def is_of(self, issuer: Certificate) -> bool:
        """Whether it names ``issuer`` as its issuer."""
        return self.issuer == issuer.subject_name


class Crls(Frozen, frozen=True, kw_only=True):
    """All lists, whether they are required, and their greatest age in seconds."""

    lists: tuple[Crl, ...] = ()
    required: bool = False
    max_age: int | None = None


class RevocationStatus(Frozen, frozen=True, kw_only=True):
    """The results of the lists for a chain: revocations, and why the status of some certificates is unknown.

    ``unknown``: no current list shows that a certificate is good. ``unusable``: a list of one of its CAs is of an
    unknown kind, so that it can contain revocations that cannot be read.
    """

    revoked: tuple[SignatureFault, ...] = ()
    unknown: str = ""
    unusable: str = ""


def read(file: Path, data: bytes) -> tuple[Crl, ...]:
    """The lists in a file: one in DER, or several in PEM.

    Raises TrustError for any other content. A list that can never be used has a ``fault``.
    """
    if data[:1] == DER_SEQUENCE and data[1:2] >= LONG_FORM:
        return (_read(file, file.name, data),)
    if data.count(b"-----BEGIN ") > MAX_LISTS:
        msg = f"{file} contains more than {MAX_LISTS} revocation lists."
        raise TrustError(msg)
    found: list[Crl] = []
    for label, block, _ in blocks(file, data):
        if label != "X509 CRL":
            raise _damaged(file)
        name = f"{file.name} ({len(found) + 1})" if found else file.name
        found.append(_read(file, name, block_bytes(file, block)))
    return tuple(found)


def _read(file: Path, name: str, der: bytes) -> Crl:
    from cryptography import x509

    try:
        with reading():
            parsed = x509.load_der_x509_crl(der)
            revoked: dict[int, datetime] = {}
            for entry in parsed:
                when = entry.revocation_date_utc
                revoked[entry.serial_number] = min(when, revoked.get(entry.serial_number, when))
            return Crl(
                name=name,
                parsed=parsed,
                issuer=parsed.issuer,
                start=parsed.last_update_utc,
                end=parsed.next_update_utc,
                revoked=revoked,
                fault=_fault(parsed),
            )
    except UnreadableObjectError as error:
        raise _damaged(file) from error


def _damaged(file: Path) -> TrustError:
    return TrustError(
        f"{file} cannot be used as a revocation list: it is damaged, or is not one.",
        next_step="Get the current list of the CA again.",
    )


def _fault(parsed: x509.CertificateRevocationList) -> str:
    from cryptography import x509

    # These do not change the meaning of a list, and of an entry of it (RFC 5280 sections 5.2 and 5.3).
    understood, understood_in_entries = (
        (x509.AuthorityKeyIdentifier, x509.CRLNumber),
        (x509.CRLReason, x509.InvalidityDate),
    )
    kinds = {type(one.value) for one in parsed.extensions}
    if x509.DeltaCRLIndicator in kinds:
        return "it is a delta list, which contains only changes"
    entries = [extension for entry in parsed for extension in entry.extensions]
    if x509.IssuingDistributionPoint in kinds or any(isinstance(one.value, x509.CertificateIssuer) for one in entries):
        return "it is limited to some certificates, or indirect"
    if unknown := [one for one in parsed.extensions if one.critical and not isinstance(one.value, understood)]:
        return f"it has the critical extension {unknown[0].oid.dotted_string}, which is not understood"
    if unknown := [one for one in entries if one.critical and not isinstance(one.value, understood_in_entries)]:
        return f"an entry of it has the critical extension {unknown[0].oid.dotted_string}, which is not understood"
    hash_ = parsed.signature_hash_algorithm
    if hash_ is not None and hash_.name not in HASHES:
        return f"it is signed with {hash_.name.upper()}, which is weak"
    return ""


def status(
    chain: Sequence[Certificate], crls: Crls, at: datetime, known: Sequence[Certificate] = ()
) -> RevocationStatus:
    """The known revocation status of a chain, from the signer to the anchor, at the time ``at``.

    The status of the anchor is not required, and its own list does not apply to it. But it is revoked if a list of
    another CA that is ``known`` names it.
    """
    revoked: list[SignatureFault] = []
    unknown: list[str] = []
    strange: list[str] = []
    for child, issuer in pairwise(chain):
        fitting = [one for one in crls.lists if one.is_of(issuer)]
        faults = [(one.name, unusable(one, issuer, at, crls.max_age)) for one in fitting]
        revoked += _revoked(child, issuer, fitting)
        strange += [
            f"the revocation list {one.name} of {issuer.name} cannot be used: {one.fault}"
            for one in fitting
            if one.fault and _signed(one, issuer)
        ]
        if not fitting:
            unknown.append(f"there is no revocation list of {issuer.name} among the CRLs of the trust file")
        elif all(why for _, why in faults):
            unknown += [f"the revocation list {name} of {issuer.name} cannot be used: {why}" for name, why in faults]
    for anchor in chain[-1:]:
        for issuer in known:
            if issuer.subject_der == anchor.issuer_der and not anchor.self_issued:
                revoked += _revoked(anchor, issuer, [one for one in crls.lists if one.is_of(issuer)])
    if revoked:
        return RevocationStatus(revoked=tuple(revoked))
    return RevocationStatus(unknown="; ".join(unknown), unusable="; ".join(strange))


def _revoked(child: Certificate, issuer: Certificate, lists: Sequence[Crl]) -> Iterator[SignatureFault]:
    dates = [date for one in lists if (date := _revocation(one, child, issuer))]
    if dates:
        when = day(min(dates))
        msg = f"The certificate {child.name} was revoked by {issuer.name} on {when}."
        yield SignatureFault("signer-revoked", msg, child.der, revoked=when)


def unusable(one: Crl, issuer: Certificate, at: datetime, max_age: int | None) -> str:
    """Why a list does not show that a certificate of ``issuer`` is good; empty if it does."""
    if one.fault:
        return one.fault
    if not _signed(one, issuer):
        return "it is not signed by that CA, or damaged"
    if not _signs_lists(issuer):
        return "that CA is not allowed to sign lists (key usage cRLSign)"
    start, end = one.start, one.end
    if at < start:
        return f"it was issued on {day(start)}, after the time used, {day(at)}"
    if end is None:
        return "it does not state when the next one is due (nextUpdate)"
    if at > end:
        return f"it is stale: the next one was due on {day(end)}, and the time used is {day(at)}"
    if max_age is not None and (at - start).total_seconds() > max_age:
        return f"it is older than the trust file allows: issued on {day(start)}, the time used is {day(at)}"
    return ""


def _revocation(one: Crl, child: Certificate, issuer: Certificate) -> datetime | None:
    """When the list revoked ``child``; None if it did not, or if the issuer did not sign the list."""
    if one.fault or not _signed(one, issuer) or not _signs_lists(issuer):
        return None
    return one.revoked.get(child.serial)


def _signs_lists(issuer: Certificate) -> bool:
    return issuer.usage is None or issuer.usage.crl_sign  # RFC 5280 section 6.3.3 (f)


def _signed(one: Crl, issuer: Certificate) -> bool:
    if issuer.key is None:
        return False
    try:
        with reading():
            return one.parsed.is_signature_valid(issuer.key.public)  # type: ignore[arg-type]  # raises for others
    except UnreadableObjectError:
        return False
