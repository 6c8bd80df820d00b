"""Files of other kinds: each is called by its name, and has another cause and next step than a damaged bundle."""

import bz2
import gzip
import io
import json
import lzma
import struct
import tarfile
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundlekit import formats, pipeline
from bundlekit.layout import foreign, reader, update_bin
from bundlekit.source import BytesSource
from bundlekit.wording import fill
from fixtures import forge
from fixtures.format_reports import reported
from tests.formats.complete import COMPLETE


def put(at, *pieces, size=4096):
    """Zeros with a piece at a place."""
    data = bytearray(size)
    for piece in pieces:
        data[at : at + len(piece)] = piece
    return bytes(data)


def tar(files, kind=tarfile.USTAR_FORMAT):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=kind) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return made.getvalue()


def archive(*names):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for name in names:
            file.writestr(name, b"x")
    return made.getvalue()


CMS = bytes.fromhex("3082010006092a864886f70d010702") + bytes(250)
OLD_TAR = bytearray(tar({"a": b"b"}))
OLD_TAR[257:265] = bytes(8)  # as before POSIX: no magic
OLD_TAR[148:156] = b"%06o\0 " % (sum(OLD_TAR[:148]) + 8 * 32 + sum(OLD_TAR[156:512]))
PARTITION = bytes((0x80, 0, 2, 0, 0x83, 1, 1, 1)) + bytes((0, 8, 0, 0, 0, 8, 0, 0))

OWN = {
    "bundlekit-advisories": b"\x8aBKA\r\n\x1a\n" + bytes(60),
    "bundlekit-record": b"0" * 64 + b"\nsha256:" + b"0" * 64 + b"\n" + bytes(4096),
    "bundlekit-state": b'{"schema": "bundlekit/state/1"}',
    "bundlekit-catalog": b'{\n  "bundles": {},\n  "schema": "bundlekit/catalog/1"\n}\n',
    "bundlekit-report": b'{"schema":"bundlekit/report/1"}',
    "bundlekit-inspection": b'{"schema":"bundlekit/inspection/1"}',
    "bundlekit-path": b'{"schema":"bundlekit/path/1"}',
    "bundlekit-spec": b"# SPEC.toml\nspec = 1\n",
    "bundlekit-matrix": b"matrix = 1\n",
    "bundlekit-trust": b"trust  = 1   # a comment\r\n",
    "bundlekit-advisory": b"advisory = 1\n",
    "bundlekit-waivers": b"waivers = 1\n",
    "bundlekit-config": b"config = 1\n",
    "bundlekit-plan": b"plan = 1\n",
    "bundlekit-journal": b"SQLite format 3\0" + bytes(4080),
}
PARTS = {"bundlekit-head", "bundlekit-catalog-head", "esp-merged"}
"""What begins as a bundle does: tested where it is made."""

FILES = OWN | {
    **{name: reported(name)[0].read_bytes() for name in COMPLETE},
    "esp8266": struct.pack("<4BI2I", 0xE9, 2, 2, 0x40, 0x40100004, 0x40100000, 256) + bytes(256),
    "uf2": b"UF2\n\x57\x51\x5d\x9e" + bytes(504),
    "dfu": bytes(range(1, 200)) + bytes.fromhex("ffff 1157 8304 0001") + b"UFD\x10" + bytes(4),
    "android-ota": archive("META-INF/com/android/metadata", "payload.bin"),
    "android-payload": b"CrAU" + struct.pack(">QQ", 2, 9000),
    "android-boot": b"ANDROID!" + bytes(500),
    "android-sparse": b"\x3a\xff\x26\xed" + bytes(60),
    "uefi-capsule": bytes.fromhex("edd5cb6d2de8444cbda17194199ad92a") + bytes(60),
    "uefi-volume": put(40, b"_FVH"),
    "lvfs-cabinet": b"MSCF\0\0\0\0" + bytes(40) + b"firmware.metainfo.xml\0" + bytes(99),
    "u-boot-image": b"\x27\x05\x19\x56" + bytes(60),
    "u-boot-fit": b"\xd0\x0d\xfe\xed" + bytes(52) + b"\0\0\0\1images\0\0" + bytes(50),
    "openwrt-trx": b"HDR0" + bytes(60),
    "intel-hex": b":020000040800F2\r\n:00000001FF\r\n",
    "s-record": b"S0030000FC\nS9030000FC\n",
    "web-page": b"\xef\xbb\xbf\r\n <!DOCTYPE HTML><html><title>404</title></html>",
    "git-lfs-pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n",
    "zip": archive("notes.txt"),
    "7z": b"7z\xbc\xaf\x27\x1c" + bytes(60),
    "rar": b"Rar!\x1a\x07\x01\0" + bytes(60),
    "gzip": gzip.compress(b"x"),
    "xz": lzma.compress(b"x"),
    "zstd": b"\x28\xb5\x2f\xfd" + bytes(20),
    "bzip2": bz2.compress(b"x"),
    "lz4": b"\x04\x22\x4d\x18" + bytes(20),
    "lzop": b"\x89LZO\0\r\n\x1a\n" + bytes(20),
    "cpio": b"070701" + b"0" * 104 + b"TRAILER!!!\0",
    "cabinet": b"MSCF\0\0\0\0" + bytes(60),
    "rpm": b"\xed\xab\xee\xdb" + bytes(92),
    "deb": b"!<arch>\ndebian-binary   " + bytes(99),
    "ar": b"!<arch>\nlibx.o/ " + bytes(99),
    "tar": bytes(OLD_TAR),
    "iso9660": put(32769, b"CD001", size=40000),
    "squashfs": b"hsqs" + bytes(4092),
    "erofs": put(1024, b"\xe2\xe1\xf5\xe0"),
    "cramfs": b"\x45\x3d\xcd\x28" + bytes(60),
    "ubi": b"UBI#" + bytes(60),
    "ubifs": b"\x31\x18\x10\x06" + bytes(60),
    "ext": put(1080, b"\x53\xef"),
    "qcow2": b"QFI\xfb" + bytes(60),
    "vmdk": b"KDMV" + bytes(60),
    "vhdx": b"vhdxfile" + bytes(60),
    "gpt-disk": put(512, b"EFI PART"),
    "fat": put(82, b"FAT32   "),
    "mbr-disk": put(446, PARTITION + bytes(48) + b"\x55\xaa"),
    "elf": b"\x7fELF" + bytes(60),
    "pe": b"MZ" + bytes(58) + b"\x80\0\0\0" + bytes(64) + b"PE\0\0" + bytes(20),
    "script": b"#!/bin/sh\nexit\n",
    "device-tree": b"\xd0\x0d\xfe\xed" + bytes(60),
    "pdf": b"%PDF-1.7\n",
    "png": b"\x89PNG\r\n\x1a\n" + bytes(20),
    "jpeg": b"\xff\xd8\xff\xe0" + bytes(20),
    "pem": b"-----BEGIN CERTIFICATE-----\n",
    "cms": CMS[:4].replace(b"\x01\x00", struct.pack(">H", 261)) + CMS[4:],
    "der": bytes.fromhex("30820040") + bytes(64),
    "xml": b'<?xml version="1.0"?><a/>',
    "json": b'{"schema": "another/state/1"}',
}


def test_the_table_has_a_sample_of_each_kind():
    assert FILES.keys() == foreign.KINDS.keys() - PARTS - set(formats.FORMATS).difference(COMPLETE)


@pytest.mark.parametrize("name", [name for name in FILES if name in formats.FORMATS])
def test_a_file_in_another_format_is_read_by_the_reader_of_that_format(name):
    assert formats.read(BytesSource(FILES[name])).format == name


@pytest.mark.parametrize("name", [name for name in FILES if name not in formats.FORMATS])
def test_a_file_of_another_kind_is_called_by_its_name(name):
    report = pipeline.check(BytesSource(FILES[name]))
    (finding,) = (one for one in report.findings if one.severity == "error")
    kind = foreign.KINDS[name]
    assert (finding.rule, finding.cause, finding.params) == ("not-a-bundle", "unsupported-format", {"format": name})
    only = "it is not a bundle" if name in OWN else "bundlekit does not read files of this kind"
    assert finding.message == f"this is {kind.what}; {only}"
    assert finding.next == fill(kind.next)
    assert (report.verdict, report.causes) == ("reject", ("unsupported-format",))


@pytest.mark.parametrize("name", COMPLETE)
def test_a_bundle_in_another_format_is_not_called_unreadable(name):
    """Where only an update.bin can be used: an update, an extraction, a matrix."""
    (problem,) = reader.read(BytesSource(FILES[name])).problems
    assert problem.message.endswith("; only an update.bin or a detached head can be used here")


@pytest.mark.parametrize("name", COMPLETE)
def test_a_file_in_a_format_is_read_as_such(name):
    assert formats.format_of(BytesSource(FILES[name])) == name


@pytest.mark.parametrize(
    "data",
    [
        tar({"version": b"1.2"}),
        tar({"x" * 200: b""}, tarfile.PAX_FORMAT),
        tar({"x" * 200: b""}, tarfile.GNU_FORMAT),
    ],
)
def test_any_tar_archive_is_one(data):
    assert foreign.recognised(foreign.view(BytesSource(data))) is foreign.KINDS["tar"]


@pytest.mark.parametrize(
    ("data", "rule", "message"),
    [
        (b"", "truncated", "the file is empty"),
        (update_bin.MAGIC[:5], "truncated", "the file ends after 5 bytes, within its magic"),
        (forge.good().replace(b"\r\n", b"\n"), "text-mode-damage", "the file went through a text-mode transfer"),
        (b"\x8bBKU\r\n\x1a\n" + forge.good()[8:], "not-a-bundle", "the file does not begin with the magic"),
    ],
)
def test_a_damaged_bundle_is_none_of_another_kind(data, rule, message):
    report = pipeline.check(BytesSource(data))
    (finding,) = (one for one in report.findings if one.severity == "error")
    assert (finding.rule, finding.cause) == (rule, "corrupted")
    assert finding.message.startswith(message)


NO_MAGIC = "the file does not begin with the magic of an update.bin"


@pytest.mark.parametrize(
    ("data", "tail"),
    [
        (bytes(1), "; all its 1 bytes are zeros, as of a download that was allocated and never filled"),
        (bytes(70_000), "; all its 70,000 bytes are zeros, as of a download that was allocated and never filled"),
        (bytes(104_152) + b"\1" * 157_992, "; it begins with 104,152 zeros"),
        (bytes(64) + b"\1", "; it begins with 64 zeros"),
        (bytes(2**20) + b"\1", "; the first 1,048,576 of its 1,048,577 bytes are zeros, and the rest was not read"),
        (bytes(7) + b"\1" * 99, ""),
        (b"\1" * 99, ""),
    ],
)
def test_zeros_are_counted_and_not_guessed(data, tail):
    (problem,) = reader.read(BytesSource(data)).problems
    assert problem.message == NO_MAGIC + tail


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.integers(0, 600), st.binary(max_size=40), st.integers(0, 10**6))
def test_any_bytes_are_looked_at_without_an_error(name, cut, noise, surplus):
    """Also a head alone, of which the file's size is known and its end is not."""
    data = (FILES[name][:cut] + noise).ljust(64, b" ")
    if data.startswith(update_bin.MAGIC[: max(len(data), 1)]):
        return
    (problem,) = reader.read(BytesSource(data, size=len(data) + surplus)).problems
    assert problem.rule in ("not-a-bundle", "text-mode-damage", "truncated")
    assert json.dumps(problem.params)
