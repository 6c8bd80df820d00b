"""MCUboot images: the samples of the real tool, every spoiled case, and any bytes at all."""

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bundlekit
from bundlekit import formats
from bundlekit.layout.mcuboot import intel_hex
from bundlekit.source import BytesSource
from fixtures import forge, make_mcuboot, mcuboot_image, oracles, spoil_mcuboot
from fixtures.make_keys import KEYS
from fixtures.mcuboot_image import COUNTER, area, content, image, slot, tlvs
from fixtures.spoil_mcuboot import hex_image, put

FOLDER = Path(make_mcuboot.SAMPLES)
TRUST = bundlekit.load_trust([FOLDER / "trust.toml"])
GOOD = spoil_mcuboot.good()
SLOT = slot(GOOD)
HEX = hex_image(GOOD)
SPOILS = list(spoil_mcuboot.spoils())
TOOL = oracles.found("imgtool")
needs_tool = pytest.mark.skipif(TOOL is None, reason="imgtool is not installed (extra oracles)")
PICK = random.Random(20261129)  # noqa: S311 - the same sample in every run


def check(data, trust=TRUST):
    return bundlekit.check(BytesSource(data), trust=trust)


def faults(report):
    return {
        (one.rule, one.where and one.where.start, one.where and one.where.stop, one.where.stream if one.where else "")
        for one in report.findings
    }


def run(*command):
    return subprocess.run([TOOL, *map(str, command)], capture_output=True, text=True, check=False)


# --- good images ---


FREE = {"slot.bin": {"framing"}, "image.hex": {"decoded"}, "slot.hex": {"decoded"}}
"""How bytes are covered that are not signed, by sample: the trailer of the slot, and the text of Intel HEX."""


@pytest.mark.parametrize("name", make_mcuboot.GOOD)
def test_an_image_of_the_real_tool_is_accepted(name):
    file = FOLDER / name
    report = bundlekit.check(file, trust=TRUST)
    size = file.stat().st_size
    assert (report.verdict, report.findings) == ("accept", ())
    assert report.coverage.size == size
    assert {one.by for one in report.coverage.map} <= {
        "signed",
        "digest",
        "signature",
        "checked",
        "zero",
        *FREE.get(name, ()),
    }
    assert [(one.name, one.role, one.algorithm) for one in report.signatures] == [
        ("release", "production", make_mcuboot.GOOD[name])
    ]


def test_the_release_is_what_header_and_protected_tlvs_claim():
    release = bundlekit.check(FOLDER / "metadata.bin", trust=TRUST).release
    assert (release.version, release.counter) == ("1.2.3+45", 7)
    assert release.product == "57f55ecb-eaa3-5765-960e-e1e1418a661b"  # imgtool makes it from the names given to it
    assert release.annotations == {
        "mcuboot-dependencies": "image 1 at least 1.2.3+4, image 2 at least 0.9.0+0",
        "mcuboot-vendor": "cfbff0d1-9375-5685-968c-48ce8b15ae17",
    }


def test_an_image_that_names_no_product_is_called_by_its_format():
    assert check(GOOD).release.product == "mcuboot-image"


def test_the_role_in_a_boot_record_is_better_than_nothing():
    record = b"\xa2\x01\x64NSPE\x02\x58\x20" + bytes(32)
    assert check(image(content([(0x60, record)]))).release.product == "NSPE"


@pytest.mark.parametrize(
    ("data", "expected"),
    [(SLOT, "confirmed"), (slot(GOOD, ok=None), "test"), (slot(GOOD, erased=0, ok=None), "test")],
)
def test_a_slot_is_told_apart_from_garbage(data, expected):
    report = check(data)
    assert report.verdict == "accept"
    assert report.release.annotations["mcuboot-slot"] == expected
    free = [one.span.size for one in report.coverage.map if one.by == "framing"]
    assert free == [1, 1, 1, 16]  # the fields of the trailer, and its magic


@pytest.mark.parametrize("unit", [16, 32, 512])
def test_a_slot_with_another_write_unit_is_accepted(unit):
    trailer = b"\1".ljust(max(unit, 16), b"\xff") + b"\xff" * (max(unit, 16) - 16)
    magic = unit.to_bytes(2, "little") + bytes.fromhex("2de15d29410b8d77679c110f1f8a")
    assert check(GOOD.ljust(8192 - len(trailer + magic), b"\xff") + trailer + magic).verdict == "accept"


@pytest.mark.parametrize("fill", [0, 0xFF])
def test_erased_memory_up_to_the_end_of_a_sector_is_padding(fill):
    assert check(GOOD.ljust(2048, bytes([fill]))).verdict == "accept"


def test_state_that_a_boot_loader_writes_is_accepted():
    data = put(put(SLOT, 984, b"\x12"), 992, b"\1")
    document = formats.read(BytesSource(data)).document["slot"]
    assert check(data).verdict == "accept"
    assert (document["swap-info"], document["copy-done"]) == ({"swap": "test", "image": 1}, True)


@pytest.mark.parametrize("width", [1, 16, 32, 255])
@pytest.mark.parametrize("address", [0, 0xFF00, 0x0800_0000])
def test_hex_of_any_width_and_place_is_the_same_image(width, address):
    data = mcuboot_image.intel_hex(GOOD, address, width=width if address % 65536 == 0 else 16) + mcuboot_image.END
    report = check(data)
    assert (report.verdict, report.coverage.covered) == ("accept", len(data))
    assert report.id == check(GOOD).id


def test_hex_can_have_other_line_ends_and_start_records():
    start = mcuboot_image.record(5, 0, bytes(4)) + mcuboot_image.record(3, 0, bytes(4))
    assert check((start + HEX).replace(b"\n", b"\r\n")).verdict == "accept"
    assert check(HEX.rstrip(b"\n")).verdict == "accept"
    assert check(HEX.lower()).verdict == "accept"


def test_hex_records_can_be_in_any_order():
    lines = HEX.splitlines(keepends=True)
    assert check(b"".join([*lines[:2], *reversed(lines[2:-1]), lines[-1]])).verdict == "accept"


@pytest.mark.parametrize("erased", [0x00, 0xFF])
@pytest.mark.parametrize("unit", [8, 16, 32])
def test_the_trailer_in_hex_shows_what_erased_memory_is(unit, erased):
    """imgtool writes the flag and the magic. With the largest write unit, erased bytes between them are omitted."""
    magic = mcuboot_image.SLOT_MAGIC if unit == 8 else bytes([unit, 0]) + mcuboot_image.SLOT_MAGIC_OTHER
    flag = bytes([1]).ljust(unit, bytes([erased]))
    lines = mcuboot_image.intel_hex(GOOD, 0) + mcuboot_image.intel_hex(flag, 0x2000 - max(unit, 16) - unit)
    report = check(lines + mcuboot_image.intel_hex(magic, 0x2000 - 16) + mcuboot_image.END)
    assert (report.verdict, report.findings) == ("accept", ())
    assert report.release.annotations["mcuboot-slot"] == "confirmed"


@pytest.mark.parametrize("names", [("p256", "pinned"), ("p256", "rsa-3072"), ("rsa-3072", "second-rsa-3072")])
def test_every_signature_of_an_image_counts(names):
    report = check(image(None, (), *names))
    assert report.verdict == "accept"
    assert len(report.signatures) == 2


@pytest.mark.parametrize(("salt", "verdict"), [(32, "accept"), (0, "reject"), (350, "reject")])
def test_the_salt_of_an_rsa_signature_is_as_long_as_the_boot_loader_demands(salt, verdict):
    data, private = content(), mcuboot_image.key("rsa-3072")
    digest = (0x10, hashlib.sha256(data).digest())
    named = (0x01, hashlib.sha256(mcuboot_image.public_bytes(private)).digest())
    signed = mcuboot_image.signature(private, data, "sha256", salt=salt)
    assert check(data + area(0x6907, [digest, named, signed])).verdict == verdict


@pytest.mark.parametrize("hashed", [True, False])
def test_a_pure_signature_needs_no_image_hash(hashed):
    data = content() + area(0x6907, tlvs(content(), "pinned", hash_="sha512", pure=True, hashed=hashed))
    report = check(data)
    assert (report.verdict, report.coverage.covered) == ("accept", len(data))


def test_tlvs_of_vendors_and_of_later_boot_loaders_are_listed_if_they_are_protected():
    data = image(content([COUNTER, (0xA0, b"vendor"), (0x1A0, b""), (0x76, b"later")]))
    document = formats.read(BytesSource(data)).document
    names = ["security-counter", "0x00a0", "0x01a0", "0x0076"]
    values = ["07000000", b"vendor".hex(), "", b"later".hex()]
    listed = [{"type": name, "value": value} for name, value in zip(names, values, strict=True)]
    assert document["protected"] == [listed[0] | {"value": 7}, *listed[1:]]
    assert check(data).verdict == "accept"


def test_a_compressed_image_is_judged_by_its_compressed_bytes():
    assert check(image(content([(0x70, bytes(4)), (0x71, bytes(32)), (0x72, b"x")], flags=0x400))).verdict == "accept"


def test_a_pre_flight_hashes_the_image_as_well():
    assert bundlekit.preflight(BytesSource(GOOD), trust=TRUST).verdict == "accept"
    assert bundlekit.preflight(BytesSource(put(GOOD, 20, b"\x09")), trust=TRUST).verdict == "reject"


def test_a_check_under_pinned_keys_loads_nothing_about_certificates():
    code = (
        "import sys, bundlekit, pathlib\n"
        "trust = bundlekit.load_trust([pathlib.Path(sys.argv[1])])\n"
        "assert bundlekit.check(sys.argv[2], trust=trust).verdict == 'accept'\n"
        "print([name for name in sys.modules if name.startswith('cryptography.x509')])\n"
    )
    command = [sys.executable, "-c", code, str(FOLDER / "trust.toml"), str(FOLDER / "p256.bin")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- images that are not accepted ---


CLEAR = (make_mcuboot.SAMPLES / "clear.bin").read_bytes()


def unrun(report):
    return [one.rule for one in report.rules if one.required and one.outcome == "not-run"]


@pytest.mark.parametrize("judge", [bundlekit.check, bundlekit.preflight])
def test_a_clear_image_for_an_encrypted_slot_is_checked_but_for_its_key(judge):
    report = judge(BytesSource(CLEAR), trust=TRUST)
    assert (report.verdict, unrun(report)) == ("incomplete", ["uncovered-bytes"])
    assert [(one.name, one.counts) for one in report.signatures] == [("release", True)]
    assert "digest-mismatch" not in unrun(bundlekit.check(BytesSource(CLEAR)))


def test_a_clear_image_by_a_stranger_is_rejected():
    stranger = bundlekit.load_trust([KEYS / "p384.pub.pem"])
    report = bundlekit.check(BytesSource(CLEAR), trust=stranger)
    assert (report.verdict, report.findings[0].rule) == ("reject", "signer-unknown")


@pytest.mark.parametrize("at", [40, CLEAR.index(b"\x32\x00\x71\x00") + 20], ids=["body", "encrypted key"])
def test_a_changed_clear_image_is_never_accepted(at):
    assert bundlekit.check(BytesSource(forge.flip(CLEAR, at)), trust=TRUST).verdict == "incomplete"


@pytest.mark.parametrize("flags", [0x04, 0x08])
def test_an_encrypted_image_is_incomplete_with_the_reason(flags):
    data = content(flags=flags)
    plain = image(data, [(0x33, bytes(80 if flags == 0x04 else 96))])
    report = check(forge.flip(plain, 40))  # as if encrypted: another body than the one that was signed
    assert (report.verdict, report.findings, report.release) == ("incomplete", (), None)
    reasons = {one.rule: one.reason for one in report.rules if one.outcome == "not-run"}
    assert all("encrypted" in reasons[rule] for rule in ("digest-mismatch", "unsigned", "signature-wrong"))


@pytest.mark.parametrize("size", [2**31 + 1, 2**32 + 1024, 2**40, 2**53])
def test_a_sparse_file_of_any_size_is_trailing_data(tmp_path, size):
    file = tmp_path / "sparse.bin"
    file.write_bytes(GOOD)
    try:
        os.truncate(file, size)
    except OSError:
        pytest.skip("the file system has no files of this size")
    assert ("trailing-data", len(GOOD), size, "") in faults(bundlekit.check(file, trust=TRUST))


def test_a_hex_file_without_end_is_not_read(tmp_path):
    file = tmp_path / "sparse.hex"
    file.write_bytes(HEX)
    os.truncate(file, 2**40)
    report = bundlekit.check(file, trust=TRUST)
    assert {one.rule for one in report.findings} >= {"structure-malformed"}


def test_a_hex_file_of_many_ranges_is_not_read(monkeypatch):
    monkeypatch.setattr(intel_hex, "MAX_RUNS", 3)
    assert {
        one.rule
        for one in check(
            hex_image(GOOD[:64])[:-12] + b"".join(mcuboot_image.record(0, at, b"x") for at in range(512, 600, 20))
        ).findings
    } >= {"structure-malformed"}


@pytest.mark.parametrize("data", [GOOD, SLOT, HEX], ids=["raw", "slot", "hex"])
def test_no_truncation_is_accepted(data):
    # A slot without its trailer is erased memory up to a sector, and an image without its slot is the image.
    good = {len(GOOD), len(data)}
    for size in range(len(data)):
        if size in good or (data is HEX and data[:size] == HEX.rstrip(b"\n")):
            continue
        assert formats.read(BytesSource(data[:size])).problems, size
    for size in PICK.sample(range(len(data)), 20):
        if size not in good and data[:size] != HEX.rstrip(b"\n"):
            assert check(data[:size]).verdict == "reject"


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_change_gives_a_report(data):
    base = data.draw(st.sampled_from([GOOD, SLOT, HEX]))
    at = data.draw(st.integers(0, len(base)))
    removed, new = data.draw(st.integers(0, 8)), data.draw(st.binary(max_size=8))
    changed = base[:at] + new + base[at + removed :]
    if changed not in (GOOD, SLOT, HEX, HEX.rstrip(b"\n")):
        assert check(changed).verdict != "accept" or changed.lower() == HEX.lower()


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300).map(lambda data: b":" + data))
def test_any_text_is_hex_or_a_fault(data):
    bundle = formats.read(BytesSource(data))
    assert bundle.problems


# --- the tool of the format ---


@needs_tool
@pytest.mark.parametrize("case", SPOILS, ids=[one.name for one in SPOILS])
def test_where_the_tool_of_the_format_is_wrong(case, tmp_path):
    file = tmp_path / ("image.hex" if case.name.startswith("hex") else "image.bin")
    file.write_bytes(case.make())
    name = "trust/pinned" if "pure" in case.name else "rsa-3072" if "rsa" in case.name else "p256"
    assert (run("verify", "-k", KEYS / f"{name}.pub.pem", file).returncode == 0) == case.tool


OPTIONS = {
    "key-hash": (),
    "whole-key": ("--public-key-format", "full"),
    "counter": ("-s", "auto"),
    "slot": ("--pad",),
    "confirmed": ("--confirm", "--max-align", "32"),
    "erased-zero": ("--confirm", "-R", "0"),
    "erased-zero-and-gaps": ("--confirm", "-R", "0", "--max-align", "32"),
    "dependencies": ("-d", "(1, 1.2.3+4)"),
}


@needs_tool
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("key", ["rsa-3072", "p256", "p384", "pinned"])
def test_every_image_of_the_tool_is_accepted(key, options, tmp_path):
    (tmp_path / "app.bin").write_bytes(bytes(range(256)))
    for name in ("image.bin", "image.hex"):
        done = make_mcuboot.sign(tmp_path / "app.bin", tmp_path / name, key, "-S", "0x4000", *options)
        assert done.returncode == 0, done.stderr
        assert bundlekit.check(tmp_path / name, trust=TRUST).verdict == "accept"
