"""Certificate revocation lists (RFC 5280 section 5): from trust alone, never from a bundle.

*Revoked* and *not known* are two answers. A list says *revoked* if the issuer signed it and it names the
certificate, however old it is: time does not undo a revocation. It says *not revoked* only while it is
current. Whether it is current is asked of the clock, never of the release date.
"""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from bundlekit.errors import TrustError
from bundlekit.model.primitives import Frozen
from bundlekit.trust.algorithms import HASHES
from bundlekit.trust.refusal import Refusal, day

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bundlekit.trust.certificates import Certificate

MAX_FILE: Final = 16 * 1024 * 1024
"""Bytes of one list; room for some 400,000 revoked certificates."""

UNDERSTOOD: Final = (x509.AuthorityKeyIdentifier, x509.CRLNumber)
"""Extensions of a list that change nothing of what it says (RFC 5280 sections 5.2.1 and 5.2.3)."""


class Crl(Frozen, frozen=True, kw_only=True):
    """One list; ``fault`` says why it can never be used, empty if it can."""

    name: str
    parsed: x509.CertificateRevocationList
    fault: str = ""


class Crls(Frozen, frozen=True, kw_only=True):
    """All lists, whether they are required, and their greatest age in seconds."""

    lists: tuple[Crl, ...] = ()
    required: bool = False
    max_age: int | None = None


class Status(Frozen, frozen=True, kw_only=True):
    """What the lists say of a chain: revocations, and ``unknown``: why some of it could not be judged."""

    revoked: tuple[Refusal, ...] = ()
    unknown: str = ""


def read(file: Path, data: bytes) -> Crl:
    """A list in PEM or DER. Raises TrustError if it is neither; a list that is of no use has a ``fault``."""
    load = x509.load_pem_x509_crl if data.startswith(b"-----BEGIN") else x509.load_der_x509_crl
    try:
        parsed = load(data)
        return Crl(name=file.name, parsed=parsed, fault=_fault(parsed))
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion) as error:
        msg = f"{file} cannot be used as a revocation list: it is damaged, or none."
        raise TrustError(msg, next_step="Get the CA's current list again.") from error


def _fault(parsed: x509.CertificateRevocationList) -> str:
    kinds = {type(one.value) for one in parsed.extensions}
    if x509.DeltaCRLIndicator in kinds:
        return "it is a delta list, which says only what has changed"
    if x509.IssuingDistributionPoint in kinds or any(
        isinstance(extension.value, x509.CertificateIssuer) for entry in parsed for extension in entry.extensions
    ):
        return "it is limited to some certificates, or indirect"
    if unknown := [one for one in parsed.extensions if one.critical and not isinstance(one.value, UNDERSTOOD)]:
        return f"it has the critical extension {unknown[0].oid.dotted_string}, which is not understood"
    hash_ = parsed.signature_hash_algorithm
    if hash_ is not None and hash_.name not in HASHES:
        return f"it is signed with {hash_.name.upper()}, which is weak"
    return ""


def status(chain: Sequence[Certificate], crls: Crls, at: datetime) -> Status:
    """What is known at the time ``at`` of a chain, from the signer to the anchor, which is not asked about."""
    revoked: list[Refusal] = []
    unknown: list[str] = []
    for child, issuer in pairwise(chain):
        fitting = [one for one in crls.lists if one.parsed.issuer == issuer.parsed.subject]
        faults = [(one.name, unusable(one, issuer, at, crls.max_age)) for one in fitting]
        entries = [entry for one in fitting if (entry := _entry(one, child, issuer))]
        if entries:
            when = day(min(entry.revocation_date_utc for entry in entries))
            msg = f"The certificate {child.name} was revoked by {issuer.name} on {when}. Do not use this bundle."
            revoked.append(Refusal("signer-revoked", msg, child.der, revoked=when))
        elif not fitting:
            unknown.append(f"there is no revocation list of {issuer.name} among the CRLs of the trust file")
        elif all(why for _, why in faults):
            unknown += [f"the revocation list {name} of {issuer.name} is of no use: {why}" for name, why in faults]
    return Status(revoked=tuple(revoked), unknown="; ".join(unknown))


def unusable(one: Crl, issuer: Certificate, at: datetime, max_age: int | None) -> str:
    """Why a list does not say that a certificate of ``issuer`` is good; empty if it does."""
    if one.fault:
        return one.fault
    if not _signed(one, issuer):
        return "it is not signed by that CA, or damaged"
    if not _signs_lists(issuer):
        return "that CA may not sign lists (key usage cRLSign)"
    start, end = one.parsed.last_update_utc, one.parsed.next_update_utc
    if at < start:
        return f"it was issued on {day(start)}, after the time used, {day(at)}"
    if end is None:
        return "it does not say when the next one is due (nextUpdate)"
    if at > end:
        return f"it is stale: the next one was due on {day(end)}, and the time used is {day(at)}"
    if max_age is not None and (at - start).total_seconds() > max_age:
        return f"it is older than the trust file allows: issued on {day(start)}, the time used is {day(at)}"
    return ""


def _entry(one: Crl, child: Certificate, issuer: Certificate) -> x509.RevokedCertificate | None:
    """The entry that revokes ``child``, if the list is the issuer's own word."""
    if one.fault or not _signed(one, issuer) or not _signs_lists(issuer):
        return None
    return one.parsed.get_revoked_certificate_by_serial_number(child.serial)


def _signs_lists(issuer: Certificate) -> bool:
    return issuer.usage is None or issuer.usage.crl_sign  # RFC 5280 section 6.3.3 (f)


def _signed(one: Crl, issuer: Certificate) -> bool:
    try:
        return issuer.key is not None and one.parsed.is_signature_valid(issuer.key.public)  # type: ignore[arg-type]  # raises for others
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
