"""The digests of images in RAUC bundles are compared with the files inside of the SquashFS image, on request."""

import datetime as dt
import hashlib
import shutil
import subprocess

import pytest

import bundlekit
from bundlekit.errors import CancelledError
from bundlekit.layout import unsquashfs
from bundlekit.report import markdown
from bundlekit.report.document import BundleResult, ReportDocument
from bundlekit.report.text import lines
from bundlekit.source import BytesSource, FileSource
from fixtures import forge, make_rauc, spoil_rauc

NOW = dt.datetime.fromisoformat(forge.AT)
RULE = "image-digest-mismatch"
TRUST = bundlekit.load_trust([make_rauc.FOLDER / "trust.toml"])
IMAGE = bytes(byte % 251 for byte in range(300_000))
TOOLS = all(map(shutil.which, ("mksquashfs", "unsquashfs")))

needs_tools = pytest.mark.skipif(not TOOLS, reason="squashfs-tools are not installed")


def plain(folder, *, digest=None, size=None, name="rootfs.img", more="", links=()):
    """A signed plain bundle with one image, whose manifest can be wrong about it. ``links`` replace files."""
    inside = folder / "inside"
    inside.mkdir()
    (inside / "rootfs.img").write_bytes(IMAGE)
    (inside / "manifest.raucm").write_text(
        f"[update]\ncompatible=Test Board\nversion=1\n\n[image.rootfs]\nfilename={name}\n"
        f"sha256={digest or hashlib.sha256(IMAGE).hexdigest()}\n"
        + ("" if size == "" else f"size={len(IMAGE) if size is None else size}\n")
        + more
    )
    for link, target in links:
        if (inside / link).exists():
            (inside / link).rename(inside / target.strip("/"))
        (inside / link).symlink_to(target)
    return repacked(folder)


def repacked(folder):
    """The signed plain bundle of what is in ``inside``, and the size of its image."""
    command = [
        "mksquashfs",
        str(folder / "inside"),
        str(folder / "image"),
        "-all-root",
        "-noappend",
        "-quiet",
        "-no-progress",
    ]
    subprocess.run(command, check=True, capture_output=True)
    content = (folder / "image").read_bytes()
    path = folder / "made.raucb"
    path.write_bytes(spoil_rauc.sealed(content, spoil_rauc.cms_of(content, detached=True)))
    return path, len(content)


def check(data, **asked):
    report = bundlekit.check(data, trust=TRUST, at=NOW, **asked)
    outcome = next(one for one in report.rules if one.rule == RULE)
    faults = [(one.rule, one.where.start, one.where.stop, one.message) for one in report.findings if one.rule == RULE]
    return report, outcome, faults


@needs_tools
def test_right_digests_pass(tmp_path):
    path, _ = plain(tmp_path)
    for data in (path, BytesSource(path.read_bytes())):
        report, outcome, faults = check(data, full=True)
        assert (report.verdict, outcome.outcome, outcome.required, faults) == ("accept", "passed", True, [])


@needs_tools
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"digest": "0" * 63 + "1"}, "the digest of 'rootfs' is not the one in the description"),
        ({"size": len(IMAGE) + 1}, "'rootfs' has 300000 bytes, and the description states 300001"),
        ({"size": len(IMAGE) - 1}, "rootfs.img has more than 299999 bytes"),
        ({"size": 0}, "rootfs.img has more than 0 bytes"),
        ({"name": "other.img"}, "unsquashfs finds no other.img in the payload"),
    ],
)
def test_a_wrong_digest_or_size_is_found(tmp_path, changes, message):
    digest = hashlib.sha256(IMAGE[: changes["size"]]).hexdigest() if "size" in changes else None
    path, stop = plain(tmp_path, **{"digest": digest} | changes)
    report, _, faults = check(path, full=True)
    ((rule, start, end, found),) = faults
    assert (report.verdict, rule, start, end) == ("reject", RULE, 0, stop)
    assert found.startswith(message)


@needs_tools
@pytest.mark.parametrize(
    "links",
    [
        [("rootfs.img", "image -> of 2026")],
        [("rootfs.img", "second"), ("second", "third")],
        [("manifest.raucm", "text")],
        [("manifest.raucm", "second"), ("second", "third")],
        [("program", "rootfs.img")],
    ],
)
@pytest.mark.parametrize("as_file", [True, False])
def test_a_link_to_a_file_next_to_it_is_followed_as_the_mounted_image_does(tmp_path, links, as_file):
    """``rauc bundle`` accepts such links, and ``unsquashfs`` 4.5 takes them for a loop of folders."""
    more = "\n[hooks]\nfilename=program\n" if links[0][0] == "program" else ""
    path, _ = plain(tmp_path, links=links, more=more)
    report, outcome, faults = check(path if as_file else BytesSource(path.read_bytes()), full=True)
    assert (report.verdict, outcome.outcome, faults, report.findings) == ("accept", "passed", [], ())


@needs_tools
@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("/text", "{} is a symbolic link to '/text', and not to a file next to it"),
        ("sub/../text", "{} is a symbolic link to 'sub/../text', and not to a file next to it"),
        ("..", "{} is a symbolic link to '..', and not to a file next to it"),
        ("none", "{} is a symbolic link, and unsquashfs finds no none in the payload: cat: no matches for /none"),
        ("self", "{} is a symbolic link in a circle, or a chain of more than 2 links"),
    ],
)
@pytest.mark.parametrize(("name", "rule"), [("other.img", RULE), ("manifest.raucm", "metadata-malformed")])
def test_any_other_link_is_refused_as_what_it_is(tmp_path, target, reason, name, rule):
    inside = tmp_path / "inside"
    path, stop = plain(tmp_path, name="other.img" if name == "other.img" else "rootfs.img")
    (inside / name).unlink(missing_ok=True)
    (inside / name).symlink_to(name if target == "self" else target)
    path, stop = repacked(tmp_path)
    found = [(one.rule, one.where.start, one.where.stop, one.message) for one in check(path, full=True)[0].findings]
    assert found == [(rule, 0, stop, reason.format(name))]


@needs_tools
def test_a_program_outside_of_the_image_is_not_in_it(tmp_path):
    path, stop = plain(tmp_path, more="\n[hooks]\nfilename=program\n", links=[("program", "/bin/sh")])
    _, _, faults = check(path, full=True)
    assert faults == [(RULE, 0, stop, "program is a symbolic link to '/bin/sh', and not to a file next to it")]


@needs_tools
def test_a_size_that_is_too_large_is_wrong_even_if_the_digest_is_right(tmp_path):
    path, _ = plain(tmp_path, size=len(IMAGE) + 1)
    _, _, faults = check(path, full=True)
    assert [one[3] for one in faults] == ["'rootfs' has 300000 bytes, and the description states 300001"]


@needs_tools
def test_the_images_of_a_verity_bundle_are_compared_too():
    parts = spoil_rauc.opened((make_rauc.FOLDER / "verity.raucb").read_bytes())
    _, outcome, faults = check(BytesSource(parts.data), full=True)
    assert (outcome.outcome, faults) == ("passed", [])
    wrong = parts.changed(parts.value("sha256"), b"sha256=" + b"1" * 64)
    report, _, faults = check(BytesSource(wrong), full=True)
    assert [one[:3] for one in faults] == [(RULE, 0, len(parts.payload))]
    assert (report.verdict, {one.rule for one in report.findings}) == ("reject", {RULE})


@needs_tools
@pytest.mark.parametrize("group", ["hooks", "handler"])
@pytest.mark.parametrize(("file", "verdict"), [("rootfs.img", "accept"), ("program", "reject")])
def test_a_program_has_to_be_in_the_image(tmp_path, group, file, verdict):
    path, stop = plain(tmp_path, more=f"\n[{group}]\nfilename={file}\n")
    report, _, faults = check(path, full=True)
    missing = (RULE, 0, stop, "unsquashfs finds no program in the payload: cat: no matches for /program")
    assert (report.verdict, faults) == (verdict, [missing] if verdict == "reject" else [])
    assert check(path)[0].verdict == "accept"


@needs_tools
def test_a_program_that_unsquashfs_cannot_follow_is_not_called_missing(tmp_path, monkeypatch):
    path, _ = plain(tmp_path, more="\n[hooks]\nfilename=link\n")
    reason = "unsquashfs finds no link in the payload: File System corrupted: directory loop detected"
    real = unsquashfs.read_through

    def read_through(source, size, name, limit, consume):
        if name == "link":
            return unsquashfs.MemberFault(reason, damaged=True)
        return real(source, size, name, limit, consume)

    monkeypatch.setattr(unsquashfs, "read_through", read_through)
    report, outcome, faults = check(path, full=True)
    assert (report.verdict, faults, outcome.reason) == ("incomplete", [], f"hooks: {reason}")


@needs_tools
def test_an_image_without_size_is_empty_as_for_rauc(tmp_path):
    more = "hooks=install\n\n[hooks]\nfilename=rootfs.img\n"
    path, _ = plain(tmp_path, size="", more=more)
    assert check(path, full=True)[0].verdict == "reject"


def test_without_the_request_nothing_is_decompressed(monkeypatch):
    monkeypatch.setattr(unsquashfs, "read_through", lambda *_: pytest.fail("it was read"))
    report, outcome, _ = check(make_rauc.FOLDER / "verity.raucb")
    assert (report.verdict, outcome.outcome, outcome.required) == ("accept", "not-run", False)


@needs_tools
def test_the_report_states_that_the_images_were_not_compared():
    said = "the digests of 1 file inside the image were not compared with the description"
    for full in (False, True):
        report, _, _ = check(make_rauc.FOLDER / "verity.raucb", full=full)
        text = [line.text for line in lines(report)]
        assert (f"  not checked {said}" in text) is not full
        document = ReportDocument(results=(BundleResult(report=report),))
        assert (f"| Not checked | {said}" in markdown.render(document)) is not full


@pytest.mark.parametrize("name", ["verity.raucb", "plain.raucb"])
def test_without_the_program_the_rule_is_not_run(monkeypatch, name):
    monkeypatch.setattr(unsquashfs, "_found", lambda: None)
    report, outcome, _ = check(make_rauc.FOLDER / name, full=True)
    assert (report.verdict, outcome.outcome, outcome.required) == ("incomplete", "not-run", True)
    assert "unsquashfs is not installed" in outcome.reason
    assert "squashfs-tools" in outcome.next


@needs_tools
def test_an_image_in_another_form_is_not_compared(tmp_path):
    path, _ = plain(tmp_path, name="rootfs.img.caibx")
    report, outcome, _ = check(path, full=True)
    assert (report.verdict, outcome.outcome) == ("incomplete", "not-run")
    assert outcome.reason.startswith("rootfs: the bundle has it in another form")


@needs_tools
def test_an_image_that_no_trusted_signer_signed_is_not_decompressed(tmp_path, monkeypatch):
    path, stop = plain(tmp_path)
    data = bytearray(path.read_bytes())
    data[stop - 1] ^= 1  # in the padding of the image, so that the manifest can be read
    read = []
    original = unsquashfs.read_through
    monkeypatch.setattr(unsquashfs, "read_through", lambda *given: read.append(given[2]) or original(*given))
    report, outcome, _ = check(BytesSource(bytes(data)), full=True)
    assert (report.verdict, outcome.outcome, read) == ("reject", "not-run", ["manifest.raucm"])


@needs_tools
def test_a_cancelled_comparison_ends_the_program(tmp_path):
    path, size = plain(tmp_path)
    with FileSource(path) as source:
        with pytest.raises(CancelledError):
            unsquashfs.read_through(source, size, "rootfs.img", len(IMAGE), _cancelled)
        pieces = []
        assert unsquashfs.read_through(source, size, "rootfs.img", len(IMAGE), pieces.append) is None
    assert b"".join(pieces) == IMAGE


def _cancelled(_):
    raise CancelledError("cancelled")
