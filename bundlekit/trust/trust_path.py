"""The path from the key of a signature to a pinned key, or through certificates to an anchor."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from bundlekit.model.primitives import Frozen
from bundlekit.trust.algorithms import pss_misuse
from bundlekit.trust.chain import best_chain, issued, soundly_signed
from bundlekit.trust.claim import signer_text
from bundlekit.trust.fault import SignatureFault, malformed
from bundlekit.trust.paths import CertificateGraph
from bundlekit.trust.store import TEST_MARK
from bundlekit.trust.testkeys import TEST_KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bundlekit.trust.certificates import Certificate
    from bundlekit.trust.chain import Chain
    from bundlekit.trust.claim import Claim
    from bundlekit.trust.keys import Key
    from bundlekit.trust.store import Anchors, Pinned, TrustStore


class TrustPath(Frozen, frozen=True, kw_only=True):
    """The end of the path from a key. The key is trusted if there is no objection.

    ``anchor`` is empty if there is no path. ``certificates`` are those of the chain; there are none for a pinned key.
    ``name`` and ``role`` are those of the named signer. ``until`` is the last second at which the path counts; None if
    it has no end. ``undecided`` is why the decision is not final.
    """

    anchor: str = ""
    certificates: tuple[Certificate, ...] = ()
    refusals: tuple[SignatureFault, ...] = ()
    name: str = ""
    role: str = ""
    test: bool = False
    until: datetime | None = None
    undecided: str = ""


def trust_paths(
    claim: Claim,
    key: Key | None,
    trusted: Anchors,
    at: datetime,
    purpose: str,
    listed: Sequence[Certificate] = (),
    *,
    store: TrustStore,
) -> tuple[TrustPath, ...]:
    """Whether the key is pinned, or its certificates lead to an anchor at the time ``at`` and for ``purpose``.

    Several results are several valid chains. Without a valid chain, there is one result. ``listed`` are certificates of
    the trust file in addition to those of the signature. ``store`` is the
    whole trust, for the advice how to add the signer to it.
    """
    pin = trusted.pin(key) if key else None
    if pin and (misuse := pss_misuse(pin.key, claim.scheme)):  # a certificate of the key need not state that
        return (TrustPath(anchor=pin.name, refusals=(malformed(misuse, claim.signature.signature_algorithm),)),)
    if pin and all(claim.signature.binds(one.der) or _covers(pin.key, one) for one in claim.line):
        return (TrustPath(anchor=pin.name, test=pin.test or is_test(key, claim.line)),)
    if not claim.line:
        msg = (
            f"The signer, {signer_text(claim, key)}, is not known here, so its signature cannot be verified."
            f"{store.adding('public key')}"
        )
        stranger = SignatureFault("signer-unknown", msg, claim.signature.identifier or b"", certificates=0)
        return (TrustPath(refusals=(stranger,)),)
    best = best_chain(
        claim.line,
        trusted.anchors,
        at,
        purpose,
        listed=listed,
        bound=claim.signature.binds,
        any_purpose=claim.any_purpose,
    )
    best = replace(best, refusals=tuple(_with_advice(fault, store) for fault in best.refusals))
    if pin and best.refusals and _all_covered(claim, pin.key, trusted, listed) and not list(_unfound(best, claim)):
        # The certificates are not suitable, but the key is trusted without them, and none of their bytes can change.
        return (TrustPath(anchor=pin.name, test=pin.test or is_test(key, claim.line)),)
    return tuple(_trust_by(chain, claim, key, pin) for chain in (best, *best.alternatives))


def _with_advice(fault: SignatureFault, store: TrustStore) -> SignatureFault:
    """A fault, with the advice how to add the signer if it is that the issuer of the chain is unknown."""
    if "issuer" not in fault.params or fault.rule != "signer-unknown":
        return fault
    message = f"{fault.message}{store.adding('certificate')}"
    return SignatureFault(fault.rule, message, fault.part, brief=fault.brief, **fault.params)


def _all_covered(claim: Claim, key: Key, trusted: Anchors, listed: Sequence[Certificate]) -> bool:
    """Whether each certificate is covered by the signature, by the pinned key, or by the signature of an anchor."""
    graph = CertificateGraph(claim.line[0], (*claim.line[1:], *listed), trusted.anchors)
    try:
        anchored = graph.anchored(soundly_signed)
    except SignatureFault:  # too many paths
        return False
    return all(claim.signature.binds(one.der) or _covers(key, one) or one.der in anchored for one in claim.line)


def _covers(key: Key, one: Certificate) -> bool:
    """Whether a certificate is self-signed by this very key, so that the key covers each byte of it."""
    return one.key is not None and one.key.id == key.id and soundly_signed(one) and issued(one, one) is True


def _trust_by(chain: Chain, claim: Claim, key: Key | None, pin: Pinned | None) -> TrustPath:
    """The trust path for a chain."""
    refusals = (*chain.refusals, *_unfound(chain, claim)) if chain.anchor else chain.refusals
    if pin and refusals:
        msg = (
            f"The key {pin.name} is pinned, but the signature contains certificates that neither an anchor "
            "nor the signer has signed"
        )
        stray = next((one.der for one in claim.line if not claim.signature.binds(one.der)), b"")
        refusals = (malformed(msg, stray, pinned=pin.name),)
    return TrustPath(
        anchor=chain.anchor.subject or f"serial number {chain.anchor.serial:x}" if chain.anchor else "",
        certificates=chain.certificates,
        refusals=refusals,
        test=is_test(key, chain.certificates),
    )


def _unfound(chain: Chain, claim: Claim) -> Iterator[SignatureFault]:
    """A certificate that the signer named for its path, and that is neither in the signature nor on the path."""
    found = {one.der: one for one in (*claim.line, *chain.certificates)}.values()
    for one in (each for named in claim.signature.named for each in named):
        if not any(one.fits(each.der) and not one.contradicts(each) for each in found):
            msg = (
                f"The signer named a certificate for its path ({one.algorithm}:{one.hash.hex()}) that neither comes "
                "along nor is on the path to the anchor."
            )
            yield SignatureFault("chain-invalid", msg)
            return


def is_test(key: Key | None, certificates: Sequence[Certificate]) -> bool:
    """Whether a key or certificate is one for tests, whose private key is not secret."""
    keys = [key, *(one.key for one in certificates)]
    return any(TEST_MARK in one.subject for one in certificates) or any(one.id in TEST_KEYS for one in keys if one)
