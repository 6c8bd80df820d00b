"""A signature algorithm, as data."""

from __future__ import annotations

from bundlekit.model.primitives import Frozen


class SignatureScheme(Frozen, frozen=True, kw_only=True):
    """A signature algorithm as its identifier states it.

    ``family`` is that of its keys. ``hash`` is empty if the scheme hashes by itself (Ed25519, ML-DSA). It is ``*`` for
    plain rsaEncryption, which leaves it to the digest algorithm. ``salt`` is the length of the PSS salt in bytes, and
    None for other schemes.
    """

    family: str
    hash: str = ""
    salt: int | None = None

    def label(self, key_name: str = "") -> str:
        """The name in reports, such as ``rsa-3072-pss-sha256``. Without the name of a key it has no size."""
        name = key_name or self.family
        if not self.hash:
            return name
        padded = "" if self.family != "rsa" else "-pss" if self.salt is not None else "-pkcs1v15"
        return f"{name}{padded}-{self.hash}"
