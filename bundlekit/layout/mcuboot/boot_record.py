"""The boot record of an MCUboot image: a CBOR map that measured boot passes on to the attestation service.

Source: ``docs/design.md`` of MCUboot 2.4, section *Measured boot*, and the PSA Attestation API 1.0. Only the small part
of CBOR (RFC 8949) that such a record needs is read, and only in its shortest form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from bundlekit.errors import LayoutError
from bundlekit.model.bundle import Problem
from bundlekit.wording import count

if TYPE_CHECKING:
    from bundlekit.layout.mcuboot.image import Tlv

NAMES: Final = {1: "type", 2: "measurement", 4: "version", 5: "signer", 6: "measured-with"}
TEXTS: Final = {1, 4, 6}
"""Keys whose values are text. The others are bytes."""

MAX_SIZE: Final = 256
"""Bytes of a record. With SHA-512 it has less than 200."""


def read_boot_record(tlv: Tlv) -> dict[str, object]:
    """The record as plain values. Raises LayoutError for a record that is not as the boot loader requires."""
    data = tlv.value
    if len(data) > MAX_SIZE:
        _fault(tlv, f"has {len(data)} bytes, more than the limit of {MAX_SIZE}")
    if not data or data[0] >> 5 != 5 or data[0] & 31 > len(NAMES):
        _fault(tlv, "is not a CBOR map")
    found: dict[str, object] = {}
    at, last = 1, 0
    for _ in range(data[0] & 31):
        last = data[at] if at < len(data) else 0
        if last not in NAMES or NAMES[last] in found:
            _fault(tlv, f"has an unknown or repeated key at byte {at}")
        value, at = _string(tlv, at + 1, 3 if last in TEXTS else 2)
        try:
            found[NAMES[last]] = value.decode() if last in TEXTS else value.hex()
        except UnicodeDecodeError:
            _fault(tlv, f"has text that is not UTF-8 before byte {at}")
    if at != len(data):
        _fault(tlv, f"has {count(len(data) - at, 'byte')} after its end")
    if last != 2:  # the boot loader writes the measurement over the last bytes of the record
        _fault(tlv, "does not end with the measurement")
    return found


def _string(tlv: Tlv, at: int, major: int) -> tuple[bytes, int]:
    """The string at ``at``, of that major type, and where it ends."""
    data = tlv.value
    head = data[at] if at < len(data) else 0
    size, start = head & 31, at + 1
    if size == 24 and at + 1 < len(data) and data[at + 1] >= 24:
        size, start = data[at + 1], at + 2
    elif size >= 24:
        _fault(tlv, f"has a string that is not in its shortest form at byte {at}")
    if head >> 5 != major or start + size > len(data):
        _fault(tlv, f"has a value of a wrong type or size at byte {at}")
    return data[start : start + size], start + size


def _fault(tlv: Tlv, what: str) -> NoReturn:
    message = f"the boot record {what}"
    raise LayoutError(Problem(rule="metadata-malformed", message=message, where=tlv.body, subject=tlv.name))
