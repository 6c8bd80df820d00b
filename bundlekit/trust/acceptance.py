"""Whether a trust file would accept a bundle with given signers, before the bundle exists or for another operator.

The tests are those for signatures in a bundle (`bundlekit.trust.verify`, `bundlekit.trust.signer_policy`), under the
assumption that each signature is valid. Nothing is read from the disk, and nothing here establishes trust.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundlekit.model.bundle import Span
from bundlekit.model.evidence import DemandEvidence, SignatureEvidence
from bundlekit.model.primitives import Frozen
from bundlekit.trust.chain import weak_key
from bundlekit.trust.claim import signer_text
from bundlekit.trust.credential import Credential, from_certificates, from_key, from_signature
from bundlekit.trust.fault import SignatureFault
from bundlekit.trust.overview import family, view
from bundlekit.trust.quorum import tally
from bundlekit.trust.result import amounts_to
from bundlekit.trust.signer_policy import bounds, verified_at
from bundlekit.trust.store import Signed, VerificationContext
from bundlekit.trust.value import pinned_key

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from bundlekit.model.evidence import Standing
    from bundlekit.trust.store import TrustStore


__all__ = ["Credential", "Satisfied", "SignatureFault", "from_certificates", "from_key", "from_signature", "satisfied"]


class Satisfied(Frozen, frozen=True, kw_only=True):
    """The result of a trust file for some signatures: for each signature and each requirement.

    ``because`` is the reason if it does not accept them. ``undecided``: it does not reject them, and the revocation
    status of a signer is unknown.
    """

    signatures: tuple[SignatureEvidence, ...]
    demands: tuple[DemandEvidence, ...]
    undecided: bool
    reason: str

    @property
    def accepts(self) -> bool:
        """Whether the signatures would let a bundle be accepted."""
        return not self.reason


def satisfied(
    store: TrustStore, signers: Sequence[Credential | str], at: datetime, signed: Signed | None = None
) -> Satisfied:
    """Whether ``store`` accepts a bundle with one signature by each of ``signers``, at the time ``at``.

    A signer is a credential, or a name in the trust file. A name stands for a signature by each of that signer's keys.
    ``signed`` describes the bundle; the default is an update.bin of any product.
    """
    context = VerificationContext(at=at, signed=signed or Signed())
    found = tuple(
        evidence
        for index, one in enumerate(signers)
        for evidence in (
            _named(index, one, store, context) if isinstance(one, str) else [_evidence(index, one, store, context)]
        )
    )
    demands = tally(store, context.signed.format, found)
    refused = [one for one in found if one.standing == "rejected"]
    unknown = [one for one in found if one.standing == "undecided"]
    unmet = [one for one in demands if not one.met]
    because = ""
    if refused:
        because = refused[0].reason
    elif unknown:
        because = unknown[0].reason
    elif unmet:
        because = f"{unmet[0].count} of {', '.join(unmet[0].of)} must sign; {len(unmet[0].signed)} would count"
    elif not any(one.counts for one in found):
        because = "no signature would count"
    pending = all(len(one.present) >= one.count for one in demands)
    return Satisfied(
        signatures=found, demands=demands, undecided=bool(unknown) and not refused and pending, reason=because
    )


def _evidence(index: int, one: Credential, store: TrustStore, context: VerificationContext) -> SignatureEvidence:
    key = one.key or pinned_key(one.claim, store)
    refusals = []
    weakness = key.weakness if key else one.claim.line[0].weakness if one.claim.line else ""
    if weakness:
        refusals.append(weak_key(signer_text(one.claim, key), weakness, b""))
    return amounts_to(index, b"", Span(start=0, stop=0), one.claim, key, refusals, store, context)


def _named(index: int, name: str, store: TrustStore, context: VerificationContext) -> list[SignatureEvidence]:
    """Signatures by a signer who is known only by a name in the trust file, without a certificate."""
    signer = next((one for one in store.signers if one.name == name), None)
    standing: Standing = "ignored" if store.ignore_others else "rejected"
    if signer is None:
        return [_one(index, name, standing, f"the signer {name} is not known to this trust")]
    at = verified_at(store, context)
    seen = view(signer, store, at)
    against = [*(one.message for one in bounds(signer, context, at)), *seen.unusable]
    usable = [] if against else [one for one in seen.sources if not one.unusable]
    if not usable:
        against += [why for one in seen.sources for why in one.unusable]
        return [_one(index, name, standing, f"{name}: {'; '.join(dict.fromkeys(against))}")]
    return [_one(index, name, "counted", "", f"{name} {one.id}", (family(one),)) for one in usable]


def _one(
    index: int, name: str, standing: Standing, because: str, key_id: str = "", families: tuple[str, ...] = ()
) -> SignatureEvidence:
    return SignatureEvidence(
        index=index,
        where=Span(start=0, stop=0),
        signer=name,
        name=name,
        key_id=key_id,
        families=families,
        standing=standing,
        reason=because,
    )
