"""The continuity of signing keys: is each key of the new bundle that of the old one, or one that was announced?

A key was announced if a release that precedes the new bundle trusts it. The matrix of the new bundle states this, by
the trust file that a release ships (``trust-of``) or by names of keys (``trusted-keys``). That release is the old
bundle itself, or a stop on the path from it: a bridge release.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, NamedTuple

from bundlekit.errors import VersionError
from bundlekit.matrix.read import ReadMatrix
from bundlekit.report.comparison import SignerChange

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bundlekit.matrix.read import UnreadableMatrix
    from bundlekit.matrix.trust_file import ReadTrust
    from bundlekit.model.bundle import Bundle
    from bundlekit.model.evidence import SignatureEvidence
    from bundlekit.versions import Version


class SignedBundle(NamedTuple):
    """A bundle, its signatures as they were verified, and its matrix."""

    bundle: Bundle
    signatures: Sequence[SignatureEvidence]
    matrix: ReadMatrix | UnreadableMatrix | None


class _Signing(NamedTuple):
    """A signature, its stored bytes, and the id of the bundle.

    ``key`` identifies its key in both bundles. It is empty if the key is not known, or did not sign these bytes.
    """

    evidence: SignatureEvidence
    value: bytes
    id: str

    @property
    def key(self) -> str:
        return "" if self.evidence.intact is False else self.evidence.key_id or self.evidence.signer


def signer_changes(old: SignedBundle, new: SignedBundle, *, at: str) -> Iterator[SignerChange]:
    """The continuity of each signing key of either bundle, those of the new bundle first, in its order.

    ``at`` is the time for the trust files in the matrix (RFC 3339).
    """
    left, successors = _signings(old), _signings(new)
    pairs: list[tuple[_Signing | None, _Signing]] = []
    for one in successors:
        same = next((other for other in left if _is_same(other, one)), None)
        if same:
            left.remove(same)
        pairs.append((same, one))
    for same, one in pairs:
        if same:
            yield _change("same", same, one)
            continue
        before = _predecessor(one, left, sum(other is None for other, _ in pairs))
        if before:
            left.remove(before)
        yield _not_same(before, one, old, new, at)
    for gone in left:
        yield _change("gone", gone, None, reason="" if gone.key else _unknown("old", gone))


def _signings(side: SignedBundle) -> list[_Signing]:
    values = {claim.blob: claim.value for claim in side.bundle.signatures or ()}
    return [_Signing(one, values.get(one.where, b""), side.bundle.id or "") for one in side.signatures]


def _is_same(old: _Signing, new: _Signing) -> bool:
    """Whether one key made both signatures. The same bytes over the same description are one signature of any key."""
    return old.key == new.key if old.key and new.key else bool(old.value) and old[1:] == new[1:]


def _predecessor(new: _Signing, left: Sequence[_Signing], unpaired: int) -> _Signing | None:
    """The signature that a new one most likely replaces: of the same signer, or the only one of each bundle left."""
    name = new.evidence.name
    named = next((one for one in left if name and one.evidence.name == name), None)
    return named or (left[0] if len(left) == unpaired == 1 else None)


def _not_same(before: _Signing | None, one: _Signing, old: SignedBundle, new: SignedBundle, at: str) -> SignerChange:
    if not one.key:
        return _change("unknown", before, one, reason=_unknown("new", one))
    if before and not before.key:
        return _change("unknown", before, one, reason=_unknown("old", before))
    bridge, reason = _bridge(one, old, new, at)
    if not bridge and before and before.evidence.name == one.evidence.name != "":
        reason = f"The trust file has both keys for this signer. {reason}"
    return _change("rotated" if bridge else "new", before, one, bridge=bridge, reason=reason)


def _unknown(name: str, one: _Signing) -> str:
    if one.evidence.intact is False:
        return f"The signature of the {name} bundle is not valid, so it proves no key."
    return f"The {name} bundle does not name its key, and no trusted key is known to have signed it."


def _change(
    continuity: str, old: _Signing | None, new: _Signing | None, *, bridge: str = "", reason: str = ""
) -> SignerChange:
    before, after = old and old.evidence, new and new.evidence
    one = after or before
    return SignerChange(
        continuity=continuity,  # type: ignore[arg-type]  # one of the literals, by its callers
        name=one.name if one else "",
        old_index=before.index if before else None,
        new_index=after.index if after else None,
        old_signer=before.who if before else "",
        new_signer=after.who if after else "",
        old_key=before.key_id if before else "",
        new_key=after.key_id if after else "",
        old_role=before.role if before else "",
        new_role=after.role if after else "",
        bridge=bridge,
        reason=reason,
    )


# --- the bridge ---


def _bridge(one: _Signing, old: SignedBundle, new: SignedBundle, at: str) -> tuple[str, str]:
    """The release that trusts the key of a signature before the new bundle comes, and the reason.

    The bridge is empty if there is none.
    """
    matrix = new.matrix
    if not isinstance(matrix, ReadMatrix) or not (matrix.trust_of or matrix.trusted_keys):
        return "", "No upgrade matrix of the new bundle states which keys releases trust (trusted-keys, trust-of)."
    if old.bundle.release is None:
        return "", "The version of the old bundle is unknown."
    try:
        version = matrix.parse(matrix.primary_component, old.bundle.release.version)
    except VersionError:
        return "", f"The matrix of the new bundle cannot read the version {old.bundle.release.version}."
    if _trusts(matrix, version, one, new, at):
        return version.text, f"The old release {version} already trusts this key."
    # A stop with a condition can be skipped, so it is no bridge.
    stops = [stop for stop in matrix.stops if stop.lies_between(version, matrix.own) and stop.entry.when is None]
    for via in sorted(stop.via for stop in stops):
        if _trusts(matrix, via, one, new, at):
            return via.text, f"The bridge release {via} trusts this key, and no update from {version} skips it."
    return "", f"Neither {version} nor a stop on the path from it trusts this key."


def _trusts(matrix: ReadMatrix, version: Version, one: _Signing, new: SignedBundle, at: str) -> bool:
    """Whether a release trusts the key of a signature, by the trust file that it ships or by the names of keys."""
    if (shipped := matrix.ships(version)) is not None:
        return not shipped.problem and _counts(shipped, one, new, at)
    return one.evidence.name in (matrix.trusts(version) or ()) and bool(one.evidence.name)


def _counts(shipped: ReadTrust, one: _Signing, new: SignedBundle, at: str) -> bool:
    """Whether a signature counts under a trust file, if it is valid."""
    from bundlekit.trust import Signed, satisfied
    from bundlekit.trust.acceptance import SignatureFault, from_signature

    store, release = shipped.store, new.bundle.release
    try:
        credential = from_signature(one.value)
    except SignatureFault:  # not the profile of update.bin, so only a pinned key can be recognized
        return any(pin.key.id == one.evidence.key_id for pin in store.trusted.pinned)
    signed = Signed(product=release.product if release else "", released=(release.released or "") if release else "")
    time = dt.datetime.fromisoformat(at)
    return any(found.counts for found in satisfied(store, [credential], time, signed).signatures)
