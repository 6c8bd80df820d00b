"""The search for paths from a signer's certificate to an anchor, through certificates in any order.

A certificate is an edge between two entities (a name with a key): its subject and its issuer. Several certificates can
be the same edge (a CA before and after its renewal). An entity can have several issuers (a cross-signed root). Several
paths are therefore possible, and the order in a file or a bundle never decides which of them counts.

The search is limited by counting. A path visits an entity once, because a second visit never makes an invalid path
valid. One signer costs at most `MAX_VERIFIED` signatures and `MAX_STEPS` steps. Beyond them the search fails, and the
signature is rejected. The certificates of one signature alone cannot reach these limits: at most 16 edges make at most
2^8 paths.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from bundlekit.trust.algorithms import signing_family
from bundlekit.trust.door import UnreadableObjectError, reading
from bundlekit.trust.fault import SignatureFault, malformed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bundlekit.trust.certificates import Certificate

MAX_INTERMEDIATES: Final = 8
"""Certificates between signer and anchor."""

MAX_LENGTH: Final = 2 * MAX_INTERMEDIATES
"""Certificates below the last one of a followed path. A path that is too long can then be reported."""

MAX_VERIFIED: Final = 512
"""Signatures of certificates that are verified for one signer. One takes up to a millisecond."""

MAX_STEPS: Final = 2048
"""Certificates that are tried as the next step of a path for one signer."""

MAX_PATHS: Final = 64
"""Paths that are compared for one signer."""


class CertificateGraph:
    """The issuers among a signer's certificate, the possible intermediate certificates, and the anchors."""

    def __init__(self, signer: Certificate, between: Sequence[Certificate], anchors: Sequence[Certificate]) -> None:
        self.signer = signer
        self._anchors = {one.der for one in anchors}
        known = {one.der: one for one in (*anchors, *between)}
        self._named: dict[bytes, list[Certificate]] = {}
        for one in sorted(known.values(), key=lambda one: one.der):  # the order in a file never decides
            self._named.setdefault(one.subject_der, []).append(one)
        self._issued: dict[tuple[bytes, str], bool | None] = {}

    def is_anchor(self, one: Certificate) -> bool:
        """Whether a path can end at this certificate."""
        return one.der in self._anchors

    def issued(self, child: Certificate, issuer: Certificate) -> bool | None:
        """Whether the signature of ``child`` is by the key of ``issuer``; None if that cannot be computed."""
        if issuer.key is None:
            return None
        link = (child.der, issuer.key.id)
        if link not in self._issued:
            if len(self._issued) >= MAX_VERIFIED:
                raise _too_many(self.signer)
            self._issued[link] = issued(child, issuer)
        return self._issued[link]

    def issuers(self, child: Certificate) -> list[Certificate]:
        """The possible certificates of the issuer: those with its name that the signature does not exclude."""
        return [one for one in self._named.get(child.issuer_der, ()) if self.issued(child, one) is not False]

    def imitated(self, child: Certificate) -> Certificate | None:
        """A certificate with the name of ``child``'s issuer whose key did not sign it; None if the issuer exists."""
        named = [one for one in self._named.get(child.issuer_der, ()) if one.der != child.der]
        return named[0] if named and not any(self.issued(child, one) is not False for one in named) else None

    def paths(self, faults: Callable[[Certificate, Certificate], int]) -> list[tuple[Certificate, ...]]:
        """Paths from the signer to an anchor, the ones with fewer faults of child and issuer tried first."""
        found: list[tuple[Certificate, ...]] = []
        steps = 0

        def follow(path: tuple[Certificate, ...]) -> None:
            nonlocal steps
            child = path[-1]
            if self.is_anchor(child):
                found.append(path)
            if len(path) > MAX_LENGTH:
                return
            entities = {_entity(one) for one in path}
            following = [one for one in self.issuers(child) if _entity(one) not in entities]
            for one in sorted(following, key=lambda issuer: (faults(child, issuer), not self.is_anchor(issuer))):
                if len(found) >= MAX_PATHS:
                    return
                steps += 1
                if steps > MAX_STEPS:
                    raise _too_many(self.signer)
                follow((*path, one))

        follow((self.signer,))
        return found

    def reached(self, *, surely: bool = False) -> dict[bytes, Certificate]:
        """The certificates above the signer, as far as signatures lead; the signer's own is first.

        ``surely``: without signatures that cannot be computed.
        """
        found = {self.signer.der: self.signer}
        waiting = [self.signer]
        while waiting:
            child = waiting.pop(0)
            for one in self.issuers(child):
                if one.der not in found and (not surely or self.issued(child, one)):
                    found[one.der] = one
                    waiting.append(one)
        return found

    def anchored(self, sound: Callable[[Certificate], bool]) -> set[bytes]:
        """The certificates above the signer with every byte covered by an anchor's signature, directly or indirectly.

        ``sound``: whether the signature algorithm of a certificate is strong enough for that.
        """
        reached = list(self.reached().values())
        safe = {one.der for one in reached if self.is_anchor(one)}
        grown = True
        while grown:
            new = [
                child.der
                for child in reached
                if child.der not in safe
                and sound(child)
                and any(one.der in safe and self.issued(child, one) for one in self.issuers(child))
            ]
            safe.update(new)
            grown = bool(new)
        return safe


def _entity(one: Certificate) -> tuple[bytes, str]:
    return one.subject_der, one.key.id if one.key else one.der.hex()


def _too_many(signer: Certificate) -> SignatureFault:
    msg = (
        f"More paths lead from the certificate {signer.name} than are followed ({MAX_STEPS} steps, {MAX_VERIFIED} "
        "signatures). Remove the certificates that are not needed."
    )
    return SignatureFault("chain-invalid", msg, signer.der)


def issued(child: Certificate, issuer: Certificate) -> bool | None:
    """Whether the signature of ``child`` is by the key of ``issuer``; None if that cannot be computed.

    It is not computed with a rejected key either, because a bundle can contain one that takes long. A key of another
    family than the signature did not make it.
    """
    family = signing_family(child.signature_algorithm)
    if issuer.key and family and family != issuer.key.family:
        return False
    if issuer.weakness:
        return None
    try:
        with reading():
            try:
                child.parsed.verify_directly_issued_by(issuer.parsed)
            except InvalidSignature:
                return False
            except (ValueError, TypeError, UnsupportedAlgorithm):
                return None
    except UnreadableObjectError:
        return None
    return True


def self_signed(one: Certificate) -> bool:
    """Whether a certificate is certified by its own key, like a root, but not a root that changed its key."""
    return one.self_issued and issued(one, one) is not False


def connected(signer: Certificate, others: Sequence[Certificate]) -> tuple[Certificate, ...]:
    """The certificates of one signature from the signer upwards. Raises SignatureFault if one is not above the signer.

    Only names are compared here, because no trust is available. The order is that of the distance from the signer.
    """
    if signer.self_issued and signer.is_ca:
        msg = f"The signer's certificate {signer.name} is that of a root CA, which does not sign bundles."
        raise SignatureFault("not-a-signer-certificate", msg, signer.der)
    for one in (signer, *others):
        if self_signed(one):
            msg = f"The signature carries the self-signed certificate {one.name}; anchors come from trust alone"
            raise malformed(msg, one.der, surplus=one.name)
    line, rest = by_names(signer, others)
    for one in rest:
        raise surplus(one, "which is not on the signer's path")
    return line


def by_names(
    signer: Certificate, others: Sequence[Certificate]
) -> tuple[tuple[Certificate, ...], tuple[Certificate, ...]]:
    """The certificates from the signer upwards, by the distance from it, and the ones that are not above it."""
    line, rest = [signer], list(others)
    for child in line:  # which grows
        above = [one for one in rest if one.subject_der == child.issuer_der]
        line += above
        rest = [one for one in rest if one not in above]
    return tuple(line), tuple(rest)


def surplus(one: Certificate, why: str) -> SignatureFault:
    """A certificate of the signature that does not belong to a path.

    The parameter ``surplus`` distinguishes it from damage: a fresh copy of the file would not help.
    """
    return malformed(f"The signature carries the certificate {one.name}, {why}", one.der, surplus=one.name)


def longest(graph: CertificateGraph) -> Iterator[Certificate]:
    """The certificates from the signer upwards, as far as issuers exist; the first one if there are several."""
    one, seen = graph.signer, set[bytes]()
    while one.der not in seen:
        yield one
        seen.add(one.der)
        one = next((issuer for issuer in graph.issuers(one) if issuer.der not in seen), one)
