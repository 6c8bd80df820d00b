"""The trust as values: anchors and pinned keys, their signers, and the requirements for signatures.

`bundlekit.trust.load` makes them from files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from bundlekit.model.primitives import Frozen
from bundlekit.model.question import Limits
from bundlekit.wording import given

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

    from bundlekit.model.evidence import SignatureEvidence
    from bundlekit.model.origin import Folder
    from bundlekit.model.trust import Ceiling, Floor, Format, Purpose, Require
    from bundlekit.trust.certificates import Certificate
    from bundlekit.trust.crl import Crls
    from bundlekit.trust.keys import Key

TEST_MARK: Final = "TEST ONLY"
"""The text in the subject of every test certificate, and above every such public key."""


class Pinned(Frozen, frozen=True, kw_only=True):
    """A public key that is trusted by itself. ``name`` is its file. ``test``: marked as a key for tests."""

    name: str
    key: Key
    test: bool = False


class Anchors(Frozen, frozen=True, kw_only=True):
    """Certificates of CAs and public keys that make a signer trusted."""

    anchors: tuple[Certificate, ...] = ()
    pinned: tuple[Pinned, ...] = ()

    def pin(self, key: Key) -> Pinned | None:
        """The pinned key that is this key, by its numbers."""
        return next((one for one in self.pinned if one.key.id == key.id), None)

    def pins_named(self, identifier: bytes) -> tuple[Pinned, ...]:
        """The pinned keys that CMS names by ``identifier``. It is a SHA-1, so there can be several."""
        return tuple(one for one in self.pinned if one.key.identifier == identifier)


class Signer(Frozen, frozen=True, kw_only=True):
    """A signer: the anchors and keys that lead to the signer, and the limits. PEM trust is one signer without a name.

    ``subjects`` are RFC 4514 text; without any, every certificate under the anchors is meant. ``ends`` are the last
    days of single anchors (by the SHA-256 of the certificate, in hex) and keys (by their id). Without ``products`` the
    signer can sign for all of them, and without ``formats`` in every format.
    """

    trust: Anchors
    name: str = ""
    role: str = ""
    subjects: tuple[str, ...] = ()
    until: dt.date | None = None
    ends: dict[str, dt.date] = {}
    purpose: Purpose = "code-signing"
    products: tuple[str, ...] = ()
    formats: tuple[Format, ...] = ()


class TrustStore(Frozen, frozen=True, kw_only=True):
    """The trusted signers, and the limits for all signatures.

    ``trusted`` are the anchors and keys of all ``signers``. ``floor`` and ``ceiling`` apply in addition to the built-in
    ones. ``denied`` are SHA-256 ids, in hex, of keys (their SubjectPublicKeyInfo) and of certificates (their DER).
    ``listed`` are the only intermediates that can be used; None if those in the bundle can be used. ``folders`` are the
    given folders, with their trusted content. ``digest`` is a SHA-256 over the whole trust.
    """

    signers: tuple[Signer, ...]
    trusted: Anchors
    allow_test_keys: bool
    digest: str
    name: str = ""
    demands: tuple[Require, ...] = ()
    limits: Limits = Limits()
    by_release_date: bool = False
    ignore_others: bool = False
    floor: Floor | None = None
    ceiling: Ceiling | None = None
    listed: tuple[Certificate, ...] | None = None
    denied: frozenset[str] = frozenset()
    crls: Crls | None = None
    folders: tuple[Folder, ...] = ()

    @property
    def names(self) -> tuple[str, ...] | None:
        """The names of the signers; None if they have none."""
        return tuple(one.name for one in self.signers) if all(one.name for one in self.signers) else None

    def adding(self, what: Literal["certificate", "public key"]) -> str:
        """The step that adds the certificate or the key of a signer to this trust, as a sentence after another."""
        place = given("trust")
        if self.names is not None:
            key = "anchor" if what == "certificate" else "key"
            place = f"the trust.toml, as `{key}` of a table [signers.NAME]"
        return f" If you do trust it, add its {what} to {place}."

    def signed_by(self, signatures: Iterable[SignatureEvidence]) -> frozenset[str] | None:
        """The names of the signers whose signatures count; None if signers have no names."""
        return None if self.names is None else frozenset(one.name for one in signatures if one.counts)


class Signed(Frozen, frozen=True, kw_only=True):
    """The signed content, as far as the limits of a signer need it.

    ``format`` is a name that ``formats`` of a signer can have. ``product`` and ``released`` (YYYY-MM-DD) are empty if
    the format lacks them, or they could not be read.
    """

    format: str = "update.bin"
    product: str = ""
    released: str = ""


class VerificationContext(Frozen, frozen=True, kw_only=True):
    """The time for the verification of signatures, and the signed content."""

    at: dt.datetime
    signed: Signed
