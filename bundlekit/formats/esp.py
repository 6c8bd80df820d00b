"""ESP-IDF images with secure boot v2: applications and bootloaders for the ESP32 family.

The image itself is read by `bundlekit.layout.esp.image`, its signatures by `bundlekit.layout.esp.signature`.
``bundlekit explain esp`` describes what is checked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from bundlekit.errors import LayoutError
from bundlekit.layout.esp import flash as esp_flash
from bundlekit.layout.esp import image as esp_image
from bundlekit.layout.esp import signature as esp_signature
from bundlekit.layout.esp.image import fault, need
from bundlekit.layout.esp.signature import ERASED, SECTOR
from bundlekit.model.bundle import (
    Bundle,
    ByteClaim,
    DigestClaim,
    Problem,
    Section,
    SignatureClaim,
    Span,
    Unread,
    ZeroClaim,
)
from bundlekit.model.release import NO_TERMS, Demand, Part, Release, Terms
from bundlekit.model.rule import SIGNATURE_RULES
from bundlekit.source import read as read_span
from bundlekit.wording import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bundlekit.layout.esp.chips import EspChip
    from bundlekit.layout.esp.image import EspDescription, EspHeader, EspLayout
    from bundlekit.layout.esp.signature import EspBlock
    from bundlekit.model.bundle import Aspect
    from bundlekit.source import Source

ASPECTS: Final[frozenset[Aspect]] = frozenset({"structure", "loader", "metadata", "content"})

V1_SIZES: Final = (68, 80)
"""The signature of secure boot v1: a version word, which is zero, and 64 bytes without a key. Or it is filled up to a
multiple of 16 bytes, as the encryption of the flash needs it."""

V1_VERSION: Final = bytes(4)
MAX_BLANK: Final = 16 * 1024 * 1024
"""Bytes after an unsigned image that are read to distinguish erased flash from data: the largest usual flash."""

BLANK_STEP: Final = 256 * 1024


def read(source: Source) -> Bundle:
    """Read header, segment headers, description and signature sector: about 5 KiB, whatever the size of the image."""
    bundle = Bundle(format="esp", aspects=ASPECTS, size=source.size)
    try:
        _refuse_merged_behind_fill(source)
        header = esp_image.read_esp_header(source)
        layout = esp_image.read_esp_layout(source, header)
        bundle = _image(bundle, header, layout, source)
        description = esp_image.read_esp_description(source, header, layout)
        bundle = bundle.plus(problems=esp_image.unloadable(header, layout, description.page))
        bundle = _described(bundle, header, layout, description)
        return _rest(source, bundle, header, layout, description)
    except LayoutError as error:
        return bundle.plus(problems=[error.problem])


# --- the image ---


def _image(bundle: Bundle, header: EspHeader, layout: EspLayout, source: Source) -> Bundle:
    """The parts of the image, and what it claims of its own bytes."""
    sections = [Section(name="header", span=Span(start=0, stop=esp_image.HEADER.size))]
    for number, segment in enumerate(layout.segments):
        sections.append(
            Section(name=f"segment {number}", span=Span(start=segment.header.start, stop=segment.data.stop))
        )
    sections.append(Section(name="checksum", span=layout.checksum))
    claims: list[ByteClaim] = [
        # Under XOR the headers of the segments and the padding are constants, so one pass over everything is enough.
        DigestClaim(
            subject="segments",
            span=Span(start=esp_image.HEADER.size, stop=layout.checksum.stop),
            expected=f"xor8:{layout.folded:02x}",
            of="checksum",
        )
    ]
    if layout.digest:
        sections.append(Section(name="appended digest", span=layout.digest))
        expected = f"sha256:{read_span(source, layout.digest).hex()}"
        span = Span(start=0, stop=layout.digest.start)
        claims.append(DigestClaim(subject="image (appended digest)", span=span, expected=expected))
    problems = []
    if header.chip is None:
        message = f"bundlekit does not know the chip with the id {header.chip_id}, so it cannot check the addresses"
        problems.append(Problem(rule="tool-too-old", message=message, where=Span(start=12, stop=14)))
    return bundle.plus(sections=sections, claims=claims, problems=problems)


def _described(bundle: Bundle, header: EspHeader, layout: EspLayout, description: EspDescription) -> Bundle:
    """What the image claims to be, as a release and as plain values."""
    chip = header.chip.name if header.chip else f"chip-{header.chip_id}"
    annotations = {
        "esp-image": description.kind,
        "esp-chip-revisions": _range(header.min_revision, header.max_revision),
        "esp-efuse-block-revisions": _range(description.min_efuse, description.max_efuse),
        "esp-idf": description.idf,
        "esp-built": description.built,
        "esp-elf-sha256": description.elf_digest.strip("0") and description.elf_digest,
    }
    release = Release(
        product=description.project or f"{chip}-{description.kind}",
        version=description.version,
        models=(chip,),
        counter=description.counter,
        parts=(Part(label=description.kind, version=description.version, size=layout.stop, digest=""),),
        annotations={name: value for name, value in annotations.items() if value},
        terms=_terms(header, description),
    )
    document: dict[str, object] = {
        "chip": chip,
        "entry": f"0x{header.entry:08x}",
        "flash": {
            "frequency": esp_image.FLASH_SPEEDS[header.flash_speed],
            "mode": esp_image.FLASH_MODES[header.flash_mode],
            "size": esp_image.FLASH_SIZES[header.flash_size],
        },
        "chip-revisions": {"from": header.min_revision, "to": header.max_revision},
        "digest-appended": header.digest_appended,
        "segments": [{"address": f"0x{one.address:08x}", "size": one.data.size} for one in layout.segments],
        "description": _plain(description),
    }
    return bundle.plus(release=release, document=document)


def _terms(header: EspHeader, description: EspDescription) -> Terms | UnsetType:
    """The revisions that the loader compares. It compares the highest one of a chip for applications only."""
    highest = header.max_revision if description.kind == "app" else 0
    ranges = (
        ("esp.chip-revision", header.min_revision, highest),
        ("esp.efuse-block-revision", description.min_efuse, description.max_efuse),
    )
    demands = tuple(
        Demand(
            on="fact",
            key=key,
            at_least=esp_image.revision(low) if low else "",
            at_most=esp_image.revision(high) if high not in esp_image.ANY_REVISION else "",
        )
        for key, low, high in ranges
        if low or high not in esp_image.ANY_REVISION
    )
    terms = Terms(demands=demands, unnamed=not description.project)
    return terms if terms != NO_TERMS else UNSET


def _plain(description: EspDescription) -> dict[str, object]:
    """The fields that the description has, as plain values."""
    fields = description._asdict().items()
    return {name.replace("_", "-"): value for name, value in fields if value not in (None, "")}


def _range(lowest: int, highest: int) -> str:
    """The revisions from lowest to highest; empty if all are fine."""
    parts = [f"{esp_image.revision(lowest)} or later"] if lowest else []
    parts += [f"{esp_image.revision(highest)} or earlier"] if highest not in esp_image.ANY_REVISION else []
    return ", ".join(parts)


# --- what follows the image ---


def _rest(source: Source, bundle: Bundle, header: EspHeader, layout: EspLayout, description: EspDescription) -> Bundle:
    """Padding and signatures. The loader looks for them at the next sector after the image, and so does this."""
    stop = layout.stop
    sector = -(-stop // SECTOR) * SECTOR
    if source.size - stop in V1_SIZES and read_span(source, Span(start=stop, stop=stop + 4)) == V1_VERSION:
        return _version_one(bundle, Span(start=stop, stop=source.size))
    if source.size <= sector:
        return _unsigned(source, bundle, Span(start=stop, stop=source.size))
    start = read_span(source, Span(start=sector, stop=sector + 1))[0]
    if start == esp_signature.MAGIC:
        need(source, sector + SECTOR, "the signature sector")
    elif source.size != sector + SECTOR or start == ERASED:
        return _something_else(source, bundle, Span(start=stop, stop=source.size))
    signed, area = Span(start=0, stop=sector), Span(start=sector, stop=sector + SECTOR)
    raw = read_span(source, area)
    blocks, rest = esp_signature.read_blocks(raw, sector)
    bundle = _signatures(bundle, blocks, signed, area)
    head = blocks[0].digest_span
    sections = [Section(name=f"signature block {number}", span=block.span) for number, block in enumerate(blocks)]
    if sector > stop:
        sections.insert(0, Section(name="padding", span=Span(start=stop, stop=sector)))
    problems = list(_for_other_chips(header.chip, blocks))
    if source.size > area.stop:
        if found := esp_flash.find_table(source, area.stop):
            raise LayoutError(_merged(source, *found))
        problems.append(_surplus(source, area.stop))
    return bundle.plus(
        sections=[*sections, Section(name="erased flash", span=rest)],
        claims=[ZeroClaim(subject="padding", span=rest, fill=ERASED)],
        problems=problems,
        area=area,
        head=head,
        head_bytes=raw[head.start - sector : head.stop - sector],
        declared_size=area.stop,
        complete=True,
    )


def _for_other_chips(chip: EspChip | None, blocks: Sequence[EspBlock]) -> Iterator[Problem]:
    """What the ROM of the chip does not verify.

    It ignores a block that is not of its scheme. It refuses the image only if no block remains.
    """
    usable = chip is None or chip.preview or any(block.scheme in chip.schemes for block in blocks[: chip.blocks])

    def problem(block: EspBlock, message: str) -> Problem:
        where = Span(start=block.span.start, stop=block.span.start + 2)
        return Problem(rule=esp_image.UNCERTAIN if usable else esp_image.UNSUPPORTED, message=message, where=where)

    for number, block in enumerate(blocks):
        if chip and block.scheme not in chip.schemes:
            fine = " or ".join(one for one in chip.schemes if one != "ecdsa-p192")
            yield problem(block, f"signature block {number} is {block.scheme}, but the {chip.name} needs {fine}")
        elif block.scheme != blocks[0].scheme:
            message = f"signature block {number} is {block.scheme}, and block 0 is {blocks[0].scheme}"
            yield problem(block, f"{message}: a chip verifies only one of the two schemes")
        elif chip and number >= chip.blocks:
            yield problem(block, f"the {chip.name} reads only signature block 0, and this is block {number}")


def _signatures(bundle: Bundle, blocks: Sequence[EspBlock], signed: Span, area: Span) -> Bundle:
    """The claims of the signature blocks."""
    claims = tuple(
        SignatureClaim(
            index=index,
            signed=(signed,),
            blob=block.signature_span,
            entry=block.span,
            form="raw",
            value=block.signature,
            candidates=(block.algorithm,),
            key=block.key,
            exact_salt=True,
            device_key=f"sha256:{block.key_digest}",
        )
        for index, block in enumerate(blocks)
    )
    digests: dict[str, DigestClaim] = {}
    for number, block in enumerate(blocks):
        subject = f"image (signature block {number})"
        digests.setdefault(block.digest, DigestClaim(subject=subject, span=signed, expected=block.digest))
    release, document = bundle.release, bundle.document
    if release is not None and document is not None:
        named = {f"esp-key-digest-{number}": block.key_digest for number, block in enumerate(blocks)}
        parts = tuple(replace(part, size=signed.size, digest=blocks[0].digest) for part in release.parts)
        release = replace(release, annotations=release.annotations | named, parts=parts)
        document = document | {
            "signatures": [
                {"scheme": block.scheme, "image-digest": block.digest, "key-digest": block.key_digest}
                for block in blocks
            ]
        }
    return bundle.plus(claims=digests.values(), signatures=claims, release=release, document=document)


def _unsigned(source: Source, bundle: Bundle, padding: Span) -> Bundle:
    """An image without signature. It ends where the loader expects, or is filled up to the next sector."""
    if padding.size and source.size % SECTOR:
        if not _blank(source, padding):
            return _without_signature(source, bundle, padding)
        need(source, -(-padding.stop // SECTOR) * SECTOR, "the padding after the image")
    claims = [ZeroClaim(subject="padding", span=padding, fill=ERASED)] if padding.size else []
    sections = [Section(name="padding", span=padding)] if padding.size else []
    return bundle.plus(sections=sections, claims=claims, signatures=(), declared_size=source.size, complete=True)


def _version_one(bundle: Bundle, where: Span) -> Bundle:
    """An image that ends like one with secure boot v1. Its signature contains no key, and is not checked."""
    reason = "it seems to be signed for secure boot v1, which bundlekit does not check"
    step = "Verify it with `espsecure verify-signature --version 1` and the public key, or sign for secure boot v2."
    return bundle.plus(
        sections=[Section(name="signature of secure boot v1", span=where)],
        unread=(Unread(rules=(*SIGNATURE_RULES, "uncovered-bytes"), reason=reason, next=step),),
        declared_size=bundle.size,
        complete=True,
    )


def _something_else(source: Source, bundle: Bundle, rest: Span) -> Bundle:
    """Other bytes follow the image: a whole flash, erased flash, a misplaced signature sector, or anything."""
    if found := esp_flash.find_table(source, rest.start):
        raise LayoutError(_merged(source, *found))
    if source.size % SECTOR == 0 and _blank(source, rest):
        return _unsigned(source, bundle, rest)
    last = Span(start=source.size - SECTOR, stop=source.size)
    expected = -(-rest.start // SECTOR) * SECTOR
    if last.start >= rest.start and read_span(source, last)[:2] in esp_signature.STARTS:
        message = f"the signature sector is at 0x{last.start:x}, but loaders look for it at 0x{expected:x}"
        raise fault(message, last)
    return _without_signature(source, bundle, rest)


def _without_signature(source: Source, bundle: Bundle, rest: Span) -> Bundle:
    """An image with bytes after it that are neither erased flash nor signatures."""
    return bundle.plus(problems=[_surplus(source, rest.start)], signatures=(), declared_size=rest.start, complete=True)


def _blank(source: Source, span: Span) -> bool:
    """Whether the span is erased flash."""
    if span.size > MAX_BLANK:
        return False
    pieces = (
        read_span(source, Span(start=at, stop=min(at + BLANK_STEP, span.stop)))
        for at in range(span.start, span.stop, BLANK_STEP)
    )
    return all(piece.count(ERASED) == len(piece) for piece in pieces)


def _surplus(source: Source, stop: int) -> Problem:
    message = f"{count(source.size - stop, 'byte')} after the {count(stop, 'byte')} of the image and its signatures"
    return Problem(
        rule="trailing-data",
        message=message,
        where=Span(start=stop, stop=source.size),
        params={"expected": stop, "found": source.size},
    )


# --- merged flash images ---


def _refuse_merged_behind_fill(source: Source) -> None:
    """Raise LayoutError for a merged flash image whose bootloader is not at its start."""
    if source.size and read_span(source, Span(start=0, stop=1))[0] == esp_image.MAGIC:
        return
    found = esp_flash.find_table(source, SECTOR)
    raise LayoutError(_merged(source, *(found or (0, []))))


def _merged(source: Source, table: int, entries: list[esp_flash.FlashPartition]) -> Problem:
    """What a merged flash image is, and where the applications in it are."""
    message = "this is a merged flash image of ESP-IDF"
    spans = []
    if entries:
        message += f", with a partition table at 0x{table:x}"
    for partition, span in esp_flash.applications(source, entries):
        message += f"; the application of partition {partition.label!r} is at {span}"
        spans.append(span)
    return Problem(
        rule="not-a-bundle",
        message=message + ("" if spans else "; no application was found in it"),
        where=spans[0] if spans else Span(start=0, stop=min(SECTOR, source.size)),
        params={"format": "esp-merged"},
    )
