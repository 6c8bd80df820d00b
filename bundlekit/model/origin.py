"""Which files a check used without being named one by one, so that a report can name them."""

from __future__ import annotations

from typing import Literal

from bundlekit.model.primitives import Frozen


class TrustEntry(Frozen, frozen=True, kw_only=True):
    """A certificate or key in a file of a trust folder.

    ``subject`` is that of an anchor (RFC 4514), empty for a key. ``id`` is the SHA-256, in hex, of the
    certificate or of the key's SubjectPublicKeyInfo.
    """

    file: str
    kind: Literal["anchor", "key"]
    subject: str
    id: str


class Folder(Frozen, frozen=True, kw_only=True):
    """A folder given as trust, as the operator named it, and its trusted content."""

    folder: str
    entries: tuple[TrustEntry, ...]


class ConfigUse(Frozen, frozen=True, kw_only=True):
    """The project file that a check used, and its SHA-256."""

    file: str
    digest: str
