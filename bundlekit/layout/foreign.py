"""Recognise by content the format of a file that is not an update.bin: one table, from the special to the general.

A recognised file is not a damaged bundle. It has a cause of its own (`unsupported-format`), a name, and a next step.
The tests read the first 36 KiB, which reach the volume descriptor of an ISO image. They also read the last 64 bytes,
and the beginning of a signature whose size is in the last eight.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, get_args

from bundlekit.layout.cms_types import ENVELOPED_DATA, SIGNED_DATA
from bundlekit.model.bundle import OtherFormat, Span
from bundlekit.source import read

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bundlekit.layout.update_bin import Header
    from bundlekit.source import Source

START: Final = 36 * 1024
END: Final = 64
SECTOR: Final = 512


class FileView(NamedTuple):
    """The examined parts of a file: its first bytes, its last ones, the bytes that those point to, and its size.

    A part that is not available, such as that of a head, is empty. ``look`` reads up to `END` bytes at an offset.
    """

    start: bytes
    end: bytes
    trailer: bytes
    size: int
    look: Callable[[int], bytes]

    def at(self, offset: int, *magics: bytes) -> bool:
        """Whether one of ``magics`` is at ``offset``."""
        return self.start.startswith(magics, offset)


class ForeignKind(NamedTuple):
    """A kind of file: a name for programs, a name for messages, the next step, and the test that recognises it."""

    name: str
    what: str
    next: str
    matches: Callable[[FileView], bool]


def view(source: Source) -> FileView:
    """The first and the last bytes of ``source``, as far as it has them."""

    def look(at: int) -> bytes:
        return read(source, Span(start=min(at, source.held), stop=min(at + END, source.held)))

    start = read(source, Span(start=0, stop=min(source.held, START)))
    if not source.held >= source.size >= END:
        return FileView(start, b"", b"", source.size, look)
    end = read(source, Span(start=source.size - END, stop=source.size))
    trailer, at = b"", source.size - 8 - int.from_bytes(end[-8:], "big")
    if 0 <= at <= source.size - END:
        trailer = read(source, Span(start=at, stop=at + END))
    return FileView(start, end, trailer, source.size, look)


def recognised(seen: FileView) -> ForeignKind | None:
    """The first kind that matches the file; None if no known kind matches."""
    return next((kind for kind in KINDS.values() if kind.matches(seen)), None)


GET_IT: Final = "Get the bundle of the release from the vendor."
UNPACK: Final = "Unpack it. If a bundle is inside, give that file."
DOWNLOAD: Final = "Download the file again, and sign in first if the site asks for it."
MERGED: Final = (
    "Give the application image of the build. Or cut it out of this file at the offsets in the message, for example "
    "with `dd`."
)
OTHER_TOOL: Final = (
    "Use the tool for this format, or get the update.bin of the release from the vendor. "
    "`bundlekit explain formats` lists the formats that `bundlekit check` reads."
)


def _begins(*magics: bytes) -> Callable[[FileView], bool]:
    return lambda seen: seen.start.startswith(magics)


def _stands(offset: int, *magics: bytes) -> Callable[[FileView], bool]:
    return lambda seen: seen.at(offset, *magics)


def _text(seen: FileView) -> bytes:
    return seen.start[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()


def _is_rauc(seen: FileView) -> bool:
    """An image, encrypted or not, followed by a CMS signature or envelope and the size of that."""
    if seen.trailer[:1] == b"\x30" and any(kind in seen.trailer[:24] for kind in (SIGNED_DATA, ENVELOPED_DATA)):
        return True
    from bundlekit.layout.rauc import signature as rauc_signature

    if not seen.at(0, b"hsqs"):
        return bool(seen.end) and rauc_signature.encrypted_signature(seen.look, seen.size) is not None
    return rauc_signature.is_damaged(seen.look, seen.start, seen.size)


def _is_swupdate(seen: FileView) -> bool:
    """A cpio archive with the names of a SWUpdate image, which it should begin with."""
    names = (b"sw-description\0", b"sw-description.sig\0")
    return seen.at(0, b"070701", b"070702") and any(name in seen.start for name in names)


def _is_esp_image(seen: FileView, start: int = 0) -> bool:
    """Most of what an ESP-IDF image has in its header. A damaged one lacks some of it, and is still called by its name.

    The parts are the number of segments, flash mode, chip id, reserved bytes and the flag of the appended digest.
    Two others are the description of an application, and an entry point in the memory for instructions.
    """
    header = seen.start[start : start + 24]
    if len(header) < 24 or header[0] != 0xE9 or (start == 0 and _is_esp8266(seen)):
        return False
    parts = (
        1 <= header[1] <= 16,
        header[2] <= 5,
        header[12] <= 0x3F and header[13] == 0,
        header[19:23] == bytes(4),
        header[23] <= 1,
        seen.at(start + 32, b"\x32\x54\xcd\xab"),
        header[7] in (0x2F, 0x40, 0x42, 0x4F),
    )
    return sum(parts) >= 5


def _is_esp8266(seen: FileView) -> bool:
    """An image for the ESP8266: a header of 8 bytes, and addresses of entry and first segment in its memory."""
    entry, address = (int.from_bytes(seen.start[at : at + 4], "little") for at in (4, 8))
    places = ((0x40100000, 0x40110000), (0x3FFE8000, 0x40000000), (0x40200000, 0x40400000))
    plain = seen.at(0, b"\xe9") and any(start <= address < stop for start, stop in places)
    for_loader = seen.at(0, b"\xea\x04") and address == 0  # two headers, and the code for the flash comes first
    return (plain or for_loader) and places[0][0] <= entry < places[0][1]


def _is_esp_flash(seen: FileView) -> bool:
    """A merged flash image that begins with erased flash: a bootloader comes at the second or third sector."""
    return any(seen.start.startswith(b"\xff" * at) and _is_esp_image(seen, at) for at in (0x1000, 0x2000))


def _is_tar(seen: FileView) -> bool:
    """A tar header contains its own checksum, which also identifies old archives without magic."""
    header = seen.start[:SECTOR]
    if len(header) < SECTOR or not header[0]:
        return False
    digits = header[148:156].strip(b" \0")
    if not re.fullmatch(rb"[0-7]{1,7}", digits):
        return False
    return sum(header) - sum(header[148:156]) + 8 * ord(" ") == int(digits, 8)


def _is_mender(seen: FileView) -> bool:
    """An archive that begins with ``version`` and ``manifest``. One of its marks can be damaged, or out of order."""
    states = b'"mender"' in seen.start[SECTOR : 4 * SECTOR]
    named = seen.at(0, b"version\0", b"manifest\0")
    follows = seen.at(2 * SECTOR, b"version\0", b"manifest")
    return seen.at(257, b"ustar") + named + follows + states >= (2 if states else 3)


def _is_android_package(seen: FileView) -> bool:
    names = (b"META-INF/com/android/", b"META-INF/com/google/android/", b"payload.bin")
    return seen.at(0, b"PK\x03\x04") and any(name in seen.start for name in names)


def _is_cabinet_for_firmware(seen: FileView) -> bool:
    return seen.at(0, b"MSCF") and b".metainfo.xml\0" in seen.start


def _is_fit(seen: FileView) -> bool:
    return seen.at(0, b"\xd0\x0d\xfe\xed") and b"images\0" in seen.start


def _is_intel_hex(seen: FileView) -> bool:
    """A line of hexadecimal bytes whose sum is zero."""
    line = re.match(rb":((?:[0-9A-Fa-f]{2}){5,255})[\r\n]", seen.start)
    return line is not None and sum(bytes.fromhex(line[1].decode())) % 256 == 0


_MCUBOOT: Final = (b"\x3d\xb8\xf3\x96", b"\x3c\xb8\xf3\x96", b"\x96\xf3\xb8\x3d")
"""The magic of an image; that of version 1 of the format; that of an image in big-endian order."""


def _is_mcuboot(seen: FileView) -> bool:
    """The magic of an image, perhaps as Intel HEX."""
    if not seen.at(0, b":"):
        return seen.start.startswith(_MCUBOOT)
    from bundlekit.layout.mcuboot.intel_hex import first_bytes  # only for such a file

    return first_bytes(seen.start).startswith(_MCUBOOT)


def _is_s_record(seen: FileView) -> bool:
    line = re.match(rb"S[0-9]((?:[0-9A-Fa-f]{2}){4,255})[\r\n]", seen.start)
    return line is not None and sum(bytes.fromhex(line[1].decode())) % 256 == 0xFF


def _is_pe(seen: FileView) -> bool:
    offset = int.from_bytes(seen.start[60:64], "little")
    return seen.at(0, b"MZ") and seen.at(offset, b"PE\0\0")


def _is_mbr(seen: FileView) -> bool:
    """A boot sector whose partition table has only plausible entries, and at least one."""
    if not seen.at(510, b"\x55\xaa"):
        return False
    entries = [seen.start[at : at + 16] for at in range(446, 510, 16)]
    return all(entry[0] in (0, 0x80) for entry in entries) and any(entry[4] for entry in entries)


def _is_web_page(seen: FileView) -> bool:
    return _text(seen).startswith((b"<!doctype html", b"<html", b"<head", b"<body", b"<!-- ", b"<script"))


def _is_json(seen: FileView) -> bool:
    return re.match(rb'\{\s*["}]|\[\s*[\[{"\]0-9]', _text(seen)) is not None


def _is_der(seen: FileView) -> bool:
    """A DER sequence that is as long as the file: a certificate, a key, a signature."""
    start = seen.start
    if len(start) < 4 or start[0] != 0x30 or not 0x81 <= start[1] <= 0x84:
        return False
    count = start[1] - 0x80
    return int.from_bytes(start[2 : 2 + count], "big") + 2 + count == seen.size


def _is_cms(seen: FileView) -> bool:
    return _is_der(seen) and (SIGNED_DATA in seen.start[:32] or ENVELOPED_DATA in seen.start[:32])


OWN: Final = "bundlekit-"
"""The prefix of the names of bundlekit's own kinds."""

# Compiled when a file needs them: that takes 4 ms, and no bundle needs them.
_SCHEMA: Final = rb'"schema" ?: ?"bundlekit/([a-z-]{1,40})/[0-9]'
_TOML: Final = rb"(?m)^(spec|matrix|trust|advisory|waivers|plan|config)[ \t]*=[ \t]*[0-9]+[ \t]*(?:#.*)?\r?$"
_RECORD: Final = rb"[0-9a-f]{64}\nsha256:[0-9a-f]{64}\n"


def _has_schema(name: str) -> Callable[[FileView], bool]:
    def matches(seen: FileView) -> bool:
        found = re.search(_SCHEMA, seen.start[:4096]) if _is_json(seen) else None
        return found is not None and found[1].decode() == name

    return matches


def _is_toml(key: str) -> Callable[[FileView], bool]:
    def matches(seen: FileView) -> bool:
        found = re.search(_TOML, seen.start[:4096])
        return found is not None and found[1].decode() == key

    return matches


def _never(_: FileView) -> bool:
    return False


def _own(name: str, what: str, step: str, matches: Callable[[FileView], bool]) -> ForeignKind:
    return ForeignKind(f"{OWN}{name}", what, step, matches)


GIVE_BUNDLE: Final = "Give the bundle here."
ADVISORIES: Final = f"{OWN}advisories"

_OUR_ROWS: Final = (
    _own(
        "advisories",
        "an advisories file of bundlekit",
        "Show it with `bundlekit advisory show`, and give it with {advisories} and a bundle.",
        _begins(b"\x8aBKA\r\n\x1a\n"),
    ),
    _own(
        "head",
        "only the head of a bundle, which signatures cover",
        "Show it with `bundlekit inspect`, sign it elsewhere, and attach the signature to the bundle.",
        _never,  # it begins like a bundle: see `part_of_a_bundle`
    ),
    _own(
        "catalog-head",
        "only the head and the signatures of a bundle, as stored in a catalog",
        "Validate it with `bundlekit preflight` and {size}, or give the whole update.bin.",
        _never,
    ),
    _own(
        "record",
        "the record of an interrupted signing",
        "Run `bundlekit sign` on the bundle.",
        lambda seen: re.match(_RECORD, seen.start) is not None,
    ),
    _own(
        "state",
        "the state of a pair (STATE.json)",
        "Give it with {appliance} and a bundle.",
        _has_schema("state"),
    ),
    _own("catalog", "the index of a catalog", "Give the folder of the catalog with {catalog}.", _has_schema("catalog")),
    _own("report", "a report of bundlekit", GIVE_BUNDLE, _has_schema("report")),
    _own("inspection", "the output of `bundlekit inspect`", GIVE_BUNDLE, _has_schema("inspection")),
    _own("path", "an upgrade path, as `bundlekit path` writes it", GIVE_BUNDLE, _has_schema("path")),
    _own("spec", "a SPEC.toml", "Build the bundle with `bundlekit build`, and give that.", _is_toml("spec")),
    _own(
        "matrix",
        "a matrix.toml",
        "Give it with {matrix} and a bundle, or run `bundlekit matrix lint` on it.",
        _is_toml("matrix"),
    ),
    _own("trust", "a trust.toml", "Give it with {trust} and a bundle.", _is_toml("trust")),
    _own("advisory", "an ADVISORY.toml", "Build it with `bundlekit advisory build`.", _is_toml("advisory")),
    _own("waivers", "a waivers file", "Give it with {waivers} and a bundle.", _is_toml("waivers")),
    _own("config", "a project file (bundlekit.toml)", "Give it with {config} and a bundle.", _is_toml("config")),
    _own("plan", "an update plan", "Give it with {plan} to `bundlekit update`.", _is_toml("plan")),
    _own("journal", "an SQLite database, perhaps the journal of updates", GIVE_BUNDLE, _begins(b"SQLite format 3\0")),
)


def named(params: Mapping[str, str | int]) -> ForeignKind | None:
    """The kind of file that a problem with ``params`` names; None if it names none."""
    return KINDS.get(str(params.get("format", "")))


def only(kind: ForeignKind, limit: str = "") -> str:
    """The text that a message adds to the name of a kind. ``limit`` is that for a kind from elsewhere."""
    if kind.name.startswith(OWN):
        return "it is not a bundle"
    if not limit and kind.name in ("advisories", *get_args(OtherFormat)):
        return "only an update.bin or a detached head can be used here"
    return limit or "bundlekit does not read files of this kind"


def part_of_a_bundle(size: int, header: Header) -> str:
    """The kind of a file that begins like a bundle and ends with its head or its signatures; empty for others."""
    ends = {header.head.stop: f"{OWN}head", header.area.stop: f"{OWN}catalog-head"}
    return ends.get(size, "")


_ROWS: Final = (
    *_OUR_ROWS,
    # Bundles of other update tools.
    ForeignKind("rauc", "a RAUC bundle", OTHER_TOOL, _is_rauc),
    ForeignKind("swupdate", "a SWUpdate image", OTHER_TOOL, _is_swupdate),
    ForeignKind("mender", "a Mender artifact", OTHER_TOOL, _is_mender),
    ForeignKind("mcuboot", "an MCUboot image", OTHER_TOOL, _is_mcuboot),
    ForeignKind("esp", "an ESP-IDF image", OTHER_TOOL, lambda seen: _is_esp_image(seen) or _is_esp_flash(seen)),
    ForeignKind("esp-merged", "a merged flash image of ESP-IDF", MERGED, _never),  # found by the reader of esp
    ForeignKind("esp8266", "an image for the ESP8266, which has no secure boot v2", OTHER_TOOL, _is_esp8266),
    ForeignKind("uf2", "a UF2 image", OTHER_TOOL, _begins(b"UF2\n\x57\x51\x5d\x9e")),
    ForeignKind("dfu", "a USB DFU image", OTHER_TOOL, lambda seen: seen.end[-8:-5] == b"UFD"),
    ForeignKind("android-ota", "an Android OTA package", OTHER_TOOL, _is_android_package),
    ForeignKind("android-payload", "an Android OTA payload", OTHER_TOOL, _begins(b"CrAU\0\0\0")),
    ForeignKind("android-boot", "an Android boot image", OTHER_TOOL, _begins(b"ANDROID!", b"VNDRBOOT")),
    ForeignKind("android-sparse", "an Android sparse image", OTHER_TOOL, _begins(b"\x3a\xff\x26\xed")),
    ForeignKind(
        "uefi-capsule",
        "a UEFI firmware capsule",
        OTHER_TOOL,
        _begins(bytes.fromhex("bd86663b760d3040b70eb5519e2fc5a0"), bytes.fromhex("edd5cb6d2de8444cbda17194199ad92a")),
    ),
    ForeignKind("uefi-volume", "a UEFI firmware volume", OTHER_TOOL, _stands(40, b"_FVH")),
    ForeignKind(
        "lvfs-cabinet", "a firmware cabinet archive, as fwupd and LVFS use it", OTHER_TOOL, _is_cabinet_for_firmware
    ),
    ForeignKind("u-boot-image", "a U-Boot legacy image (uImage)", OTHER_TOOL, _begins(b"\x27\x05\x19\x56")),
    ForeignKind("u-boot-fit", "a U-Boot FIT image", OTHER_TOOL, _is_fit),
    ForeignKind("openwrt-trx", "a TRX firmware image", OTHER_TOOL, _begins(b"HDR0")),
    ForeignKind("intel-hex", "an Intel HEX file that does not begin with an MCUboot image", OTHER_TOOL, _is_intel_hex),
    ForeignKind("s-record", "a Motorola S-record file", OTHER_TOOL, _is_s_record),
    # Files that a failed download leaves in place of the bundle.
    ForeignKind("web-page", "a web page, perhaps the error or login page of a download site", DOWNLOAD, _is_web_page),
    ForeignKind(
        "git-lfs-pointer",
        "a Git LFS pointer, and the file itself was not downloaded",
        "Run `git lfs pull`, then give the file again.",
        _begins(b"version https://git-lfs.github.com/spec/"),
    ),
    # Archives and compressed files.
    ForeignKind("zip", "a ZIP archive", UNPACK, _begins(b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")),
    ForeignKind("7z", "a 7-Zip archive", UNPACK, _begins(b"7z\xbc\xaf\x27\x1c")),
    ForeignKind("rar", "a RAR archive", UNPACK, _begins(b"Rar!\x1a\x07")),
    ForeignKind("gzip", "gzip-compressed data", UNPACK, _begins(b"\x1f\x8b\x08")),
    ForeignKind("xz", "xz-compressed data", UNPACK, _begins(b"\xfd7zXZ\0")),
    ForeignKind("zstd", "Zstandard-compressed data", UNPACK, _begins(b"\x28\xb5\x2f\xfd")),
    ForeignKind(
        "bzip2",
        "bzip2-compressed data",
        UNPACK,
        lambda seen: re.match(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)", seen.start) is not None,
    ),
    ForeignKind("lz4", "LZ4-compressed data", UNPACK, _begins(b"\x04\x22\x4d\x18", b"\x02\x21\x4c\x18")),
    ForeignKind("lzop", "LZO-compressed data", UNPACK, _begins(b"\x89LZO\0\r\n\x1a\n")),
    ForeignKind("cpio", "a cpio archive", UNPACK, _begins(b"070701", b"070702", b"070707", b"\xc7\x71")),
    ForeignKind("cabinet", "a cabinet archive", UNPACK, _begins(b"MSCF\0\0\0\0")),
    ForeignKind("rpm", "an RPM package", UNPACK, _begins(b"\xed\xab\xee\xdb")),
    ForeignKind("deb", "a Debian package", UNPACK, _begins(b"!<arch>\ndebian-binary")),
    ForeignKind("ar", "an ar archive", UNPACK, _begins(b"!<arch>\n")),
    ForeignKind("tar", "a tar archive", UNPACK, _is_tar),
    # Images of file systems and disks.
    ForeignKind("iso9660", "an ISO 9660 image", GET_IT, _stands(32769, b"CD001")),
    ForeignKind("squashfs", "a SquashFS image", GET_IT, _begins(b"hsqs", b"sqsh")),
    ForeignKind("erofs", "an EROFS image", GET_IT, _stands(1024, b"\xe2\xe1\xf5\xe0")),
    ForeignKind("cramfs", "a cramfs image", GET_IT, _begins(b"\x45\x3d\xcd\x28")),
    ForeignKind("ubi", "a UBI image", GET_IT, _begins(b"UBI#")),
    ForeignKind("ubifs", "a UBIFS image", GET_IT, _begins(b"\x31\x18\x10\x06")),
    ForeignKind("ext", "an ext2, ext3 or ext4 image", GET_IT, lambda seen: seen.at(1080, b"\x53\xef")),
    ForeignKind("qcow2", "a QCOW2 disk image", GET_IT, _begins(b"QFI\xfb")),
    ForeignKind("vmdk", "a VMDK disk image", GET_IT, _begins(b"KDMV", b"# Disk Descrip")),
    ForeignKind("vhdx", "a VHDX disk image", GET_IT, _begins(b"vhdxfile")),
    ForeignKind("gpt-disk", "a raw disk image with a GPT", GET_IT, _stands(SECTOR, b"EFI PART")),
    ForeignKind("fat", "a FAT image", GET_IT, lambda seen: seen.at(54, b"FAT1") or seen.at(82, b"FAT32   ")),
    ForeignKind("mbr-disk", "a raw disk image with an MBR", GET_IT, _is_mbr),
    # Programs, documents, keys.
    ForeignKind("elf", "an ELF file", GET_IT, _begins(b"\x7fELF")),
    ForeignKind("pe", "a Windows or UEFI executable (PE)", GET_IT, _is_pe),
    ForeignKind("script", "a script", GET_IT, _begins(b"#!/", b"#! /")),
    ForeignKind("device-tree", "a device tree blob", GET_IT, _begins(b"\xd0\x0d\xfe\xed")),
    ForeignKind("pdf", "a PDF document", GET_IT, _begins(b"%PDF-")),
    ForeignKind("png", "a PNG picture", GET_IT, _begins(b"\x89PNG\r\n\x1a\n")),
    ForeignKind("jpeg", "a JPEG picture", GET_IT, _begins(b"\xff\xd8\xff")),
    ForeignKind(
        "pem",
        "a PEM file",
        "Give keys and certificates with {trust}, and the bundle here.",
        _begins(b"-----BEGIN "),
    ),
    ForeignKind("cms", "a CMS signature or envelope", "Give the bundle that it belongs to.", _is_cms),
    ForeignKind("der", "a DER file, such as a certificate", "Give keys and certificates with {trust} as PEM.", _is_der),
    ForeignKind("xml", "an XML document", DOWNLOAD, lambda seen: _text(seen).startswith(b"<?xml")),
    ForeignKind("json", "a JSON document", GET_IT, _is_json),
)

KINDS: Final = {kind.name: kind for kind in _ROWS}
"""Every kind, by its name in a report."""
