"""Bare signature values, as MCUboot, ESP-IDF, Mender and SWUpdate store them: no certificate, often no algorithm.

If the bundle contains its key, that key has to be pinned. If it names its key by a hash, the pinned key of that hash is
used. Otherwise each pinned key of a fitting kind is tried with each possible algorithm.

The salt of RSA-PSS is as long as the hash (MCUboot, ESP-IDF), or as long as the key permits (SWUpdate). If the bundle
does not name its key, damage and an unknown key often look the same. Only a value by PKCS #1 v1.5 shows which key made
it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from msgspec.structs import replace

from bundlekit.model.primitives import Frozen
from bundlekit.trust import algorithms, asn1
from bundlekit.trust.algorithms import HASHES, limited, pss_misuse
from bundlekit.trust.chain import weak_key
from bundlekit.trust.credential import from_key
from bundlekit.trust.door import UnreadableObjectError, reading
from bundlekit.trust.fault import SignatureFault, malformed
from bundlekit.trust.keys import Key, describe, unsupported
from bundlekit.trust.result import amounts_to, unreadable
from bundlekit.trust.scheme import SignatureScheme
from bundlekit.trust.value import too_large

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bundlekit.integrity.content import SignedContent
    from bundlekit.model.bundle import SignatureClaim
    from bundlekit.model.evidence import SignatureEvidence
    from bundlekit.trust.store import TrustStore, VerificationContext

MEASURED: Final = range(8192 + 1)
"""Bits of the modulus of a weak RSA key that is tried. Above it one verification takes seconds. Other keys have 0."""

KEY_ID_HASHES: Final = {64: "sha256", 96: "sha384", 128: "sha512"}
"""The hash of a key that a bundle names, by the number of hex digits."""


class Attempt(Frozen, frozen=True, kw_only=True):
    """One algorithm under which a key could have made a value. ``value`` is the value in DER, for ECDSA."""

    key: Key
    scheme: SignatureScheme
    value: bytes


def bare_evidence(
    index: int,
    stored: SignatureClaim,
    content: SignedContent,
    store: TrustStore | None,
    context: VerificationContext,
) -> list[SignatureEvidence]:
    """The evidence of one bare value over ``content``."""
    return [_evidence(index, stored, content, store, context)]


def _evidence(
    index: int,
    stored: SignatureClaim,
    content: SignedContent,
    store: TrustStore | None,
    context: VerificationContext,
) -> SignatureEvidence:
    try:
        keys, named = _keys(stored, store)
    except SignatureFault as refusal:  # the fault is that of the key, which is in the entry as well
        return unreadable(index, b"", stored.entry, [refusal], store)
    if not keys:
        refusals = [_unknown(stored, store)] if store else []
        signer = f"key {stored.key_id}" if stored.key_id else ""
        return unreadable(index, b"", stored.blob, refusals, store, signer=signer, algorithm=_label(stored))
    attempts = [one for key in keys for one in _attempts(stored, key)]
    found = next((one for one in attempts if not one.key.weakness and _is_valid(stored, one, content)), None)
    if found:
        return _amounts(index, stored, found, [], store, context)
    if named:
        key = keys[0]
        one = next(iter(attempts), Attempt(key=key, scheme=SignatureScheme(family=key.family), value=b""))
        return _amounts(index, stored, one, [_why_not(stored, key, attempts, content)], store, context)
    return _untraced(index, stored, attempts, content, store, context)


def _amounts(
    index: int,
    stored: SignatureClaim,
    one: Attempt,
    refusals: Sequence[SignatureFault],
    store: TrustStore | None,
    context: VerificationContext,
) -> SignatureEvidence:
    digest = one.scheme.hash or (stored.digest if stored.of_digest else "")
    claim = replace(from_key(one.key).claim, scheme=one.scheme, digest=digest)
    if misuse := pss_misuse(one.key, one.scheme):
        refusals = [*refusals, malformed(misuse)]
    return amounts_to(index, b"", stored.blob, claim, one.key, refusals, store, context)


# --- the keys that can have made it ---


def _keys(stored: SignatureClaim, store: TrustStore | None) -> tuple[list[Key], bool]:
    """The possible keys, and whether the bundle names its key, so that there is only one. Raises SignatureFault."""
    pinned = [] if store is None else [one.key for one in store.trusted.pinned]
    if stored.key:
        key = _carried(stored.key)
        if stored.key_id and stored.key_id not in _ids(key, stored.key_id):
            raise malformed("The bundle contains another public key than the one that it names")
        return [key], True
    if stored.key_id:
        return [key for key in pinned if stored.key_id in _ids(key, stored.key_id)][:1], True
    families = {_family(one) for one in stored.candidates}
    return [key for key in pinned if key.family in families and _has_size(stored.value, key)], False


def _carried(der: bytes) -> Key:
    try:
        with reading():
            public = load_der_public_key(der)
            key = describe(public)
        if public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != der:
            msg = "The public key in the bundle is not in the only encoding that devices compare"
            raise malformed(msg)
        return limited(key, asn1.raw(asn1.decode(asn1.PublicKeyInfo, der).algorithm))
    except (UnreadableObjectError, asn1.NotDerError) as error:
        why = unsupported(error) or "it is damaged, or of a kind or size that is not accepted"
        msg = f"The public key in the bundle cannot be used: {why}"
        raise malformed(msg) from error


def _ids(key: Key, id_: str) -> set[str]:
    """The ids of a key, by the hash that has as many digits as ``id_``."""
    name = KEY_ID_HASHES.get(len(id_))
    if name is None:
        return set()
    public = key.public
    encoded = [public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)]
    if isinstance(public, rsa.RSAPublicKey):
        encoded.append(public.public_bytes(Encoding.DER, PublicFormat.PKCS1))
    return {hashlib.new(name, one).hexdigest() for one in encoded}


def _has_size(value: bytes, key: Key) -> bool:
    """Whether a value can be of a key: for RSA it has the size of the modulus."""
    return key.family != "rsa" or len(value) == (key.bits + 7) // 8


# --- the algorithms ---


def _family(candidate: str) -> str:
    return candidate.partition("-")[0]


def _scheme(candidate: str) -> SignatureScheme:
    """The algorithm of a candidate. Its salt is as long as the hash."""
    hash_ = "" if candidate == "ed25519" else candidate.rpartition("-")[2]
    salt = HASHES[hash_].digest_size if candidate.startswith("rsa-pss") else None
    return SignatureScheme(family=_family(candidate), hash=hash_, salt=salt)


def _attempts(stored: SignatureClaim, key: Key) -> Iterator[Attempt]:
    """Each algorithm under which ``key`` could have made the value."""
    for candidate in stored.candidates:
        scheme, value = _scheme(candidate), stored.value
        if scheme.family != key.family:
            continue
        if candidate.startswith("ecdsa-p1363"):
            value = _der(value, key)
        yield Attempt(key=key, scheme=scheme, value=value)
        if scheme.salt is not None and not stored.exact_salt and isinstance(key.public, rsa.RSAPublicKey):
            longest = padding.calculate_max_pss_salt_length(key.public, HASHES[scheme.hash])
            if longest > scheme.salt:
                yield Attempt(key=key, scheme=replace(scheme, salt=longest), value=value)


def _der(value: bytes, key: Key) -> bytes:
    """An ECDSA value in DER from r and s, each as long as the order of the curve; empty for another length."""
    size = (key.public.curve.key_size + 7) // 8 if isinstance(key.public, ec.EllipticCurvePublicKey) else 0
    if len(value) != 2 * size:
        return b""
    return utils.encode_dss_signature(int.from_bytes(value[:size]), int.from_bytes(value[size:]))


def _label(stored: SignatureClaim) -> str:
    """The algorithm in reports, as far as it is known without a key."""
    labels = {_scheme(one).label() for one in stored.candidates}
    return labels.pop() if len(labels) == 1 else ""


# --- verification ---


def _data(stored: SignatureClaim, scheme: SignatureScheme, content: SignedContent) -> bytes | None:
    """The signed message, or its digest if the scheme has a hash; None if the message is too large."""
    if stored.of_digest:
        digest = content.digest(stored.digest)
        return hashlib.new(scheme.hash, digest).digest() if scheme.hash else digest
    return content.digest(scheme.hash) if scheme.hash else content.whole()


def _is_valid(stored: SignatureClaim, one: Attempt, content: SignedContent) -> bool:
    data = _data(stored, one.scheme, content)
    return data is not None and algorithms.verify(one.scheme, one.key, one.value, data, hashed=bool(one.scheme.hash))


def _why_not(stored: SignatureClaim, key: Key, attempts: Sequence[Attempt], content: SignedContent) -> SignatureFault:
    """Why a value is not a signature of the key that the bundle names."""
    if key.weakness:
        return weak_key(f"key {key.id}", key.weakness, b"")
    if not attempts:
        return malformed(f"The signature algorithm {_label(stored)} is not one for the key in the bundle, {key.name}")
    traced = (fault for one in attempts if (fault := _traced(stored, one, content)))
    msg = f"The signature is not valid under the key {key.id}: the signature or the signed content was changed."
    return next(traced, SignatureFault("signature-wrong", msg))


def _untraced(
    index: int,
    stored: SignatureClaim,
    attempts: Sequence[Attempt],
    content: SignedContent,
    store: TrustStore | None,
    context: VerificationContext,
) -> SignatureEvidence:
    """The evidence of a value that is valid under no pinned key that counts, and does not name its own."""
    for one in attempts:
        if fault := _traced(stored, one, content):
            return _amounts(index, stored, one, [fault], store, context)
    number = len({one.key.id for one in attempts})
    wrong = (
        f"The signature is valid under none of the pinned keys of its kind ({number}): it was made with another key, "
        "or the signature or the signed content was changed."
    )
    refusals = [SignatureFault("signature-wrong", wrong), *([_unknown(stored, store)] if store else [])]
    return unreadable(index, b"", stored.blob, refusals, store, algorithm=_label(stored))


def _traced(stored: SignatureClaim, one: Attempt, content: SignedContent) -> SignatureFault | None:
    """The fault of a value that a key did make, or that this key cannot be ruled out for; None for any other value."""
    key, data = one.key, _data(stored, one.scheme, content)
    if data is None:
        return too_large(one.scheme.label(key.name), content)
    if key.weakness:
        made = key.bits in MEASURED and _is_valid(stored, one, content)
        return weak_key(f"key {key.id}", key.weakness, b"") if made else None
    if not isinstance(key.public, rsa.RSAPublicKey):
        return None
    if one.scheme.salt is not None:
        return _salted(key.public, one, data, exact=stored.exact_salt)
    return _recovered(key, one)


def _salted(public: rsa.RSAPublicKey, one: Attempt, digest: bytes, *, exact: bool) -> SignatureFault | None:
    """The fault that the salt of RSA-PSS has another length than those that are accepted."""
    hash_ = HASHES[one.scheme.hash]
    try:
        with reading():
            public.verify(one.value, digest, padding.PSS(padding.MGF1(hash_), padding.PSS.AUTO), utils.Prehashed(hash_))
    except UnreadableObjectError:
        return None
    allowed = "not as long as {0}" if exact else "neither as long as {0} nor as long as the key permits"
    msg = f"The salt of the RSA-PSS signature is {allowed.format(one.scheme.hash)}. Sign again with an accepted length."
    return SignatureFault("weak-algorithm", msg)


def _recovered(key: Key, one: Attempt) -> SignatureFault | None:
    """The fault of a value that this very key made, over other content or with another hash (RFC 8017 section 9.2)."""
    try:
        with reading():
            public = key.public
            assert isinstance(public, rsa.RSAPublicKey)  # noqa: S101 - the caller knows
            info = public.recover_data_from_signature(one.value, padding.PKCS1v15(), None)
        name = algorithms.read_digest(asn1.raw(asn1.decode(asn1.DigestInfo, info).algorithm))
    except SignatureFault as refusal:
        return refusal
    except (UnreadableObjectError, asn1.NotDerError):
        return None
    if name != one.scheme.hash:
        return malformed(f"The key {key.id} made the signature with {name} instead of {one.scheme.hash}")
    msg = f"The signature is not for this content: the key {key.id} signed other bytes, or the content was changed."
    return SignatureFault("signature-wrong", msg)


def _unknown(stored: SignatureClaim, store: TrustStore) -> SignatureFault:
    add = store.adding("public key")
    if stored.key_id:
        msg = f"The signature names the key {stored.key_id}, which is not known here.{add}"
    elif not stored.candidates:
        msg = (
            f"The signature has {len(stored.value)} bytes, and no key that the format allows makes one of this length."
        )
    else:
        kinds = " or ".join(dict.fromkeys(map(_family, stored.candidates)))
        msg = f"The signature does not name its key, and no pinned key ({kinds}) made it.{add}"
    return SignatureFault("signer-unknown", msg)
