"""The signature sector of secure boot v2: up to three blocks of 1216 bytes after the image.

Source: ESP-IDF, ``secure-boot-v2.rst`` and ``esp_rom``'s ``secure_boot.h``. A block has a CRC-32, the digest of the
image, a public key and a signature. Its numbers are little-endian; they are converted to the usual encodings here.
"""

from __future__ import annotations

import zlib
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from bundlekit.layout.esp.image import fault
from bundlekit.model.bundle import Span

if TYPE_CHECKING:
    from bundlekit.layout.esp.chips import Scheme
    from bundlekit.model.bundle import RawAlgorithm

SECTOR: Final = 4096
BLOCK: Final = 1216
MAX_BLOCKS: Final = 3
MAGIC: Final = 0xE7
RSA_VERSION: Final = 2
ECDSA_VERSION: Final = 3
CRC_AT: Final = 1196
STARTS: Final = (bytes((MAGIC, RSA_VERSION)), bytes((MAGIC, ECDSA_VERSION)))
"""The first bytes of a block."""

ERASED: Final = 0xFF
"""The value of erased flash, which follows the last block up to the end of the sector."""

RSA_BYTES: Final = 384
"""RSA-3072 is the only size that the chips have."""


class EspCurve(NamedTuple):
    """How an ECDSA block is laid out: ``room`` bytes for a pair of numbers, of which each number uses ``size``."""

    scheme: Scheme
    oid: bytes
    size: int
    room: int
    digest: str
    sha_version: int


CURVES: Final = {
    1: EspCurve("ecdsa-p192", bytes.fromhex("06082a8648ce3d030101"), 24, 64, "sha256", 0),
    2: EspCurve("ecdsa-p256", bytes.fromhex("06082a8648ce3d030107"), 32, 64, "sha256", 0),
    3: EspCurve("ecdsa-p384", bytes.fromhex("06052b81040022"), 48, 96, "sha384", 1),
}
"""By the curve id in the block. The identifiers in DER are those of RFC 5480."""

_RSA_OID: Final = bytes.fromhex("06092a864886f70d010101")
_EC_OID: Final = bytes.fromhex("06072a8648ce3d0201")
_DIGEST_SIZE: Final = {"sha256": 32, "sha384": 48}


class EspBlock(NamedTuple):
    """A signature block, with its numbers in the usual encodings.

    ``digest`` is that of the image, ``algorithm:hex``, at ``digest_span``. ``key`` is a SubjectPublicKeyInfo in DER.
    ``key_digest`` is the SHA-256 of the key as it is in the block, in hex: the value that eFuses hold.
    """

    scheme: Scheme
    algorithm: RawAlgorithm
    span: Span
    signature_span: Span
    signature: bytes
    digest: str
    digest_span: Span
    key: bytes
    key_digest: str


def read_blocks(sector: bytes, start: int) -> tuple[list[EspBlock], Span]:
    """The blocks of the sector at ``start`` in the file, and the erased rest. Raises LayoutError.

    The blocks follow each other from the start of the sector. A gap, or anything else than erased flash after the last
    one, is a fault: tools and chips skip a bad block, so it could contain anything.
    """
    blocks: list[EspBlock] = []
    seen: list[bytes] = []
    while len(blocks) < MAX_BLOCKS:
        at = len(blocks) * BLOCK
        if blocks and sector[at] == ERASED:
            break
        raw = sector[at : at + BLOCK]
        if raw in seen:
            message = f"signature block {len(blocks)} is a copy of block {seen.index(raw)}"
            raise fault(message, _at(start, at, at + BLOCK))
        blocks.append(_block(raw, start + at, len(blocks)))
        seen.append(raw)
    stop = len(blocks) * BLOCK
    rest = sector[stop:]
    surplus = len(rest) - len(rest.lstrip(bytes((ERASED,))))
    if surplus < len(rest):
        where = Span(start=start + stop + surplus, stop=start + stop + surplus + 1)
        raise fault(f"byte 0x{where.start:x} after the last signature block is not erased (0xff)", where)
    return blocks, Span(start=start + stop, stop=start + len(sector))


def _block(raw: bytes, start: int, number: int) -> EspBlock:
    name = f"signature block {number}"
    if raw[0] != MAGIC:
        raise fault(f"{name} begins with 0x{raw[0]:02x} instead of 0x{MAGIC:02x}", _at(start, 0, 1))
    if raw[1] not in (RSA_VERSION, ECDSA_VERSION):
        raise fault(
            f"{name} has version {raw[1]}, but only {RSA_VERSION} (RSA) and {ECDSA_VERSION} (ECDSA) exist",
            _at(start, 1, 2),
        )
    if int.from_bytes(raw[CRC_AT : CRC_AT + 4], "little") != zlib.crc32(raw[:CRC_AT]):
        raise fault(f"the CRC-32 of {name} is wrong: the block is damaged", _at(start, CRC_AT, CRC_AT + 4))
    _demand_zeros(name, raw, start, 3, 4)
    _demand_zeros(name, raw, start, CRC_AT + 4, BLOCK)
    return (_rsa if raw[1] == RSA_VERSION else _ecdsa)(name, raw, start)


def _demand_zeros(name: str, raw: bytes, start: int, first: int, stop: int) -> None:
    """Raise LayoutError unless the unused bytes are zero. The signature does not cover them."""
    if used := raw[first:stop].lstrip(b"\0"):
        where = start + stop - len(used)
        raise fault(f"byte 0x{where:x} is unused in {name}, but it is not zero", Span(start=where, stop=where + 1))


def _rsa(name: str, raw: bytes, start: int) -> EspBlock:
    """RSA-3072 with PSS: digest, modulus, exponent, two constants for the hardware, signature."""
    _demand_zeros(name, raw, start, 2, 3)
    modulus = int.from_bytes(raw[36:420], "little")
    exponent = int.from_bytes(raw[420:424], "little")
    if modulus.bit_length() != 8 * RSA_BYTES or modulus % 2 == 0:
        message = f"{name} has no RSA-3072 key: its modulus has {modulus.bit_length()} bits, or is even"
        raise fault(message, _at(start, 36, 420))
    # The hardware computes with these constants. With a wrong one it refuses a signature that is valid on a host.
    if int.from_bytes(raw[424:808], "little") != (1 << 16 * RSA_BYTES) % modulus:
        raise fault(f"the constant R in {name} does not belong to its modulus", _at(start, 424, 808))
    if int.from_bytes(raw[808:812], "little") != -pow(modulus, -1, 1 << 32) % (1 << 32):
        raise fault(f"the constant M' in {name} does not belong to its modulus", _at(start, 808, 812))
    numbers = _sequence(_integer(modulus), _integer(exponent))
    return EspBlock(
        scheme="rsa",
        algorithm="rsa-pss-sha256",
        span=Span(start=start, stop=start + BLOCK),
        signature_span=_at(start, 812, CRC_AT),
        signature=raw[812:CRC_AT][::-1],
        digest=f"sha256:{raw[4:36].hex()}",
        digest_span=_at(start, 4, 36),
        key=_key_info(_RSA_OID + b"\x05\x00", numbers),
        key_digest=sha256(raw[36:812]).hexdigest(),
    )


def _ecdsa(name: str, raw: bytes, start: int) -> EspBlock:
    """ECDSA: digest, curve, point, signature. The digest of P-384 is longer, and moves the rest."""
    digest = "sha384" if raw[2] == 1 else "sha256"
    at = 4 + _DIGEST_SIZE[digest]
    curve = CURVES.get(raw[at])
    if curve is None:
        raise fault(f"{name} has the curve {raw[at]}, which does not exist", _at(start, at, at + 1))
    if curve.sha_version != raw[2]:
        message = f"{name} has the digest type {raw[2]}, but {curve.scheme} needs type {curve.sha_version}"
        raise fault(message, _at(start, 2, 3))
    point, signature = at + 1, at + 1 + curve.room
    stop = signature + curve.room
    _demand_zeros(name, raw, start, point + 2 * curve.size, signature)
    _demand_zeros(name, raw, start, signature + 2 * curve.size, CRC_AT)
    x, y = _halves(raw[point : point + 2 * curve.size])
    r, s = (int.from_bytes(half, "big") for half in _halves(raw[signature : signature + 2 * curve.size]))
    return EspBlock(
        scheme=curve.scheme,
        algorithm="ecdsa-sha384" if digest == "sha384" else "ecdsa-sha256",
        span=Span(start=start, stop=start + BLOCK),
        signature_span=_at(start, signature, stop),
        signature=_sequence(_integer(r), _integer(s)),
        digest=f"{digest}:{raw[4:at].hex()}",
        digest_span=_at(start, 4, at),
        key=_key_info(_EC_OID + curve.oid, b"\x04" + x + y),
        key_digest=sha256(raw[at:signature]).hexdigest(),
    )


def _at(start: int, first: int, stop: int) -> Span:
    """The span of a field in the file. ``start`` is that of the block."""
    return Span(start=start + first, stop=start + stop)


def _halves(pair: bytes) -> tuple[bytes, bytes]:
    """Two little-endian numbers of the same size, each as big-endian bytes."""
    middle = len(pair) // 2
    return pair[:middle][::-1], pair[middle:][::-1]


def _der(tag: int, content: bytes) -> bytes:
    """A value in DER (X.690)."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def _sequence(*parts: bytes) -> bytes:
    return _der(0x30, b"".join(parts))


def _integer(number: int) -> bytes:
    return _der(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def _key_info(algorithm: bytes, key: bytes) -> bytes:
    """A SubjectPublicKeyInfo (RFC 5280 section 4.1). ``algorithm`` are the identifier and its parameters in DER."""
    return _sequence(_sequence(algorithm), _der(0x03, b"\0" + key))
