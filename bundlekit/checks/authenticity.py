"""Rules about signatures: who says that this is the vendor's bundle, and may they?"""

from __future__ import annotations

from typing import Final

from bundlekit.checks.layout import ASK_VENDOR, COPY_AGAIN, NO_HEAD, NO_MANIFEST
from bundlekit.checks.rule import Answer, Case, rule
from bundlekit.model.finding import Fault, NotRun

NO_TRUST: Final = NotRun(because="nothing to trust was given (--trust), so nobody's signature can count")
NO_SIGNATURES: Final = NotRun(because="there is no signature")
OTHER_SIGNER: Final = "Check that --trust names the right anchors; if it does, do not use this file."


def _problems(case: Case, name: str, *, needs_trust: bool = True) -> Answer:
    """The problems of that name over all signatures; each signature has to be without any."""
    signatures = case.evidence.signatures
    if signatures is None:
        return NO_HEAD
    if not signatures:
        return NO_SIGNATURES
    found = [
        Fault(message=p.message, where=p.where or s.where, subject=f"signature {s.index}", params=p.params)
        for s in signatures
        for p in s.problems
        if p.rule == name
    ]
    if not found and needs_trust and not case.question.trust:
        return NO_TRUST
    return found


@rule(
    "authenticity",
    cause="unauthentic",
    remedy="Sign it (`bundlekit sign`), or get the signed bundle from the vendor.",
    see="trust",
)
def unsigned(case: Case) -> Answer:
    """The bundle carries no signature at all, so nobody vouches for it."""
    signatures = case.bundle.signatures
    if signatures is None:
        return NO_HEAD
    return () if signatures else [Fault(message="the bundle carries no signature", where=case.bundle.area)]


@rule("authenticity", cause="corrupted", remedy=ASK_VENDOR, see="trust")
def signature_malformed(case: Case) -> Answer:
    """A signature is not one complete detached CMS SignedData (RFC 5652) of the profile of this format.

    The profile leaves no byte undetermined, so that nothing can be hidden in a signature and no two readers
    can understand it differently. ``bundlekit explain trust`` lists what it demands.
    """
    return _problems(case, "signature-malformed", needs_trust=False)


@rule("authenticity", cause="corrupted", remedy=COPY_AGAIN, see="trust")
def signature_wrong(case: Case) -> Answer:
    """A signature does not fit the head of this file.

    The header, the manifest or the signature was changed after signing, by accident or on purpose, or the
    signature was made for another bundle.
    """
    return _problems(case, "signature-wrong", needs_trust=False)


@rule("authenticity", cause="unauthentic", remedy=OTHER_SIGNER, see="trust")
def signer_unknown(case: Case) -> Answer:
    """A signature is right, but by somebody who is not trusted.

    Certificates that come along in the bundle can link a signer to an anchor; they are never anchors
    themselves.
    """
    answer = _problems(case, "signer-unknown")
    if isinstance(answer, NotRun) or answer:
        return answer
    return [
        Fault(
            message="the signature could not be led to a trusted key",
            where=s.where,
            subject=f"signature {s.index}",
        )
        for s in case.evidence.signatures or ()
        if not s.counts and not s.problems
    ]


@rule("authenticity", cause="unauthentic", remedy=OTHER_SIGNER, see="trust")
def wrong_purpose(case: Case) -> Answer:
    """The signer's certificate, or one above it, was issued for another purpose than code signing.

    A certificate for a web server or for mail says nothing about who may release firmware.
    """
    return _problems(case, "wrong-purpose")


@rule("authenticity", cause="unauthentic", remedy=OTHER_SIGNER, see="trust")
def not_a_signer_certificate(case: Case) -> Answer:
    """The signer's certificate may not sign documents: it is a CA's, or lacks the digitalSignature usage."""
    return _problems(case, "not-a-signer-certificate")


@rule(
    "authenticity",
    cause="unauthentic",
    remedy="Check the clock; a certificate that is valid later cannot have signed yet.",
    see="trust",
)
def signer_not_yet_valid(case: Case) -> Answer:
    """A certificate of the signer's chain is not valid yet at the time of the check."""
    return _problems(case, "signer-not-yet-valid")


@rule(
    "authenticity",
    cause="unauthentic",
    remedy="Get a bundle signed with a current certificate, or check the clock.",
    see="trust",
)
def signer_expired(case: Case) -> Answer:
    """A certificate of the signer's chain was no longer valid at the time of the check."""
    return _problems(case, "signer-expired")


@rule(
    "authenticity",
    cause="unauthentic",
    remedy="Ask the vendor to sign with a current algorithm and key size.",
    see="trust",
)
def weak_algorithm(case: Case) -> Answer:
    """A signature, or a certificate it depends on, uses an algorithm or a key that is too weak to count.

    MD5 and SHA-1, RSA under 2048 bits or with a small exponent, curves other than P-256, P-384 and P-521,
    ML-DSA-44.
    """
    return _problems(case, "weak-algorithm", needs_trust=False)


@rule(
    "authenticity",
    cause="unauthentic",
    remedy="Have the certificate issued again with the algorithm that the message names, or pin the key.",
    see="trust",
)
def chain_unsupported(case: Case) -> Answer:
    """A certificate of the chain is signed with an algorithm or parameters that cannot be checked here."""
    return _problems(case, "chain-unsupported")


@rule("authenticity", cause="unauthentic", remedy=OTHER_SIGNER, see="trust")
def chain_invalid(case: Case) -> Answer:
    """The certificates do not form a valid chain (RFC 5280) from the signer to an anchor."""
    return _problems(case, "chain-invalid")


@rule("authenticity", cause="unauthentic", remedy="Get the vendor's current release.", see="trust")
def bundle_expired(case: Case) -> Answer:
    """The bundle's own last day has passed.

    A valid old bundle is an attack too: it brings back what was repaired since.
    """
    manifest = case.bundle.manifest
    if manifest is None:
        return NO_MANIFEST
    if manifest.expires is None or case.question.at[:10] <= manifest.expires:
        return ()
    return [Fault(message=f"the bundle was good until {manifest.expires}", params={"expires": manifest.expires})]


RULES: Final = (
    unsigned,
    signature_malformed,
    signature_wrong,
    signer_unknown,
    wrong_purpose,
    not_a_signer_certificate,
    signer_not_yet_valid,
    signer_expired,
    weak_algorithm,
    chain_unsupported,
    chain_invalid,
    bundle_expired,
)
