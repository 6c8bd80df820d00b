"""Trust files that releases ship (`trust-of`), and whether they accept the signatures of a bundle.

The matrix contains a trust file by content. The file is loaded only when a decision needs it, because nothing else in
this package needs cryptography.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from bundlekit.model.manifest import Manifest
from bundlekit.model.primitives import Frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundlekit.matrix.read import ReadMatrix
    from bundlekit.matrix.trust_file import ReadTrust
    from bundlekit.model.bundle import Bundle
    from bundlekit.trust import Credential, Satisfied


class TrustFileAnswer(Frozen, frozen=True, kw_only=True):
    """Whether a trust file accepts the signatures of a bundle. None: unknown.

    ``because`` is the end of a sentence that begins with the version. ``missing`` are signers that could still sign.
    """

    accepts: bool | None
    reason: str = ""
    missing: tuple[str, ...] = ()


class BundleSignatures:
    """The signatures of a bundle as they are stored, or the names of its signers in trust files.

    ``at`` is the reference time for the trust files (RFC 3339). ``product`` and ``released`` are those of the bundle.
    """

    def __init__(self, signers: Sequence[bytes | str], at: str, *, product: str, released: str) -> None:
        self.signers = tuple(signers)
        self._at = at
        self._product = product
        self._released = released
        self._answers: dict[int, tuple[ReadTrust, TrustFileAnswer]] = {}

    def accepted_by(self, trust: ReadTrust) -> TrustFileAnswer:
        """Whether a trust file accepts a bundle with these signatures. The result is computed once for each file."""
        if (known := self._answers.get(id(trust))) is not None:
            return known[1]
        answer = self._asked(trust)
        self._answers[id(trust)] = (trust, answer)  # with the file, so that its id is not reused
        return answer

    def _asked(self, trust: ReadTrust) -> TrustFileAnswer:
        if trust.problem:
            return TrustFileAnswer(accepts=None, reason=f"ships a trust file that cannot be loaded: {trust.problem}")
        import datetime as dt

        from bundlekit.trust import Signed, satisfied

        at = dt.datetime.fromisoformat(self._at)
        signed = Signed(product=self._product, released=self._released)
        found = satisfied(trust.store, self._credentials(), at.replace(tzinfo=at.tzinfo or dt.UTC), signed)
        if found.undecided:
            return TrustFileAnswer(accepts=None, reason=f"ships a trust file that cannot decide: {found.reason}")
        return _refusal(found) if not found.accepts else TrustFileAnswer(accepts=True)

    def _credentials(self) -> list[Credential | str]:
        from bundlekit.trust.acceptance import SignatureFault, from_signature

        made: list[Credential | str] = []
        for one in self.signers:
            try:
                made.append(from_signature(one) if isinstance(one, bytes) else one)
            except SignatureFault:  # no signature: another rule rejects the bundle, and it meets no requirement
                continue
        return made


class SignedBy(Frozen, frozen=True, kw_only=True):
    """The signers of a bundle, as far as they are known.

    ``signers`` are the names of the keys (None: not known). ``signatures`` are checked by the trust files that releases
    ship (None: not known).
    """

    signers: frozenset[str] | None = None
    signatures: Any = None


UNKNOWN: Final = SignedBy()
"""Neither the names of the signers nor the signatures are known."""


class SignedManifest(Frozen, frozen=True, kw_only=True):
    """The manifest of a bundle, with the signers of the bundle."""

    manifest: Manifest
    by: SignedBy = UNKNOWN


def with_trust_of_others(matrices: Sequence[ReadMatrix]) -> list[ReadMatrix]:
    """The matrices. Those without statements about trusted keys get the statements of the newest matrix that has them.

    Only matrices of the same product, component and version scheme are used.
    """
    newest: dict[object, ReadMatrix] = {}
    for one in matrices:
        if one.trust_of or one.trusted_keys:
            before = newest.setdefault(one.kinship, one)
            newest[one.kinship] = max(before, one, key=lambda either: either.own)
    return [
        replace(one, trust_of=other.trust_of, trusted_keys=other.trusted_keys)
        if not (one.trust_of or one.trusted_keys) and (other := newest.get(one.kinship)) is not None
        else one
        for one in matrices
    ]


def signatures_of(bundle: Bundle, at: str) -> BundleSignatures | None:
    """The signatures for the trust files that releases ship; None if the bundle has no readable head."""
    if bundle.manifest is None or bundle.blobs is None:
        return None
    return BundleSignatures(bundle.blobs, at, product=bundle.manifest.product, released=bundle.manifest.released)


def _refusal(found: Satisfied) -> TrustFileAnswer:
    """Why a trust file does not accept the signatures, with the first unmet requirement if that is the reason."""
    refused = next((one for one in found.signatures if one.standing == "rejected"), None)
    unmet = next((one for one in found.demands if not one.met), None)
    if unmet is None or refused is not None:
        return TrustFileAnswer(accepts=False, reason=f"ships a trust file that rejects the bundle: {found.reason}")
    signers = ", ".join(unmet.signed) or "none of them"
    kinds = f" with {' or '.join(unmet.algorithms)} keys" if unmet.algorithms else ""
    return TrustFileAnswer(
        accepts=False,
        reason=f"ships a trust file that requires {unmet.count} of {', '.join(unmet.of)}{kinds}, "
        f"but the bundle is signed by {signers}",
        missing=tuple(name for name in unmet.of if name not in unmet.signed),
    )
