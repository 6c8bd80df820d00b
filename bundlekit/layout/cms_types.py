"""The DER of the content types that identify a CMS object before it is read (RFC 5652)."""

from __future__ import annotations

from typing import Final

SIGNED_DATA: Final = bytes.fromhex("06092a864886f70d010702")
"""id-signedData, section 5.1."""
ENVELOPED_DATA: Final = bytes.fromhex("06092a864886f70d010703")
"""id-envelopedData, section 6.1."""
