"""Who signed this, and may they: CMS signatures, certificate chains, pinned keys.

``cryptography`` is met in this package and nowhere else. Verifying loads nothing of what signs, so the names
below come in when they are first used (PEP 562).

Still to come, and where: named signers, thresholds, the time rule and the deny list of a trust file beside
`store`; revocation lists beside `chain`, as one more reason (``signer-revoked``) of its second look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bundlekit.trust.certificates import Certificate
    from bundlekit.trust.signing import belongs, load_private_key, sign
    from bundlekit.trust.store import TrustStore, load_trust, read_certificates
    from bundlekit.trust.throwaway import ALGORITHMS, keygen
    from bundlekit.trust.verify import verify_signatures

__all__ = [
    "ALGORITHMS",
    "Certificate",
    "TrustStore",
    "belongs",
    "keygen",
    "load_private_key",
    "load_trust",
    "read_certificates",
    "sign",
    "verify_signatures",
]

_HOMES = {
    "ALGORITHMS": "throwaway",
    "belongs": "signing",
    "Certificate": "certificates",
    "TrustStore": "store",
    "keygen": "throwaway",
    "load_private_key": "signing",
    "load_trust": "store",
    "read_certificates": "store",
    "sign": "signing",
    "verify_signatures": "verify",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
