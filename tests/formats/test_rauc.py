"""RAUC bundles: good ones are accepted, and every spoiled one is rejected by the right rule at the right span."""

import shutil
from functools import cache
from pathlib import Path

import pytest

import bundlekit
from bundlekit.cli import run
from bundlekit.formats import rauc
from bundlekit.layout import unsquashfs
from bundlekit.source import BytesSource
from fixtures import forge, spoil_rauc
from fixtures.make_rauc import ASK, FOLDER, GOOD

needs_unsquashfs = pytest.mark.skipif(shutil.which("unsquashfs") is None, reason="unsquashfs is not installed")
needs_rauc = pytest.mark.skipif(shutil.which("rauc") is None, reason="rauc is not installed")


@cache
def sample(name):
    return (FOLDER / f"{name}.raucb").read_bytes()


@cache
def parts(name):
    return spoil_rauc.opened(sample(name))


def judge(data, ask=ASK):
    return forge.judge(data, ask, name="bundle.raucb")


@pytest.fixture
def _manifest_known(monkeypatch):
    """The manifest of the plain sample without running a program for it."""
    data = sample("plain")
    last = b"hooks=post-install;\n"
    manifest = data[data.index(b"[update]") : data.index(last) + len(last)]  # small files are stored as they are
    monkeypatch.setattr(unsquashfs, "read_member", lambda *_: manifest)


@needs_unsquashfs
@pytest.mark.parametrize(("name", "role"), [("verity", "production"), ("plain", "production"), ("mail", "development")])
def test_a_good_bundle(name, role):
    report = judge(sample(name))
    assert (report.verdict, report.format) == ("accept", "rauc")
    assert (report.release.product, report.release.version, report.release.build) == (
        "Test Board",
        "2026.11-1",
        "20261123",
    )
    assert [(part.label, part.size) for part in report.release.parts] == [("rootfs", 5000)]
    assert report.coverage.covered == report.coverage.size == len(sample(name))
    assert [(one.standing, one.role) for one in report.signatures] == [("counted", role)]
    assert report.release.annotations["hooks.hooks"] == "install-check"
    assert report.release.annotations["image.rootfs.hooks"] == "post-install"


@needs_unsquashfs
@pytest.mark.parametrize("name", GOOD)
def test_the_command_line_accepts_it(name, capsys):
    trust = FOLDER / "trust.toml"
    assert run(["check", str(FOLDER / name), "--trust", str(trust), "--at", forge.AT]) == 0
    assert "ACCEPT" in capsys.readouterr().out


def test_metadata_and_hooks_are_listed():
    release = judge(sample("external")).release
    assert release.annotations == {
        "update.description": "A bundle for tests",
        "bundle.format": "verity",
        "hooks.filename": "hook",
        "hooks.hooks": "install-check",
        "image.rootfs.filename": "rootfs.img",
        "image.rootfs.hooks": "post-install",
        "meta.release.channel": "beta",
        "meta.release.notes": "first line\nsecond line",
        "rollout.phase": "1",
    }


def test_the_id_is_that_of_the_manifest_or_of_the_signed_digest():
    """It stays the same if the bundle is signed again, and on a machine without unsquashfs."""
    verity, plain = parts("verity"), parts("plain")
    assert judge(verity.signed(verity.manifest, "stranger")).id == judge(verity.data).id
    again = spoil_rauc.sealed(plain.payload, spoil_rauc.cms_of(plain.payload, detached=True))
    assert judge(again).id == judge(plain.data).id
    assert rauc.read(BytesSource(plain.data)).head_bytes == __import__("hashlib").sha256(plain.payload).digest()


@pytest.mark.usefixtures("_manifest_known")
def test_a_signature_without_attributes():
    plain, verity = parts("plain"), parts("verity")
    bare = spoil_rauc.cms_of(verity.manifest, options=("NoAttributes",))
    assert judge(spoil_rauc.sealed(verity.payload + verity.tree, bare)).verdict == "accept"
    bare = spoil_rauc.cms_of(plain.payload, detached=True, options=("NoAttributes",))
    assert judge(spoil_rauc.sealed(plain.payload, bare)).signatures[0].standing == "counted"


def test_the_root_can_be_in_upper_case():
    verity = parts("verity")
    line = verity.value("verity-hash")
    assert judge(verity.changed(line, b"verity-hash=" + line.partition(b"=")[2].upper())).verdict == "accept"


def test_line_ends_and_spaces_that_glib_reads():
    verity = parts("verity")
    manifest = verity.manifest.replace(b"\n", b"\r\n").replace(b"version=", b"  version \t=  ", 1)
    report = judge(verity.signed(b"# a comment\n\n" + manifest))
    assert (report.verdict, report.release.version) == ("accept", "2026.11-1")


@pytest.mark.parametrize(
    "changes",
    [
        {b"rootfs.img\n": b"rootfs.bin\ntype=raw\n"},
        {b"rootfs.img\n": b"rootfs.bin\n", b"post-install": b"install"},
        {b"rootfs.img\n": b"rootfs.squashfs-xz\n"},
        {b"rootfs.img\n": b"rootfs.tar.zst\n"},
        {b"rootfs.img\n": b"rootfs.bin\n", b"[hooks]": b"[handler]\nfilename=h\n[hooks]"},
        {b"rootfs.img\n": b"app.bin\n", b"image.rootfs": b"image.files/app"},
        {b"[update]\n": b"[update]\nmin-rauc-version=1.14\n"},
        {b"[update]\n": b"[update]\nmin-rauc-version=2.0.1-rc1+5\n"},
    ],
)
def test_what_rauc_accepts_of_images_and_versions(changes):
    verity = parts("verity")
    manifest = verity.manifest
    for old, new in changes.items():
        assert old in manifest
        manifest = manifest.replace(old, new)
    report = judge(verity.signed(manifest))
    assert (report.verdict, report.findings) == ("accept", ())


# --- spoiled ---


def assert_refused(data, case, whole):
    report = judge(data, forge.Ask())
    found = {(one.rule, one.where and (one.where.start, one.where.stop)) for one in report.findings}
    assert report.verdict == "reject"
    assert case.rule in {rule for rule, _ in found}, found
    if (where := case.spot(whole)) is not None:
        assert (case.rule, where) in found, (where, found)
    if case.rule == "metadata-malformed" or case.rule.startswith("signer"):
        assert {rule for rule, _ in found} == {case.rule}
    assert judge(data).verdict == "reject"


@pytest.mark.parametrize("case", spoil_rauc.CASES, ids=lambda case: case.name)
def test_a_spoiled_verity_bundle_is_refused(case):
    whole = parts("verity")
    assert_refused(case.change(whole), case, whole)


@pytest.mark.usefixtures("_manifest_known")
@pytest.mark.parametrize("case", spoil_rauc.PLAIN, ids=lambda case: case.name)
def test_a_spoiled_plain_bundle_is_refused(case):
    whole = parts("plain")
    assert_refused(case.change(whole), case, whole)


def test_an_image_that_cannot_be_read_is_still_compared_with_its_signature(monkeypatch):
    """The signature shows that it was changed; the signer did not make it that way."""
    reason = "unsquashfs finds no manifest.raucm in the payload: it is damaged"
    monkeypatch.setattr(unsquashfs, "read_member", lambda *_: unsquashfs.MemberFault(reason, damaged=True))
    whole = parts("plain")
    report = judge(whole.data[:5000] + b"x" + whole.data[5000:])
    found = {one.rule: (one.where.start, one.where.stop) for one in report.findings}
    assert report.verdict == "reject"
    assert found == {"metadata-malformed": (0, whole.at + 1), "signature-wrong": (whole.at + 1, whole.end + 1)}


def test_a_manifest_that_is_no_key_file_is_still_compared_with_its_signature(monkeypatch):
    monkeypatch.setattr(unsquashfs, "read_member", lambda *_: b"no key file")
    whole = parts("plain")
    report = judge(spoil_rauc.flip(5000)(whole))
    found = {one.rule: (one.where.start, one.where.stop, one.where.stream) for one in report.findings}
    assert found["metadata-malformed"] == (0, 11, "manifest.raucm")
    assert found["signature-wrong"] == (whole.at, whole.end, "")


ENCRYPTED = {
    "appended": (lambda data, at: data + b"x", "trailing-data", lambda data, at: (len(data), len(data) + 1)),
    "appended-blocks": (
        lambda data, at: data + bytes(9000),
        "trailing-data",
        lambda data, at: (len(data), len(data) + 9000),
    ),
    "cut": (lambda data, at: data[:-1], "truncated", lambda data, at: (len(data) - 1, len(data))),
    "cut-in-signature": (lambda data, at: data[: at + 100], "truncated", lambda data, at: (at + 100, len(data))),
    "size-zero": (
        lambda data, at: data[:-8] + bytes(8),
        "header-out-of-bounds",
        lambda data, at: (len(data) - 8, len(data)),
    ),
    "size-one-more": (
        lambda data, at: data[:-1] + bytes([data[-1] + 1]),
        "header-out-of-bounds",
        lambda data, at: (len(data) - 8, len(data)),
    ),
}
"""What is wrong with the end of an encrypted bundle, whose beginning does not show what it is."""


@pytest.mark.parametrize("name", ENCRYPTED)
def test_an_encrypted_bundle_with_a_damaged_end_is_refused(name):
    data = sample("crypt")
    at = len(data) - 8 - int.from_bytes(data[-8:], "big")
    change, rule, where = ENCRYPTED[name]
    report = judge(change(data, at))
    assert (report.verdict, report.format) == ("reject", "rauc")
    assert [(one.rule, (one.where.start, one.where.stop)) for one in report.findings] == [(rule, where(data, at))]


def test_an_image_that_ends_with_zeros_is_no_stripped_bundle():
    """Eight zeros after the image are its padding if they end at a whole block."""
    image = bytearray(sample("plain")[:4096])
    image[40:48] = (4096 - 8).to_bytes(8, "little")
    image[-8:] = bytes(8)
    assert {one.rule for one in judge(bytes(image)).findings} == {"not-a-bundle"}


def test_a_hook_in_a_folder_of_the_image_is_accepted():
    """RAUC runs it, and the hash tree covers it."""
    whole = parts("verity")
    assert judge(whole.changed(b"filename=hook\n", b"filename=/hooks/a..b/hook\n")).verdict == "accept"


def test_the_names_of_the_cases_are_unique():
    names = [case.name for case in spoil_rauc.CASES]
    assert len(names) == len(set(names))


def test_the_page_has_the_rule_of_each_case():
    page = (Path(bundlekit.__file__).parent / "docs" / "rauc.md").read_text()
    table = page.partition("<!-- cases -->")[2].partition("\n## ")[0]
    rows = [line.strip().split("  ")[-1].strip() for line in table.strip().splitlines()[1:]]
    listed = {rule for row in rows for rule in row.split(", ")}
    on_request = {"image-digest-mismatch", "with --full"}  # its cases are in test_rauc_images
    assert listed == {case.rule for case in (*spoil_rauc.CASES, *spoil_rauc.PLAIN)} | {"truncated"} | on_request
