"""Mender artifacts: the samples of the real tool, every spoiled case, and any bytes at all."""

import base64
import hashlib
import os
import shutil

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from hypothesis import given, settings
from hypothesis import strategies as st

import bundlekit
from bundlekit import formats
from bundlekit.errors import UnreadableError
from bundlekit.integrity import decoding
from bundlekit.model.bundle import ArchiveClaim
from bundlekit.report import inspection
from bundlekit.source import BytesSource, FileSource
from fixtures import make_keys, make_mender, mender_artifact, spoil_mender
from fixtures.mender_artifact import artifact, header_members, info, places, repaired, tar, type_info

FOLDER = make_mender.SAMPLES
TRUST = bundlekit.load_trust([FOLDER / "trust.toml"])
ALGORITHMS = {
    "plain": "ecdsa-p256-sha256",
    "gzip": "ecdsa-p256-sha256",
    "xz": "ecdsa-p256-sha256",
    "rsa": "rsa-3072-pkcs1v15-sha256",
    "module": "ecdsa-p256-sha256",
    "bootstrap": "ecdsa-p256-sha256",
    "ed25519": "ed25519",
}
FREE_OF_A_HEADER = 24 + 20 + 64
"""Bytes of a tar header that mean nothing: mode and numbers of owners, time and checksum, names of owners."""

GOOD = spoil_mender.good()
SPOILS = list(spoil_mender.spoils())
TOOL = shutil.which(make_mender.TOOL)


def check(data, trust=TRUST, **how):
    return bundlekit.check(BytesSource(data), trust=trust, **how)


def sample(name):
    return (FOLDER / f"{name}.mender").read_bytes()


def faults(report):
    return {
        (one.rule, one.where and (one.where.start, one.where.stop, one.where.stream), one.cause)
        for one in report.findings
    }


# --- good artifacts ---


@pytest.mark.parametrize("name", ALGORITHMS)
def test_an_artifact_of_the_real_tool_is_accepted(name):
    report = bundlekit.check(FOLDER / f"{name}.mender", trust=TRUST)
    size = len(sample(name))
    assert (report.verdict, report.findings, report.format) == ("accept", (), "mender")
    free = FREE_OF_A_HEADER * len(places(sample(name)))
    assert (report.coverage.covered, report.coverage.size) == (size - free, size)
    assert {one.by for one in report.coverage.map} == {
        *("signed", "signature", "digest", "archive", "zero", "framing", "checked")
    }
    (signature,) = report.signatures
    assert (signature.algorithm, signature.name, signature.role) == (ALGORITHMS[name], "release", "production")


def test_the_release_is_what_the_header_says():
    release = bundlekit.check(FOLDER / "module.mender", trust=TRUST).release
    assert (release.product, release.version) == ("board-a, board-b", "release-2")
    assert release.models == ("board-a", "board-b")
    assert release.annotations == {
        "payload": "deb",
        "provides.artifact_name": "release-2",
        "provides.app": "2",
        "provides.rootfs-image.deb.version": "release-2",
        "depends.artifact_name": "release-1",
        "depends.device_type": "board-a, board-b",
        "depends.artifact_group": "field",
        "depends.kernel": "6",
        "scripts": "scripts/ArtifactInstall_Enter_10_stop",
    }


def test_a_payload_of_one_file_has_its_digest():
    (part,) = bundlekit.check(FOLDER / "gzip.mender", trust=TRUST).release.parts
    digest = bundlekit.inspect(FOLDER / "gzip.mender").manifest["manifest"]["data/0000/rootfs.ext4"]
    assert (part.label, part.digest) == ("data/0000.tar.gz", digest)


def test_the_id_is_the_digest_of_the_manifest():
    start, stop = places(GOOD)["manifest"][1:]
    assert check(GOOD).id == f"sha256:{hashlib.sha256(GOOD[start:stop]).hexdigest()}"


def test_inspect_shows_no_line_for_the_digest_of_several_files():
    shown = [line.text for line in inspection.lines(bundlekit.inspect(FOLDER / "module.mender"))]
    assert any(text.startswith("contains    data/0000.tar.gz,") for text in shown)
    assert all(text.strip() for text in shown)


def test_inspect_shows_the_json_of_the_header():
    found = bundlekit.inspect(FOLDER / "module.mender")
    assert found.manifest["headers/0000/meta-data"] == {"order": ["one", "two"], "retries": 3}
    assert found.manifest["header-info"]["payloads"] == [{"type": "deb"}]
    assert found.problems == ()


@pytest.mark.parametrize("compression", ["", ".gz", ".xz"])
@pytest.mark.parametrize("key", ["p256", "rsa-3072", "pinned"])
def test_an_artifact_by_the_format_page_is_accepted(compression, key):
    report = check(artifact(compression=compression, key=key))
    assert (report.verdict, report.findings) == ("accept", ())


def test_header_and_payload_can_have_different_compressions():
    assert check(artifact(compression=".gz", header_compression="")).verdict == "accept"


def test_an_empty_payload_needs_no_archive():
    members = header_members(info(None), type_info(None))
    without = lambda found: [one for one in found if not one[0].startswith("data/")]  # noqa: E731
    assert check(artifact(files=[], header=members, in_artifact=without)).verdict == "accept"
    assert check(artifact(files=[], header=members)).verdict == "accept"


@pytest.mark.parametrize("empty", ["", None])
def test_the_type_that_old_tools_leave_empty_is_taken_for_a_file_system(empty):
    assert check(artifact(header=header_members(types=type_info(empty)))).verdict == "accept"


def test_state_scripts_and_unknown_payload_types_are_listed():
    script = ("scripts/ArtifactCommit_Leave_99", b"#!/bin/sh\n")
    members = header_members(info("my-module"), type_info("my-module"), scripts=[script])
    release = check(artifact(header=members)).release
    assert release.annotations["payload"] == "my-module"
    assert release.annotations["scripts"] == script[0]


def test_names_of_100_characters_and_many_files_are_accepted():
    files = [(f"{number:090}", b"%d" % number) for number in range(200)]
    assert check(artifact(files=files, header=header_members(info("module"), type_info("module")))).verdict == "accept"


def test_pax_records_for_a_time_are_accepted():
    record = spoil_mender.record("mtime", "1795968000.5")
    assert check(spoil_mender.with_records(record)).verdict == "accept"


@pytest.mark.parametrize(("products", "rule"), [('["board-a"]', "out-of-scope"), ('["board-c"]', None)])
def test_a_signer_of_one_device_type_cannot_sign_for_two(tmp_path, products, rule):
    text = (FOLDER / "trust.toml").read_text().replace("../../keys", str(make_keys.KEYS))
    other = tmp_path / "trust.toml"
    other.write_text(text + f"products = {products}\n")
    trust = bundlekit.load_trust([other])
    depends = {"device_type": ["board-c"]}
    data = GOOD if rule else artifact(header=header_members(info(artifact_depends=depends)))
    assert {one.rule for one in check(data, trust).findings} == ({rule} if rule else set())


# --- pre-flight ---


def test_preflight_accepts_the_first_bytes_up_to_the_payload():
    content = places(GOOD)["data/0000.tar"][1]
    report = bundlekit.preflight(GOOD[:content], size=len(GOOD), trust=TRUST)
    assert (report.verdict, report.findings, report.release.version) == ("accept", (), "release-2")
    reasons = {one.rule: one.reason for one in report.rules}
    assert reasons["member-unlisted"] == "these parts were not read: data/0000.tar"
    assert reasons["digest-mismatch"] == "digests and padding were not compared"


def test_preflight_of_a_size_that_does_not_fit_is_rejected():
    content = places(GOOD)["data/0000.tar"][1]
    for size, rule in ((len(GOOD) - 1, "truncated"), (len(GOOD) + 1, "trailing-data")):
        report = bundlekit.preflight(GOOD[:content], size=size, trust=TRUST)
        assert {one.rule for one in report.findings} == {rule}


def test_preflight_of_too_few_bytes_says_so():
    with pytest.raises(UnreadableError, match="are needed"):
        bundlekit.preflight(GOOD[:3000], size=len(GOOD), trust=TRUST)


def test_preflight_compares_the_digest_of_the_header():
    data = artifact(in_manifest=lambda text: text.replace(text[65:].split(b"\n")[1][:64], 64 * b"0"))
    assert "digest-mismatch" in {one.rule for one in bundlekit.preflight(data, trust=TRUST).findings}


# --- artifacts that are not accepted ---


def test_the_cases_reach_each_rule_that_readers_name():
    assert {one.rule for one in SPOILS} >= {
        *("structure-malformed", "metadata-malformed", "metadata-unprotected", "member-duplicate", "member-unlisted"),
        *("member-missing", "member-misplaced", "digest-weak", "digest-mismatch", "trailing-data", "truncated"),
    }


@pytest.mark.parametrize(("name", "rule"), [("unsigned", "unsigned"), ("augmented", "metadata-unprotected")])
def test_what_the_tool_makes_without_protection_is_rejected(name, rule):
    report = bundlekit.check(FOLDER / f"{name}.mender", trust=TRUST)
    assert (report.verdict, rule in {one.rule for one in report.findings}) == ("reject", True)


def test_a_changed_byte_of_the_manifest_is_always_compared_with_the_signature():
    """Also where the manifest can no longer be read: only the signature shows that the signer did not write it so."""
    _, content, stop = places(GOOD)["manifest"]
    signature = places(GOOD)["manifest.sig"][1:]
    for at in range(content, stop):
        for bit in (0x01, 0x20, 0x80):
            found = faults(check(GOOD[:at] + bytes([GOOD[at] ^ bit]) + GOOD[at + 1 :]))
            assert ("signer-unknown", (*signature, "")) in {fault[:2] for fault in found}, (at, bit, found)


def test_a_changed_byte_of_the_version_is_always_compared_with_its_digest():
    _, content, stop = places(GOOD)["version"]
    for at in range(content, stop):
        for bit in (0x01, 0x04, 0x80):
            report = check(GOOD[:at] + bytes([GOOD[at] ^ bit]) + GOOD[at + 1 :])
            assert report.verdict == "reject", (at, bit)
            assert ("digest-mismatch", (content, stop, "")) in {fault[:2] for fault in faults(report)}, (at, bit)


@pytest.mark.parametrize("end", ["", "_wifi-driver", "_wifi@home~1:x(2)%=;$'\"`", "_a.b,c+d"])
def test_the_end_of_the_name_of_a_script_is_free_text(end):
    script = f"scripts/ArtifactInstall_Enter_00{end}"
    report = check(artifact(header=header_members(scripts=[(script, b"#!/bin/sh\n")])))
    assert (report.verdict, report.release.annotations["scripts"]) == ("accept", script)


@pytest.mark.parametrize("end", ["_", "_a b", "_a/b", "_a\\b", "_a\x01", "_\u202e", "_\n"])
def test_a_script_with_another_name_is_not_listed(end):
    report = check(artifact(header=header_members(scripts=[(f"scripts/ArtifactInstall_Enter_00{end}", b"x")])))
    assert {one.rule for one in report.findings} == {"member-unlisted"}


@pytest.mark.parametrize(("size", "verdict"), [(4096, "accept"), (4097, "reject")])
def test_a_provided_value_can_be_long(size, verdict):
    types = type_info() | {"artifact_provides": {"packages": "x" * size}}
    assert check(artifact(header=header_members(types=types))).verdict == verdict


@pytest.mark.parametrize("form", ["der", "numbers"])
def test_another_curve_is_not_taken_even_if_its_key_is_pinned(form):
    key = mender_artifact.private_key("p384")
    assert isinstance(key, ec.EllipticCurvePrivateKey)

    def sign(members):
        value = key.sign(dict(members)["manifest"], ec.ECDSA(hashes.SHA256()))
        if form == "numbers":
            value = b"".join(number.to_bytes(48, "big") for number in utils.decode_dss_signature(value))
        return [(name, base64.b64encode(value) if name == "manifest.sig" else data) for name, data in members]

    data = artifact(in_artifact=sign)
    trust = bundlekit.load_trust([make_keys.KEYS / "p384.pub.pem"])
    assert {fault[:2] for fault in faults(check(data, trust))} == {
        ("signer-unknown", (*places(data)["manifest.sig"][1:], ""))
    }


@pytest.mark.parametrize(("more", "rule"), [("more", "member-unlisted"), ("manifest", "member-duplicate")])
def test_a_signature_behind_another_member_is_not_called_missing(more, rule):
    data = artifact(in_artifact=lambda members: [*members[:2], (more, b"x"), *members[2:]])
    assert {one.rule for one in check(data).findings} == {rule}


def test_a_signature_that_is_not_base64_is_not_called_missing():
    data = artifact(in_artifact=lambda members: [*members[:2], ("manifest.sig", b"!" * 88), *members[3:]])
    assert {one.rule for one in check(data).findings} == {"metadata-malformed"}


def test_a_version_that_is_too_large_is_not_compared():
    found = faults(check(artifact(version=mender_artifact.VERSION + b" " * 2000)))
    assert {fault[:2] for fault in found} == {("metadata-malformed", (0, 512, ""))}


def test_a_newer_version_is_not_validated():
    report = check(artifact(version=b'{"format":"mender","version":4}'))
    assert report.verdict == "incomplete"
    assert "version 4" in next(one.reason for one in report.rules if one.rule == "tool-too-old")


def test_an_archive_in_zstd_is_incomplete_where_it_cannot_be_decoded():
    if decoding.readable("zstd"):
        pytest.skip("this Python decodes zstd")
    for header_compression in ("", ".zst"):
        report = check(artifact(compression=".zst", header_compression=header_compression))
        assert (report.verdict, report.findings) == ("incomplete", ())
        left = {one.rule: (one.reason, one.next) for one in report.rules if one.outcome == "not-run"}
        assert "zstd" in left["digest-mismatch"][0]
        assert left["member-unlisted"][1] == "Use Python 3.14 or later."


@pytest.mark.parametrize("size", [2**31 + 512, 2**32 + 512, 2**53])
def test_a_sparse_file_of_any_size_is_trailing_data(tmp_path, size):
    file = tmp_path / "sparse.mender"
    file.write_bytes(GOOD)
    try:
        os.truncate(file, size)
    except OSError:
        pytest.skip("the file system has no files of this size")
    found = bundlekit.check(file, trust=TRUST)
    assert ("trailing-data", (len(GOOD), size, ""), "corrupted") in faults(found)


@pytest.mark.parametrize("size", [2**31 + 1, 2**32 + 1, 2**33 - 4096])
def test_a_payload_beyond_the_limits_of_integers_is_measured_to_its_end(tmp_path, size):
    start, content, _ = places(GOOD)["data/0000.tar"]
    inner = GOOD[content : content + 512]
    file = tmp_path / "sparse.mender"
    with file.open("wb") as out:
        out.write(GOOD[:start])
        large = repaired(inner[:124] + b"%011o\0" % size + inner[136:])
        total = 512 + -(-size // 512) * 512 + 1024
        out.write(repaired(GOOD[start : start + 124] + b"%011o\0" % total + GOOD[start + 136 : start + 512]) + large)
        out.truncate(content + total + 1024)
    with FileSource(file) as source:
        bundle = formats.read(formats.once(source))
    (claim,) = [one for one in bundle.claims if isinstance(one, ArchiveClaim)]
    assert (bundle.problems, bundle.complete, claim.span.size) == ((), True, total)


@pytest.mark.exhaustive
@pytest.mark.parametrize("compression", ["", ".gz"])
def test_no_truncation_is_accepted(compression):
    # Trust is verified only for whole artifacts, so the reader alone is fast enough for every length.
    data = artifact(compression=compression)
    for size in range(len(data)):
        assert formats.read(BytesSource(data[:size])).problems
    for size in (0, 1, 511, 512, 1024, 2048, 3000, len(data) - 1):
        assert check(data[:size]).verdict == "reject"


# --- any bytes ---


@given(st.binary(max_size=1500))
@settings(max_examples=100)
def test_any_bytes_after_the_first_member_give_a_report(data):
    start = places(GOOD)["manifest"][0]
    assert check(GOOD[:start] + data).verdict != "accept"


NAMES = st.sampled_from(
    ["version", "manifest", "manifest.sig", "manifest-augment", "header.tar", "header.tar.gz", "data/0000.tar", "more"]
)


@given(st.lists(st.tuples(NAMES, st.binary(max_size=600)), max_size=8))
@settings(max_examples=100)
def test_any_members_give_a_report(members):
    assert check(tar([("version", mender_artifact.VERSION), *members])).verdict != "accept"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.exhaustive
@given(
    st.dictionaries(st.sampled_from([*info(), "more"]), JSON, max_size=3),
    st.dictionaries(st.sampled_from([*type_info(), "artifact_depends"]), JSON),
)
@settings(max_examples=150)
def test_any_values_in_the_header_give_a_report(in_info, in_types):
    report = check(artifact(header=header_members(info() | in_info, type_info() | in_types)))
    assert report.verdict in ("accept", "reject")
    assert {one.rule for one in report.findings} <= {"metadata-malformed"}


@given(st.binary(max_size=300), st.sampled_from(["", ".gz", ".xz"]))
@settings(max_examples=100)
def test_any_bytes_as_header_or_payload_give_a_report(data, compression):
    assert check(artifact(compression=compression, payload=lambda _: data)).verdict == "reject"
    assert check(artifact(compression=compression, header_bytes=lambda _: data)).verdict == "reject"


# --- the real tool ---


@pytest.mark.skipif(not TOOL, reason="mender-artifact is not installed")
@pytest.mark.parametrize("name", make_mender.GOOD)
def test_a_fresh_artifact_of_the_tool_is_accepted(tmp_path, name):
    made = make_mender.made(tmp_path, name, *make_mender.GOOD[name])
    report = bundlekit.check(made, trust=TRUST)
    assert (report.verdict, report.findings) == ("accept", ())


@pytest.mark.sweep  # the tool takes a while for all cases
@pytest.mark.skipif(not TOOL, reason="mender-artifact is not installed")
def test_what_the_tool_makes_of_the_spoiled_artifacts_is_as_the_page_describes(tmp_path):
    found = {case.name for case in SPOILS if _validated(tmp_path, case.make())}
    assert found == spoil_mender.TOLERATED


@pytest.mark.skipif(not TOOL, reason="mender-artifact is not installed")
@pytest.mark.parametrize("compression", ["", ".gz", ".xz"])
@pytest.mark.parametrize("key", ["p256", "rsa-3072"])
def test_the_tool_validates_the_artifacts_made_by_the_format_page(tmp_path, compression, key):
    assert _validated(tmp_path, artifact(compression=compression, key=key), key)


def _validated(folder, data, key="p256"):
    (folder / "a.mender").write_bytes(data)
    done = make_mender.run(folder, "validate", "-k", make_keys.KEYS / f"{key}.pub.pem", "a.mender")
    return done.returncode == 0
