"""ESP-IDF images: the samples of the real tools, every spoiled case, and any bytes at all."""

import os
import struct
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bundlekit
from bundlekit.model.rule import SIGNATURE_RULES
from bundlekit.source import BytesSource
from fixtures import esp_image, make_esp, make_keys, oracles, spoil_esp

FOLDER = Path(make_esp.SAMPLES)
TRUST = bundlekit.load_trust([FOLDER / "trust.toml"])
SAMPLES = {
    "rsa": "rsa-3072-pss-sha256",
    "p256": "ecdsa-p256-sha256",
    "p384": "ecdsa-p384-sha384",
    "bootloader": "rsa-3072-pss-sha256",
    "two": "rsa-3072-pss-sha256",
}
GOOD = spoil_esp.good()
SPOILS = list(spoil_esp.spoils())
WARNED = list(spoil_esp.uncertain())
TOOL = oracles.found("espsecure")


def check(data, trust=TRUST):
    return bundlekit.check(BytesSource(data), trust=trust)


def sample(name):
    return (FOLDER / f"{name}.bin").read_bytes()


def faults(report):
    return {(one.rule, one.where and one.where.start, one.where and one.where.stop) for one in report.findings}


# --- good images ---


@pytest.mark.parametrize("name", SAMPLES)
def test_an_image_of_the_real_tools_is_accepted(name):
    report = bundlekit.check(FOLDER / f"{name}.bin", trust=TRUST)
    size = (FOLDER / f"{name}.bin").stat().st_size
    assert (report.verdict, report.findings) == ("accept", ())
    assert (report.coverage.covered, report.coverage.size) == (size, size)
    assert {one.algorithm for one in report.signatures} == {SAMPLES[name]}
    assert report.signatures[0].name == "release"
    assert report.signatures[0].role == "production"


def test_the_release_is_what_the_description_claims():
    release = bundlekit.check(FOLDER / "rsa.bin", trust=TRUST).release
    assert (release.product, release.version, release.models, release.counter) == (
        "esp-sample",
        "1.2.3",
        ("esp32s3",),
        5,
    )
    assert release.annotations["esp-idf"] == "v5.5.1"
    assert release.annotations["esp-chip-revisions"] == "v0.99 or earlier"
    assert release.parts[0].digest == f"sha256:{sha256(sample('rsa')[:4096]).hexdigest()}"


def test_a_bootloader_is_named_after_its_chip():
    release = bundlekit.check(FOLDER / "bootloader.bin", trust=TRUST).release
    assert (release.product, release.version, release.counter) == ("esp32c3-bootloader", "3", 2)


def test_the_digests_of_the_keys_are_those_that_efuses_hold():
    notes = bundlekit.check(FOLDER / "two.bin", trust=TRUST).release.annotations
    keys = [make_keys.rsa_key(name) for name in ("rsa-3072", "second-rsa-3072")]
    assert [notes[f"esp-key-digest-{number}"] for number in (0, 1)] == [
        sha256(esp_image.rsa_fields(key)).hexdigest() for key in keys
    ]


def test_both_signers_of_an_image_are_named():
    report = bundlekit.check(FOLDER / "two.bin", trust=TRUST)
    assert [(one.name, one.role) for one in report.signatures] == [
        ("release", "production"),
        ("development", "development"),
    ]


def test_a_second_signature_does_not_change_the_id():
    assert bundlekit.inspect(FOLDER / "two.bin").id == bundlekit.inspect(FOLDER / "rsa.bin").id


def test_an_image_without_description_is_named_after_its_chip():
    bare = esp_image.image("esp32c3", [(0x403CC000, bytes(64))])
    report = check(esp_image.signed(bare, spoil_esp.rsa_key()))
    assert (report.verdict, report.release.product, report.release.version) == ("accept", "esp32c3-bootloader", "")


def test_an_image_without_appended_digest_is_accepted():
    assert check(esp_image.signed(esp_image.image(digest=False), spoil_esp.rsa_key())).verdict == "accept"


@pytest.mark.parametrize("case", WARNED, ids=[one.name for one in WARNED])
def test_what_the_chip_ignores_is_a_warning(case):
    report = check(case.make())
    assert (report.verdict, [one.severity for one in report.findings]) == ("accept", ["warning"])
    assert faults(report) == {(case.rule, case.start, case.stop)}
    report = bundlekit.check(BytesSource(case.make()), trust=TRUST, strict=True)
    assert (report.verdict, report.causes) == ("reject", ("best-practice",))


# --- images that are not accepted ---


def test_the_names_of_the_cases_differ():
    assert len({one.name for one in (*SPOILS, *WARNED)}) == len(SPOILS) + len(WARNED)


@pytest.mark.parametrize("fill", [0, 0x1000, 0x2000])
def test_a_merged_flash_image_is_named_with_the_place_of_the_application(fill):
    report = check(spoil_esp.merged(fill))
    finding = report.findings[0]
    assert (finding.rule, finding.cause, finding.params["format"]) == (
        "not-a-bundle",
        "unsupported-format",
        "esp-merged",
    )
    assert "partition 'factory' is at 0x10000..0x12000" in finding.message
    assert "dd" in finding.next


def test_the_application_of_a_merged_image_is_accepted_when_cut_out():
    where = check(spoil_esp.merged()).findings[0].where
    assert check(spoil_esp.merged()[where.start : where.stop]).verdict == "accept"


CODE = bytes(256)
ESP8266 = {  # as elf2image of esptool writes them, with --version 1 to 3; and the loader of Arduino
    "version 1": struct.pack("<4BI2I", 0xE9, 2, 2, 0x40, 0x40100004, 0x40100000, 256) + CODE,
    "version 1, data first": struct.pack("<4BI2I", 0xE9, 2, 2, 0x40, 0x40100004, 0x3FFE8000, 256) + CODE,
    "version 2": struct.pack("<4BI2I", 0xEA, 4, 2, 0x40, 0x40100004, 0, 256) + CODE,
    "version 3": struct.pack("<4BI2I", 0xE9, 3, 2, 0x40, 0x40100004, 0x40210010, 256) + CODE,
    "loader": struct.pack("<4BI2I", 0xE9, 1, 2, 0x40, 0x4010F3F0, 0x4010F000, 256) + CODE,
}


@pytest.mark.parametrize("kind", ESP8266)
def test_an_image_for_the_esp8266_is_named_as_that(kind):
    (finding,) = check(ESP8266[kind]).findings
    assert (finding.rule, finding.cause) == ("not-a-bundle", "unsupported-format")
    assert finding.params["format"] == "esp8266"
    assert "ESP-IDF" not in finding.message


@pytest.mark.skipif(oracles.found("esptool") is None, reason="esptool is not installed (extra oracles)")
@pytest.mark.parametrize("version", [1, 2, 3])
def test_what_esptool_makes_for_the_esp8266_is_named_as_that(version, tmp_path):
    sections = [(b".irom0.text", 0x40201010, CODE), (b".text", 0x40100000, CODE), (b".data", 0x3FFE8000, CODE)]
    (tmp_path / "app.elf").write_bytes(make_esp.elf(make_esp.XTENSA, 0x40100004, sections))
    command = [oracles.found("esptool"), "--chip", "esp8266", "elf2image", "--version", str(version)]
    subprocess.run([*command, "-o", "app", "app.elf"], cwd=tmp_path, check=True, capture_output=True)
    made = tmp_path / ("app0x00000.bin" if version == 1 else "app")
    assert check(made.read_bytes()).findings[0].params["format"] == "esp8266"


@pytest.mark.parametrize("more", [b"", bytes(12)], ids=["as made", "for flash encryption"])
def test_secure_boot_v1_is_named_and_not_checked(more):
    report = check(sample("v1") + more)
    assert report.verdict == "incomplete"
    reasons = {one.rule: one.reason for one in report.rules if one.outcome == "not-run"}
    assert all("secure boot v1" in reasons[rule] for rule in (*SIGNATURE_RULES, "uncovered-bytes"))


def test_a_changed_byte_under_secure_boot_v1_is_found_by_the_appended_digest():
    data = bytearray(sample("v1"))
    data[300] ^= 1
    report = check(bytes(data))
    assert report.verdict == "reject"
    assert ("digest-mismatch", 0, len(data) - 68 - 32) in faults(report)


def test_an_unknown_chip_is_incomplete():
    report = check(esp_image.signed(esp_image.image(chip_id=63), spoil_esp.rsa_key()))
    assert report.verdict == "incomplete"
    assert "chip with the id 63" in next(one.reason for one in report.rules if one.rule == "tool-too-old")


@pytest.mark.parametrize("size", [2**31 + 4096, 2**32 + 4096, 2**53])
def test_a_sparse_file_of_any_size_is_trailing_data(tmp_path, size):
    file = tmp_path / "sparse.bin"
    file.write_bytes(GOOD)
    try:
        os.truncate(file, size)
    except OSError:
        pytest.skip("the file system has no files of this size")
    assert ("trailing-data", len(GOOD), size) in faults(bundlekit.check(file, trust=TRUST))


def test_an_unsigned_image_without_end_is_read_no_further_than_a_flash(tmp_path):
    file = tmp_path / "sparse.bin"
    file.write_bytes(esp_image.padded(spoil_esp.IMAGE) + b"\xff" * 4096)
    os.truncate(file, 2**33)
    assert ("trailing-data", spoil_esp.LENGTH, 2**33) in faults(bundlekit.check(file, trust=TRUST))


# --- any bytes ---


@given(st.binary(max_size=200), st.integers(0, 2**16 - 1))
@settings(max_examples=150)
def test_any_bytes_after_a_magic_give_a_report(data, chip):
    header = b"\xe9\x02\x02\x2f" + data[:8].ljust(8, b"\x40") + chip.to_bytes(2, "little") + bytes(9) + b"\1"
    assert check(header + data).verdict != "accept"


@given(st.binary(min_size=1196, max_size=1196))
@settings(max_examples=50)
def test_any_block_with_a_right_crc_gives_a_report(body):
    for start in (b"\xe7\x02\0\0", b"\xe7\x03\0\0", b"\xe7\x03\1\0"):
        data = esp_image.with_blocks(spoil_esp.IMAGE, esp_image.sealed(start + body))
        assert check(data).verdict == "reject"


# --- the real tools ---


@pytest.mark.skipif(not TOOL, reason="espsecure is not installed (extra oracles)")
@pytest.mark.parametrize(
    ("chip", "machine", "keys"),
    [
        ("esp32", make_esp.XTENSA, ["rsa-3072"]),
        ("esp32s3", make_esp.XTENSA, ["rsa-3072", "second-rsa-3072", "rsa-3072"]),
        ("esp32c6", make_esp.RISC_V, ["p256"]),
        ("esp32c5", make_esp.RISC_V, ["p384"]),
    ],
)
@pytest.mark.parametrize("options", [[], ["--secure-pad-v2"], ["--dont-append-digest"], ["--pad-to-size", "4KB"]])
def test_a_fresh_image_of_the_tools_is_accepted(tmp_path, chip, machine, keys, options):
    image = make_esp.made(tmp_path, chip, make_esp.application(chip, machine, rom=True), *options)
    signed = make_esp.sign(image, tmp_path / "signed.bin", *keys)
    report = bundlekit.check(signed, trust=TRUST)
    assert (report.verdict, report.findings) == ("accept", ())
    assert report.coverage.covered == signed.stat().st_size
    notes = report.release.annotations
    assert notes["esp-key-digest-0"] in make_esp.run("espsecure", "signature-info-v2", signed).replace(" ", "")


@pytest.mark.skipif(not TOOL, reason="espsecure is not installed (extra oracles)")
def test_a_second_block_appended_by_the_tool_is_accepted(tmp_path):
    first = make_esp.sign(FOLDER / "unsigned.bin", tmp_path / "first.bin", "rsa-3072")
    second, key = tmp_path / "second.bin", make_keys.KEYS / "second-rsa-3072.key"
    options = ("--version", "2", "--append-signatures", "--keyfile")
    make_esp.run("espsecure", "sign-data", *options, key, "--output", second, first)
    assert [one.name for one in bundlekit.check(second, trust=TRUST).signatures] == ["release", "development"]


@pytest.mark.sweep  # the tool takes a second for each case
@pytest.mark.skipif(not TOOL, reason="espsecure is not installed (extra oracles)")
def test_what_the_tool_makes_of_the_spoiled_images_is_as_the_page_describes(tmp_path):
    file = tmp_path / "image.bin"
    wrong = []
    for case in [*SPOILS, *WARNED]:
        data = case.make()
        file.write_bytes(data)
        version = data[4097] if len(data) > 4097 else 2
        key = {2: "rsa-3072", 3: "p384" if data[4098:4099] == b"\1" else "p256"}.get(version, "rsa-3072")
        command = [TOOL, "verify-signature", "--version", "2", "--keyfile", make_keys.KEYS / f"{key}.pub.pem", file]
        if (subprocess.run(command, capture_output=True, check=False).returncode == 0) != case.tool:
            wrong.append(case.name)
    assert wrong == []
