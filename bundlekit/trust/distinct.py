"""Signers are people: no signature can count for two of them, and signers that look like one person are reported."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from bundlekit.errors import ConfigError
from bundlekit.trust.paths import CertificateGraph

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bundlekit.trust.certificates import Certificate
    from bundlekit.trust.store import Signer


def demand_distinct(signers: Sequence[Signer], listed: Sequence[Certificate], where: str) -> None:
    """Raise ConfigError if a signature could count for two signers, because one person could then count as two."""
    between = [*listed, *(anchor for signer in signers for anchor in signer.trust.anchors)]
    for one, other in combinations(signers, 2):
        both = f"{where}: the signers {one.name!r} and {other.name!r}"
        if _pins(one) & (_pins(other) | _keys(other.trust.anchors)) or _keys(one.trust.anchors) & _pins(other):
            raise ConfigError(f"{both} have one key; a key belongs to one signer")
        shared = _keys(one.trust.anchors) & _keys(other.trust.anchors)
        if shared and (not one.subjects or not other.subjects or {*one.subjects} & {*other.subjects}):
            raise ConfigError(f"{both} are under one anchor; give each a subject of its own, or make them one signer")
        for low, high in ((one, other), (other, one)):
            nested = any(
                _is_certified_by(child, anchor, between) for child in low.trust.anchors for anchor in high.trust.anchors
            )
            if nested and (not one.subjects or not other.subjects or {*one.subjects} & {*other.subjects}):
                raise ConfigError(
                    f"{both}: the anchor of {low.name!r} is below that of {high.name!r}, so the included certificates "
                    "would decide whose a signature is. Give each its own subject, or other anchors"
                )


def _is_certified_by(child: Certificate, anchor: Certificate, between: Sequence[Certificate]) -> bool:
    """Whether ``anchor`` certifies ``child``, directly or through other known certificates in any order."""
    return anchor.der in CertificateGraph(child, between, (anchor,)).reached(surely=True).keys() - {child.der}


def _pins(signer: Signer) -> set[str]:
    return {pin.key.id for pin in signer.trust.pinned}


def _keys(anchors: Iterable[Certificate]) -> set[str]:
    return {one.key.id if one.key else one.der.hex() for one in anchors}
