"""MCUboot images: raw, padded to a flash slot, or as Intel HEX.

As strict as the boot loader: what it refuses in any of its configurations is refused here. A value that it relies on
must be protected, which means that the image hash covers it. ``bundlekit explain mcuboot`` describes the checks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from msgspec import UNSET
from msgspec.structs import replace

from bundlekit.errors import LayoutError
from bundlekit.layout.mcuboot import image as mcuboot
from bundlekit.layout.mcuboot.boot_record import read_boot_record
from bundlekit.layout.mcuboot.image import read_image_header, read_tlvs, structure_fault
from bundlekit.layout.mcuboot.signatures import read_signatures
from bundlekit.layout.mcuboot.trailer import read_slot
from bundlekit.model.bundle import (
    Bundle,
    ByteClaim,
    DecodedClaim,
    DigestClaim,
    FramingClaim,
    Problem,
    Section,
    SignatureClaim,
    Span,
    Unread,
)
from bundlekit.model.release import NO_TERMS, Demand, Part, Release, Terms
from bundlekit.model.rule import SIGNATURE_RULES
from bundlekit.source import BytesSource
from bundlekit.source import read as read_span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundlekit.layout.mcuboot.image import ImageHeader, Tlv
    from bundlekit.layout.mcuboot.trailer import SlotRest
    from bundlekit.model.bundle import Aspect
    from bundlekit.source import Source

FORMAT: Final = "mcuboot"
ASPECTS: Final[frozenset[Aspect]] = frozenset({"structure", "metadata", "content"})
NO_NAME: Final = "mcuboot-image"
"""The product of an image that names none: most of them."""

HEX: Final = "hex"
"""The stream of the bytes that an Intel HEX file describes, from its lowest address on."""

ENCRYPTED: Final = Unread(
    rules=(*SIGNATURE_RULES, "digest-mismatch", "uncovered-bytes", "nonzero-padding"),
    reason="the image is for an encrypted slot: its hash is over the plain text, and only the device has the key",
    next="Check the image before it is encrypted (`imgtool sign` without -E).",
    unless_plain=True,
)
KEY_UNSIGNED: Final = Unread(
    rules=("uncovered-bytes",),
    reason="neither hash nor signature covers the encrypted key of the image, and only the device can decrypt it",
    next=ENCRYPTED.next,
)
"""An image of ``imgtool sign -E --clear`` is not encrypted. The boot loader uses its key when it swaps the image."""


class _Image(NamedTuple):
    """What was read of an image, before it is a bundle."""

    header: ImageHeader
    tlvs: tuple[Tlv, ...]
    end: int

    def one(self, kind: int) -> Tlv | None:
        """The TLV of that type."""
        return next((tlv for tlv in self.tlvs if tlv.kind == kind), None)

    @property
    def hash(self) -> Tlv | None:
        """The TLV with the image hash."""
        return next((tlv for tlv in self.tlvs if tlv.kind in mcuboot.HASHES), None)

    @property
    def encrypted(self) -> bool:
        """Whether the body is encrypted, or the image is made for a slot that the boot loader encrypts."""
        return self.header.has("encrypted-aes128", "encrypted-aes256")


def read(source: Source) -> Bundle:
    """Read header and TLVs of an image, and the trailer of its slot. The body is not read, except from HEX."""
    bundle = Bundle(format=FORMAT, aspects=ASPECTS, size=source.size)
    if read_span(source, Span(start=0, stop=min(1, source.held))) != b":":
        return _image(source, bundle)
    from bundlekit.layout.mcuboot.intel_hex import decode  # only for such a file

    section = Section(name="Intel HEX", span=Span(start=0, stop=source.size))
    try:
        decoded = decode(source)
    except LayoutError as error:
        return bundle.plus(sections=[section], problems=[error.problem])
    inside = Bundle(format=FORMAT, aspects=ASPECTS, size=len(decoded.data))
    inside = _image(BytesSource(decoded.data), inside, fill=decoded.fill if decoded.gaps else None)
    inside = _without_holes(inside, decoded.gaps)
    document = inside.document
    if document is not None:
        document = {"address": decoded.address, **document}
    claim = DecodedClaim(subject="Intel HEX", span=section.span, stream=HEX)
    moved = _in_stream(inside)
    return replace(
        moved,
        size=source.size,
        declared_size=source.size,
        document=document,
        sections=(section, *moved.sections),
        claims=(claim, *moved.claims),
        streams={HEX: decoded.data},
    )


def _image(source: Source, bundle: Bundle, *, fill: int | None = None) -> Bundle:
    """Everything about the image at the start of ``source``, up to the first fault."""
    try:
        header = read_image_header(source)
        bundle = replace(bundle, sections=_sections(header), document={"header": _header_document(header)})
        tlvs, end = read_tlvs(source, header)
        image = _Image(header, tlvs, end)
        area = Section(name="TLVs", span=Span(start=header.protected.stop, stop=end))
        bundle = bundle.plus(sections=[area], declared_size=end, document=_document(image))
        _check_areas(image)
        _check_values(image)
        record = read_boot_record(tlv) if (tlv := image.one(mcuboot.BOOT_RECORD)) else None
        bundle = replace(bundle, document=_document(image, record), release=_release(image, record))
        bundle = _claimed(image, bundle)
        slot = read_slot(source, end, fill=fill)
    except LayoutError as error:
        return bundle.plus(problems=[error.problem])
    if slot.document is not None:
        section = Section(name="slot", span=Span(start=end, stop=source.size))
        bundle = bundle.plus(
            sections=[section],
            declared_size=source.size,
            document={**(bundle.document or {}), "slot": slot.document},
            release=_release(image, record, slot),
        )
    return bundle.plus(claims=slot.claims, complete=not bundle.problems)


def _sections(header: ImageHeader) -> tuple[Section, ...]:
    body = Span(start=header.header_size, stop=header.protected.start)
    sections = [Section(name="header", span=Span(start=0, stop=header.header_size)), Section(name="body", span=body)]
    if header.protected_size:
        sections.append(Section(name="protected TLVs", span=header.protected))
    return tuple(sections)


def _check_areas(image: _Image) -> None:
    """Check which TLVs are in which area, how often, and how large. Raises LayoutError."""
    seen: set[int] = set()
    for tlv in image.tlvs:
        where = tlv.entry
        if not tlv.protected and tlv.kind not in mcuboot.UNPROTECTED:
            message = f"the TLV {tlv.name} is not protected, so neither the image hash nor the signature covers it"
            raise LayoutError(Problem(rule="metadata-unprotected", message=message, where=where, subject=tlv.name))
        if tlv.protected and tlv.kind in mcuboot.UNPROTECTED:
            structure_fault(
                f"the TLV {tlv.name} is in the protected area, where it is not allowed", where.start, where.stop
            )
        size = mcuboot.SIZES.get(tlv.kind, len(tlv.value))
        if len(tlv.value) != size:
            message = f"the TLV {tlv.name} has {len(tlv.value)} bytes instead of {size}"
            structure_fault(message, where.start, where.stop)
        repeatable = tlv.kind in {mcuboot.DEPENDENCY, mcuboot.KEY_HASH, mcuboot.PUBLIC_KEY, *mcuboot.SIGNATURES}
        if tlv.kind in seen and not repeatable:
            message = f"the image has more than one TLV {tlv.name}"
            raise LayoutError(Problem(rule="metadata-malformed", message=message, where=where, subject=tlv.name))
        seen.add(tlv.kind)
    if len(seen & set(mcuboot.HASHES)) > 1:
        structure_fault(
            "the image has hashes of several algorithms instead of one", image.header.protected.stop, image.end
        )
    _check_encryption(image)


def _check_encryption(image: _Image) -> None:
    """An encrypted image has one encrypted key, of the size that its flag requires; others have none."""
    keys = [tlv for tlv in image.tlvs if tlv.kind in mcuboot.ENCRYPTED_KEYS]
    if len(keys) > 1 or bool(keys) != image.encrypted:
        message = f"the image has {len(keys)} encrypted keys, but its flags require {int(image.encrypted)}"
        where = keys[-1].entry if keys else Span(start=16, stop=20)
        structure_fault(message, where.start, where.stop)
    for tlv in keys:
        size = mcuboot.ENCRYPTED_KEYS[tlv.kind][image.header.has("encrypted-aes256")]
        if len(tlv.value) != size:
            message = f"the TLV {tlv.name} has {len(tlv.value)} bytes instead of {size}"
            structure_fault(message, tlv.entry.start, tlv.entry.stop)


def _check_values(image: _Image) -> None:
    """Values that must have a certain form, or fit others. Raises LayoutError."""
    found = image.hash
    for tlv in image.tlvs:
        start, stop = tlv.body.start, tlv.body.stop
        if tlv.kind == mcuboot.DEPENDENCY and any(tlv.value[1:4]):
            structure_fault("the reserved bytes of a dependency are not zero", start + 1, start + 4)
        if tlv.kind == mcuboot.PURE and tlv.value != b"\x01":
            structure_fault("the TLV signature-pure has a value other than 1", start, stop)
        size = mcuboot.HASH_SIZES[mcuboot.HASHES[tlv.kind]] if tlv.kind in mcuboot.HASHES else len(tlv.value)
        if len(tlv.value) != size:
            structure_fault(
                f"the TLV {tlv.name} has {len(tlv.value)} bytes instead of {size}", tlv.entry.start, tlv.entry.stop
            )
        if tlv.kind == mcuboot.DECOMPRESSED_HASH and found and len(tlv.value) != len(found.value):
            structure_fault("the hash of the decompressed image has another size than the image hash", start, stop)
    wanted = (mcuboot.DECOMPRESSED_SIZE, mcuboot.DECOMPRESSED_HASH)
    compressed = image.header.has("compressed-lzma1", "compressed-lzma2")
    if compressed and not all(map(image.one, wanted)):
        structure_fault("a compressed image must have size and hash of its decompressed content", 16, 20)
    if not compressed and any(map(image.one, wanted)):
        structure_fault("the image has TLVs of a compressed image, but its flags name no compression", 16, 20)


def _claimed(image: _Image, bundle: Bundle) -> Bundle:
    """The claims about the image. A claim about the slot is added later. Raises LayoutError."""
    whole = Span(start=0, stop=image.header.protected.stop)
    found, framed = image.hash, Span(start=whole.stop, stop=whole.stop + mcuboot.INFO.size)
    claims: list[ByteClaim] = [FramingClaim(subject="header of the TLVs", span=framed, checked=True)]
    signatures, accounted = read_signatures(image.tlvs, whole, found)
    claims += [
        # The image hash is compared, and the value of the flag for pure signatures is fixed.
        FramingClaim(subject=tlv.name, span=tlv.entry, checked=tlv.kind not in mcuboot.ENCRYPTED_KEYS)
        for tlv in image.tlvs
        if not tlv.protected and tlv not in accounted
    ]
    bundle = replace(bundle, signatures=signatures)
    if image.encrypted and signatures:
        # Hash and signature are over the plain text. Without it, not even the header is known to be the signed one.
        bundle = replace(bundle, unread=(ENCRYPTED, KEY_UNSIGNED))
    if found:
        expected = f"{mcuboot.HASHES[found.kind]}:{found.value.hex()}"
        claims.append(DigestClaim(subject="image", span=whole, expected=expected))
    if found is None and not image.one(mcuboot.PURE):
        message = "the image has no hash, so nothing shows whether it is intact"
        where = Span(start=whole.stop, stop=image.end)
        bundle = replace(bundle, problems=(Problem(rule="digest-weak", message=message, where=where),))
    head = found or next((tlv for tlv in reversed(image.tlvs) if tlv.kind in mcuboot.SIGNATURES), None)
    if head:
        entry = mcuboot.ENTRY.pack(head.kind, len(head.value)) + head.value
        bundle = replace(bundle, head=head.entry, head_bytes=entry)
    return replace(bundle, claims=tuple(claims))


def _release(image: _Image, record: dict[str, object] | None, slot: SlotRest | None = None) -> Release:
    """The statements of the image about itself: hardly more than its version."""
    header, found, counter = image.header, image.hash, image.one(mcuboot.COUNTER)
    names = [str(UUID(bytes=tlv.value)) for kind in (mcuboot.CLASS_ID, mcuboot.VENDOR_ID) if (tlv := image.one(kind))]
    component = record.get("type") if record else None
    digest = f"{mcuboot.HASHES[found.kind]}:{found.value.hex()}" if found else ""
    needed = (_dependency(tlv.value) for tlv in image.tlvs if tlv.kind == mcuboot.DEPENDENCY)
    demands = tuple(Demand(on="fact", key=f"mcuboot.image-{number}", at_least=version) for number, version in needed)
    terms = Terms(demands=demands, unnamed=not names)
    return Release(
        product=(*names, str(component or NO_NAME))[0],
        version=header.version,
        scheme="semver",
        terms=terms if terms != NO_TERMS else UNSET,
        counter=int.from_bytes(counter.value, "little") if counter else None,
        parts=(Part(label="image", version=header.version, size=header.image_size, digest=digest),),
        annotations=_annotations(image, slot),
    )


def _annotations(image: _Image, slot: SlotRest | None) -> dict[str, str]:
    """Other values that people look for. The trailer of a slot is not signed; all other values are."""
    found: dict[str, str] = {}
    flags = [name for bit, name in mcuboot.FLAGS.items() if image.header.flags & bit]
    if flags:
        found["mcuboot-flags"] = ", ".join(flags)
    needed = [_dependency(tlv.value) for tlv in image.tlvs if tlv.kind == mcuboot.DEPENDENCY]
    if needed:
        found["mcuboot-dependencies"] = ", ".join(f"image {number} at least {version}" for number, version in needed)
    if vendor := image.one(mcuboot.VENDOR_ID):
        found["mcuboot-vendor"] = str(UUID(bytes=vendor.value))
    trailer = slot.document if slot else None
    if trailer and "image-ok" in trailer:
        found["mcuboot-slot"] = "confirmed" if trailer["image-ok"] else "test"
    return found


def _dependency(value: bytes) -> tuple[int, str]:
    """The number of the image that must be installed, and its lowest version."""
    revision, build = int.from_bytes(value[6:8], "little"), int.from_bytes(value[8:12], "little")
    return value[0], f"{value[4]}.{value[5]}.{revision}+{build}"


def _header_document(header: ImageHeader) -> dict[str, object]:
    return {
        "version": header.version,
        "load-address": header.load_address,
        "header-size": header.header_size,
        "image-size": header.image_size,
        "protected-size": header.protected_size,
        "flags": [name for bit, name in mcuboot.FLAGS.items() if header.flags & bit],
    }


def _document(image: _Image, record: dict[str, object] | None = None) -> dict[str, object]:
    """The image as plain JSON values."""
    return {
        "header": _header_document(image.header),
        "protected": [_tlv_document(tlv, record) for tlv in image.tlvs if tlv.protected],
        "unprotected": [_tlv_document(tlv, record) for tlv in image.tlvs if not tlv.protected],
    }


def _tlv_document(tlv: Tlv, record: dict[str, object] | None) -> dict[str, object]:
    value = tlv.value
    match tlv.kind:
        case mcuboot.COUNTER | mcuboot.DECOMPRESSED_SIZE | mcuboot.DECRYPTED_SIZE:
            return {"type": tlv.name, "value": int.from_bytes(value, "little")}
        case mcuboot.CLASS_ID | mcuboot.VENDOR_ID if len(value) == 16:
            return {"type": tlv.name, "value": str(UUID(bytes=value))}
        case mcuboot.DEPENDENCY if len(value) == 12:
            number, version = _dependency(value)
            return {"type": tlv.name, "image": number, "at-least": version}
        case mcuboot.BOOT_RECORD if record is not None:
            return {"type": tlv.name, "value": record}
    return {"type": tlv.name, "value": value.hex()}


# --- the same, inside of Intel HEX ---


def _without_holes(bundle: Bundle, gaps: Sequence[Span]) -> Bundle:
    """A gap in the middle of the image is a fault: what the flash memory has there is unknown."""
    end = next((one.span.stop for one in bundle.sections if one.name == "TLVs"), 0)
    gap = next((gap for gap in gaps if gap.start < end), None)
    if gap is None:
        return bundle
    message = f"the HEX file lacks {gap.size} bytes of the image"
    problem = Problem(rule="structure-malformed", message=message, where=gap)
    return bundle.plus(problems=[problem], complete=False)


def _in_stream(bundle: Bundle) -> Bundle:
    """The same bundle, its spans those of the decoded stream."""

    def moved(span: Span) -> Span:
        return replace(span, stream=HEX)

    def signature(claim: SignatureClaim) -> SignatureClaim:
        signed = tuple(moved(span) for span in claim.signed)
        return replace(claim, signed=signed, blob=moved(claim.blob), entry=moved(claim.entry))

    known: dict[str, Any] = {
        "sections": tuple(replace(one, span=moved(one.span)) for one in bundle.sections),
        "claims": tuple(replace(one, span=moved(one.span)) for one in bundle.claims),
        "problems": tuple(replace(one, where=moved(one.where) if one.where else None) for one in bundle.problems),
        "head": moved(bundle.head) if bundle.head else None,
        "signatures": None if bundle.signatures is None else tuple(map(signature, bundle.signatures)),
    }
    return replace(bundle, **known)
