"""The evidence of a signature that has been read and verified: its trust, its standing, and its faults as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bundlekit.model.bundle import Problem, Span
from bundlekit.model.evidence import SignatureEvidence
from bundlekit.trust.claim import signer_text
from bundlekit.trust.signer_policy import resolve_signer
from bundlekit.trust.trust_path import TrustPath

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundlekit.model.evidence import Standing
    from bundlekit.trust.certificates import Certificate
    from bundlekit.trust.claim import Claim
    from bundlekit.trust.fault import SignatureFault
    from bundlekit.trust.keys import Key
    from bundlekit.trust.store import TrustStore, VerificationContext

ABOUT_THE_BLOB: Final = {"signature-malformed", "signature-wrong"}
"""Faults of a signature itself, regardless of its signer. They are never ignored."""


def unreadable(
    index: int,
    blob: bytes,
    where: Span,
    refusals: Sequence[SignatureFault],
    store: TrustStore | None,
    *,
    signer: str = "",
    algorithm: str = "",
) -> SignatureEvidence:
    """The evidence of a signature whose key is not known: it cannot be read, or no key for it is available."""
    return SignatureEvidence(
        index=index,
        where=where,
        algorithm=algorithm,
        signer=signer,
        intact=False if any(one.rule == "signature-wrong" for one in refusals) else None,
        trusted=None if store is None else False,
        standing="rejected" if refusals else "not-checked",
        reason=refusals[0].message if refusals else NOTHING_GIVEN,
        problems=_problems(refusals, blob, where, f"signature {index}"),
    )


def amounts_to(
    index: int,
    blob: bytes,
    where: Span,
    claim: Claim,
    key: Key | None,
    refusals: Sequence[SignatureFault],
    store: TrustStore | None,
    context: VerificationContext,
) -> SignatureEvidence:
    """The evidence of a signature that has been read. ``refusals`` are the results of its verification under ``key``.

    Without refusals it is valid under that key, or no key is known.
    """
    intact = False if any(one.rule == "signature-wrong" for one in refusals) else None
    if intact is None and key and not refusals:
        intact = True
    # 4. Trust: the key is pinned, or its chain leads to an anchor. A trust.toml names the signer and sets more rules.
    trust = TrustPath() if store is None else resolve_signer(claim, key, store, context)
    named = {(one.rule, one.part) for one in refusals}
    refusals = [*refusals, *(one for one in trust.refusals if (one.rule, one.part) not in named)]
    # A damaged certificate can contain any key. That such a key is weak is not a fact about the signer.
    damaged = {one.part for one in trust.refusals if "imitates" in one.params}
    refusals = [one for one in refusals if one.rule != "weak-algorithm" or one.part not in damaged]
    # 5. The result.
    standing, reason = _standing(refusals, trust, store, intact=intact)
    return SignatureEvidence(
        index=index,
        where=where,
        algorithm=claim.scheme.label(key.name if key else ""),
        signer=signer_text(claim, key),
        key_id=key.id if key else "",
        intact=intact,
        trusted=None if store is None else bool(trust.anchor) and not trust.refusals and not trust.undecided,
        anchor=trust.anchor,
        chain=tuple(one.subject for one in trust.certificates) or ((signer_text(claim, key),) if trust.anchor else ()),
        families=_families(key, trust.certificates),
        name=trust.name,
        role=trust.role,
        test=trust.test,
        until=_until(claim, trust, store),
        standing=standing,
        reason=reason,
        problems=() if standing == "ignored" else _problems(refusals, blob, where, f"signature {index}"),
    )


def _until(claim: Claim, trust: TrustPath, store: TrustStore | None) -> str | None:
    """The last second at which a signature counts; without trust the end of its own certificates."""
    if store is None:
        end = min((one.not_after for one in claim.line), default=None)
    else:
        end = None if trust.refusals else trust.until
    return None if end is None else f"{end:%Y-%m-%dT%H:%M:%SZ}"


NOTHING_GIVEN: Final = "nothing to trust was given"


def _standing(
    refusals: Sequence[SignatureFault], trust: TrustPath, store: TrustStore | None, *, intact: bool | None
) -> tuple[Standing, str]:
    ignoring = store is not None and store.ignore_others
    if refusals:
        ignored = ignoring and intact is True and not ABOUT_THE_BLOB & {one.rule for one in refusals}
        return ("ignored" if ignored else "rejected"), refusals[0].message
    if store is None:
        return "not-checked", NOTHING_GIVEN
    if trust.undecided:
        return "undecided", trust.undecided
    if intact is True and trust.anchor:
        return "counted", ""
    return "rejected", "it could not be led to a trusted key"


def _families(key: Key | None, certificates: Sequence[Certificate]) -> tuple[str, ...]:
    """The families of all keys that a signature depends on, each once, the signer's first."""
    keys = [key, *(one.key for one in certificates)]
    return tuple(dict.fromkeys(one.family for one in keys if one))


def _problems(refusals: Sequence[SignatureFault], blob: bytes, where: Span, subject: str) -> tuple[Problem, ...]:
    return tuple(
        Problem(
            rule=one.rule,
            message=one.message,
            where=_locate(one.part, blob, where),
            subject=subject,
            params=one.params,
        )
        for one in refusals
    )


def _locate(part: bytes, blob: bytes, where: Span) -> Span:
    """The bytes at fault, if they are known for certain; otherwise the whole signature."""
    if not part or len(blob) != where.size or blob.count(part) != 1:
        return where
    start = where.start + blob.index(part)
    return Span(start=start, stop=start + len(part), stream=where.stream)
