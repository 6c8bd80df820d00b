"""The objections of a future check to signatures under an anchor or pinned key, before such a signature exists.

Under an anchor, a certificate without any fault is assumed. Everything above it is validated by the same code as
signatures in a bundle, including revocation lists, so that both give the same result.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from cryptography import x509
from msgspec.structs import replace

from bundlekit.trust.algorithms import scheme_identifier
from bundlekit.trust.certificates import PURPOSES, Authority
from bundlekit.trust.chain import reasons
from bundlekit.trust.credential import from_certificates, from_key
from bundlekit.trust.fault import SignatureFault
from bundlekit.trust.paths import CertificateGraph
from bundlekit.trust.scheme import SignatureScheme
from bundlekit.trust.signer_policy import against, denied
from bundlekit.trust.trust_path import TrustPath, is_test

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bundlekit.trust.certificates import Certificate
    from bundlekit.trust.claim import Claim
    from bundlekit.trust.keys import Key
    from bundlekit.trust.store import Pinned, Signer, TrustStore

MAX_LINES: Final = 64
"""Lines of listed CAs that are examined under one anchor."""

SIGNATURE: Final = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


def against_anchor(anchor: Certificate, store: TrustStore, at: datetime, signer: Signer) -> tuple[str, ...]:
    """Why no certificate under an anchor counts; empty if one can.

    If the trust file lists intermediates under the anchor, signers are under those.
    """
    found: tuple[str, ...] = ()
    try:
        lines = _lines(anchor, store)
    except SignatureFault as refusal:
        return (refusal.message,)
    for line in lines:
        found = tuple(dict.fromkeys(_against_line(line, store, at, signer)))
        if not found:
            return ()
    return found


def against_key(pin: Pinned, store: TrustStore, at: datetime, signer: Signer) -> tuple[str, ...]:
    """Why signatures by a pinned key do not count; empty if they do."""
    trust = TrustPath(anchor=pin.name, test=pin.test or is_test(pin.key, ()))
    weak = [pin.key.weakness] if pin.key.weakness else []
    return tuple(dict.fromkeys([*weak, *_against(from_key(pin.key).claim, pin.key, trust, store, at, signer)]))


def _lines(anchor: Certificate, store: TrustStore) -> list[tuple[Certificate, ...]]:
    """The lines of CAs, lowest first, that end in the anchor. Raises SignatureFault if there are too many to follow."""
    listed = store.listed or ()
    found = [
        line for one in listed for line in CertificateGraph(one, listed, (anchor,)).paths(lambda _child, _issuer: 0)
    ]
    return found[:MAX_LINES] or [(anchor,)]


def _against_line(line: Sequence[Certificate], store: TrustStore, at: datetime, signer: Signer) -> Iterator[str]:
    imagined = _imagined(line[0], signer.purpose)
    chain = (imagined, *line)
    for one in line:
        if one.constrains_names:
            yield f"{one.name} has name constraints, which a CA of signers must not have"
    refusals = [*reasons(chain, at, signer.purpose)]
    if store.by_release_date:  # it can have been valid on the release date in a bundle
        refusals = [one for one in refusals if one.rule != "signer-expired"]
    trust = TrustPath(anchor=line[-1].name, certificates=chain, refusals=tuple(refusals), test=is_test(None, line))
    yield from _against(from_certificates([imagined]).claim, None, trust, store, at, signer)


def _against(
    claim: Claim, key: Key | None, trust: TrustPath, store: TrustStore, at: datetime, signer: Signer
) -> Iterator[str]:
    found, undecided = against(signer, claim, key, trust, store, at, at)
    refusals = [*denied(key, trust.certificates[1:], store), *found]
    yield from (one.brief for one in refusals)
    if undecided:
        yield undecided


def _imagined(issuer: Certificate, purpose: str) -> Certificate:
    """A signer's certificate under a CA, without any fault."""
    family = issuer.key.family if issuer.key else ""
    hashed = "sha512" if family in {"rsa", "ecdsa"} else ""
    known = {"rsa", "ecdsa", "ed25519", "ml-dsa-65", "ml-dsa-87"}
    scheme = (
        SignatureScheme(family=family, hash=hashed) if family in known else SignatureScheme(family="rsa", hash="sha512")
    )
    return replace(
        issuer,
        subject="a signer",
        issuer=issuer.subject,
        issuer_der=issuer.subject_der,
        serial=0,
        signature_algorithm=scheme_identifier(scheme),
        key=None,
        unloadable="",
        pss_only=False,
        pss_demanded=None,
        not_before=datetime.min.replace(tzinfo=UTC),
        not_after=datetime.max.replace(tzinfo=UTC),
        is_ca=False,
        path_length=None,
        usage=SIGNATURE,
        purposes=(PURPOSES[purpose],),
        authority=Authority(),
    )
