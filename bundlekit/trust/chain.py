"""From a signer's certificate to an anchor.

``cryptography.x509.verification`` says whether a chain holds, under two extension policies written here: the
ready-made ones are made for web servers and are wrong for signers in both directions. Its refusals do not say
why, so `judge` looks again: it follows the issuers itself and names each reason. That second look also runs
over what the library accepted, and it can only refuse.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from bundlekit.model.primitives import Frozen
from bundlekit.trust.algorithms import HASHES, read_scheme
from bundlekit.trust.certificates import ANY_PURPOSE, PURPOSES, Certificate
from bundlekit.trust.refusal import Refusal, day, malformed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

MAX_INTERMEDIATES: Final = 8
"""Certificates between signer and anchor."""


class Chain(Frozen, frozen=True, kw_only=True):
    """Certificates from the signer to the anchor, and why they do not hold; they hold if nothing is said.

    Where no anchor was reached, ``anchor`` is None and ``certificates`` go as far as they lead.
    """

    certificates: tuple[Certificate, ...]
    anchor: Certificate | None
    refusals: tuple[Refusal, ...] = ()


def in_order(signer: Certificate, others: Sequence[Certificate]) -> tuple[Certificate, ...]:
    """The certificates of one signature from the signer upwards; every one has its place or is refused.

    This is what bounds the search for a path: there is one line of issuers, never a graph to explore.
    """
    if signer.self_issued and signer.is_ca:
        msg = f"The signer's certificate {signer.name} is that of a root CA, which does not sign bundles."
        raise Refusal("not-a-signer-certificate", msg, signer.der)
    for one in (signer, *others):
        if one.self_issued:
            msg = f"The signature carries the self-signed certificate {one.name}; anchors come from trust alone"
            raise malformed(msg, one.der)
    line, rest = [signer], list(others)
    while issuers := [one for one in rest if one.subject_der == line[-1].issuer_der]:
        line.append(issuers[0])
        rest.remove(issuers[0])
    if rest:
        msg = f"The signature carries the certificate {rest[0].name}, which is not on the signer's path"
        raise malformed(msg, rest[0].der)
    return tuple(line)


def judge(line: Sequence[Certificate], anchors: Sequence[Certificate], at: datetime, purpose: str) -> Chain:
    """Whether ``line``, the signer and its issuers in order, leads to one of ``anchors`` at the time ``at``.

    Reasons for a refusal are named in this order: not a signer's certificate, wrong purpose, not yet valid or
    expired, weak, algorithm of the chain unsupported, chain invalid. A signer that leads nowhere is unknown,
    and nothing else is said of it.
    """
    accepted = None if any(one.weakness for one in line) else _verify(line, anchors, at, purpose)
    chain = accepted or _trace(line, anchors)
    if isinstance(chain, Refusal):
        return Chain(certificates=tuple(line), anchor=None, refusals=(chain,))
    refusals: list[Refusal] = []
    for reason in reasons(chain, at, purpose):
        if reason.rule not in {one.rule for one in refusals}:  # the certificate nearest to the signer stands for all
            refusals.append(reason)
    if not refusals and not accepted:
        msg = f"The chain from {line[0].name} to the anchor {chain[-1].name} breaks a rule of RFC 5280."
        refusals.append(Refusal("chain-invalid", msg, line[0].der))
    surplus = [one for one in line if one.der not in {used.der for used in chain}]
    if surplus:
        msg = f"The signature carries the certificate {surplus[0].name}, which its path to the anchor does not use"
        refusals.append(malformed(msg, surplus[0].der))
    return Chain(certificates=chain, anchor=chain[-1], refusals=tuple(refusals))


def signer_refusals(signer: Certificate, purpose: str) -> Iterator[Refusal]:
    """Why a certificate is not one to sign bundles with, whoever issued it."""
    if signer.is_ca:
        msg = f"The signer's certificate {signer.name} is that of a CA, which does not sign bundles."
        yield Refusal("not-a-signer-certificate", msg, signer.der)
    elif not _signs_data(signer.usage):
        msg = (
            f"The signer's certificate {signer.name} has no key usage digitalSignature. "
            "Have one issued with `keyUsage = critical, digitalSignature`."
        )
        yield Refusal("not-a-signer-certificate", msg, signer.der)
    if not _serves(signer.purposes, purpose):
        msg = (
            f"The signer's certificate {signer.name} is not for {purpose}. "
            "Have one issued with that extended key usage, or say what it is for: as `purpose` in a trust.toml, and as "
            "--purpose where it signs."
        )
        yield Refusal("wrong-purpose", msg, signer.der, purpose=purpose)


# --- the library's word ---


def _verify(
    line: Sequence[Certificate], anchors: Sequence[Certificate], at: datetime, purpose: str
) -> tuple[Certificate, ...] | None:
    if not anchors:
        return None
    verifier = (
        PolicyBuilder()
        .time(at)
        .store(Store([anchor.parsed for anchor in anchors]))
        .max_chain_depth(MAX_INTERMEDIATES)
        .extension_policies(ca_policy=_ca_policy(purpose), ee_policy=_signer_policy(purpose))
        .build_client_verifier()
    )
    try:
        verified = verifier.verify(line[0].parsed, [one.parsed for one in line[1:]]).chain
    except VerificationError:
        return None
    known = {one.parsed: one for one in (*line, *anchors)}
    return tuple(known[one] for one in verified)


def _ca_policy(purpose: str) -> ExtensionPolicy:
    def basic(_: Policy, __: x509.Certificate, found: x509.BasicConstraints) -> None:
        _demand(found.ca)

    def usage(_: Policy, __: x509.Certificate, found: x509.KeyUsage | None) -> None:
        _demand(_signs_certificates(found))

    def purposes(_: Policy, __: x509.Certificate, found: x509.ExtendedKeyUsage | None) -> None:
        _demand(_may_certify(found if found is None else tuple(found), purpose))

    return (
        ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, basic)
        .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, usage)
        .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, purposes)
        # Constraints on names are about servers and mail boxes; a CA that has them was not meant for signers.
        .require_not_present(x509.NameConstraints)
    )


def _signer_policy(purpose: str) -> ExtensionPolicy:
    def basic(_: Policy, __: x509.Certificate, found: x509.BasicConstraints | None) -> None:
        _demand(found is None or not found.ca)

    def usage(_: Policy, __: x509.Certificate, found: x509.KeyUsage) -> None:
        _demand(_signs_data(found))

    def purposes(_: Policy, __: x509.Certificate, found: x509.ExtendedKeyUsage) -> None:
        _demand(_serves(tuple(found), purpose))

    return (
        ExtensionPolicy.permit_all()
        .may_be_present(x509.BasicConstraints, Criticality.AGNOSTIC, basic)
        .require_present(x509.KeyUsage, Criticality.AGNOSTIC, usage)
        .require_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, purposes)
    )


def _demand(condition: bool) -> None:
    if not condition:
        msg = "refused by policy"
        raise ValueError(msg)


def _signs_data(usage: x509.KeyUsage | None) -> bool:
    return usage is not None and usage.digital_signature


def _signs_certificates(usage: x509.KeyUsage | None) -> bool:
    return usage is None or usage.key_cert_sign


def _serves(purposes: tuple[x509.ObjectIdentifier, ...] | None, purpose: str) -> bool:
    return purposes is not None and PURPOSES[purpose] in purposes


def _may_certify(purposes: tuple[x509.ObjectIdentifier, ...] | None, purpose: str) -> bool:
    return purposes is None or _serves(purposes, purpose) or ANY_PURPOSE in purposes


# --- the second look ---


def _trace(line: Sequence[Certificate], anchors: Sequence[Certificate]) -> tuple[Certificate, ...] | Refusal:
    """Follow the issuers to an anchor, whatever else may be wrong with them."""
    imitated = ""
    for place, child in enumerate(line):
        if child.der in {anchor.der for anchor in anchors}:
            return tuple(line[: place + 1])
        for anchor in anchors:
            if anchor.subject_der == child.issuer_der:
                if issued(child, anchor) is not False:
                    return (*line[: place + 1], anchor)
                imitated = f"{child.name} names the anchor {anchor.name} as its issuer"
        following = line[place + 1 : place + 2]
        if following and issued(child, following[0]) is False:
            imitated = f"{child.name} names {following[0].name} as its issuer"
            break
    if imitated:
        msg = f"The certificate {imitated}, whose key did not sign it: it is damaged, or an imitation."
        return Refusal("signer-unknown", msg, child.der)
    msg = (
        f"The signer {line[0].name} is not known here: its chain ends at the issuer '{line[-1].issuer}', "
        "which is not among the anchors. If you do trust it, add its certificate to --trust."
    )
    return Refusal("signer-unknown", msg, line[0].der, issuer=line[-1].issuer)


def issued(child: Certificate, issuer: Certificate) -> bool | None:
    """Whether the signature of ``child`` is by the key of ``issuer``; None if that cannot be computed.

    Nor is it under a key that is refused: a bundle can bring one along that takes long.
    """
    if issuer.weakness:
        return None
    try:
        child.parsed.verify_directly_issued_by(issuer.parsed)
    except InvalidSignature:
        return False
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return True


def reasons(chain: Sequence[Certificate], at: datetime, purpose: str) -> Iterator[Refusal]:
    """Why a chain, from the signer to the anchor, does not hold, in the order in which reasons are named."""
    yield from signer_refusals(chain[0], purpose)
    for one in chain[1:]:
        if not _may_certify(one.purposes, purpose):
            msg = f"The CA {one.name} may not certify signers for {purpose}, its own purposes are others."
            yield Refusal("wrong-purpose", msg, one.der, purpose=purpose)
    for one in chain:
        if at < one.not_before:
            start = day(one.not_before)
            msg = f"{_part(one, chain)} is valid from {start}; the time used is {day(at)}. Check the clock, or --at."
            yield Refusal("signer-not-yet-valid", msg, one.der, valid_from=start, at=day(at))
        elif at > one.not_after:
            end = day(one.not_after)
            msg = (
                f"{_part(one, chain)} expired on {end}, and the time used is {day(at)}. "
                "Sign again with a certificate that is valid."
            )
            yield Refusal("signer-expired", msg, one.der, expired=end, at=day(at))
    for one in chain:
        if one.weakness:
            yield weak_key(one.name, one.weakness, one.der)
    for child, issuer in pairwise(chain):
        yield from _signature_reasons(child, issuer)
    for above, one in enumerate(chain[1:]):
        if not one.is_ca or not _signs_certificates(one.usage):
            msg = f"{_part(one, chain)} may not issue certificates (basicConstraints, keyCertSign)."
            yield Refusal("chain-invalid", msg, one.der)
        elif one.path_length is not None and above > one.path_length:
            msg = f"{_part(one, chain)} allows {one.path_length} CAs below it, the chain has {above}."
            yield Refusal("chain-invalid", msg, one.der)
    if len(chain) - 2 > MAX_INTERMEDIATES:
        msg = f"The chain has {len(chain) - 2} intermediate certificates; {MAX_INTERMEDIATES} are allowed."
        yield Refusal("chain-invalid", msg, chain[0].der)


def _signature_reasons(child: Certificate, issuer: Certificate) -> Iterator[Refusal]:
    try:
        scheme = read_scheme(child.signature_algorithm)
    except Refusal as refusal:
        if refusal.rule == "weak-algorithm":
            msg = f"The certificate {child.name} is signed weakly. {refusal.message}"
            yield Refusal("weak-algorithm", msg, child.der)
        else:
            msg = f"The certificate {child.name} is signed with an algorithm that is not on the list."
            yield Refusal("chain-unsupported", msg, child.der)
        return
    if scheme.family == "ed25519":
        msg = (
            f"The CA {issuer.name} has an Ed25519 key, which cannot issue certificates here. "
            "Give the signer's public key to --trust instead, or use an ECDSA CA."
        )
        yield Refusal("chain-unsupported", msg, child.der)
    elif scheme.salt is not None and scheme.salt != HASHES[scheme.hash].digest_size:
        msg = (
            f"The certificate {child.name} is signed with RSA-PSS and a salt of {scheme.salt} bytes; only "
            "a salt as long as the hash is supported there. Have it issued again with "
            "`-sigopt rsa_pss_saltlen:digest`."
        )
        yield Refusal("chain-unsupported", msg, child.der, salt=scheme.salt)
    elif issuer.pss_only:
        msg = (
            f"The key of the CA {issuer.name} is marked as one for RSA-PSS only, which cannot issue certificates here. "
            "Use a CA with a plain RSA key."
        )
        yield Refusal("chain-unsupported", msg, child.der)


def weak_key(name: str, weakness: str, part: bytes) -> Refusal:
    """A key below the floor, or above the ceiling."""
    return Refusal("weak-algorithm", f"The key of {name} is refused: {weakness}. Sign with another key.", part)


def _part(one: Certificate, chain: Sequence[Certificate]) -> str:
    if one is chain[0]:
        return f"The signer's certificate {one.name}"
    return f"The anchor {one.name}" if one is chain[-1] else f"The intermediate certificate {one.name}"
