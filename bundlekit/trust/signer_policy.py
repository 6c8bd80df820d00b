"""The signer of a signature, and whether the signature counts.

First the named signer that the key leads to is found, then all objections. A denied key or a revoked certificate counts
for no signer, regardless of everything else.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from msgspec.structs import replace

from bundlekit.trust.algorithms import HASHES, read_scheme
from bundlekit.trust.chain import weak_key
from bundlekit.trust.claim import Claim, signer_text
from bundlekit.trust.fault import SignatureFault, day
from bundlekit.trust.store import VerificationContext
from bundlekit.trust.trust_path import TrustPath, trust_paths

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bundlekit.trust.certificates import Certificate
    from bundlekit.trust.keys import Key
    from bundlekit.trust.store import Signer, TrustStore


def resolve_signer(claim: Claim, key: Key | None, store: TrustStore, context: VerificationContext) -> TrustPath:
    """The signer that a key leads to, and the objections.

    Several chains can be valid, and the trust file can object to one of them. Then another one counts.
    """
    signer, found = _find(claim, key, store, verified_at(store, context))
    judged = [_weighed(signer, claim, key, trust, store, context) for trust in found]
    best = min(judged, key=lambda trust: (bool(trust.refusals), bool(trust.undecided)))  # the first one of equals
    ends = [trust.until for trust in judged if not trust.refusals and not trust.undecided]
    if None in ends:
        return replace(best, until=None)
    return replace(best, until=max((end for end in ends if end), default=best.until))


def _weighed(
    signer: Signer | None,
    claim: Claim,
    key: Key | None,
    trust: TrustPath,
    store: TrustStore,
    context: VerificationContext,
) -> TrustPath:
    """One chain, or pinned key, with all objections to it."""
    at = verified_at(store, context)
    refusals = [*denied(key, (*claim.line, *trust.certificates), store)]
    if signer:
        trust = replace(trust, name=signer.name, role=signer.role, until=_end(signer, key, trust, store))
        found, undecided = against(signer, claim, key, trust, store, context.at, at)
        refusals += [*found, *bounds(signer, context, at)]
        trust = replace(trust, undecided=undecided)
    elif not refusals:  # a denied key needs no further reason
        refusals += trust.refusals
    return replace(trust, refusals=tuple(refusals))


def against(
    signer: Signer,
    claim: Claim,
    key: Key | None,
    trust: TrustPath,
    store: TrustStore,
    now: dt.datetime,
    at: dt.datetime,
) -> tuple[list[SignatureFault], str]:
    """The objections to a signature that leads to ``signer``, and why it possibly does not count.

    Certificates are evaluated at ``at``, and revocation lists at ``now``.
    """
    refusals = [*_unlisted(trust, store), *trust.refusals, *_ended(signer, key, trust, at)]
    refusals += _floors(claim, key, trust, store)
    if trust.test and not store.allow_test_keys:
        msg = f"The signature of {signer.name} depends on a test key, which anyone can have."
        refusals.append(SignatureFault("test-key", msg, brief="for tests, and allow-test-keys is not set"))
    if store.crls is None:
        return refusals, ""
    from bundlekit.trust import crl

    known = (*store.trusted.anchors, *(store.listed or ()))
    status = crl.status(trust.certificates, store.crls, now, known)
    refusals += status.revoked
    undecided = ""
    if status.unusable or (status.unknown and store.crls.required):
        why = "; ".join(one for one in (status.unusable, status.unknown if store.crls.required else "") if one)
        undecided = f"whether {signer_text(claim, key)} was revoked is unknown: {why}"
    return refusals, undecided


def verified_at(store: TrustStore, context: VerificationContext) -> dt.datetime:
    """The time for the validity of certificates: now, or the last second of the release date.

    The release date is the signer's own claim, and a future date proves nothing. The time is then now.
    """
    if not store.by_release_date or not context.signed.released:
        return context.at
    released = dt.date.fromisoformat(context.signed.released)
    return min(context.at, dt.datetime.combine(released, dt.time(23, 59, 59), dt.UTC))


# --- the signer ---


def _find(
    claim: Claim, key: Key | None, store: TrustStore, at: dt.datetime
) -> tuple[Signer | None, tuple[TrustPath, ...]]:
    """The first signer, in the order of the file, that the key leads to, regardless of other faults.

    Each signer is tried with its own anchors and keys alone, so a signature belongs to one signer or to none. A pinned
    key belongs to the signer who has it pinned, regardless of the certificate in the signature. A signer cannot choose
    an identity by the choice of a certificate.
    """
    others = []
    listed = store.listed or ()
    pinning = [signer for signer in store.signers if key and signer.trust.pin(key)]
    found: tuple[TrustPath, ...] = ()
    for signer in pinning or store.signers:
        found = trust_paths(claim, key, signer.trust, at, signer.purpose, listed, store=store)
        if not found[0].anchor:
            continue
        certificates = found[0].certificates
        if not signer.subjects or not certificates or certificates[0].whole_subject in signer.subjects:
            return signer, found
        others.append(f"{signer.name} is {' or '.join(map(repr, signer.subjects))}")
    if len(store.signers) > 1:
        trusted = pinning[0].trust if pinning else store.trusted
        found = trust_paths(claim, key, trusted, at, store.signers[0].purpose, listed, store=store)
    if others:
        msg = (
            f"The signer '{signer_text(claim, key)}' is certified by a trusted CA, but is not one of those that the "
            f"trust file names: {', '.join(others)}."
        )
        one = claim.line[0]
        refusal = SignatureFault("signer-unknown", msg, one.der, subject=one.whole_subject)
        found = (replace(found[0], refusals=(refusal,), anchor=""),)
    return None, found


# --- objections ---


def denied(key: Key | None, certificates: Sequence[Certificate], store: TrustStore) -> Iterator[SignatureFault]:
    """The objection that the key, or a certificate or its key, is on the deny list."""
    for one in certificates:
        if one.id in store.denied or (one.key and one.key.id in store.denied):
            msg = f"The certificate {one.name} (sha256:{one.id}) or its key is on the deny list."
            yield SignatureFault("signer-denied", msg, one.der, brief="on the deny list", denied=one.id)
            return
    if key and key.id in store.denied:
        msg = f"The key sha256:{key.id} is on the deny list."
        yield SignatureFault("signer-denied", msg, brief="its key is on the deny list", denied=key.id)


def _unlisted(trust: TrustPath, store: TrustStore) -> Iterator[SignatureFault]:
    """Intermediates from the bundle, if only listed ones are allowed."""
    listed = {one.der for one in store.listed or ()}
    for one in trust.certificates[1:-1]:
        if store.listed is not None and one.der not in listed:
            msg = (
                f"The intermediate certificate {one.name} comes from the bundle, but the trust file accepts only "
                "listed ones. If it is correct, add it to intermediate-files."
            )
            yield SignatureFault("signer-unknown", msg, one.der)


def bounds(signer: Signer, context: VerificationContext, at: dt.datetime) -> Iterator[SignatureFault]:
    """The limits of a named signer: past the last day, not for this product, not for files of this format."""
    if signer.until and at.date() > signer.until:
        yield _past(f"{signer.name} to sign", signer.until, at)
    signed = context.signed
    if signed.product and signer.products and signed.product not in signer.products:
        msg = f"The signer {signer.name} is allowed to sign for {', '.join(signer.products)}, not for {signed.product}."
        yield SignatureFault(
            "out-of-scope", msg, product=signed.product, signer=signer.name, allowed=", ".join(signer.products)
        )
    if signer.formats and signed.format not in signer.formats:
        msg = f"The signer {signer.name} is allowed to sign only {', '.join(signer.formats)}, not {signed.format}."
        yield SignatureFault(
            "out-of-scope", msg, format=signed.format, signer=signer.name, allowed=", ".join(signer.formats)
        )


def _end(signer: Signer, key: Key | None, trust: TrustPath, store: TrustStore) -> dt.datetime | None:
    """The last second at which a path counts; None if it has no end, or is compared with the release date."""
    if store.by_release_date:
        return None
    days = [day for day in (signer.until, signer.ends.get(_source(key, trust))) if day]
    ends = [dt.datetime.combine(one, dt.time(23, 59, 59), dt.UTC) for one in days]
    return min([*ends, *(one.not_after for one in trust.certificates)], default=None)


def _source(key: Key | None, trust: TrustPath) -> str:
    """The id of the anchor or pinned key that a path leads to."""
    return trust.certificates[-1].id if trust.certificates else key.id if key else ""


def _ended(signer: Signer, key: Key | None, trust: TrustPath, at: dt.datetime) -> Iterator[SignatureFault]:
    """The objection that the anchor or key of this signature is past its last day."""
    last = signer.ends.get(_source(key, trust))
    if last and at.date() > last:
        yield _past(f"{signer.name} to sign by {trust.anchor}", last, at)


def _past(what: str, last: dt.date, at: dt.datetime) -> SignatureFault:
    """The objection that the last day on which the trust file allows ``what`` is over."""
    msg = f"The trust file allows {what} until {last}, and the time used is {day(at)}."
    return SignatureFault("signer-expired", msg, brief=f"signs until {last}", until=str(last), at=day(at))


def _floors(claim: Claim, key: Key | None, trust: TrustPath, store: TrustStore) -> Iterator[SignatureFault]:
    """The trust file's own minimum and maximum strength. The built-in ones are already enforced."""
    floor, ceiling = store.floor, store.ceiling
    if floor is None or ceiling is None:
        return
    keys = [(signer_text(claim, key), key, b"")]
    keys += [(one.name, one.key, one.der) for one in trust.certificates[1:]]
    wanted = f"the trust file requires RSA keys of {floor.rsa} to {ceiling.rsa} bits"
    for name, found, part in keys:
        if found and found.family == "rsa" and not floor.rsa <= found.bits <= ceiling.rsa:
            yield weak_key(name, f"{wanted}, this one has {found.bits}", part)
    least = HASHES[floor.hash].digest_size
    used = [("The signature", claim.digest), ("The signature", claim.scheme.hash)]
    for one in trust.certificates[:-1]:
        try:
            used.append((f"The certificate {one.name}", read_scheme(one.signature_algorithm).hash))
        except SignatureFault:  # which has already been reported
            continue
    for what, hash_ in used:
        if hash_ and HASHES[hash_].digest_size < least:
            msg = f"{what} uses {hash_}, but the trust file requires {floor.hash} or better. Use that."
            yield SignatureFault("weak-algorithm", msg, hash=hash_)
            return
