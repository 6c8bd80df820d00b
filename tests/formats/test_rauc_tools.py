"""RAUC bundles and the programs of others: what rauc makes is accepted, and unsquashfs is kept within its limits."""

import hashlib
import subprocess
import sys

import pytest

from bundlekit import load_trust, pipeline
from bundlekit.formats import rauc
from bundlekit.layout import unsquashfs
from bundlekit.layout.unsquashfs import MemberFault, read_member
from bundlekit.model.bundle import Span
from bundlekit.source import BytesSource, FileSource, Joined, ReadOnce, Slice
from fixtures import forge, spoil_rauc
from fixtures.make_rauc import FOLDER, MANIFEST
from tests.formats.test_rauc import judge, needs_rauc, needs_unsquashfs, parts, sample
from tests.trust import pki

KINDS = ("rsa-2048", "p256", "p384", "p521")
PURPOSES = {"codesign": pki.CODE_SIGNING, "smimesign": pki.ExtendedKeyUsageOID.EMAIL_PROTECTION}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a root, and signers with keys of each kind."""
    folder = tmp_path_factory.mktemp("rauc")
    (folder / "root.pem").write_bytes(pki.pem(pki.root()))
    for kind in KINDS:
        common = f"Signer {kind}"
        (folder / f"{kind}.pem").write_bytes(pki.pem(pki.signer(kind, common=common)))
        (folder / f"{kind}.key").write_bytes(pki.pem(pki.key(kind, common)))
    conf = f"[system]\ncompatible=x\nbootloader=noop\n[keyring]\npath={folder / 'root.pem'}\ncheck-purpose=codesign\n"
    (folder / "system.conf").write_text(conf)
    return folder


def tool(*command):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=60)


def made(place, tmp_path, kind, signer, *, compression="gzip"):
    content = tmp_path / "content"
    content.mkdir()
    (content / "manifest.raucm").write_text(MANIFEST.format(kind=kind))
    (content / "rootfs.img").write_bytes(hashlib.shake_128(b"x").digest(600_000))
    (content / "hook").write_text("#!/bin/sh\n")
    bundle = tmp_path / f"{kind}.raucb"
    options = [f"--cert={place / signer}.pem", f"--key={place / signer}.key", f"--mksquashfs-args=-comp {compression}"]
    done = tool("rauc", "bundle", *options, content, bundle)
    assert done.returncode == 0, done.stderr
    return bundle


@needs_rauc
@needs_unsquashfs
@pytest.mark.parametrize("signer", KINDS)
@pytest.mark.parametrize("kind", ["plain", "verity"])
def test_what_rauc_makes_is_accepted(place, tmp_path, kind, signer):
    bundle = made(place, tmp_path, kind, signer)
    report = pipeline.check(bundle, trust=load_trust([place / "root.pem"]), at=pki.NOW)
    assert (report.verdict, report.release.product) == ("accept", "Test Board")
    assert report.coverage.covered == report.coverage.size == bundle.stat().st_size
    assert tool("rauc", "info", f"--conf={place / 'system.conf'}", bundle).returncode == 0


@needs_rauc
@needs_unsquashfs
@pytest.mark.parametrize("compression", ["xz", "zstd", "lz4", "lzo"])
def test_a_manifest_in_any_compression(place, tmp_path, compression):
    bundle = made(place, tmp_path, "plain", "p256", compression=compression)
    report = pipeline.check(bundle, trust=load_trust([place / "root.pem"]), at=pki.NOW)
    assert (report.verdict, report.release.version) == ("accept", "2026.11-1")


TREE = [case for case in spoil_rauc.CASES if case.rule == "hash-tree-mismatch"]


@needs_rauc
def test_rauc_info_reads_no_payload_of_a_verity_bundle(tmp_path):
    """The page says so: bundlekit refuses these, and the tool of the format does not."""
    conf = tmp_path / "system.conf"
    anchor = forge.KEYS / "trust" / "root.pem"
    conf.write_text(f"[system]\ncompatible=x\nbootloader=noop\n[keyring]\npath={anchor}\ncheck-purpose=codesign\n")
    whole = parts("verity")
    for case in TREE:
        path = tmp_path / "bundle.raucb"
        path.write_bytes(case.change(whole))
        assert tool("rauc", "info", f"--conf={conf}", path).returncode == 0, case.name
        assert judge(path.read_bytes()).verdict == "reject"


@pytest.mark.parametrize("digest", ["md5", "sha1"])
@pytest.mark.parametrize("name", ["verity", "plain"])
def test_a_weak_digest_is_refused(tmp_path, name, digest):
    """RAUC accepts such a signature. The content of a verity bundle is pinned by SHA-256 all the same."""
    whole = parts(name)
    content = whole.manifest or whole.payload
    (tmp_path / "content").write_bytes(content)
    arguments = ["-signer", forge.KEYS / "signer.pem", "-inkey", forge.KEYS / "signer.key"]
    chain = ["-certfile", forge.KEYS / "intermediate.pem"]
    form = ["-nodetach"] if whole.manifest else []
    files = ["-in", tmp_path / "content", "-out", tmp_path / "cms"]
    done = tool(
        "openssl", "cms", "-sign", "-binary", "-outform", "DER", "-md", digest, *form, *arguments, *chain, *files
    )
    if done.returncode:
        pytest.skip(f"this openssl makes no signature with {digest}")
    report = judge(spoil_rauc.sealed(whole.payload + whole.tree, (tmp_path / "cms").read_bytes()))
    assert "weak-algorithm" in {finding.rule for finding in report.findings}


# --- unsquashfs ---


@needs_unsquashfs
def test_the_manifest_is_read_from_a_file_and_from_memory(tmp_path):
    plain = parts("plain")
    size = len(plain.payload)
    path = tmp_path / "plain.raucb"
    path.write_bytes(plain.data)
    with FileSource(path) as source:
        data = read_member(source, size, "manifest.raucm", 4096)
    assert data == read_member(BytesSource(plain.data), size, "manifest.raucm", 4096)
    assert data.startswith(b"[update]")


@needs_unsquashfs
def test_the_manifest_is_read_from_a_bundle_inside_another_file(tmp_path):
    plain = parts("plain")
    path = tmp_path / "outer.bin"
    path.write_bytes(b"x" * 5001 + plain.data + b"y" * 99)
    with FileSource(path) as source:
        inner = Slice(source, Span(start=5001, stop=5001 + len(plain.data)), name="inner")
        for one in (inner, ReadOnce(inner, b""), Joined(inner, {})):
            assert read_member(one, len(plain.payload), "manifest.raucm", 4096).startswith(b"[update]")
        bundle = rauc.read(inner)
    assert (bundle.problems, bundle.release.product) == ((), "Test Board")


@needs_unsquashfs
def test_the_file_that_was_opened_is_the_one_read(tmp_path):
    path = tmp_path / "plain.raucb"
    path.write_bytes(sample("plain"))
    with FileSource(path) as source:
        path.unlink()
        path.write_bytes(b"another file")
        assert read_member(source, len(parts("plain").payload), "manifest.raucm", 4096).startswith(b"[update]")


@needs_unsquashfs
def test_a_missing_manifest_is_a_fault_of_the_bundle():
    plain = parts("plain")
    found = read_member(BytesSource(plain.data), len(plain.payload), "manifest.raucx", 4096)
    assert found == MemberFault(
        "unsquashfs finds no manifest.raucx in the payload: cat: no matches for /manifest.raucx", damaged=True
    )


@needs_unsquashfs
def test_a_manifest_over_the_limit_is_a_fault_of_the_bundle():
    plain = parts("plain")
    found = read_member(BytesSource(plain.data), len(plain.payload), "manifest.raucm", 100)
    assert found == MemberFault("manifest.raucm has more than 100 bytes", damaged=True)


def test_without_the_program_the_verdict_is_incomplete(monkeypatch):
    monkeypatch.setattr(unsquashfs, "_found", lambda: None)
    report = judge(sample("plain"))
    assert report.verdict == "incomplete"
    (rule,) = [one for one in report.rules if one.rule == "metadata-malformed"]
    assert (rule.outcome, rule.next) == ("not-run", unsquashfs.INSTALL)
    assert report.release is None
    assert report.id == judge(sample("plain")).id


LZO = "Filesystem uses lzo compression, this is unsupported by this version"


@pytest.fixture
def pretend(monkeypatch, tmp_path):
    """A function that puts a shell script in the place of unsquashfs, and reads a manifest through it."""

    def read(script, limit=100, deadline=600.0):  # on a busy machine, even a shell takes its time to start
        monkeypatch.setattr(unsquashfs, "DEADLINE", deadline)
        path = tmp_path / "unsquashfs"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/nowhere")
        return read_member(BytesSource(bytes(5000)), 5000, "manifest.raucm", limit)

    return read


@pytest.mark.parametrize(
    ("script", "reason", "damaged"),
    [
        ("while :; do echo x; done", "manifest.raucm has more than 100 bytes", True),
        (
            "while :; do echo x >&2; done",
            "unsquashfs did not finish within 1 seconds, so manifest.raucm was not read",
            False,
        ),
        ("/bin/sleep 60", "unsquashfs did not finish within 1 seconds, so manifest.raucm was not read", False),
        (
            "exec >&- 2>&-; /bin/sleep 60",
            "unsquashfs did not finish within 1 seconds, so manifest.raucm was not read",
            False,
        ),
        ("kill -SEGV $$", "unsquashfs was ended by signal 11, so manifest.raucm was not read", False),
        (
            f"echo '{LZO}' >&2; exit 1",
            f"this version of unsquashfs cannot read manifest.raucm: {LZO}",
            False,
        ),
        ("echo 'SYNTAX: x' >&2; exit 1", "this version of unsquashfs cannot read manifest.raucm: SYNTAX: x", False),
        (
            "echo 'FATAL ERROR: Out of memory' >&2; exit 1",
            "unsquashfs needs more than 512 MiB of memory to read manifest.raucm",
            False,
        ),
        ("exit 3", "unsquashfs finds no manifest.raucm in the payload: no reason given", True),
        (
            "echo warning >&2; echo 'FATAL ERROR: bad' >&2; exit 1",
            "unsquashfs finds no manifest.raucm in the payload: FATAL ERROR: bad",
            True,
        ),
    ],
)
def test_a_program_that_fails(pretend, script, reason, damaged):
    found = pretend(script, deadline=1.0) if "within 1 seconds" in reason else pretend(script)
    assert (found.reason, found.damaged) == (reason, damaged)


def test_a_program_gets_no_shell_and_no_environment(pretend, monkeypatch):
    monkeypatch.setenv("SECRET", "value")
    assert pretend('echo "$SECRET|$#|$LC_ALL"') == b"|14|C\n"


def test_a_bundle_that_is_no_file_is_copied_only_if_it_is_small(monkeypatch):
    monkeypatch.setattr(unsquashfs, "_found", lambda: "/bin/true")
    found = read_member(BytesSource(b""), 2**40, "manifest.raucm", 100)
    assert not found.damaged
    assert found.next == "Give the bundle as a file."


# --- what is loaded ---


def loaded(path):
    code = f"import sys, bundlekit; bundlekit.check({str(path)!r}); print(*sys.modules)"
    return tool(sys.executable, "-c", code).stdout.split()


def test_only_a_rauc_bundle_loads_its_reader():
    ours = {"bundlekit.formats.rauc", "bundlekit.layout.rauc.manifest", "bundlekit.layout.unsquashfs", "subprocess"}
    assert not ours & set(loaded(FOLDER.parents[1] / "demo" / "update.bin"))
    assert ours - set(loaded(FOLDER / "verity.raucb")) == {"bundlekit.layout.unsquashfs", "subprocess"}


def test_the_reader_reads_no_payload():
    """A verity bundle has its description in its last bytes, whatever the size of the payload."""

    class Counted(BytesSource):
        count = 0

        def readinto(self, offset, buffer):
            self.count += len(buffer)
            super().readinto(offset, buffer)

    source = Counted(sample("verity"))
    rauc.read(source)
    assert source.count < 2500
