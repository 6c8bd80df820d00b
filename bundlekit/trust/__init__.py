"""Who signed this, and may they: CMS signatures, certificate chains, pinned keys.

``cryptography`` is met in this package and nowhere else. Verifying loads nothing of what signs, so the names
below come in when they are first used (PEP 562).

From the blob outwards: `asn1` and `cms` read it, `algorithms` and `keys` say what is strong enough, `verify`
is the line of thought for one signature, `chain` leads to an anchor, `store` holds the anchors. What only a
trust.toml asks for is in `policy` (the file), `named` (whose signature, and what is against it), `crl` and
`threshold` (k of n), and is loaded only then. `acceptance` asks a trust file about signatures yet to be made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bundlekit.trust.acceptance import Credential, Satisfied, satisfied
    from bundlekit.trust.certificates import Certificate
    from bundlekit.trust.load import load_trust
    from bundlekit.trust.pem import read_certificates
    from bundlekit.trust.policy import inlined, load_inlined
    from bundlekit.trust.signing import SigningKey, belongs, load_private_key, load_signing_key, sign
    from bundlekit.trust.store import Signed, TrustStore
    from bundlekit.trust.threshold import tally
    from bundlekit.trust.throwaway import ALGORITHMS, keygen, unverifiable
    from bundlekit.trust.verify import (
        ABOUT_THE_BLOB,
        out_of_time,
        signer_fault,
        signing_key,
        unbound,
        verify_signatures,
    )

__all__ = [
    "ABOUT_THE_BLOB",
    "ALGORITHMS",
    "Certificate",
    "Credential",
    "Satisfied",
    "Signed",
    "SigningKey",
    "TrustStore",
    "belongs",
    "inlined",
    "keygen",
    "load_inlined",
    "load_private_key",
    "load_signing_key",
    "load_trust",
    "out_of_time",
    "read_certificates",
    "satisfied",
    "sign",
    "signer_fault",
    "signing_key",
    "tally",
    "unbound",
    "unverifiable",
    "verify_signatures",
]

_HOMES = {
    "ABOUT_THE_BLOB": "verify",
    "ALGORITHMS": "throwaway",
    "belongs": "signing",
    "Certificate": "certificates",
    "TrustStore": "store",
    "Credential": "acceptance",
    "inlined": "policy",
    "keygen": "throwaway",
    "load_inlined": "policy",
    "load_private_key": "signing",
    "load_signing_key": "signing",
    "load_trust": "load",
    "out_of_time": "verify",
    "read_certificates": "pem",
    "satisfied": "acceptance",
    "Satisfied": "acceptance",
    "sign": "signing",
    "Signed": "store",
    "SigningKey": "signing",
    "signer_fault": "verify",
    "signing_key": "verify",
    "tally": "threshold",
    "unbound": "verify",
    "unverifiable": "throwaway",
    "verify_signatures": "verify",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
