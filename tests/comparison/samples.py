"""Bundles to compare, made in memory, and the comparison of two of them."""

import datetime as dt

from msgspec.structs import replace

import bundlekit
from bundlekit.layout import update_bin
from bundlekit.model.manifest import Component, Image
from bundlekit.source import BytesSource
from fixtures import forge, mcuboot_image, spoil_rauc
from fixtures.make_rauc import FOLDER

AT = dt.datetime.fromisoformat(forge.AT)
CHUNK = 65536
UNSIGNED = forge.write(sign=lambda _: [])
OFFICES = forge.policy(forge.offices())
VERITY = spoil_rauc.opened((FOLDER / "verity.raucb").read_bytes())


def compared(old, new, **options):
    """The comparison of two files in memory, at the time of the fixtures."""
    options.setdefault("at", AT)
    return bundlekit.compare(BytesSource(old, name="old.bin"), BytesSource(new, name="new.bin"), **options)


def chunked(*chunks, sign=forge.BY_SIGNER, manifest=forge.MANIFEST):
    """A bundle whose appliance image has these chunks; all but the last have 64 KiB."""
    data = b"".join(chunks)
    index = b"".join(bytes.fromhex(forge.digest(chunk).partition(":")[2]) for chunk in chunks)
    image = Image(size=len(data), digest=forge.digest(data), chunk_size=CHUNK, index=forge.digest(index))
    manifest = replace(manifest, components=(Component(name="appliance", version=manifest.version, images=(image,)),))
    file = bytearray(forge.write(manifest, contents=(data,), sign=sign))
    (placed,) = update_bin.place(manifest, forge.section(bytes(file), "signatures").stop).placed
    first = placed.index.start  # forge writes one digest for each image
    file[first : first + len(index) // len(chunks)] = index
    return bytes(file)


def mcuboot(key="p256", *, minor=2, **changes):
    """A signed MCUboot image of version 1.minor.3+45."""
    content = forge.put(mcuboot_image.content(**changes), 21, bytes([minor]))
    return mcuboot_image.image(content, (), key)


def rauc(payload=VERITY.payload, signer="signer", *, version="2026.11-1"):
    """A signed RAUC bundle in the verity format."""
    parts = spoil_rauc.opened(spoil_rauc.with_payload(VERITY, payload))
    return parts.signed(parts.manifest.replace(b"version=2026.11-1", b"version=" + version.encode(), 1), signer)


def regions(comparison, *, ignored=False):
    """The regions that count, by name."""
    return {one.region: one for one in comparison.regions if one.ignored == ignored}


def spans(region):
    """The ranges of a region in the new file."""
    return [(one.new.start, one.new.stop) for one in region.ranges]


def obstacles(comparison):
    return [(one.rule, one.subject) for one in comparison.obstacles]
