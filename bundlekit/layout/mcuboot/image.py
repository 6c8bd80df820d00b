"""The bytes of an MCUboot image: its header, its two areas of TLVs (type, length, value), and their limits.

Source of each number: ``boot/bootutil/include/bootutil/image.h`` of MCUboot 2.4, and ``docs/design.md`` there. An image
is ``header · body · protected TLVs · unprotected TLVs``. The image hash and the signature cover the first three.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, NoReturn

from bundlekit.errors import LayoutError
from bundlekit.model.bundle import Problem, Span
from bundlekit.source import read
from bundlekit.wording import count

if TYPE_CHECKING:
    from bundlekit.source import Source

MAGIC: Final = 0x96F3B83D
MAGIC_V1: Final = 0x96F3B83C
"""The magic of the image format before MCUboot 1.0. No boot loader of today accepts it."""

HEADER: Final = struct.Struct("<IIHHIIBBHII")
PROTECTED_MAGIC: Final = 0x6908
UNPROTECTED_MAGIC: Final = 0x6907
INFO: Final = struct.Struct("<HH")
"""At the start of an area: its magic, and its size including these four bytes."""

ENTRY: Final = struct.Struct("<HH")
"""At the start of a TLV: its type, and the size of its value."""

MAX_IMAGE: Final = 2**32
"""Bytes of the largest slot. The boot loader adds sizes in 32 bits, and refuses an overflow."""

FLAGS: Final = {
    0x1: "pic",
    0x4: "encrypted-aes128",
    0x8: "encrypted-aes256",
    0x10: "non-bootable",
    0x20: "ram-load",
    0x100: "rom-fixed",
    0x200: "compressed-lzma1",
    0x400: "compressed-lzma2",
    0x800: "compressed-arm-thumb",
}

KINDS: Final = {
    0x01: "key-hash",
    0x02: "public-key",
    0x10: "sha256",
    0x11: "sha384",
    0x12: "sha512",
    0x20: "rsa2048-pss",
    0x21: "ecdsa-p224",
    0x22: "ecdsa",
    0x23: "rsa3072-pss",
    0x24: "ed25519",
    0x25: "signature-pure",
    0x30: "encrypted-key-rsa2048",
    0x31: "encrypted-key-aes-kw",
    0x32: "encrypted-key-p256",
    0x33: "encrypted-key-x25519",
    0x34: "encrypted-key-x25519-sha512",
    0x40: "dependency",
    0x50: "security-counter",
    0x60: "boot-record",
    0x70: "decompressed-size",
    0x71: "decompressed-hash",
    0x72: "decompressed-signature",
    0x73: "decrypted-size",
    0x74: "vendor-id",
    0x75: "class-id",
}
"""The types of TLVs, by the names that ``bundlekit inspect`` prints for them."""

UNPROTECTED: Final = frozenset((0x01, 0x02, *range(0x10, 0x13), *range(0x20, 0x26), *range(0x30, 0x35)))
"""The allow-list of the boot loader: every other TLV must be protected (``image_validate.c``)."""

HASHES: Final[dict[int, Literal["sha256", "sha384", "sha512"]]] = {0x10: "sha256", 0x11: "sha384", 0x12: "sha512"}
HASH_SIZES: Final = {"sha256": 32, "sha384": 48, "sha512": 64}
SIGNATURES: Final = frozenset((0x20, 0x21, 0x22, 0x23, 0x24))
ENCRYPTED_KEYS: Final = {0x30: (256, 256), 0x31: (24, 40), 0x32: (113, 129), 0x33: (80, 96), 0x34: (112, 128)}
"""Bytes of an encrypted AES key, for AES-128 and for AES-256 (``docs/encrypted_images.md``)."""

SIZES: Final = {0x25: 1, 0x40: 12, 0x50: 4, 0x70: 4, 0x73: 4, 0x74: 16, 0x75: 16}
"""Bytes of the value of each type whose size is fixed."""

KEY_HASH: Final = 0x01
PUBLIC_KEY: Final = 0x02
PURE: Final = 0x25
DEPENDENCY: Final = 0x40
COUNTER: Final = 0x50
BOOT_RECORD: Final = 0x60
DECOMPRESSED_SIZE: Final = 0x70
DECOMPRESSED_HASH: Final = 0x71
DECRYPTED_SIZE: Final = 0x73
VENDOR_ID: Final = 0x74
CLASS_ID: Final = 0x75


class ImageHeader(NamedTuple):
    """The 32 bytes at the start of an image, in little-endian order. Sizes are in bytes."""

    magic: int
    load_address: int
    header_size: int
    protected_size: int
    image_size: int
    flags: int
    major: int
    minor: int
    revision: int
    build: int
    reserved: int

    @property
    def version(self) -> str:
        """The version as imgtool prints it."""
        return f"{self.major}.{self.minor}.{self.revision}+{self.build}"

    @property
    def protected(self) -> Span:
        """The area of the protected TLVs. It is empty if the image has none."""
        start = self.header_size + self.image_size
        return Span(start=start, stop=start + self.protected_size)

    def has(self, *names: str) -> bool:
        """Whether the header has one of these flags."""
        return any(self.flags & bit for bit, name in FLAGS.items() if name in names)


class Tlv(NamedTuple):
    """One TLV: its type, the span of the whole entry, its value, and whether the image hash covers it."""

    kind: int
    entry: Span
    value: bytes
    protected: bool

    @property
    def name(self) -> str:
        """Its type in words, or in hex for types that this program does not know, such as those of vendors."""
        return KINDS.get(self.kind, f"0x{self.kind:04x}")

    @property
    def body(self) -> Span:
        """The span of the value."""
        return Span(start=self.entry.start + ENTRY.size, stop=self.entry.stop)


def layout_fault(rule: str, message: str, start: int, stop: int) -> NoReturn:
    """Raise LayoutError, with the problem as data."""
    raise LayoutError(Problem(rule=rule, message=message, where=Span(start=start, stop=stop)))


def structure_fault(message: str, start: int, stop: int) -> NoReturn:
    """Raise LayoutError for the rule structure-malformed."""
    layout_fault("structure-malformed", message, start, stop)


def read_image_header(source: Source) -> ImageHeader:
    """The header of the image, if its fields are possible. Raises LayoutError."""
    if source.size < HEADER.size:
        layout_fault(
            "truncated", f"the file ends within its header, after {source.size} bytes", source.size, HEADER.size
        )
    header = ImageHeader(*HEADER.unpack(read(source, Span(start=0, stop=HEADER.size))))
    if header.magic == MAGIC_V1:
        structure_fault("the image has the format of before MCUboot 1.0, which boot loaders no longer accept", 0, 4)
    if header.magic == int.from_bytes(MAGIC.to_bytes(4, "big"), "little"):
        structure_fault("the image is in big-endian order, but must be in little-endian order", 0, 4)
    if header.magic != MAGIC:
        structure_fault(f"the magic of the image is 0x{header.magic:08x} instead of 0x{MAGIC:08x}", 0, 4)
    if header.header_size < HEADER.size:
        message = f"the header states its size as {header.header_size} bytes, but it has at least {HEADER.size}"
        layout_fault("header-out-of-bounds", message, 8, 10)
    if not header.image_size:
        layout_fault("header-out-of-bounds", "the image is empty: its stated size is 0", 12, 16)
    if header.protected.stop >= MAX_IMAGE:
        layout_fault("header-out-of-bounds", "the sizes in the header overflow 32 bits", 8, 16)
    if header.reserved:
        structure_fault("the reserved bytes of the header are not zero", 28, 32)
    _check_flags(header)
    if header.protected.stop + INFO.size > source.size:
        message = f"the file has {source.size} bytes, but its header requires {header.protected.stop + INFO.size}"
        layout_fault("truncated", message, source.size, header.protected.stop + INFO.size)
    return header


def _check_flags(header: ImageHeader) -> None:
    """Refuse flags that the boot loader refuses, and those that this program does not know."""
    if unknown := header.flags & ~sum(FLAGS):
        structure_fault(f"the header has unknown flags: 0x{unknown:08x}", 16, 20)
    for one, other in (
        ("encrypted-aes128", "encrypted-aes256"),
        ("compressed-lzma1", "compressed-lzma2"),
        ("ram-load", "rom-fixed"),
    ):
        if header.has(one) and header.has(other):
            structure_fault(f"the header has the flags {one} and {other}, which exclude each other", 16, 20)
    if header.has("compressed-arm-thumb") and not header.has("compressed-lzma1", "compressed-lzma2"):
        structure_fault("the header has the flag compressed-arm-thumb without a compression", 16, 20)


def read_tlvs(source: Source, header: ImageHeader) -> tuple[tuple[Tlv, ...], int]:
    """The TLVs of both areas, and where the image ends. At most 128 KiB are read. Raises LayoutError."""
    found: list[Tlv] = []
    start = header.protected.start
    magic, size = _info(source, start)
    if magic == PROTECTED_MAGIC:
        if not header.protected_size:
            message = "the image has protected TLVs that its header does not mention, so that no hash covers them"
            structure_fault(message, start, start + INFO.size)
        if size != header.protected_size:
            message = f"the protected TLVs have {size} bytes, but the header states {header.protected_size}"
            structure_fault(message, start + 2, start + INFO.size)
        found += _area(source, header.protected, protected=True)
        start = header.protected.stop
        magic, size = _info(source, start)
    elif header.protected_size:
        message = f"the header requires protected TLVs, but the magic of this area is 0x{magic:04x}"
        structure_fault(message, start, start + 2)
    if magic != UNPROTECTED_MAGIC:
        message = f"the magic of the TLVs is 0x{magic:04x} instead of 0x{UNPROTECTED_MAGIC:04x}"
        structure_fault(message, start, start + 2)
    if size < INFO.size:
        message = f"the area of the TLVs has {size} bytes, which is less than its own header"
        structure_fault(message, start + 2, start + INFO.size)
    if start + size > source.size:
        message = f"the TLVs end at byte {start + size}, but the file has {source.size} bytes"
        layout_fault("truncated", message, source.size, start + size)
    found += _area(source, Span(start=start, stop=start + size), protected=False)
    return tuple(found), start + size


def _info(source: Source, start: int) -> tuple[int, int]:
    """Magic and size of an area. Raises LayoutError if the file ends before."""
    if start + INFO.size > source.size:
        message = f"the file has {source.size} bytes, but its TLVs begin at byte {start}"
        layout_fault("truncated", message, source.size, start + INFO.size)
    magic, size = INFO.unpack(read(source, Span(start=start, stop=start + INFO.size)))
    return magic, size


def _area(source: Source, area: Span, *, protected: bool) -> list[Tlv]:
    """The TLVs of one area. Each must end within it. Raises LayoutError."""
    data, found, at = read(source, area), [], INFO.size
    which = "protected " if protected else ""
    while at < len(data):
        where = area.start + at
        if at + ENTRY.size > len(data):
            structure_fault(f"{count(len(data) - at, 'byte')} after the last {which}TLV", where, area.stop)
        kind, size = ENTRY.unpack_from(data, at)
        stop = at + ENTRY.size + size
        if stop > len(data):
            message = f"a {which}TLV of type 0x{kind:04x} ends {stop - len(data)} bytes after the area that contains it"
            structure_fault(message, where, where + ENTRY.size)
        value = data[at + ENTRY.size : stop]
        found.append(Tlv(kind, Span(start=where, stop=area.start + stop), value, protected))
        at = stop
    return found
