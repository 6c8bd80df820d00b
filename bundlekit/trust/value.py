"""Whether a signature is that of a key: first the digest of the content, then the value under the key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundlekit.trust import algorithms
from bundlekit.trust.algorithms import pss_misuse
from bundlekit.trust.chain import weak_key
from bundlekit.trust.claim import signer_text
from bundlekit.trust.fault import SignatureFault, malformed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundlekit.integrity.content import SignedContent
    from bundlekit.trust.claim import Claim
    from bundlekit.trust.keys import Key
    from bundlekit.trust.store import TrustStore


def value_faults(claim: Claim, key: Key | None, content: SignedContent, what: str = "head") -> Iterator[SignatureFault]:
    """Why a signature with signed attributes is not valid for ``content``. ``what`` is its name in messages."""
    if content.digest(claim.digest) != claim.signature.message_digest:
        msg = (
            f"The signature is not for this {what}: other bytes were signed, those of another bundle, or the {what} "
            "was changed after signing."
        )
        yield SignatureFault("signature-wrong", msg)
    elif key is not None:
        yield from signature_faults(claim, key)
    elif claim.line:
        yield weak_key(claim.line[0].name, claim.line[0].weakness, claim.line[0].der)


def pinned_key(claim: Claim, store: TrustStore | None) -> Key | None:
    """The pinned key of that identifier. If there are several, the one that made the signature."""
    keys = [] if store is None else [one.key for one in store.trusted.pins_named(claim.signature.identifier or b"")]
    fitting = (key for key in keys if not list(signature_faults(claim, key)))
    return next(fitting, keys[0] if keys else None)


def signature_faults(claim: Claim, key: Key) -> Iterator[SignatureFault]:
    """Why the value is not a signature of ``key`` over the signed attributes."""
    unfit = unsuitable(claim, key)
    if unfit:
        yield unfit
    elif not algorithms.verify(claim.scheme, key, claim.signature.signature, claim.signature.signed):
        yield not_by(claim, key)


def unsuitable(claim: Claim, key: Key) -> SignatureFault | None:
    """Why a key cannot have made a signature of this algorithm, or does not count; None if it can."""
    scheme, signature = claim.scheme, claim.signature
    if key.weakness:
        return weak_key(signer_text(claim, key), key.weakness, claim.line[0].der if claim.line else b"")
    if scheme.family != key.family:
        msg = f"The signature algorithm {scheme.label()} is not one for the signer's key, {key.name}"
        return malformed(msg, signature.signature_algorithm)
    if misuse := pss_misuse(key, scheme):
        return malformed(misuse, signature.signature_algorithm)
    return None


def not_by(claim: Claim, key: Key) -> SignatureFault:
    """The fault that the value does not verify under the key."""
    msg = f"The signature is not by the key of {signer_text(claim, key)}: it was damaged, or made by another."
    return SignatureFault("signature-wrong", msg, claim.signature.signature)


def too_large(algorithm: str, content: SignedContent) -> SignatureFault:
    """The fault that a content is too large for an algorithm that needs all of it in memory."""
    msg = (
        f"The signature ({algorithm}) is over {content.size:,} bytes as a whole. An algorithm that cannot use their "
        "digest is verified only for content of up to 16 MiB."
    )
    return SignatureFault("chain-unsupported", msg, size=content.size)
