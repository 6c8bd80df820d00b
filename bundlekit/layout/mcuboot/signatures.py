"""The signatures of an MCUboot image. Each follows the TLV that names its key: a hash of the key, or the whole key.

Source: ``image_validate.c`` and ``bootutil_find_key.c`` of MCUboot 2.4. The boot loader ignores a signature without a
key before it. Hash and signature cover the same bytes: header, body and protected TLVs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bundlekit.layout.mcuboot import image as mcuboot
from bundlekit.layout.mcuboot.image import structure_fault
from bundlekit.model.bundle import SignatureClaim, Span

if TYPE_CHECKING:
    from bundlekit.layout.mcuboot.image import Tlv
    from bundlekit.model.bundle import RawAlgorithm

MAX_SIGNATURES: Final = 16
"""As many as in an update.bin. The boot loader uses one kind; more are for a change of keys or kinds."""

SIZES: Final = {0x20: 256, 0x23: 384, 0x24: 64}
"""Bytes of a signature whose size is fixed."""

P256_BYTES: Final = 32
"""Bytes of a number below the order of P-256."""

SMALLEST: Final = 8
LARGEST: Final = 104
"""Bytes of an ECDSA signature in DER: with two numbers of one byte, and with two of P-384 and a zero before each."""

SEQUENCE: Final = 0x30
INTEGER: Final = 0x02
"""Tags in DER (X.690)."""

PADDED: Final = (72, 103)
"""Bytes of an ECDSA signature with padding, for P-256 and P-384: ``imgtool sign --pad-sig``."""

RSA_ENCRYPTION: Final = bytes.fromhex("300d06092a864886f70d0101010500")
"""The AlgorithmIdentifier of an RSA key, in DER (RFC 8017 appendix A.1)."""


def read_signatures(
    tlvs: tuple[Tlv, ...], signed: Span, image_hash: Tlv | None
) -> tuple[tuple[SignatureClaim, ...], set[Tlv]]:
    """The signatures, and the TLVs that they account for. Raises LayoutError."""
    pure = any(tlv.kind == mcuboot.PURE for tlv in tlvs)
    found: list[SignatureClaim] = []
    accounted: set[Tlv] = set()
    seen: set[tuple[int, bytes]] = set()
    key: Tlv | None = None
    for tlv in tlvs:
        if tlv.kind in {mcuboot.KEY_HASH, mcuboot.PUBLIC_KEY}:
            if key:
                structure_fault("a key has no signature after it", key.entry.start, key.entry.stop)
            _check_key(tlv, image_hash)
            key = tlv
        if tlv.kind not in mcuboot.SIGNATURES:
            continue
        start, stop = tlv.entry.start, tlv.entry.stop
        if key is None:
            structure_fault("a signature has no key before it, so the boot loader ignores it", start, stop)
        if len(found) == MAX_SIGNATURES:
            structure_fault(f"the image has more than {MAX_SIGNATURES} signatures", start, stop)
        if key.entry.stop != start:
            structure_fault("a signature does not follow its key", start, stop)
        if (tlv.kind, tlv.value) in seen:  # also if the same key is named in another way
            structure_fault("a signature is a copy of another one", key.entry.start, stop)
        seen.add((tlv.kind, tlv.value))
        found.append(_claim(len(found), tlv, key, signed, image_hash, pure=pure))
        accounted |= {tlv, key}
        key = None
    if key:
        structure_fault("a key has no signature after it", key.entry.start, key.entry.stop)
    if pure and not found:
        structure_fault("the image has the TLV signature-pure, but no signature", signed.stop, tlvs[-1].entry.stop)
    return tuple(found), accounted


def _check_key(key: Tlv, image_hash: Tlv | None) -> None:
    """The hash of a key is by the algorithm of the image hash. A shorter one would fit other keys as well."""
    sizes = {len(image_hash.value)} if image_hash else set(mcuboot.HASH_SIZES.values())
    if key.kind == mcuboot.KEY_HASH and len(key.value) not in sizes:
        message = f"the hash of a key has {len(key.value)} bytes, which is not the size of the image hash"
        structure_fault(message, key.entry.start, key.entry.stop)


def _claim(index: int, tlv: Tlv, key: Tlv, signed: Span, image_hash: Tlv | None, *, pure: bool) -> SignatureClaim:
    start, stop = tlv.entry.start, tlv.entry.stop
    algorithm = _algorithm(tlv, image_hash, pure=pure)
    value = tlv.value
    if tlv.kind in SIZES and len(value) != SIZES[tlv.kind]:
        structure_fault(f"the signature {tlv.name} has {len(value)} bytes instead of {SIZES[tlv.kind]}", start, stop)
    if algorithm.startswith("ecdsa"):
        value = _unpadded(tlv)
        _check_curve(tlv, value, algorithm.rpartition("-")[2])
    body = Span(start=tlv.body.start, stop=tlv.body.start + len(value))
    known = _key(key)
    return SignatureClaim(
        index=index,
        signed=(signed,),
        blob=body,
        entry=Span(start=key.entry.start, stop=stop),
        form="raw",
        value=value,
        candidates=(algorithm,),
        exact_salt=True,
        of_digest=algorithm == "ed25519" and not pure,
        digest=mcuboot.HASHES[image_hash.kind] if image_hash else "sha256",
        key=known,
        key_id="" if known else key.value.hex(),
    )


def _algorithm(tlv: Tlv, image_hash: Tlv | None, *, pure: bool) -> RawAlgorithm:
    """The algorithm of a signature. Its hash is that of the image."""
    start, stop = tlv.entry.start, tlv.entry.stop
    name = mcuboot.HASHES[image_hash.kind] if image_hash else ""
    if pure and tlv.name != "ed25519":
        structure_fault(f"a signature {tlv.name} cannot be over the image itself, only over its hash", start, stop)
    if not pure and not name:
        structure_fault("the image has a signature over its hash, but no image hash", start, stop)
    match tlv.name, name:
        case (("rsa2048-pss" | "rsa3072-pss"), "sha256"):
            return "rsa-pss-sha256"
        case "ecdsa", "sha256":
            return "ecdsa-sha256"
        case "ecdsa", "sha384":
            return "ecdsa-sha384"
        case "ecdsa", "sha512":
            return "ecdsa-sha512"
        case "ed25519", ("sha256" | "sha512" | ""):
            return "ed25519"
        case "ed25519", _ if pure:
            return "ed25519"
    return structure_fault(f"a signature {tlv.name} cannot be over an image hash by {name}", start, stop)


def _check_curve(tlv: Tlv, value: bytes, hash_name: str) -> None:
    """A boot loader for P-384 has SHA-384 alone, and one for P-256 has SHA-256 or SHA-512.

    The key is not known here, but the numbers of a signature are as large as those of its curve, except with negligible
    probability. A value that is not DER is left to the verification.
    """
    start, stop = tlv.entry.start, tlv.entry.stop
    if len(value) > LARGEST:
        structure_fault(f"an ECDSA signature has {len(value)} bytes, and with P-384 at most {LARGEST}", start, stop)
    numbers = _numbers(value)
    large = any(len(number) > P256_BYTES for number in numbers)
    if numbers and large != (hash_name == "sha384"):
        curve = "P-384" if large else "P-256"
        structure_fault(f"an ECDSA signature with {curve} does not go with an image hash by {hash_name}", start, stop)


def _numbers(value: bytes) -> tuple[bytes, ...]:
    """The two numbers of an ECDSA signature (RFC 3279 section 2.2.3), without leading zeros; none if it is not DER."""
    if len(value) < SMALLEST or value[0] != SEQUENCE or value[1] != len(value) - 2 or value[2] != INTEGER:
        return ()
    middle = 4 + value[3]
    if value[middle : middle + 1] != bytes([INTEGER]) or value[middle + 1 : middle + 2] != bytes(
        [len(value) - middle - 2]
    ):
        return ()
    return value[4:middle].lstrip(b"\0"), value[middle + 2 :].lstrip(b"\0")


def _unpadded(tlv: Tlv) -> bytes:
    """An ECDSA signature without the zeros that boot loaders before MCUboot 1.5 required after it."""
    value = tlv.value
    size = value[1] + 2 if len(value) > 1 else 0
    if len(value) in PADDED and size < len(value):
        if any(value[size:]):
            structure_fault("the padding of a signature is not zero", tlv.body.start + size, tlv.body.stop)
        return value[:size]
    return value


def _key(tlv: Tlv) -> bytes:
    """The public key that the image contains, as SubjectPublicKeyInfo. MCUboot has RSA keys as in PKCS #1."""
    if tlv.kind != mcuboot.PUBLIC_KEY:
        return b""
    content = tlv.value[_header_size(tlv.value) :]
    if content[:1] != b"\x02":  # an INTEGER first: the modulus
        return tlv.value
    return _der(0x30, RSA_ENCRYPTION + _der(0x03, b"\0" + tlv.value))


def _header_size(value: bytes) -> int:
    """Bytes of tag and length of the DER object ``value``."""
    return 2 + (value[1] & 0x7F if len(value) > 1 and value[1] & 0x80 else 0)


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2, "big") if size > 255 else bytes([0x81, size])
    return bytes([tag]) + length + content
