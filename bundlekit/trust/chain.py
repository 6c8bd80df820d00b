"""The path from a signer's certificate to an anchor.

`bundlekit.trust.paths` finds the paths. ``cryptography.x509.verification`` decides whether a path is valid, under two
extension policies defined here. The ready-made policies are made for web servers, and are wrong for signers in both
directions. The library gives no reasons when it rejects a path. Each path is therefore examined here too, and each
reason is named. This second examination also covers the accepted paths, and it can only reject.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from bundlekit.model.primitives import Frozen
from bundlekit.trust.algorithms import HASHES, read_scheme
from bundlekit.trust.certificates import ANY_PURPOSE, PURPOSES, Certificate
from bundlekit.trust.door import UnreadableObjectError, reading
from bundlekit.trust.fault import SignatureFault, day
from bundlekit.trust.keys import ML_DSA_CHAINS, NO_ML_DSA, NO_ML_DSA_CHAINS
from bundlekit.trust.paths import MAX_INTERMEDIATES, CertificateGraph, issued, longest, surplus
from bundlekit.wording import given

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from cryptography import x509
    from cryptography.x509.verification import ExtensionPolicy, Policy

__all__ = [
    "MAX_INTERMEDIATES",
    "Chain",
    "best_chain",
    "issued",
    "reasons",
    "signer_refusals",
    "soundly_signed",
    "weak_key",
]

MAX_CHAINS: Final = 8
"""Valid chains of one signature that a trust file can choose from."""

MAX_PATHS_VERIFIED: Final = 32
"""Paths of one signature that are submitted to the library."""


class Chain(Frozen, frozen=True, kw_only=True):
    """Certificates from the signer to the anchor, and why they are not valid; they are valid without a refusal.

    If no anchor was reached, ``anchor`` is None and ``certificates`` are all that the signature carries.
    ``alternatives`` are the other valid chains of a signer with several paths to an anchor.
    """

    certificates: tuple[Certificate, ...]
    anchor: Certificate | None
    refusals: tuple[SignatureFault, ...] = ()
    alternatives: tuple[Chain, ...] = ()


def best_chain(
    carried: Sequence[Certificate],
    anchors: Sequence[Certificate],
    at: datetime,
    purpose: str,
    *,
    listed: Sequence[Certificate] = (),
    bound: Callable[[bytes], bool] | None = None,
    any_purpose: bool = True,
) -> Chain:
    """Whether the first of ``carried``, the signer, leads to one of ``anchors`` at the time ``at``.

    ``listed`` are further certificates that can be on the path. A CA for any purpose counts with ``any_purpose``. Any
    valid path counts. If there is none, the reasons are those of the path that comes nearest, in this order: not a
    signer's certificate, wrong purpose, not yet valid or expired, weak, algorithm of the chain unsupported, chain
    invalid. A signer without a path to an anchor is unknown, and nothing more is reported about it.

    Every certificate of the signature must be accounted for. It leads to an anchor by signatures, whether or not that
    path is valid. Or it is above the signer, and the signer has ``bound`` it (by its DER) with the signature itself.
    Any other certificate could be changed without notice.
    """
    graph = CertificateGraph(carried[0], (*carried[1:], *listed), anchors)
    try:
        chains = _chains(graph, at, purpose, any_purpose=any_purpose)
        extra = _surplus(carried, graph, bound) if chains else None
    except SignatureFault as refusal:
        return Chain(certificates=tuple(carried), anchor=None, refusals=(refusal,))
    if not chains:
        return Chain(certificates=tuple(carried), anchor=None, refusals=(_unknown(graph),))
    best, *others = (
        Chain(certificates=path, anchor=path[-1], refusals=(*against, *((extra,) if extra else ())))
        for path, against in chains
    )
    return replace(best, alternatives=tuple(others))


def _chains(
    graph: CertificateGraph, at: datetime, purpose: str, *, any_purpose: bool
) -> list[tuple[tuple[Certificate, ...], tuple[SignatureFault, ...]]]:
    """The valid paths; otherwise the nearest one, with its reasons; otherwise none."""

    def faults(child: Certificate, issuer: Certificate) -> int:
        against = (*_ca_reasons(issuer, at, purpose, any_purpose=any_purpose), *_link_reasons(child, issuer))
        return len(against)

    examined = [
        (path, _each_rule_once(reasons(path, at, purpose, any_purpose=any_purpose))) for path in graph.paths(faults)
    ]
    examined.sort(key=lambda one: (len(one[1]), len(one[0])))
    holding = []
    for path, against in examined[:MAX_PATHS_VERIFIED]:
        if not against and _verify(path[:-1], path[-1:], at, purpose) == path:
            holding.append((path, against))
        if len(holding) == MAX_CHAINS:
            break
    if holding or not examined:
        return holding
    path, against = examined[0]
    if not against:
        msg = f"The chain from {path[0].name} to the anchor {path[-1].name} breaks a rule of RFC 5280."
        against = (SignatureFault("chain-invalid", msg, path[0].der),)
    return [(path, against)]


def _each_rule_once(reasons: Iterator[SignatureFault]) -> tuple[SignatureFault, ...]:
    """The first reason of each rule: the certificate nearest to the signer stands for all."""
    first: dict[str, SignatureFault] = {}
    for reason in reasons:
        first.setdefault(reason.rule, reason)
    return tuple(first.values())


def _surplus(
    carried: Sequence[Certificate], graph: CertificateGraph, bound: Callable[[bytes], bool] | None
) -> SignatureFault | None:
    """The first certificate of the signature that does not belong to a path; None if each one does."""
    anchored = graph.anchored(soundly_signed)
    reached = graph.reached()
    for one in carried[1:]:
        if one.der in anchored or (one.der in reached and bound is not None and bound(one.der)):
            continue
        if one.der in reached:
            why = "which no path to an anchor here uses, and which the signer did not sign (signingCertificateV2)"
            return surplus(one, why)
        return surplus(one, "which did not issue any certificate of the signer's path")
    return None


def soundly_signed(one: Certificate) -> bool:
    """Whether the signature of a certificate has an algorithm that is strong enough."""
    try:
        return read_scheme(one.signature_algorithm) is not None
    except SignatureFault:
        return False


def signer_refusals(signer: Certificate, purpose: str) -> Iterator[SignatureFault]:
    """Why a certificate is not suitable for signing bundles, regardless of its issuer."""
    if signer.is_ca:
        msg = f"The signer's certificate {signer.name} is that of a CA, which does not sign bundles."
        yield SignatureFault("not-a-signer-certificate", msg, signer.der)
    elif not _signs_data(signer.usage):
        msg = (
            f"The signer's certificate {signer.name} has no key usage digitalSignature. "
            "Have one issued with `keyUsage = critical, digitalSignature`."
        )
        yield SignatureFault("not-a-signer-certificate", msg, signer.der)
    if not _serves(signer.purposes, purpose):
        msg = (
            f"The signer's certificate {signer.name} is not for {purpose}. "
            "Have one issued with that extended key usage, or declare its purpose as `purpose` in a trust.toml, and as "
            f"{given('purpose')} for signing."
        )
        yield SignatureFault("wrong-purpose", msg, signer.der, purpose=purpose)


# --- the library's decision ---


def _verify(
    line: Sequence[Certificate], anchors: Sequence[Certificate], at: datetime, purpose: str
) -> tuple[Certificate, ...] | None:
    """The path that the library accepts, from the first of ``line`` through the others; None if there is none."""
    from cryptography.x509.verification import PolicyBuilder, Store

    known = {one.parsed: one for one in (*line, *anchors)}
    try:
        with reading():
            verifier = (
                PolicyBuilder()
                .time(at)
                .store(Store([anchor.parsed for anchor in anchors]))
                .max_chain_depth(MAX_INTERMEDIATES)
                .extension_policies(ca_policy=_ca_policy(purpose), ee_policy=_signer_policy(purpose))
                .build_client_verifier()
            )
            verified = verifier.verify(line[0].parsed, [one.parsed for one in line[1:]]).chain
            return tuple(known[one] for one in verified)
    except UnreadableObjectError:  # the library also rejects by an exception
        return None


def _ca_policy(purpose: str) -> ExtensionPolicy:
    from cryptography import x509
    from cryptography.x509.verification import Criticality, ExtensionPolicy

    def basic(_: Policy, __: x509.Certificate, found: x509.BasicConstraints) -> None:
        _demand(found.ca)

    def usage(_: Policy, __: x509.Certificate, found: x509.KeyUsage | None) -> None:
        _demand(_signs_certificates(found))

    def purposes(_: Policy, __: x509.Certificate, found: x509.ExtendedKeyUsage | None) -> None:
        _demand(_may_certify(found if found is None else tuple(one.dotted_string for one in found), purpose))

    return (
        ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, basic)
        .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, usage)
        .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, purposes)
        # Name constraints are about servers and mail boxes. A CA that has them is not meant for signers.
        .require_not_present(x509.NameConstraints)
    )


def _signer_policy(purpose: str) -> ExtensionPolicy:
    from cryptography import x509
    from cryptography.x509.verification import Criticality, ExtensionPolicy

    def basic(_: Policy, __: x509.Certificate, found: x509.BasicConstraints | None) -> None:
        _demand(found is None or not found.ca)

    def usage(_: Policy, __: x509.Certificate, found: x509.KeyUsage) -> None:
        _demand(_signs_data(found))

    def purposes(_: Policy, __: x509.Certificate, found: x509.ExtendedKeyUsage) -> None:
        _demand(_serves(tuple(one.dotted_string for one in found), purpose))

    return (
        ExtensionPolicy.permit_all()
        .may_be_present(x509.BasicConstraints, Criticality.AGNOSTIC, basic)
        .require_present(x509.KeyUsage, Criticality.AGNOSTIC, usage)
        .require_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, purposes)
    )


def _demand(condition: bool) -> None:
    if not condition:
        msg = "rejected by policy"
        raise ValueError(msg)


def _signs_data(usage: x509.KeyUsage | None) -> bool:
    return usage is not None and usage.digital_signature


def _signs_certificates(usage: x509.KeyUsage | None) -> bool:
    return usage is None or usage.key_cert_sign


def _serves(purposes: tuple[str, ...] | None, purpose: str) -> bool:
    return purposes is not None and PURPOSES[purpose] in purposes


def _may_certify(purposes: tuple[str, ...] | None, purpose: str, *, any_purpose: bool = True) -> bool:
    return purposes is None or _serves(purposes, purpose) or (any_purpose and ANY_PURPOSE in purposes)


# --- the second examination ---


def _unknown(graph: CertificateGraph) -> SignatureFault:
    """Why no path leads to an anchor."""
    for child in graph.reached().values():
        if issuer := graph.imitated(child):
            what = "the anchor " if graph.is_anchor(issuer) else ""
            msg = (
                f"The certificate {child.name} names {what}{issuer.name} as its issuer, whose key did not sign it: it "
                "is damaged, or an imitation."
            )
            return SignatureFault("signer-unknown", msg, child.der, imitates=issuer.name)
    signer, last = graph.signer, list(longest(graph))[-1]
    msg = (
        f"The signer {signer.name} is not known here: its chain ends at the issuer '{last.issuer}', "
        "which is not among the anchors."
    )
    return SignatureFault("signer-unknown", msg, signer.der, issuer=last.issuer)


def reasons(
    chain: Sequence[Certificate], at: datetime, purpose: str, *, any_purpose: bool = True
) -> Iterator[SignatureFault]:
    """Why a path, from the signer to the anchor, is not valid, in the order that `best_chain` states."""
    yield from signer_refusals(chain[0], purpose)
    for one in chain[1:]:
        yield from _purpose_reasons(one, purpose, any_purpose=any_purpose)
    for one in chain:
        yield from _time_reasons(one, _part(one, chain), at)
    for one in chain:
        if one.weakness:
            yield weak_key(one.name, one.weakness, one.der)
    for child, issuer in pairwise(chain):
        yield from _signature_reasons(child, issuer)
    for below, one in enumerate(chain[1:]):  # a self-issued certificate counts, as in the library
        if not one.is_ca or not _signs_certificates(one.usage):
            msg = f"{_part(one, chain)} must not issue certificates (basicConstraints, keyCertSign)."
            yield SignatureFault("chain-invalid", msg, one.der)
        elif one.path_length is not None and below > one.path_length:
            msg = f"{_part(one, chain)} allows {one.path_length} CAs below it, but the chain has {below}."
            yield SignatureFault("chain-invalid", msg, one.der)
    for child, issuer in pairwise(chain):
        yield from _authority_reasons(child, issuer)
    if len(chain) - 2 > MAX_INTERMEDIATES:
        msg = f"The chain has {len(chain) - 2} intermediate certificates; {MAX_INTERMEDIATES} are allowed."
        yield SignatureFault("chain-invalid", msg, chain[0].der)


def _ca_reasons(one: Certificate, at: datetime, purpose: str, *, any_purpose: bool) -> Iterator[SignatureFault]:
    """The faults of the certificate of a CA alone."""
    yield from _purpose_reasons(one, purpose, any_purpose=any_purpose)
    yield from _time_reasons(one, one.name, at)
    if one.weakness:
        yield weak_key(one.name, one.weakness, one.der)


def _link_reasons(child: Certificate, issuer: Certificate) -> Iterator[SignatureFault]:
    """The faults of a certificate combined with that of its issuer."""
    yield from _signature_reasons(child, issuer)
    yield from _authority_reasons(child, issuer)


def _purpose_reasons(one: Certificate, purpose: str, *, any_purpose: bool) -> Iterator[SignatureFault]:
    if not _may_certify(one.purposes, purpose, any_purpose=any_purpose):
        names = "names other purposes"
        if ANY_PURPOSE in (one.purposes or ()):
            names = "is for any purpose (anyExtendedKeyUsage), which OpenSSL on the device does not count"
        msg = f"The CA {one.name} is not allowed to certify signers for {purpose}: its certificate {names}."
        yield SignatureFault("wrong-purpose", msg, one.der, purpose=purpose)


def _time_reasons(one: Certificate, what: str, at: datetime) -> Iterator[SignatureFault]:
    if at < one.not_before:
        start = day(one.not_before)
        msg = f"{what} is valid from {start}, and the time used is {day(at)}."
        yield SignatureFault(
            "signer-not-yet-valid", msg, one.der, brief=f"valid from {start}", valid_from=start, at=day(at)
        )
    elif at > one.not_after:
        end = day(one.not_after)
        msg = f"{what} expired on {end}, and the time used is {day(at)}."
        yield SignatureFault("signer-expired", msg, one.der, brief=f"expired on {end}", expired=end, at=day(at))


def _authority_reasons(child: Certificate, issuer: Certificate) -> Iterator[SignatureFault]:
    if child.contradicts(issuer):
        msg = (
            f"The certificate {child.name} identifies another certificate than that of {issuer.name} as its issuer's "
            "(authorityKeyIdentifier). Have it issued again, or use the CA's certificate that it identifies."
        )
        yield SignatureFault("chain-invalid", msg, child.der)


def _signature_reasons(child: Certificate, issuer: Certificate) -> Iterator[SignatureFault]:
    try:
        scheme = read_scheme(child.signature_algorithm)
    except SignatureFault as refusal:
        if refusal.rule == "weak-algorithm":
            msg = f"The certificate {child.name} has a weak signature. {refusal.message}"
            yield SignatureFault("weak-algorithm", msg, child.der)
        else:
            msg = f"The certificate {child.name} is signed with an algorithm that is not on the list."
            yield SignatureFault("chain-unsupported", msg, child.der)
        return
    if scheme.family == "ed25519":
        msg = (
            f"The CA {issuer.name} has an Ed25519 key, which cannot issue certificates here. "
            f"Give the signer's public key to {given('trust')} instead, or use an ECDSA CA."
        )
        yield SignatureFault("chain-unsupported", msg, child.der)
    elif scheme.family.startswith("ml-dsa") and not ML_DSA_CHAINS:
        msg = f"The certificate {child.name} is signed with ML-DSA: {NO_ML_DSA_CHAINS}."
        yield SignatureFault("chain-unsupported", msg, child.der, library="cryptography")
    elif scheme.salt is not None and scheme.salt != HASHES[scheme.hash].digest_size:
        msg = (
            f"The certificate {child.name} is signed with RSA-PSS and a salt of {scheme.salt} bytes; only "
            "a salt as long as the hash is supported there. Have it issued again with "
            "`-sigopt rsa_pss_saltlen:digest`."
        )
        yield SignatureFault("chain-unsupported", msg, child.der, salt=scheme.salt)
    elif issuer.pss_only:
        msg = (
            f"The key of the CA {issuer.name} is marked as one for RSA-PSS only, which cannot issue certificates here. "
            "Use a CA with a plain RSA key."
        )
        yield SignatureFault("chain-unsupported", msg, child.der)


def weak_key(name: str, weakness: str, part: bytes) -> SignatureFault:
    """A key below the minimum or above the maximum strength, or one that the library cannot use."""
    owner = name if name.startswith("key ") else f"key of {name}"
    if weakness == NO_ML_DSA:
        msg = f"The {owner} cannot be used: {weakness}."
        return SignatureFault("chain-unsupported", msg, part, library="cryptography")
    return SignatureFault("weak-algorithm", f"The {owner} is rejected: {weakness}.", part)


def _part(one: Certificate, chain: Sequence[Certificate]) -> str:
    if one is chain[0]:
        return f"The signer's certificate {one.name}"
    return f"The anchor {one.name}" if one is chain[-1] else f"The intermediate certificate {one.name}"
