"""Who signed a bundle, and whether the signer is allowed to: CMS signatures, certificate chains, pinned keys.

Only this package uses ``cryptography``. Verification loads no code for signing, so the names below are loaded at their
first use (PEP 562).

`cms` and `asn1` read a signature, and `claim` reads its statements. `algorithms` and `keys` define what is strong
enough. `trust_path` and `chain` follow its key to an anchor. `signer_policy` finds the signer and the objections to the
signature. `verify` combines the steps. `foreign` (CMS of other tools) and `raw` (bare values) verify the signatures of
other formats, and are loaded only for them. `load` makes the `store` from PEM files (`pem`) or a trust.toml (`policy`).
`crl`, `quorum` (k of n) and the other modules for a trust.toml are loaded only with one. `acceptance` evaluates a trust
file for signatures that do not exist yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bundlekit.trust.acceptance import Credential, Satisfied, satisfied
    from bundlekit.trust.certificates import Certificate
    from bundlekit.trust.cms import enclosed_content
    from bundlekit.trust.external import ExternalKey, SigningRequest, read_public_key, token_key
    from bundlekit.trust.fault import SignatureFault
    from bundlekit.trust.load import load_trust
    from bundlekit.trust.pem import read_certificates
    from bundlekit.trust.policy import inlined, load_inlined
    from bundlekit.trust.quorum import tally
    from bundlekit.trust.result import ABOUT_THE_BLOB
    from bundlekit.trust.signing import Prepared, SigningKey, belongs, load_private_key, load_signing_key, prepare, sign
    from bundlekit.trust.store import Signed, TrustStore
    from bundlekit.trust.test_pki import ALGORITHMS, keygen, unverifiable
    from bundlekit.trust.verify import (
        fault_under,
        out_of_time,
        signer_fault,
        signing_key,
        unbound,
        verify_claims,
        verify_signatures,
    )

__all__ = [
    "ABOUT_THE_BLOB",
    "ALGORITHMS",
    "Certificate",
    "Credential",
    "ExternalKey",
    "Prepared",
    "Satisfied",
    "SignatureFault",
    "Signed",
    "SigningKey",
    "SigningRequest",
    "TrustStore",
    "belongs",
    "enclosed_content",
    "fault_under",
    "inlined",
    "keygen",
    "load_inlined",
    "load_private_key",
    "load_signing_key",
    "load_trust",
    "out_of_time",
    "prepare",
    "read_certificates",
    "read_public_key",
    "satisfied",
    "sign",
    "signer_fault",
    "signing_key",
    "tally",
    "token_key",
    "unbound",
    "unverifiable",
    "verify_claims",
    "verify_signatures",
]

_HOMES = {
    "ABOUT_THE_BLOB": "result",
    "ALGORITHMS": "test_pki",
    "belongs": "signing",
    "Certificate": "certificates",
    "TrustStore": "store",
    "Credential": "acceptance",
    "enclosed_content": "cms",
    "ExternalKey": "external",
    "fault_under": "verify",
    "inlined": "policy",
    "keygen": "test_pki",
    "load_inlined": "policy",
    "load_private_key": "signing",
    "load_signing_key": "signing",
    "load_trust": "load",
    "out_of_time": "verify",
    "prepare": "signing",
    "Prepared": "signing",
    "read_certificates": "pem",
    "read_public_key": "external",
    "satisfied": "acceptance",
    "Satisfied": "acceptance",
    "sign": "signing",
    "SignatureFault": "fault",
    "Signed": "store",
    "SigningKey": "signing",
    "SigningRequest": "external",
    "signer_fault": "verify",
    "signing_key": "verify",
    "tally": "quorum",
    "token_key": "external",
    "unbound": "verify",
    "unverifiable": "test_pki",
    "verify_claims": "verify",
    "verify_signatures": "verify",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from bundlekit.dependencies import load

    return load(f"{__name__}.{_HOMES[name]}", name)
