"""Parts that are perhaps encrypted: what was measured shows whether the stored bytes are the plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

if TYPE_CHECKING:
    from bundlekit.model.bundle import Bundle
    from bundlekit.model.evidence import Evidence


def perhaps_encrypted(bundle: Bundle) -> bool:
    """Whether the reader did not find out if the bundle is encrypted."""
    return any(one.unless_plain for one in bundle.unread)


def settled(bundle: Bundle, evidence: Evidence) -> tuple[Bundle, Evidence]:
    """The bundle without the doubt, if the stored bytes are the plain text. Otherwise nothing is known of its signers.

    Digest and signatures are over the plain text. If one of them is right over the stored bytes, these are that text.
    """
    right = any(one.found == one.expected for one in evidence.digests or ())
    if right or any(one.intact for one in evidence.signatures or ()):
        return replace(bundle, unread=tuple(one for one in bundle.unread if not one.unless_plain)), evidence
    return replace(bundle, signatures=None), replace(evidence, signatures=None, demands=None)
